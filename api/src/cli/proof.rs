//! `driveway ledger seal`, `verify` and `verify-proof`.

use std::path::PathBuf;

use clap::Args;
use ledger::proof::{Extent, Proof, PublicKey, check_proof};

use super::{Answer, Failure, print_json};
use crate::config::DataConfig;
use crate::proof;

#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    data: DataConfig,
    /// Public key that may have signed, in hexadecimal, as often as there are keys; those of the
    /// database if not named, which whoever can write to it can replace.
    #[arg(long, value_name = "HEX")]
    key: Vec<PublicKey>,
}

#[derive(Args)]
pub struct VerifyProof {
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The platform's public key, in hexadecimal. Without it the proof is checked with the key that
    /// it brings.
    #[arg(long, value_name = "HEX")]
    key: Option<PublicKey>,
}

pub fn seal(data: &DataConfig, json: bool) -> Result<Answer, Failure> {
    let store = data.open_existing()?;
    let sealed = proof::seal(&store, Extent::All)?;
    let head = store.read(ledger::proof::head)?;
    if json {
        let (blocks, records) = (sealed.blocks, sealed.records);
        print_json(&serde_json::json!({ "blocks": blocks, "records": records, "head": head }))?;
    } else {
        println!("{} blocks, {} records", sealed.blocks, sealed.records);
        println!("head: block {}, {}", head.number, head.hash);
    }
    Ok(Answer::Done)
}

impl Verify {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        let store = self.data.open_existing()?;
        let keys = if self.key.is_empty() { proof::public_keys(&store)? } else { self.key };
        let report = store.read(|tx| ledger::proof::verify(tx, &keys))?;
        let holds = report.holds();
        if json {
            let mut value = serde_json::to_value(&report)?;
            value["holds"] = holds.into();
            print_json(&value)?;
        } else {
            println!(
                "{} blocks, {} records, {} statements of what is owed",
                report.blocks, report.records, report.statements
            );
            println!(
                "{} accounts, {} transactions, {} entries, {} records not sealed yet",
                report.accounts, report.transactions, report.entries, report.unsealed
            );
            if let Some(head) = report.head {
                println!("head: block {}, {}", head.number, head.hash);
            }
            for (number, tampered) in report.tampered.iter().enumerate() {
                println!("{}{tampered}", if number == 0 { "first: " } else { "also: " });
            }
            let verdict = if holds { "The book is as it was sealed." } else { "TAMPERED WITH." };
            println!("{verdict}");
        }
        Ok(if holds { Answer::Done } else { Answer::No })
    }
}

impl VerifyProof {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        let text = std::fs::read_to_string(&self.file)
            .map_err(|error| Failure::Usage(format!("{}: {error}", self.file.display())))?;
        let checked = serde_json::from_str::<Proof>(&text)
            .map_err(|error| format!("it is no proof: {error}"))
            .and_then(|proof| {
                check_proof(&proof, self.key.as_ref()).map_err(|reason| reason.to_string())
            });
        match &checked {
            Ok(checked) if json => {
                let mut value = serde_json::to_value(checked)?;
                value["holds"] = true.into();
                print_json(&value)?;
            }
            Err(why) if json => {
                print_json(&serde_json::json!({ "holds": false, "why": why }))?;
            }
            Ok(checked) => {
                println!("{} {} {}", checked.code, checked.account, checked.party);
                println!(
                    "had {} {} of the {} that block {} says were owed at {}.",
                    checked.balance, checked.asset, checked.total, checked.block, checked.sealed_at
                );
                match checked.key_trusted {
                    true => println!("It holds: signed with the key that you named."),
                    false => println!(
                        "It holds in itself. Compare its key with the platform's: {}",
                        checked.key
                    ),
                }
            }
            Err(why) => println!("It does not hold: {why}."),
        }
        Ok(if checked.is_ok() { Answer::Done } else { Answer::No })
    }
}
