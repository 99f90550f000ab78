use infirmary_kernel::{Currency, Invalid, LongText, Money, ShortText, TaskCode, TaskId, Timestamp};

/// What a task costs from one moment to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    pub amount: Money,
    pub from: Timestamp,
    /// Not this moment any more; `None`: until further notice.
    pub until: Option<Timestamp>,
}

impl Price {
    /// As large as a charge can be.
    pub const MAX_AMOUNT_MINOR: i64 = 1_000_000_000_000;

    fn holds_at(&self, moment: Timestamp) -> bool {
        self.from <= moment && self.until.is_none_or(|until| moment < until)
    }
}

/// The prices of a task: in the order of time, none of them empty, no two at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices(Vec<Price>);

impl Prices {
    pub const MAX_PRICES: usize = 500;

    pub fn starting(amount: Money, from: Timestamp) -> Result<Self, Invalid> {
        Self::of(vec![Price { amount, from, until: None }])
    }

    /// As a store has them.
    pub fn of(prices: Vec<Price>) -> Result<Self, Invalid> {
        let refuse = |detail| Err(Invalid::new("/prices", detail));
        if prices.len() > Self::MAX_PRICES {
            return refuse("are 500 already; a task with so many is best ended, and a new one created");
        }
        if let Some(wrong) =
            prices.iter().find(|price| !(0..=Price::MAX_AMOUNT_MINOR).contains(&price.amount.amount_minor()))
        {
            let most = Money::new(Price::MAX_AMOUNT_MINOR, wrong.amount.currency());
            return Err(Invalid::new("/price/amount", format!("must be 0 to {most}")));
        }
        let ends_after_it_begins = |price: &Price| price.until.is_none_or(|until| price.from < until);
        let apart = |pair: &[Price]| pair[0].until.is_some_and(|until| until <= pair[1].from);
        if prices.iter().all(ends_after_it_begins) && prices.windows(2).all(apart) {
            Ok(Self(prices))
        } else {
            refuse("overlap; at each moment a task has one price")
        }
    }

    pub fn as_slice(&self) -> &[Price] {
        &self.0
    }

    pub fn at(&self, moment: Timestamp) -> Option<&Price> {
        self.0.iter().find(|price| price.holds_at(moment))
    }

    /// With a new price from `from` on. It ends the one that holds then, and gives way to one that begins later; one that
    /// was to begin at that very moment is replaced. Nothing before `now` changes: charges were made by it.
    pub fn with(&self, amount: Money, from: Timestamp, now: Timestamp) -> Result<Self, Invalid> {
        if from < now {
            return Err(Invalid::new("/price/from", "is in the past; a price begins now or later"));
        }
        let mut prices: Vec<Price> = self.0.iter().filter(|price| price.from != from).copied().collect();
        for price in &mut prices {
            if price.holds_at(from) {
                price.until = Some(from);
            }
        }
        let until = prices.iter().map(|price| price.from).filter(|begin| *begin > from).min();
        prices.push(Price { amount, from, until });
        prices.sort_by_key(|price| price.from);
        Self::of(prices)
    }
}

/// A procedure that is charged: an entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub id: TaskId,
    /// What it is called by; never changes, since charges name it.
    pub code: TaskCode,
    pub name: ShortText,
    pub description: LongText,
    /// Whether new work may be charged by it.
    pub active: bool,
    pub prices: Prices,
    pub created_at: Timestamp,
    /// 1 when created, one more at each change.
    pub version: u32,
}

impl Task {
    /// Law: a code is one task.
    pub const ONE_FOR_A_CODE: &'static str = "one task for a code";

    pub fn price_at(&self, moment: Timestamp) -> Option<Money> {
        self.prices.at(moment).map(|price| price.amount)
    }
}

/// The facility has one currency.
pub(crate) fn in_currency(amount: Money, currency: Currency) -> Result<Money, Invalid> {
    if amount.currency() == currency {
        return Ok(amount);
    }
    let detail = format!("is {}; the facility's currency is {currency}", amount.currency());
    Err(Invalid::new("/price/currency", detail))
}
