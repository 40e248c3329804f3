//! What is asked of a report: words become days and ids, and what does not fit is refused.

use ::store::{AccountId, Day, PayoutId};
use ledger::report::{By, Span};

use super::{Error, Report, Result};

/// What a report takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// `as_of`: up to a day and with it; today if it is not named.
    AsOf,
    /// `from` and `to`, both days with it: from the first entry and up to today if not named.
    Period,
    /// `by`: `booked` if not named, `posted` or `effective`.
    By,
    /// `account`, which has to be named.
    Account,
    /// `payout`, which has to be named.
    Payout,
    /// `presentation`: `net` if not named (we are the owners' agent, the fee is our income), or
    /// `gross` (we are the principal, what customers pay is our income).
    Presentation,
}

/// A question as it is asked.
#[derive(Clone, Debug, Default)]
pub struct Words {
    pub as_of: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub by: Option<String>,
    pub account: Option<String>,
    pub payout: Option<String>,
    pub presentation: Option<String>,
}

/// A question that fits its report.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Question {
    /// As of a day: up to it, without a first day.
    pub span: Span,
    pub account: Option<AccountId>,
    pub payout: Option<PayoutId>,
    /// We are the principal, not the owners' agent.
    pub gross: bool,
}

impl Param {
    /// The words that name it.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::AsOf => &["as_of"],
            Self::Period => &["from", "to"],
            Self::By => &["by"],
            Self::Account => &["account"],
            Self::Payout => &["payout"],
            Self::Presentation => &["presentation"],
        }
    }
}

impl Words {
    /// Reads a question to a report.
    ///
    /// # Errors
    /// [`Error::Question`] for a word that the report does not take or that means nothing, for one
    /// that is missing, and for a period that ends before it begins.
    pub fn read(&self, report: &Report, today: Day) -> Result<Question> {
        self.check_names(report)?;
        let takes = |param| report.takes.contains(&param);
        let to = self.to.as_deref().or(self.as_of.as_deref());
        let from = self.from.as_deref().map(day).transpose()?;
        let to = to.map(day).transpose()?.unwrap_or(today);
        if from.is_some_and(|from| from > to) {
            return refuse("the period ends before it begins");
        }
        let account = self.account.as_deref().map(|text| id(text, "account")).transpose()?;
        let payout = self.payout.as_deref().map(|text| id(text, "payout")).transpose()?;
        if takes(Param::Account) && account.is_none() || takes(Param::Payout) && payout.is_none() {
            let what = if takes(Param::Account) { "account" } else { "payout" };
            return refuse(&format!("name the `{what}`"));
        }
        let timed = takes(Param::AsOf) || takes(Param::Period);
        let span = Span { from, to: timed.then_some(to), by: self.by()? };
        Ok(Question { span, account, payout, gross: self.gross()? })
    }

    fn check_names(&self, report: &Report) -> Result<()> {
        let named = [
            ("as_of", &self.as_of),
            ("from", &self.from),
            ("to", &self.to),
            ("by", &self.by),
            ("account", &self.account),
            ("payout", &self.payout),
            ("presentation", &self.presentation),
        ];
        for (name, _) in named.into_iter().filter(|(_, value)| value.is_some()) {
            if !report.takes.iter().any(|param| param.names().contains(&name)) {
                return refuse(&format!("{} takes no `{name}`", report.name));
            }
        }
        Ok(())
    }

    fn by(&self) -> Result<By> {
        let Some(text) = &self.by else { return Ok(By::default()) };
        let found = By::ALL.into_iter().find(|by| by.text() == text);
        found.map_or_else(|| refuse("`by` is booked, posted or effective"), Ok)
    }

    fn gross(&self) -> Result<bool> {
        match self.presentation.as_deref() {
            None | Some("net") => Ok(false),
            Some("gross") => Ok(true),
            Some(_) => refuse("`presentation` is net or gross"),
        }
    }
}

impl Question {
    /// What was asked, in words, for the head of the answer.
    pub fn facts(&self, report: &Report) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        for param in report.takes {
            match param {
                Param::AsOf => facts.extend(self.span.to.map(|day| ("as_of", day.to_string()))),
                Param::Period => {
                    facts.extend(self.span.from.map(|day| ("from", day.to_string())));
                    facts.extend(self.span.to.map(|day| ("to", day.to_string())));
                }
                Param::By => facts.push(("by", self.span.by.text().to_owned())),
                Param::Account => facts.extend(self.account.map(|id| ("account", id.to_string()))),
                Param::Payout => facts.extend(self.payout.map(|id| ("payout", id.to_string()))),
                Param::Presentation => {
                    let word = if self.gross { "gross" } else { "net" };
                    facts.push(("presentation", word.to_owned()));
                }
            }
        }
        facts
    }
}

fn day(text: &str) -> Result<Day> {
    Day::parse(text).map_or_else(|| refuse("a day is `2026-11-30`"), Ok)
}

fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T> {
    text.parse().or_else(|_| refuse(&format!("`{what}` is no id of one")))
}

fn refuse<T>(why: &str) -> Result<T> {
    Err(Error::Question(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::find;

    #[test]
    fn what_does_not_fit_is_refused() {
        let today = Day::parse("2026-11-24").unwrap();
        let some = |text: &str| Some(text.to_owned());
        let ask = |name: &str, words: Words| words.read(find(name).unwrap(), today);
        for (name, words, why) in [
            ("trial_balance", Words { from: some("2026-11-01"), ..Words::default() }, "`from`"),
            ("trial_balance", Words { as_of: some("soon"), ..Words::default() }, "a day is"),
            ("journal", Words { as_of: some("2026-11-01"), ..Words::default() }, "`as_of`"),
            ("journal", Words { from: some("2026-12-01"), ..Words::default() }, "ends before"),
            ("journal", Words { by: some("heart"), ..Words::default() }, "`by` is"),
            ("account_statement", Words::default(), "name the `account`"),
            ("account_statement", Words { account: some("1"), ..Words::default() }, "no id"),
            ("payout_transactions", Words::default(), "name the `payout`"),
            (
                "income_statement",
                Words { presentation: some("nice"), ..Words::default() },
                "`presentation` is",
            ),
        ] {
            match ask(name, words) {
                Err(Error::Question(said)) => assert!(said.contains(why), "{name}: {said}"),
                other => panic!("{name}: {other:?}"),
            }
        }
        let question = ask("trial_balance", Words::default()).unwrap();
        assert_eq!(question.span, Span { from: None, to: Some(today), by: By::Booked });
    }
}
