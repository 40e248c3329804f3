//! `driveway admin`.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use garde::Validate;
use scheduler::{BanKind, ban};
use store::{Amount, PartyId, Timestamp};

use super::{Answer, Failure, print_json};
use crate::audit::{self, Actor, Filter, Format};
use crate::config::DataConfig;
use crate::identity::{self, model};
use crate::problem::{Code, Problem};

#[derive(Subcommand)]
pub enum Command {
    /// Make an account of any role; finance and operators come from here only.
    CreateUser(CreateUser),
    /// Add a currency or a credit to count in; it never changes then.
    AddAsset(AddAsset),
    /// Ban a program or a customer: cars that work for it leave within seconds.
    Ban(Ban),
    /// Lift a ban.
    Unban(Unban),
    /// Write the log of privileged acts to a file.
    Audit(Audit),
}

#[derive(Args)]
pub struct Audit {
    #[command(flatten)]
    data: DataConfig,
    #[arg(long, default_value = "jsonl")]
    format: Format,
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Such as `deposit.confirmed`; all if not named.
    #[arg(long)]
    action: Option<String>,
    /// At this time or later, RFC 3339 or a date.
    #[arg(long, value_parser = moment)]
    from: Option<Timestamp>,
    /// Before this time.
    #[arg(long, value_parser = moment)]
    to: Option<Timestamp>,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "a time is RFC 3339, or a date".to_owned())
}

#[derive(Args)]
pub struct Ban {
    #[command(flatten)]
    data: DataConfig,
    /// `program` or `customer`.
    #[arg(value_parser = ban_kind)]
    kind: BanKind,
    /// A program's SHA-256, or a customer's id.
    subject: String,
    /// The customer is told.
    #[arg(long)]
    reason: String,
    /// For so many hours; until it is lifted if not named.
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(i64).range(1..=87_600))]
    hours: Option<i64>,
}

#[derive(Args)]
pub struct Unban {
    #[command(flatten)]
    data: DataConfig,
    /// `program` or `customer`.
    #[arg(value_parser = ban_kind)]
    kind: BanKind,
    subject: String,
}

fn ban_kind(word: &str) -> Result<BanKind, String> {
    BanKind::parse(word).ok_or_else(|| "program or customer".to_owned())
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
            Self::Ban(asked) => return asked.run(json),
            Self::Unban(asked) => return asked.run(json),
            Self::Audit(asked) => return asked.run(json),
        };
        let party = asked.create()?;
        match json {
            true => print_json(&party)?,
            false => println!("{} {}", party.id, party.email),
        }
        Ok(Answer::Done)
    }
}

impl Audit {
    fn run(self, json: bool) -> Result<Answer, Failure> {
        let Self { data, format, out, action, from, to } = self;
        let store = data.open_existing()?;
        let filter = Filter { action, from, to, ..Filter::default() };
        let mut file = BufWriter::new(File::create(&out)?);
        store.read(|tx| audit::write_all(tx, &filter, format, &mut file))?;
        file.flush()?;
        let out = out.display().to_string();
        match json {
            true => print_json(&serde_json::json!({ "file": out }))?,
            false => println!("{out}"),
        }
        Ok(Answer::Done)
    }
}

impl Ban {
    fn run(self, json: bool) -> Result<Answer, Failure> {
        let Self { data, kind, subject, reason, hours } = self;
        let store = data.open()?;
        let done = store.write(|tx| {
            let until = hours.map(|hours| tx.now.plus_s(hours * 3_600));
            let new = ban::NewBan { kind, subject: subject.clone(), reason, until };
            crate::ban::impose_as(tx, PartyId::NIL, Actor::COMMAND_LINE, &new)
        });
        let row = done.map_err(refused)?;
        match json {
            true => print_json(&row)?,
            false => println!("{kind} {subject} is banned"),
        }
        Ok(Answer::Done)
    }
}

impl Unban {
    fn run(self, json: bool) -> Result<Answer, Failure> {
        let Self { data, kind, subject } = self;
        let store = data.open()?;
        let done = store
            .write(|tx| crate::ban::lift_as(tx, PartyId::NIL, Actor::COMMAND_LINE, kind, &subject));
        done.map_err(refused)?;
        match json {
            true => print_json(&serde_json::json!({ "lifted": subject }))?,
            false => println!("{kind} {subject} is no longer banned"),
        }
        Ok(Answer::Done)
    }
}

fn refused(problem: Problem) -> Failure {
    match problem.code {
        Code::InvalidBody => Failure::Usage(problem.to_string()),
        Code::Internal | Code::Unavailable => Failure::Other(problem.into()),
        _ => Failure::Refused(problem.to_string()),
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
