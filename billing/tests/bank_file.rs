//! Bank files: what is in them, and that the schema of the message takes them.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use billing::Error;
use billing::bank_file::{
    BankFormat, Debtor, MAX_NAME, MAX_PAYMENT, MAX_PAYMENTS, Pain001, Payment, Run,
};
use store::testing::START;
use store::{Amount, BankFileId, IdSource, PayoutId, Timestamp};

const GB: &str = "GB33BUKB20201555555555";
const DE: &str = "DE89370400440532013000";

fn payment(number: i64, holder: &str, iban: &str, cents: i64) -> Payment {
    let payout: PayoutId = IdSource::seeded(9).id(START.plus_s(number));
    Payment {
        payout,
        holder: holder.to_owned(),
        iban: iban.to_owned(),
        amount: Amount(cents * 10_000),
    }
}

fn payments() -> Vec<Payment> {
    vec![
        payment(1, "Olga Example", GB, 1),
        payment(2, "Łukasz Żółć & Söhne <GmbH>", DE, 123_456),
        payment(3, "Ελένη Щукина 李", "NL91ABNA0417164300", 99_999_999_999),
        payment(4, &"Щ".repeat(70), "MT84MALT011000012345MTLCAST001S", 100),
        payment(5, "//O'Neil]]>/", "BR1800360305000010009795493C1", 100),
    ]
}

fn write_at(
    at: Timestamp,
    asset: &str,
    payments: &[Payment],
    debtor: &Debtor,
) -> Result<String, Error> {
    let id: BankFileId = IdSource::seeded(5).id(START);
    Pain001.write(debtor, &Run { id, at, asset, payments })
}

fn write(asset: &str, payments: &[Payment]) -> Result<String, Error> {
    write_at(START.plus_us(45_296_999_999), asset, payments, &Debtor::default())
}

fn with_bic() -> Debtor {
    Debtor {
        name: "Größte Plattform".into(), bic: Some("COBADEFFXXX".into()), ..Debtor::default()
    }
}

#[test]
fn files_are_valid_by_the_schema() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let many: Vec<Payment> =
        (0..MAX_PAYMENTS as i64).map(|n| payment(n, "Olga", GB, n + 1)).collect();
    for asset in ["USD", "EUR", "GBP"] {
        for (name, payments, debtor) in [
            ("one", &payments()[..1], Debtor::default()),
            ("several", &payments()[..], Debtor::default()),
            ("with_bic", &payments()[..], with_bic()),
            ("many", &many[..], Debtor::default()),
        ] {
            let path = dir.path().join(format!("{asset}_{name}.xml"));
            std::fs::write(&path, write_at(START, asset, payments, &debtor).unwrap()).unwrap();
            files.push(path);
        }
    }
    assert_eq!(validate(&files), Some(0));
    // The check can fail.
    let broken = write("USD", &payments()).unwrap().replace("<PmtMtd>TRF</PmtMtd>", "");
    let path = dir.path().join("broken.xml");
    std::fs::write(&path, broken).unwrap();
    assert_eq!(validate(&[path]), Some(1));
}

/// Runs the schema's validator: `DRIVEWAY_TEST_PYTHON` or else `python3`, with sepaxml and lxml.
fn validate(files: &[impl AsRef<Path>]) -> Option<i32> {
    let python = std::env::var("DRIVEWAY_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/validate_pain001.py");
    let mut command = Command::new(&python);
    command.arg(script).args(files.iter().map(AsRef::as_ref));
    let output = command.output().unwrap_or_else(|error| panic!("{python}: {error}: {HINT}"));
    let code = output.status.code();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(code, Some(3), "{python}: {said}: {HINT}");
    println!("{said}");
    code
}

const HINT: &str = "this test needs Python with sepaxml and lxml: tests/run makes it, and names it \
                    in DRIVEWAY_TEST_PYTHON";

#[test]
fn a_file_says_who_is_paid_what_and_when() {
    for asset in ["USD", "EUR"] {
        let xml = write(asset, &payments()).unwrap();
        for (text, times) in [
            ("urn:iso:std:iso:20022:tech:xsd:pain.001.001.09", 1),
            ("<CreDtTm>2026-11-24T12:34:56Z</CreDtTm>", 1),
            ("<Dt>2026-11-24</Dt>", 1),
            ("<NbOfTxs>5</NbOfTxs>", 2),
            ("<CtrlSum>1000001236.56</CtrlSum>", 2),
            ("<EndToEndId>po-", 5),
            (&format!("<InstdAmt Ccy=\"{asset}\">0.01</InstdAmt>"), 1),
            (&format!("<InstdAmt Ccy=\"{asset}\">999999999.99</InstdAmt>"), 1),
            ("<Nm>Lukasz Zolc + Sohne (GmbH)</Nm>", 1),
            ("<IBAN>MT84MALT011000012345MTLCAST001S</IBAN>", 1),
            ("<Cd>SEPA</Cd>", usize::from(asset == "EUR")),
            ("<ChrgBr>SLEV</ChrgBr>", usize::from(asset == "EUR")),
            ("<ChrgBr>SHAR</ChrgBr>", usize::from(asset == "USD")),
            ("<Id>NOTPROVIDED</Id>", 1),
        ] {
            assert_eq!(xml.matches(text).count(), times, "{text} in {xml}");
        }
        let names = xml.split("<Nm>").skip(1).map(|rest| rest.split("</Nm>").next().unwrap());
        for name in names {
            let name = name.replace("&apos;", "'");
            assert!(
                name.chars().count() <= MAX_NAME && sepa::charset::is_sepa_text(&name),
                "{name}"
            );
        }
        assert_eq!(write(asset, &payments()).unwrap(), xml, "the same run, the same bytes");
    }
    let xml = write_at(START, "USD", &payments(), &with_bic()).unwrap();
    assert!(
        xml.contains("<BICFI>COBADEFFXXX</BICFI>") && xml.contains("<Nm>Groste Plattform</Nm>")
    );
}

#[test]
fn what_a_bank_would_refuse_is_not_written() {
    let good = || payment(1, "Olga", GB, 1);
    let of = |amount: i64| Payment { amount: Amount(amount), ..good() };
    let too_many = vec![good(); MAX_PAYMENTS + 1];
    for asset in ["USD", "EUR"] {
        let refused = |payments: &[Payment], debtor: &Debtor, why: &str| {
            let written = write_at(START, asset, payments, debtor);
            assert!(matches!(written, Err(Error::BankFile(_))), "{why}: {written:?}");
        };
        let debtor = Debtor::default();
        refused(&[], &debtor, "nothing");
        refused(&too_many, &debtor, "too many");
        for amount in [0, -10_000, 1, 10_001, MAX_PAYMENT.0 + 10_000, i64::MAX, i64::MIN] {
            refused(&[good(), of(amount)], &debtor, "amount");
        }
        refused(&[Payment { iban: "GB00".into(), ..good() }], &debtor, "iban");
        refused(&[Payment { holder: "李".into(), ..good() }], &debtor, "holder");
        refused(&[good()], &Debtor { iban: String::new(), ..debtor.clone() }, "debtor's iban");
        refused(&[good()], &Debtor { name: " ".into(), ..debtor.clone() }, "debtor's name");
        refused(&[good()], &Debtor { bic: Some("X".into()), ..debtor.clone() }, "debtor's bic");
        assert!(write(asset, &[good(), of(MAX_PAYMENT.0)]).is_ok());
    }
}
