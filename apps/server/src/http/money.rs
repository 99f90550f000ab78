use infirmary_kernel::{Currency, Money};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::extract::from_object;

/// An amount in the minor unit of its currency.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = Money)]
pub struct MoneyBody {
    #[schema(example = 29900)]
    amount: i64,
    /// ISO 4217; the facility has one.
    #[schema(value_type = String, example = "GBP")]
    currency: Currency,
}

impl<'de> Deserialize<'de> for MoneyBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            amount: i64,
            currency: Currency,
        }

        let Fields { amount, currency } = from_object(deserializer)?;
        Ok(Self { amount, currency })
    }
}

impl From<Money> for MoneyBody {
    fn from(money: Money) -> Self {
        Self { amount: money.amount_minor(), currency: money.currency() }
    }
}

impl From<MoneyBody> for Money {
    fn from(MoneyBody { amount, currency }: MoneyBody) -> Self {
        Self::new(amount, currency)
    }
}
