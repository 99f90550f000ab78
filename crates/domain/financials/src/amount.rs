use infirmary_kernel::{Currency, Invalid, Money};

/// The largest amount of one charge. A sum of nine thousand of them is still exact in a client that counts in doubles
/// (2⁵³), and no slip of a hand can bring a total of the house near the end of an `i64`.
pub const MAX_AMOUNT_MINOR: i64 = 1_000_000_000_000;

/// An amount that somebody asks for: positive, in the currency of the facility.
pub(crate) fn asked(amount: Money, currency: Currency) -> Result<Money, Invalid> {
    same_currency(amount, currency)?;
    if !amount.is_positive() {
        return Err(Invalid::new("/amount/amount", "must be more than zero, in minor units"));
    }
    Ok(amount)
}

pub(crate) fn same_currency(amount: Money, currency: Currency) -> Result<(), Invalid> {
    if amount.currency() == currency {
        return Ok(());
    }
    let detail = format!("is {}; the facility's currency is {currency}", amount.currency());
    Err(Invalid::new("/amount/currency", detail))
}

/// `left - right`, of amounts that the books hold: bounded, and in one currency.
pub(crate) fn less(left: Money, right: Money) -> Money {
    Money::new(left.amount_minor().saturating_sub(right.amount_minor()), left.currency())
}

pub(crate) fn plus(left: Money, right: Money) -> Money {
    Money::new(left.amount_minor().saturating_add(right.amount_minor()), left.currency())
}
