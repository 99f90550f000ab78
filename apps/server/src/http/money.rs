use infirmary_kernel::{Currency, Money};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount in the minor unit of its currency.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Money)]
pub struct MoneyBody {
    #[schema(example = 29900)]
    amount: i64,
    /// ISO 4217; the facility has one.
    #[schema(value_type = String, example = "GBP")]
    currency: Currency,
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
