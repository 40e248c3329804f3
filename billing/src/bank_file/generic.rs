//! Other currencies: a plain credit transfer, element by element in the order of the schema.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{Checked, REMITTANCE, Transfer, fault};
use crate::Result;

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09";

type Xml = Writer<Vec<u8>>;

pub(super) fn write(run: &Checked<'_>) -> Result<String> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    document(&mut xml, run).map_err(fault)?;
    String::from_utf8(xml.into_inner()).map_err(fault)
}

fn document(xml: &mut Xml, run: &Checked<'_>) -> io::Result<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("Document").with_attribute(("xmlns", NAMESPACE)).write_inner_content(
        |xml| {
            group(xml, "CstmrCdtTrfInitn", |xml| {
                group(xml, "GrpHdr", |xml| header(xml, run))?;
                group(xml, "PmtInf", |xml| payments(xml, run))
            })
        },
    )?;
    Ok(())
}

fn header(xml: &mut Xml, run: &Checked<'_>) -> io::Result<()> {
    text(xml, "MsgId", &run.message_id)?;
    text(xml, "CreDtTm", &run.at.to_string())?;
    totals(xml, run)?;
    group(xml, "InitgPty", |xml| text(xml, "Nm", &run.debtor))
}

fn payments(xml: &mut Xml, run: &Checked<'_>) -> io::Result<()> {
    text(xml, "PmtInfId", &run.message_id)?;
    text(xml, "PmtMtd", "TRF")?;
    totals(xml, run)?;
    group(xml, "PmtTpInf", |xml| group(xml, "SvcLvl", |xml| text(xml, "Cd", "NURG")))?;
    group(xml, "ReqdExctnDt", |xml| text(xml, "Dt", &run.day.to_string()))?;
    group(xml, "Dbtr", |xml| text(xml, "Nm", &run.debtor))?;
    account(xml, "DbtrAcct", run.iban.as_str())?;
    group(xml, "DbtrAgt", |xml| {
        group(xml, "FinInstnId", |xml| match &run.bic {
            Some(bic) => text(xml, "BICFI", bic.as_str()),
            None => group(xml, "Othr", |xml| text(xml, "Id", "NOTPROVIDED")),
        })
    })?;
    text(xml, "ChrgBr", "SHAR")?;
    for transfer in &run.transfers {
        group(xml, "CdtTrfTxInf", |xml| payment(xml, run.asset, transfer))?;
    }
    Ok(())
}

fn payment(xml: &mut Xml, asset: &str, transfer: &Transfer) -> io::Result<()> {
    group(xml, "PmtId", |xml| text(xml, "EndToEndId", &transfer.end_to_end_id))?;
    group(xml, "Amt", |xml| {
        let amount = decimal(transfer.cents);
        let element = xml.create_element("InstdAmt").with_attribute(("Ccy", asset));
        element.write_text_content(BytesText::new(&amount)).map(|_| ())
    })?;
    group(xml, "Cdtr", |xml| text(xml, "Nm", &transfer.holder))?;
    account(xml, "CdtrAcct", transfer.iban.as_str())?;
    group(xml, "RmtInf", |xml| text(xml, "Ustrd", REMITTANCE))
}

fn totals(xml: &mut Xml, run: &Checked<'_>) -> io::Result<()> {
    text(xml, "NbOfTxs", &run.transfers.len().to_string())?;
    text(xml, "CtrlSum", &decimal(run.total_cents))
}

fn account(xml: &mut Xml, name: &str, iban: &str) -> io::Result<()> {
    group(xml, name, |xml| group(xml, "Id", |xml| text(xml, "IBAN", iban)))
}

/// Cents that are not negative, as units with two places.
fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn group(
    xml: &mut Xml,
    name: &str,
    inner: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<()> {
    xml.create_element(name).write_inner_content(inner)?;
    Ok(())
}

fn text(xml: &mut Xml, name: &str, value: &str) -> io::Result<()> {
    xml.create_element(name).write_text_content(BytesText::new(value))?;
    Ok(())
}
