//! Posts to a ledger without end, or so many times, and prints `ok KEY` for each command once it is
//! acknowledged. The tests kill it, and run several at once.
//!
//! What thread `t` of a load called `name` does at step `n` depends on those three alone, so that a
//! load that is started again sends what it sent before. Exit codes: 0 done, 1 a command was
//! refused or failed, 2 wrong usage, 3 the database cannot be had.

use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;

use ledger::{
    Code, Command, Error, Kind, Leg, NewHold, NewTransaction, Outcome, Reversal, Writer,
    WriterConfig, open_account,
};
use sha2::{Digest, Sha256};
use store::{AccountId, Amount, DepositId, Env, HoldId, PartyId, Store, Timestamp, TransactionId};

const OWNERS: usize = 20;

struct Options {
    url: String,
    name: String,
    threads: usize,
    /// The first step.
    from: usize,
    /// How many steps; without end if `None`.
    steps: Option<usize>,
}

fn main() -> ExitCode {
    let Some(options) = Options::parse() else {
        eprintln!(
            "usage: ledger-load --database-url URL --name NAME [--threads N] [--from N] [--steps N]"
        );
        return ExitCode::from(2);
    };
    let store = match Store::open(&options.url, Env::system()) {
        Ok(store) => store,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(3);
        }
    };
    match run(&store, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", options.name);
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse() -> Option<Self> {
        let mut args = std::env::args().skip(1);
        let mut named = HashMap::new();
        while let Some(name) = args.next() {
            named.insert(name.strip_prefix("--")?.to_owned(), args.next()?);
        }
        let number = |name: &str| named.get(name).map(|text| text.parse().ok());
        Some(Self {
            url: named.get("database-url")?.clone(),
            name: named.get("name")?.clone(),
            threads: number("threads").unwrap_or(Some(8))?,
            from: number("from").unwrap_or(Some(0))?,
            steps: match number("steps") {
                Some(steps) => Some(steps?),
                None => None,
            },
        })
    }
}

fn run(store: &Store, options: &Options) -> Result<(), Error> {
    let book = Book::open(store, &options.name, options.threads)?;
    let writer = Writer::new(store.clone(), WriterConfig::default());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads)
            .map(|thread| {
                let load = Load { book: &book, writer: &writer, name: &options.name, thread };
                let last = options.steps.map(|steps| options.from + steps);
                let mut steps = (options.from..).take_while(move |n| Some(*n) != last);
                scope.spawn(move || steps.try_for_each(|n| load.step(n)))
            })
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join().map_err(|_| Error::Stopped)?);
        ended.collect()
    })
}

/// The accounts: a wallet for each thread, some owners, and the fee that all have in common.
struct Book {
    fee: AccountId,
    wallets: Vec<AccountId>,
    owners: Vec<AccountId>,
}

impl Book {
    fn open(store: &Store, name: &str, threads: usize) -> Result<Self, Error> {
        let rich = Amount(1_000_000_000_000_000);
        store
            .write(|tx| {
                let mut wallets = Vec::new();
                for thread in 0..threads {
                    let party = party(name, "customer", thread);
                    wallets.push(open_account(tx, Code::CustomerWallet, party, "USD")?);
                }
                let mut owners = Vec::new();
                for owner in 0..OWNERS {
                    owners.push(open_account(
                        tx,
                        Code::OwnerCash,
                        party("", "owner", owner),
                        "USD",
                    )?);
                }
                let fee = open_account(tx, Code::FeeIncome, PartyId::NIL, "USD")?;
                open_account(tx, Code::Bank, PartyId::NIL, "USD")?;
                Ok::<_, Error>(Self { fee, wallets, owners })
            })
            .and_then(|book| {
                // Apart, so that no accounts are locked before all are known.
                store.write(|tx| {
                    let fill = |thread| {
                        let id = DepositId::from_bytes(id(name, "fill", thread, 0));
                        Command::deposit(id, party(name, "customer", thread), "USD", rich)
                    };
                    let all: Vec<Command> = (0..threads).map(fill).collect();
                    ledger::execute_linked(tx, &all)
                })?;
                Ok(book)
            })
    }
}

struct Load<'a> {
    book: &'a Book,
    writer: &'a Writer,
    name: &'a str,
    thread: usize,
}

impl Load<'_> {
    /// One of the things that are done to a book.
    fn step(&self, n: usize) -> Result<(), Error> {
        let key = |part: &str| format!("{} {} {n}{part}", self.name, self.thread);
        match n % 6 {
            0 => self.each(vec![self.pay(key(""), n)]),
            1 => self.linked(["/a", "/b", "/c"].map(|part| self.pay(key(part), n)).into()),
            2 => self.each((0..8).map(|of| self.pay(key(&format!(".{of}")), n + of)).collect()),
            3 => {
                // A newcomer: its account is opened on the way.
                let id = DepositId::from_bytes(id(self.name, "deposit", self.thread, n));
                let customer = party(self.name, &format!("newcomer {}", self.thread), n);
                let command = Command::deposit(id, customer, "USD", Amount(7));
                self.each(vec![(id.to_string(), command)])
            }
            4 => self.hold_and_capture(&key("/hold"), key("/capture"), n),
            _ => self.pay_and_undo(key("/paid"), &key("/undone"), n),
        }
    }

    fn wallet(&self) -> AccountId {
        self.book.wallets[self.thread]
    }

    fn new_transaction(&self, key: &str, n: usize) -> NewTransaction {
        let owner = self.book.owners[(n * 7 + self.thread) % OWNERS];
        let leg = |account, amount| Leg { account, amount: Amount(amount) };
        let legs = vec![leg(self.wallet(), 10), leg(owner, -8), leg(self.book.fee, -2)];
        // A part of the body: the same each time.
        let moment = Timestamp(1_795_478_400_000_000);
        NewTransaction::new(key, Kind::Adjustment, "load", moment, legs)
    }

    fn pay(&self, key: String, n: usize) -> (String, Command) {
        let command = Command::post(self.new_transaction(&key, n));
        (key, command)
    }

    fn hold_and_capture(&self, key: &str, capture: String, n: usize) -> Result<(), Error> {
        let held = self.writer.execute(Command::hold(NewHold {
            key: key.to_owned(),
            account: self.wallet(),
            amount: Amount(15),
            subject: "load".to_owned(),
            expires_at: None,
        }))?;
        acknowledge([key])?;
        let Outcome::Held(placed) = held else { return Err(Error::Stopped) };
        let hold: HoldId = placed.id;
        let command = Command::capture(hold, self.new_transaction(&capture, n));
        self.writer.execute_linked(vec![command, Command::release(hold)])?;
        acknowledge([&*capture])
    }

    fn pay_and_undo(&self, key: String, undone: &str, n: usize) -> Result<(), Error> {
        let (key, command) = self.pay(key, n);
        let of: TransactionId = self.writer.execute(command)?.posted()?.id;
        acknowledge([&*key])?;
        self.writer.execute(Command::from(Reversal {
            key: undone.to_owned(),
            of,
            reason: "load".to_owned(),
            effective_at: None,
        }))?;
        acknowledge([undone])
    }

    fn each(&self, commands: Vec<(String, Command)>) -> Result<(), Error> {
        let (keys, commands): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
        for answer in self.writer.execute_all(commands)? {
            answer?;
        }
        acknowledge(keys.iter().map(|key| &**key))
    }

    fn linked(&self, commands: Vec<(String, Command)>) -> Result<(), Error> {
        let (keys, commands): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
        self.writer.execute_linked(commands)?;
        acknowledge(keys.iter().map(|key| &**key))
    }
}

/// Tells whoever reads that these are on the disk.
fn acknowledge<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
    let lines: String = keys.into_iter().map(|key| format!("ok {key}\n")).collect();
    let mut out = std::io::stdout().lock();
    out.write_all(lines.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// An id that is the same each time.
fn id(name: &str, what: &str, thread: usize, n: usize) -> [u8; 16] {
    let hash = Sha256::digest(format!("{name} {what} {thread} {n}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes
}

fn party(name: &str, what: &str, n: usize) -> PartyId {
    PartyId::from_bytes(id(name, what, n, 0))
}
