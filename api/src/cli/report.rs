//! `driveway ledger report`: a report into a file, or onto the screen.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use billing::report::{self, Words};
use clap::Args;
use store::Day;

use super::{Answer, Failure, print_json};
use crate::config::DataConfig;
use crate::problem::Problem;
use crate::reports::named::As;

#[derive(Args)]
pub struct ReportArgs {
    #[command(flatten)]
    data: DataConfig,
    /// Its name; without one, what reports there are.
    name: Option<String>,
    /// Up to this day and with it; today if not named.
    #[arg(long, value_name = "DATE")]
    as_of: Option<String>,
    /// The first day of the period.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last day of the period; today if not named.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// booked, posted or effective.
    #[arg(long)]
    by: Option<String>,
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    #[arg(long, value_name = "ID")]
    payout: Option<String>,
    /// net or gross.
    #[arg(long)]
    presentation: Option<String>,
    #[arg(long, value_enum, default_value = "csv")]
    format: As,
    /// The screen if not named.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl ReportArgs {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        let Some(name) = &self.name else {
            for report in report::ALL {
                println!("{:<20} {}", report.name, report.title);
            }
            return Ok(Answer::Done);
        };
        let report = report::find(name).map_err(usage)?;
        let store = self.data.open_existing()?;
        let question = self.words().read(report, Day::of(store.now())).map_err(usage)?;
        let write = |out: &mut dyn Write| {
            let format = self.format.into();
            store.read(|tx| report.write(tx, &question, format, out).map_err(Problem::from))
        };
        match &self.out {
            None => write(&mut std::io::stdout().lock())?,
            Some(path) => {
                let mut out = BufWriter::new(File::create(path)?);
                write(&mut out)?;
                out.flush()?;
                if json {
                    print_json(&serde_json::json!({ "file": path.display().to_string() }))?;
                }
            }
        }
        Ok(Answer::Done)
    }

    fn words(&self) -> Words {
        Words {
            as_of: self.as_of.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            by: self.by.clone(),
            account: self.account.clone(),
            payout: self.payout.clone(),
            presentation: self.presentation.clone(),
        }
    }
}

fn usage(error: report::Error) -> Failure {
    Failure::Usage(error.to_string())
}
