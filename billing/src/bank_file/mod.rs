//! The file that tells a bank to pay.

mod generic;
mod sct;

use sepa::charset::{Transliteration, transliterate};
use sepa::{Iban, IsoDate, IsoDateTime};
use store::{Amount, BankFileId, PayoutId, Timestamp};

use crate::{Error, Result};

/// The most payments of a run.
pub const MAX_PAYMENTS: usize = 1_000;

/// The most that one payment moves, the SEPA schemes' limit: 999,999,999.99.
pub const MAX_PAYMENT: Amount = Amount(999_999_999_990_000);

/// The longest name of a party, in characters: the SEPA schemes' limit, under ISO 20022's own 140.
pub const MAX_NAME: usize = 70;

/// What the owner reads on the bank's statement.
const REMITTANCE: &str = "Driveway payout";

/// Who pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debtor {
    pub name: String,
    pub iban: String,
    /// Left out, the bank finds itself by the IBAN.
    pub bic: Option<String>,
}

impl Default for Debtor {
    /// Fictional, with the example IBAN of the German banks' registry entry.
    fn default() -> Self {
        Self {
            name: "Driveway Example Platform".to_owned(),
            iban: "DE89370400440532013000".to_owned(),
            bic: None,
        }
    }
}

/// One payment.
#[derive(Clone, Debug)]
pub struct Payment {
    pub payout: PayoutId,
    /// As the owner wrote it; a format spells it as its banks can read it.
    pub holder: String,
    pub iban: String,
    /// Whole cents, in micro-units, over zero, [`MAX_PAYMENT`] at most.
    pub amount: Amount,
}

/// A run of payments in one asset.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    pub id: BankFileId,
    /// When the file was made; its day, in UTC, is when the bank is to pay.
    pub at: Timestamp,
    /// ISO 4217.
    pub asset: &'a str,
    pub payments: &'a [Payment],
}

/// A format that some bank takes. The same run gives the same bytes.
pub trait BankFormat {
    /// # Errors
    /// [`Error::BankFile`] if the run cannot be said in the format.
    fn write(&self, debtor: &Debtor, run: &Run<'_>) -> Result<String>;
}

/// ISO 20022 pain.001.001.09. Euros go as SEPA credit transfers, another currency as a plain,
/// non-urgent credit transfer with shared charges: the SEPA schemes carry euros only.
pub struct Pain001;

impl BankFormat for Pain001 {
    fn write(&self, debtor: &Debtor, run: &Run<'_>) -> Result<String> {
        let run = check(debtor, run)?;
        if run.asset == "EUR" { sct::write(&run) } else { generic::write(&run) }
    }
}

/// A run with every part of it read and found sound.
struct Checked<'a> {
    message_id: String,
    asset: &'a str,
    day: IsoDate,
    at: IsoDateTime,
    debtor: String,
    iban: Iban,
    bic: Option<sepa::Bic>,
    transfers: Vec<Transfer>,
    /// Sum of the transfers.
    total_cents: i64,
}

struct Transfer {
    end_to_end_id: String,
    cents: i64,
    holder: String,
    iban: Iban,
}

fn check<'a>(debtor: &Debtor, run: &Run<'a>) -> Result<Checked<'a>> {
    if !(1..=MAX_PAYMENTS).contains(&run.payments.len()) {
        return Err(Error::BankFile(format!("a file has 1 to {MAX_PAYMENTS} payments")));
    }
    let transfers = run.payments.iter().map(check_payment).collect::<Result<Vec<_>>>()?;
    let bic = debtor.bic.as_deref().map(sepa::validate_bic).transpose().map_err(fault)?;
    let (day, at) = moment(run.at)?;
    Ok(Checked {
        message_id: reference(&run.id.to_string()),
        asset: run.asset,
        day,
        at,
        debtor: spell(&debtor.name)
            .ok_or_else(|| Error::BankFile("the debtor has no name".to_owned()))?,
        iban: sepa::validate_iban(&debtor.iban).map_err(fault)?,
        bic,
        // Bounded: a thousand payments of under a thousand million.
        total_cents: transfers.iter().map(|transfer| transfer.cents).sum(),
        transfers,
    })
}

fn check_payment(payment: &Payment) -> Result<Transfer> {
    let Payment { payout, holder, iban, amount } = payment;
    if !amount.is_positive() || *amount != amount.whole_cents() || *amount > MAX_PAYMENT {
        return Err(Error::BankFile(format!("{payout} is of {amount}")));
    }
    Ok(Transfer {
        end_to_end_id: end_to_end_id(*payout),
        cents: amount.0 / Amount::CENT.0,
        holder: spell(holder)
            .ok_or_else(|| Error::BankFile(format!("{payout} has a holder without a name")))?,
        iban: sepa::validate_iban(iban).map_err(fault)?,
    })
}

fn moment(at: Timestamp) -> Result<(IsoDate, IsoDateTime)> {
    let day = IsoDate::parse(&at.date()).map_err(fault)?;
    let second = at.0.div_euclid(1_000_000).rem_euclid(86_400);
    let part = |value: i64| u8::try_from(value).map_err(fault);
    let (hour, minute) = (part(second / 3_600)?, part(second / 60 % 60)?);
    let at = IsoDateTime::new(day, hour, minute, part(second % 60)?).map_err(fault)?;
    Ok((day, at.in_utc()))
}

/// By which the bank's reports name the payout: `po_01...` is `po-01...` to it, as SEPA's character
/// set has no underscore.
pub fn end_to_end_id(payout: PayoutId) -> String {
    reference(&payout.to_string())
}

fn reference(id: &str) -> String {
    id.replace('_', "-")
}

/// A name in SEPA's character set, cut to [`MAX_NAME`]; `None` if nothing of it can be spelled.
/// Greek and Cyrillic are written in Latin letters, accents are dropped (EPC217-08).
pub(crate) fn spell(name: &str) -> Option<String> {
    let spelled = transliterate(name.trim(), Transliteration::Epc);
    let cut: String = spelled.chars().take(MAX_NAME).collect();
    let name = cut.trim().trim_matches('/');
    name.chars().any(|c| c.is_ascii_alphanumeric()).then(|| name.to_owned())
}

fn fault(error: impl std::fmt::Display) -> Error {
    Error::BankFile(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_in_the_character_set_of_the_banks() {
        for (name, spelled) in [
            (" Ada Lovelace ", Some("Ada Lovelace")),
            ("Łukasz Żółć", Some("Lukasz Zolc")),
            ("Größe & Söhne <GmbH>", Some("Grose + Sohne (GmbH)")),
            ("Ελένη", Some("Eleni")),
            ("Щукин", Some("SHTukin")),
            ("//a//", Some("a")),
            ("李雷", None),
            ("...", None),
            ("", None),
        ] {
            assert_eq!(spell(name).as_deref(), spelled, "{name}");
        }
        let long = spell(&"Щ".repeat(70)).unwrap();
        assert_eq!(long.chars().count(), MAX_NAME);
    }
}
