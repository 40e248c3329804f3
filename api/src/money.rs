//! Money on the wire: `{"amount": "12.340000", "currency": "USD"}`.

use garde::Validate;
use serde::{Deserialize, Serialize};
use store::Amount;
use utoipa::ToSchema;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// A decimal with at most six places, in a string: never a JSON number, which would be read
    /// as binary.
    #[garde(skip)]
    #[schema(value_type = String, example = "12.340000", pattern = r"^-?\d{1,10}(\.\d{1,6})?$")]
    pub amount: Amount,
    #[garde(length(chars, min = 1, max = 16))]
    #[schema(example = "USD", min_length = 1, max_length = 16)]
    pub currency: String,
}

impl Money {
    pub fn new(amount: Amount, currency: &str) -> Self {
        Self { amount, currency: currency.to_owned() }
    }
}
