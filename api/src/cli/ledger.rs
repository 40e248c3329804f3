//! `driveway ledger`: opens the database itself.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use store::Store;

use super::{Answer, Failure, books, print_json, proof, report};
use crate::config::DataConfig;
use crate::reports::{Check, Format};

#[derive(Subcommand)]
pub enum Command {
    /// Derive every balance again from the entries; exit code 1 if one differs.
    Check(DataConfig),
    /// Print what every account has, or had.
    Balances(books::At),
    /// Print the chart of accounts as a tree.
    Tree(books::At),
    /// Say why a transaction moved what it moved; exit code 1 if it is unknown or does not hold.
    Explain(books::Explain),
    /// Write the journal to a file.
    Export(Export),
    /// Write a report: trial balance, balance sheet, general ledger and others.
    Report(report::ReportArgs),
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

impl Command {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        match self {
            Self::Check(data) => check(&data.open_existing()?, json),
            Self::Balances(at) => at.balances(json),
            Self::Tree(at) => at.tree(json),
            Self::Explain(explain) => explain.run(json),
            Self::Export(export) => export.run(json),
            Self::Report(report) => report.run(json),
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

impl Export {
    fn run(self, json: bool) -> Result<Answer, Failure> {
        let store = self.data.open_existing()?;
        let mut out = BufWriter::new(File::create(&self.out)?);
        store.read(|tx| self.format.write(tx, &mut out))?;
        out.flush()?;
        let file = self.out.display().to_string();
        match json {
            true => print_json(&serde_json::json!({ "file": file }))?,
            false => println!("{file}"),
        }
        Ok(Answer::Done)
    }
}
