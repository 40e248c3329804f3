//! `driveway ledger balances | tree | explain`: reading the book.

use clap::Args;
use ledger::explain::explain;
use ledger::report::{AsOf, each_balance, tree};
use store::TransactionId;

use super::{Answer, Failure, print_json};
use crate::book::as_of::{By, as_of};
use crate::book::model::{Account, ChartNode, Explanation};
use crate::config::DataConfig;

/// Up to when.
#[derive(Args)]
pub struct At {
    #[command(flatten)]
    data: DataConfig,
    /// A date, and all of that day counts; by `posted` also an RFC 3339 time. Now if not named.
    #[arg(long, value_name = "DATE|TIME")]
    as_of: Option<String>,
    /// By which of its times an entry counts.
    #[arg(long, value_enum, default_value_t, requires = "as_of")]
    by: By,
}

impl At {
    fn moment(&self) -> Result<AsOf, Failure> {
        as_of(self.as_of.as_deref(), self.by).ok_or_else(|| {
            Failure::Usage("--as-of is a date, or by posted an RFC 3339 time".to_owned())
        })
    }

    pub fn balances(&self, json: bool) -> Result<Answer, Failure> {
        let at = self.moment()?;
        let mut accounts = Vec::new();
        self.data.open_existing()?.read(|tx| {
            each_balance(tx, at, |row| {
                let account = Account::new(row, at);
                if json {
                    accounts.push(account)
                } else {
                    print_account(&account)
                }
                Ok(())
            })
        })?;
        if json {
            print_json(&serde_json::json!({ "as_of": self.as_of, "accounts": accounts }))?;
        }
        Ok(Answer::Done)
    }

    pub fn tree(&self, json: bool) -> Result<Answer, Failure> {
        let at = self.moment()?;
        let nodes = self.data.open_existing()?.read(|tx| tree(tx, at))?;
        if json {
            let nodes: Vec<ChartNode> = nodes.into_iter().map(ChartNode::from).collect();
            print_json(&serde_json::json!({ "as_of": self.as_of, "nodes": nodes }))?;
        } else {
            for node in nodes {
                let name = format!("{}{}", "  ".repeat(node.depth()), node.name());
                let (asset, total, accounts) = (node.asset, node.total.to_string(), node.accounts);
                println!("{name:<24} {asset:<7} {total:>20} {accounts:>9}");
            }
        }
        Ok(Answer::Done)
    }
}

fn print_account(of: &Account) {
    let party = of.party.map_or_else(|| "platform".to_owned(), |party| party.to_string());
    let held = of.held.map(|held| held.to_string()).unwrap_or_default();
    let posted = of.posted.to_string();
    println!("{:<16} {party:<33} {:<7} {posted:>20} {held:>20}", of.code, of.asset);
}

#[derive(Args)]
pub struct Explain {
    /// `tx_...`
    transaction: TransactionId,
    #[command(flatten)]
    data: DataConfig,
}

impl Explain {
    pub fn run(&self, json: bool) -> Result<Answer, Failure> {
        let id = self.transaction;
        let found = self.data.open_existing()?.read(|tx| explain(tx, id))?;
        let Some(found) = found else {
            return Err(Failure::Refused(format!("there is no transaction {id}")));
        };
        let holds = found.holds();
        if json {
            print_json(&Explanation::new(found, None))?;
        } else {
            found.lines().iter().for_each(|line| println!("{line}"));
        }
        Ok(if holds { Answer::Done } else { Answer::No })
    }
}
