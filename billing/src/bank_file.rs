//! The file that tells a bank to pay.

use sepa::{
    ChargeBearer, CreditTransferEntry, CreditTransferGroup, CreditTransferKind, Currency, Iban,
    IsoDate, IsoDateTime, Pain001Builder,
};
use store::{Amount, BankFileId, PayoutId, Timestamp};

use crate::{Error, Result};

/// Who pays. The default is fictional, with the example IBAN of the German bank association.
#[derive(Clone, Debug)]
pub struct Debtor {
    pub name: String,
    pub iban: String,
}

impl Default for Debtor {
    fn default() -> Self {
        Self {
            name: "Driveway Example Platform".to_owned(),
            iban: "DE89370400440532013000".to_owned(),
        }
    }
}

/// One payment.
#[derive(Clone, Debug)]
pub struct Payment {
    pub payout: PayoutId,
    pub holder: String,
    pub iban: String,
    /// Whole cents, in micro-units.
    pub amount: Amount,
}

/// A run of payments in one asset.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    pub id: BankFileId,
    pub at: Timestamp,
    pub asset: &'a str,
    pub payments: &'a [Payment],
}

/// A format that some bank takes. The same run gives the same bytes.
pub trait BankFormat {
    /// # Errors
    /// [`Error::BankFile`] if the run cannot be said in the format.
    fn write(&self, debtor: &Debtor, run: &Run<'_>) -> Result<String>;
}

/// ISO 20022 pain.001.001.09. Euro payments are SEPA credit transfers; those in another currency
/// are one-leg-out transfers, the only SEPA scheme that carries it, charges shared.
pub struct Pain001;

impl BankFormat for Pain001 {
    fn write(&self, debtor: &Debtor, run: &Run<'_>) -> Result<String> {
        let fault = |error: &dyn std::fmt::Display| Error::BankFile(error.to_string());
        let iban: Iban = debtor.iban.parse().map_err(|e| fault(&e))?;
        let day = IsoDate::parse(&run.at.date()).map_err(|e| fault(&e))?;
        let second = run.at.0.div_euclid(1_000_000).rem_euclid(86_400);
        let part = |value: i64| u8::try_from(value).unwrap_or(0);
        let (hour, minute) = (part(second / 3_600), part(second / 60 % 60));
        let moment =
            IsoDateTime::new(day, hour, minute, part(second % 60)).map_err(|e| fault(&e))?;
        let currency = Currency::new(run.asset).map_err(|e| fault(&e))?;
        let mut group = CreditTransferGroup::new(&debtor.name, &iban, day);
        if !currency.is_euro() {
            group =
                group.kind(CreditTransferKind::OneLegOutInstant).charge_bearer(ChargeBearer::Shar);
        }
        for payment in run.payments {
            group = group.add_entry(entry(payment, currency)?);
        }
        Pain001Builder::new(&debtor.name, message_id(run.id))
            .created_at(moment.in_utc())
            .add_group(group)
            .build()
            .map_err(|e| fault(&e))
    }
}

fn entry(payment: &Payment, currency: Currency) -> Result<CreditTransferEntry> {
    let fault = |error: &dyn std::fmt::Display| Error::BankFile(error.to_string());
    let iban: Iban = payment.iban.parse().map_err(|e| fault(&e))?;
    let cents = payment.amount.0 / Amount::CENT.0;
    let id = end_to_end_id(payment.payout);
    let entry = CreditTransferEntry::new(&payment.holder, iban, cents, id)
        .with_description("Driveway payout");
    Ok(if currency.is_euro() { entry } else { entry.with_currency(currency) })
}

/// SEPA's character set has no underscore: `po_01...` is `po-01...` to the bank.
pub fn end_to_end_id(payout: PayoutId) -> String {
    payout.to_string().replace('_', "-")
}

fn message_id(id: BankFileId) -> String {
    id.to_string().replace('_', "-")
}
