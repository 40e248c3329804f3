//! Euros: the SEPA credit transfer, by the crate that knows the scheme's rules.

use sepa::{CreditTransferEntry, CreditTransferGroup, Pain001Builder};

use super::{Checked, fault};
use crate::Result;

pub(super) fn write(run: &Checked<'_>) -> Result<String> {
    let mut group = CreditTransferGroup::new(&run.debtor, &run.iban, run.day);
    if let Some(bic) = &run.bic {
        group = group.debtor_bic(bic.clone());
    }
    let group = group.add_entries(run.transfers.iter().map(|transfer| {
        let (iban, id) = (transfer.iban.clone(), &transfer.end_to_end_id);
        CreditTransferEntry::new(&transfer.holder, iban, transfer.cents, id)
            .with_description(super::REMITTANCE)
    }));
    Pain001Builder::new(&run.debtor, &run.message_id)
        .created_at(run.at)
        .add_group(group)
        .build()
        .map_err(fault)
}
