//! `driveway admin`.

use std::io::Read;

use clap::{Args, Subcommand};
use garde::Validate;
use store::Amount;

use super::{Answer, Failure, print_json};
use crate::config::DataConfig;
use crate::identity::{self, model};
use crate::problem::Code;

#[derive(Subcommand)]
pub enum Command {
    /// Make an account of any role; finance and operators come from here only.
    CreateUser(CreateUser),
    /// Add a currency or a credit to count in; it never changes then.
    AddAsset(AddAsset),
}

#[derive(Args)]
pub struct AddAsset {
    #[command(flatten)]
    data: DataConfig,
    /// 1 to 16 of A-Z and 0-9, the first a letter.
    #[arg(long)]
    code: String,
    /// Decimal places of its least amount, 0 to 6; what is priced by the second wants 6.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(0..=6))]
    scale: i32,
    /// What it is redeemed in, if it is a credit.
    #[arg(long, value_name = "ASSET", requires = "rate")]
    redeemed_in: Option<String>,
    /// What one unit of it is worth then, a decimal such as 0.01.
    #[arg(long, requires = "redeemed_in")]
    rate: Option<Amount>,
}

#[derive(Args)]
pub struct CreateUser {
    #[command(flatten)]
    data: DataConfig,
    #[arg(long)]
    role: model::Role,
    #[arg(long)]
    email: String,
    /// The address if not given.
    #[arg(long)]
    name: Option<String>,
    /// Read the password from standard input: on a command line everybody could see it.
    #[arg(long, required = true)]
    password_stdin: bool,
}

impl Command {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        let asked = match self {
            Self::CreateUser(asked) => asked,
            Self::AddAsset(asked) => return asked.run(json),
        };
        let party = asked.create()?;
        match json {
            true => print_json(&party)?,
            false => println!("{} {}", party.id, party.email),
        }
        Ok(Answer::Done)
    }
}

impl AddAsset {
    fn run(self, json: bool) -> Result<Answer, Failure> {
        let redemption = self.redeemed_in.zip(self.rate.map(|rate| rate.0));
        let asset = ledger::Asset { code: self.code, scale: self.scale, redemption };
        let store = self.data.open()?;
        match store.write(|tx| ledger::add_asset(tx, &asset)) {
            Err(refusal) if refusal.is_refusal() => Err(Failure::Refused(refusal.to_string())),
            done => {
                done?;
                match json {
                    true => print_json(&serde_json::json!({ "asset": asset.code }))?,
                    false => println!("{}", asset.code),
                }
                Ok(Answer::Done)
            }
        }
    }
}

impl CreateUser {
    fn create(self) -> Result<model::Party, Failure> {
        let mut password = String::new();
        std::io::stdin().take(4096).read_to_string(&mut password)?;
        let request = model::SignUp {
            name: self.name.unwrap_or_else(|| self.email.clone()),
            email: self.email,
            password: password.trim_end_matches(['\r', '\n']).to_owned(),
            role: model::PublicRole::Customer,
        };
        request.validate().map_err(|report| Failure::Usage(report.to_string()))?;
        let store = self.data.open()?;
        let model::SignUp { email, name, password, .. } = request;
        identity::add_user(&store, &email, &name, self.role, &password).map_err(|problem| {
            match problem.code {
                Code::EmailTaken => Failure::Refused(problem.to_string()),
                _ => Failure::Other(problem.into()),
            }
        })
    }
}
