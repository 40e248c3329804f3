//! The chart of accounts.

use std::fmt;

use ::store::Amount;

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// What a customer has paid in and not spent.
    CustomerWallet,
    /// What an owner has earned in cash and was not paid.
    OwnerCash,
    /// What an owner has earned in credits.
    OwnerCredits,
    /// The platform's fees.
    FeeIncome,
    /// Tax collected for the state.
    TaxPayable,
    /// Money in the bank.
    Bank,
    /// Payouts ordered and not yet on the bank's statement.
    PayoutClearing,
    /// What the platform adds for owners who take credits.
    BonusExpense,
    /// In money: the redemption value of the credits issued. In the credit itself: their number,
    /// negated.
    CreditClearing,
    /// What was given for another asset, in the asset that was taken, and taken in the one given.
    CurrencyClearing,
}

/// Whether debits or credits make an account grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Debit,
    Credit,
}

impl Code {
    pub const ALL: [Self; 10] = [
        Self::CustomerWallet,
        Self::OwnerCash,
        Self::OwnerCredits,
        Self::FeeIncome,
        Self::TaxPayable,
        Self::Bank,
        Self::PayoutClearing,
        Self::BonusExpense,
        Self::CreditClearing,
        Self::CurrencyClearing,
    ];

    /// As stored.
    pub fn text(self) -> &'static str {
        match self {
            Self::CustomerWallet => "customer_wallet",
            Self::OwnerCash => "owner_cash",
            Self::OwnerCredits => "owner_credits",
            Self::FeeIncome => "fee_income",
            Self::TaxPayable => "tax_payable",
            Self::Bank => "bank",
            Self::PayoutClearing => "payout_clearing",
            Self::BonusExpense => "bonus_expense",
            Self::CreditClearing => "credit_clearing",
            Self::CurrencyClearing => "currency_clearing",
        }
    }

    /// The code with this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.text() == text)
    }

    pub fn side(self) -> Side {
        match self {
            Self::Bank | Self::BonusExpense => Side::Debit,
            Self::CustomerWallet
            | Self::OwnerCash
            | Self::OwnerCredits
            | Self::FeeIncome
            | Self::TaxPayable
            | Self::PayoutClearing
            | Self::CreditClearing
            | Self::CurrencyClearing => Side::Credit,
        }
    }

    /// Customers and owners cannot have less than nothing; the platform's own accounts can.
    pub fn may_overdraw(self) -> bool {
        !matches!(self, Self::CustomerWallet | Self::OwnerCash | Self::OwnerCredits)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Side {
    /// As stored.
    pub fn text(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Credit => "credit",
        }
    }

    /// An amount of which debits are positive, in this direction; and back. `None` out of range.
    pub fn own(self, amount: Amount) -> Option<Amount> {
        match self {
            Self::Debit => Some(amount),
            Self::Credit => amount.0.checked_neg().map(Amount),
        }
    }
}
