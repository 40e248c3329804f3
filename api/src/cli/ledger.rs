//! `driveway ledger`: opens the database itself.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use store::{Amount, PartyId, Store};

use super::{Answer, Failure, print_json, proof};
use crate::config::DataConfig;
use crate::problem::Problem;
use crate::reports::{Check, Format};

#[derive(Subcommand)]
pub enum Command {
    /// Derive every balance again from the entries; exit code 1 if one differs.
    Check(DataConfig),
    /// Print what every account has.
    Balances(DataConfig),
    /// Write the journal to a file.
    Export(Export),
    /// Seal what waits into signed blocks, and state what is owed.
    Seal(DataConfig),
    /// Derive everything that was sealed again from the rows; exit code 1 and the first row that was
    /// tampered with, if one was.
    Verify(proof::Verify),
    /// Check a proof of a balance, offline; exit code 1 if it does not hold.
    VerifyProof(proof::VerifyProof),
}

#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    data: DataConfig,
    #[arg(long)]
    format: Format,
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// An account, in its own direction.
#[derive(Serialize)]
struct Account {
    code: &'static str,
    /// None: the platform's own.
    party: Option<PartyId>,
    asset: String,
    posted: Amount,
    held: Amount,
    available: Amount,
}

impl Command {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        match self {
            Self::Check(data) => check(&data.open_existing()?, json),
            Self::Balances(data) => balances(&data.open_existing()?, json),
            Self::Export(export) => export.run(json),
            Self::Seal(data) => proof::seal(&data, json),
            Self::Verify(verify) => verify.run(json),
            Self::VerifyProof(verify) => verify.run(json),
        }
    }
}

fn check(store: &Store, json: bool) -> Result<Answer, Failure> {
    let report = store.read(ledger::check::check)?;
    let clean = report.is_clean();
    if json {
        print_json(&Check::from(report))?;
    } else {
        println!(
            "{} accounts, {} transactions, {} entries, {} holds",
            report.accounts, report.transactions, report.entries, report.holds
        );
        for (asset, total) in &report.trial_balance {
            println!("trial balance {asset} {total}");
        }
        for found in &report.differences {
            println!("{found:?}");
        }
        println!("{}", if clean { "The books check." } else { "The books do not check." });
    }
    Ok(if clean { Answer::Done } else { Answer::No })
}

fn balances(store: &Store, json: bool) -> Result<Answer, Failure> {
    let rows = store.read(ledger::report::balances)?;
    let accounts = rows.into_iter().map(|row| Account {
        code: row.code.text(),
        party: (row.party != PartyId::NIL).then_some(row.party),
        asset: row.asset,
        posted: row.balance.posted,
        held: row.balance.held,
        available: row.balance.available(),
    });
    if json {
        let accounts: Vec<Account> = accounts.collect();
        print_json(&serde_json::json!({ "accounts": accounts }))?;
    } else {
        for a in accounts {
            let party = a.party.map_or_else(|| "platform".to_owned(), |party| party.to_string());
            println!("{:<16} {party:<33} {:<7} {:>20} {:>20}", a.code, a.asset, a.posted, a.held);
        }
    }
    Ok(Answer::Done)
}

impl Export {
    fn run(self, json: bool) -> Result<Answer, Failure> {
        let store = self.data.open_existing()?;
        let mut out = BufWriter::new(File::create(&self.out)?);
        store.read(|tx| self.format.write(tx, &mut out).map_err(Problem::from))?;
        out.flush()?;
        let file = self.out.display().to_string();
        match json {
            true => print_json(&serde_json::json!({ "file": file }))?,
            false => println!("{file}"),
        }
        Ok(Answer::Done)
    }
}
