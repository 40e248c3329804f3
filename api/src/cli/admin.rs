//! `driveway admin`.

use std::io::Read;

use clap::{Args, Subcommand};
use garde::Validate;

use super::{Answer, Failure, print_json};
use crate::config::DataConfig;
use crate::identity::{self, model};
use crate::problem::Code;

#[derive(Subcommand)]
pub enum Command {
    /// Make an account of any role; finance and operators come from here only.
    CreateUser(CreateUser),
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
        let Self::CreateUser(asked) = self;
        let party = asked.create()?;
        match json {
            true => print_json(&party)?,
            false => println!("{} {}", party.id, party.email),
        }
        Ok(Answer::Done)
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
