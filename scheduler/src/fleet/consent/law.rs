//! What the law of a region asks, as data. A region that no profile names is under the strictest.

use crate::{DataClass, Purpose};

/// A profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Law {
    /// As a consent keeps it.
    pub name: &'static str,
    /// Jurisdictions that begin so; the profile that names the longest beginning holds.
    jurisdictions: &'static [&'static str],
    /// The ninth character of a vehicle identification number is a check digit by law.
    pub vin_check_digit: bool,
    /// Credits may be changed into money.
    pub cash_out: bool,
    /// Credits may go from one party to another.
    pub transfer: bool,
    /// What is told beside the purpose.
    notice: &'static str,
}

/// The strictest last: it holds where no other does.
pub const LAWS: [Law; 3] = [
    Law {
        name: "US-CA",
        jurisdictions: &["US-CA"],
        vin_check_digit: true,
        cash_out: true,
        transfer: false,
        notice: "You can opt out at any time by the link that belongs to this car, without an \
            account and without proving who you are (California Consumer Privacy Act). Whether you \
            agree changes nothing in how we treat you otherwise.",
    },
    Law {
        name: "US",
        jurisdictions: &["US"],
        vin_check_digit: true,
        cash_out: true,
        transfer: true,
        notice: "Whether you agree changes nothing in how we treat you otherwise.",
    },
    Law {
        name: "EU",
        jurisdictions: &["EU", "AT", "BE", "DE", "ES", "FR", "IT", "NL", "PL", "SE"],
        vin_check_digit: false,
        // What can be redeemed may be electronic money (Directive 2009/110/EC): not without a licence.
        cash_out: false,
        transfer: false,
        notice: "Your consent is the ground on which your car is used: GDPR Article 6(1)(a), ePrivacy \
            Directive Article 5(3) for what is stored in it, Data Act Article 4(13) for what it tells \
            us. Withdrawing does not make unlawful what ran before. You can have a copy of your data, \
            have it corrected or erased, and complain to your supervisory authority.",
    },
];

/// The profile of a jurisdiction, such as `US-CA`.
pub fn law_of(jurisdiction: &str) -> &'static Law {
    let within = |begin: &str| {
        jurisdiction == begin
            || jurisdiction.strip_prefix(begin).is_some_and(|it| it.starts_with('-'))
    };
    let named = |law: &&Law| law.jurisdictions.iter().any(|begin| within(begin));
    LAWS.iter().find(named).unwrap_or(&LAWS[2])
}

/// The version of the words that are shown now.
pub const CONSENT_TEXT: &str = "2026-11";

impl Law {
    /// What an owner agrees to, in the words of a version; none for a version that never was.
    pub fn text(&self, version: &str, purpose: Purpose, data_class: DataClass) -> Option<String> {
        if version != CONSENT_TEXT {
            return None;
        }
        let what = match purpose {
            Purpose::Inference => "apply trained models to other people's inputs",
            Purpose::Simulation => "compute simulations",
            Purpose::Video => "encode and analyse recorded video",
        };
        let data = match data_class {
            DataClass::Synthetic => "data that was made up and is of nobody",
            DataClass::NonPersonal => "data that is not about people",
        };
        Some(format!(
            "While it is parked, locked and empty, and within the limits you set, your car may {what} \
            for customers of this market, with {data}. Nobody's personal data is sent to your car, and \
            no camera, microphone, position or trip of yours is read for it. You are paid for verified \
            work. You can withdraw as easily as you agree: work stops within five seconds. {}",
            self.notice
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jurisdiction_has_its_law_and_an_unknown_one_the_strictest() {
        for (jurisdiction, law) in [
            ("US-CA", "US-CA"),
            ("US-TX", "US"),
            ("US", "US"),
            ("DE", "EU"),
            ("DE-BY", "EU"),
            ("USX", "EU"),
            ("US-CAX", "US"),
            ("", "EU"),
            ("BR", "EU"),
        ] {
            assert_eq!(law_of(jurisdiction).name, law, "{jurisdiction}");
        }
    }

    #[test]
    fn every_purpose_has_words_of_its_own_in_the_version_that_is_shown() {
        let mut texts = std::collections::BTreeSet::new();
        for law in LAWS {
            for purpose in Purpose::ALL {
                for class in DataClass::ALL {
                    texts.insert(law.text(CONSENT_TEXT, *purpose, *class).unwrap());
                    assert_eq!(law.text("2020-01", *purpose, *class), None);
                }
            }
        }
        assert_eq!(texts.len(), LAWS.len() * Purpose::ALL.len() * DataClass::ALL.len());
    }
}
