//! What a command says, as 32 bytes: two commands with one fingerprint are the same command.

use sha2::{Digest, Sha256};
use store::{Amount, Id, Kind, Timestamp};

use crate::posting::Leg;

/// SHA-256 over the fields of a command, each with its length, after the command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Takes a command field by field, in an order that never changes for one command name.
pub(crate) struct Encoder(Sha256);

impl Encoder {
    pub(crate) fn new(command: &str) -> Self {
        Self(Sha256::new()).text(command)
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn id<K: Kind>(self, id: Id<K>) -> Self {
        self.bytes(id.as_bytes())
    }

    pub(crate) fn number(self, number: i64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(crate) fn amount(self, amount: Amount) -> Self {
        self.number(amount.0)
    }

    pub(crate) fn moment(self, at: Option<Timestamp>) -> Self {
        match at {
            Some(at) => self.number(at.0),
            None => self.bytes(&[]),
        }
    }

    /// In order of account: the order in which a caller names its legs says nothing.
    pub(crate) fn legs(self, legs: &[Leg]) -> Self {
        let mut sorted: Vec<_> = legs.iter().map(|leg| (leg.account, leg.amount)).collect();
        sorted.sort_unstable();
        let count = self.number(sorted.len() as i64);
        sorted.into_iter().fold(count, |all, (account, amount)| all.id(account).amount(amount))
    }

    pub(crate) fn end(self) -> Fingerprint {
        Fingerprint(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::AccountId;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let split = |a, b| Encoder::new("c").text(a).text(b).end();
        assert_ne!(split("ab", "c"), split("a", "bc"));
        assert_ne!(Encoder::new("c").moment(None).end(), Encoder::new("c").end());
        assert_ne!(Encoder::new("c").number(1).end(), Encoder::new("d").number(1).end());
    }

    #[test]
    fn the_order_of_legs_says_nothing_and_their_amounts_do() {
        let leg = |id, amount| Leg { account: AccountId::from_bytes([id; 16]), amount };
        let print = |legs: &[Leg]| Encoder::new("c").legs(legs).end();
        let (one, two) = (leg(1, Amount(5)), leg(2, Amount(-5)));
        assert_eq!(print(&[one, two]), print(&[two, one]));
        assert_ne!(print(&[one, two]), print(&[leg(1, Amount(-5)), leg(2, Amount(5))]));
        assert_ne!(print(&[one]), print(&[one, two]));
    }
}
