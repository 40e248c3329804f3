//! What the accounts are called: the one place.

use store::PartyId;

use crate::Code;

/// Where an account stands in the chart, from its class down, with colons between.
pub fn path(code: Code) -> &'static str {
    match code {
        Code::Bank => "Assets:Bank",
        Code::CustomerWallet => "Liabilities:Customers:Wallets",
        Code::OwnerCash => "Liabilities:Owners:Cash",
        Code::OwnerCredits => "Liabilities:Owners:Credits",
        Code::TaxPayable => "Liabilities:Tax",
        Code::PayoutClearing => "Liabilities:Clearing:Payouts",
        Code::CreditClearing => "Equity:Clearing:Credits",
        Code::CurrencyClearing => "Equity:Clearing:Currencies",
        Code::FeeIncome => "Income:Fees",
        Code::BonusExpense => "Expenses:Bonuses",
    }
}

/// The first word of a path.
pub(crate) fn class(path: &str) -> &str {
    path.split_once(':').map_or(path, |(class, _)| class)
}

/// The party's id; nothing for the platform's own accounts.
pub(crate) fn party_text(party: PartyId) -> String {
    if party == PartyId::NIL { String::new() } else { party.to_string() }
}

/// An account's place with its party's id, `Liabilities:Owners:Cash:01h455vb4pex5vsknk084sn02q`:
/// what beancount takes, whose names have no underscore and begin with a capital or a digit.
pub fn full_path(code: Code, party: PartyId) -> String {
    let party = party_text(party);
    match party.rsplit_once('_') {
        Some((_, id)) => format!("{}:{id}", path(code)),
        None => path(code).to_owned(),
    }
}

/// `liabilities:customer-wallet:party_01...`: hledger knows an account's type by its first word.
pub fn hledger_name(code: Code, party: PartyId) -> String {
    let class = match class(path(code)) {
        "Income" => "revenues".to_owned(),
        other => other.to_lowercase(),
    };
    let name = code.text().replace('_', "-");
    match party_text(party) {
        party if party.is_empty() => format!("{class}:{name}"),
        party => format!("{class}:{name}:{party}"),
    }
}
