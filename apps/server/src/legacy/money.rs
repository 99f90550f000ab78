//! The replaced system counted in units of the currency, now whole, now with a point.

use infirmary_kernel::{Currency, Money};
use serde_json::Number;

fn minor_in_a_unit(currency: Currency) -> i64 {
    (0..currency.minor_digits()).fold(1, |minor, _| minor * 10)
}

/// 299 for 299.00, 299.5 for 299.50.
pub fn units(money: Money) -> Number {
    let (amount, minor) = (money.amount_minor(), minor_in_a_unit(money.currency()));
    if amount % minor == 0 {
        return (amount / minor).into();
    }
    // Both are exact in a double: amounts are bounded.
    Number::from_f64(amount as f64 / minor as f64).unwrap_or_else(|| (amount / minor).into())
}

/// The nearest: these clients stop at a number that is not whole. What is paid is exact all the same.
pub fn whole_units(money: Money) -> i64 {
    let minor = minor_in_a_unit(money.currency());
    (money.amount_minor() + minor / 2).div_euclid(minor)
}

/// The amount of as many units; `None` when it is finer than the minor unit, or no number.
pub fn money(units: &str, currency: Currency) -> Option<Money> {
    let (whole, fraction) = units.trim().split_once('.').unwrap_or((units.trim(), ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = currency.minor_digits();
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > digits || !plain(whole) || !plain(fraction) {
        return None;
    }
    let minor: i64 = format!("{whole}{fraction:0<digits$}").parse().ok()?;
    Some(Money::new(minor, currency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_told_in_units_and_without_a_point_where_it_is_whole() {
        for (minor, text, whole) in
            [(29_900, "299", 299), (29_950, "299.5", 300), (5, "0.05", 0), (0, "0", 0), (-100, "-1", -1)]
        {
            let money = Money::new(minor, Currency::GBP);
            assert_eq!((units(money).to_string().as_str(), whole_units(money)), (text, whole));
        }
        let dinars = Currency::parse("IQD").unwrap();
        assert_eq!(units(Money::new(299_000, dinars)).to_string(), "299");
    }

    #[test]
    fn an_amount_in_units_is_read_to_the_minor_unit() {
        for (text, minor) in [("299", 29_900), ("299.5", 29_950), ("299.50", 29_950), ("0.05", 5), ("299.000", 29_900)]
        {
            assert_eq!(money(text, Currency::GBP), Some(Money::new(minor, Currency::GBP)), "{text}");
        }
        for refused in ["", ".5", "-1", "1e3", "0.005", "x", "99999999999999999999"] {
            assert_eq!(money(refused, Currency::GBP), None, "{refused}");
        }
    }
}
