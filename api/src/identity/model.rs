//! Who uses the platform.

use garde::Validate;
use serde::{Deserialize, Serialize};
use store::{PartyId, Timestamp};
use utoipa::ToSchema;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Customer,
    Owner,
    Finance,
    Operator,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Owner => "owner",
            Self::Finance => "finance",
            Self::Operator => "operator",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Customer, Self::Owner, Self::Finance, Self::Operator]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// The roles that anybody may take; the others are given by whoever runs the server.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PublicRole {
    Customer,
    Owner,
}

impl From<PublicRole> for Role {
    fn from(role: PublicRole) -> Self {
        match role {
            PublicRole::Customer => Self::Customer,
            PublicRole::Owner => Self::Owner,
        }
    }
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    #[garde(email, length(chars, max = 254))]
    #[schema(example = "ada@example.org", format = "email", max_length = 254)]
    pub email: String,
    #[garde(length(chars, min = 12, max = 200))]
    #[schema(
        example = "correct horse battery",
        format = "password",
        min_length = 12,
        max_length = 200
    )]
    pub password: String,
    #[garde(length(chars, min = 1, max = 100), custom(printable))]
    #[schema(example = "Ada Byron", min_length = 1, max_length = 100)]
    pub name: String,
    #[garde(skip)]
    pub role: PublicRole,
}

/// Names end up in mail headers and bank files: no line breaks, no control characters.
pub fn printable(text: &str, (): &()) -> garde::Result {
    if text.chars().any(char::is_control) || text.trim().is_empty() {
        return Err(garde::Error::new("must be printable text"));
    }
    Ok(())
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    #[garde(length(chars, max = 254))]
    #[schema(example = "ada@example.org")]
    pub email: String,
    #[garde(length(chars, max = 200))]
    #[schema(example = "correct horse battery", format = "password")]
    pub password: String,
}

#[derive(Serialize, ToSchema)]
pub struct AccessToken {
    pub access_token: String,
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// Seconds.
    #[schema(example = 600)]
    pub expires_in: i64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Party {
    #[schema(value_type = String, example = "party_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub id: PartyId,
    pub role: Role,
    #[schema(example = "ada@example.org")]
    pub email: String,
    #[schema(example = "Ada Byron")]
    pub name: String,
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Timestamp,
}
