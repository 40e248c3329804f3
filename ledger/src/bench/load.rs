//! Accounts and transfers to measure with.

use store::{AccountId, Amount, IdSource, PartyId, Store, Timestamp, TransactionId};

use crate::{Code, Command, Error, Kind, Leg, NewTransaction, Result, execute, open_account};

/// Wallets with money, and the account that is in every transfer.
pub(super) struct Load {
    wallets: Vec<AccountId>,
    hot: AccountId,
    /// `weights[n]`: the sum of the weights of the first n + 1 wallets, by Zipf's law.
    weights: Vec<u64>,
}

impl Load {
    /// Opens the accounts and pays into each wallet.
    pub(super) fn prepare(store: &Store, accounts: usize) -> Result<Self> {
        let mut wallets = Vec::with_capacity(accounts);
        let (bank, hot) = store.write(|tx| {
            let bank = open_account(tx, Code::Bank, PartyId::NIL, "USD")?;
            let hot = open_account(tx, Code::FeeIncome, PartyId::NIL, "USD")?;
            Ok::<_, Error>((bank, hot))
        })?;
        while wallets.len() < accounts {
            let some = (accounts - wallets.len()).min(2_000);
            wallets.extend(store.write(|tx| fill(tx, bank, some))?);
        }
        let mut sum = 0;
        let weight = |rank: u64| {
            sum += 1_000_000_000 / rank;
            sum
        };
        let weights = (1..=accounts as u64).map(weight).collect();
        Ok(Self { wallets, hot, weights })
    }

    fn pick(&self, random: u64) -> AccountId {
        let total = self.weights.last().copied().unwrap_or(1);
        let at = self.weights.partition_point(|sum| *sum <= random % total);
        self.wallets.get(at).copied().unwrap_or(self.hot)
    }
}

/// Opens wallets with money in them.
fn fill(tx: &mut store::Tx<'_>, bank: AccountId, count: usize) -> Result<Vec<AccountId>> {
    let mut wallets = Vec::with_capacity(count);
    for _ in 0..count {
        let party: PartyId = tx.id();
        wallets.push(open_account(tx, Code::CustomerWallet, party, "USD")?);
    }
    let amount = Amount(1_000_000_000_000);
    let pay_in = |wallet: &AccountId| {
        let id: TransactionId = tx.id();
        let legs = vec![
            Leg { account: bank, amount },
            Leg { account: *wallet, amount: Amount(-amount.0) },
        ];
        let key = id.to_string();
        Command::post(NewTransaction::new(&key, Kind::Deposit, &key, tx.now, legs))
    };
    let commands: Vec<Command> = wallets.iter().map(pay_in).collect();
    for answer in execute(tx, &commands)? {
        answer?;
    }
    Ok(wallets)
}

/// Transfers without end, each of one micro-unit under a key of its own.
pub(super) struct Transfers<'a> {
    load: &'a Load,
    store: &'a Store,
    ids: IdSource,
    state: u64,
}

impl<'a> Transfers<'a> {
    pub(super) fn new(load: &'a Load, store: &'a Store, seed: u64) -> Self {
        Self { load, store, ids: IdSource::random(), state: seed }
    }
}

impl Iterator for Transfers<'_> {
    type Item = Command;

    fn next(&mut self) -> Option<Command> {
        let now = self.store.now();
        let key = self.ids.id::<store::kind::Lease>(now).to_string();
        let wallet = self.load.pick(random(&mut self.state));
        let amount = Amount(1);
        let legs = vec![
            Leg { account: wallet, amount },
            Leg { account: self.load.hot, amount: Amount(-1) },
        ];
        let effective_at: Timestamp = now;
        Some(Command::post(NewTransaction::new(&key, Kind::Settlement, &key, effective_at, legs)))
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
