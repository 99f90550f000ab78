//! The replaced system kept phone numbers as numbers: without the `+`, often without the country, and without the zeros that
//! a number cannot begin with.

use std::str::FromStr;

use infirmary_kernel::{Invalid, PhoneNumber, fold};

/// The country that a number without one is of (ITU-T E.164): one to three digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeCountry(String);

impl FromStr for HomeCountry {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.trim().trim_start_matches('+');
        if (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0') {
            Ok(Self(digits.to_owned()))
        } else {
            Err(Invalid::new("", "is not a calling code; give 1 to 3 digits such as 964"))
        }
    }
}

/// No national number has more digits, in the countries of which it is known; with its country, it has.
const MAX_NATIONAL_DIGITS: usize = 10;

/// The number with its country. `None`: it has none, or is no phone number.
///
/// Eleven digits and more are a number with its country; fewer, or a zero in front, one without.
pub fn read(text: &str, country: Option<&HomeCountry>) -> Option<PhoneNumber> {
    if let Ok(number) = PhoneNumber::parse(text) {
        return Some(number);
    }
    let folded = fold(text.trim());
    let plain = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '(' | ')' | '/');
    if !folded.chars().all(plain) {
        return None;
    }
    let digits: String = folded.chars().filter(char::is_ascii_digit).collect();
    let national = digits.trim_start_matches('0');
    let international = if digits.len() > MAX_NATIONAL_DIGITS && national.len() == digits.len() {
        format!("+{digits}")
    } else {
        format!("+{}{national}", country?.0)
    };
    (national.len() >= MIN_NATIONAL_DIGITS).then(|| PhoneNumber::parse(&international).ok())?
}

const MIN_NATIONAL_DIGITS: usize = 6;

/// As the replaced system's clients read it: 15 digits fit into every number of theirs.
pub fn to_integer(number: Option<&PhoneNumber>) -> u64 {
    number.and_then(|number| number.digits().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in(country: &str, text: &str) -> Option<String> {
        let country = country.parse().ok();
        read(text, country.as_ref()).map(|number| number.as_str().to_owned())
    }

    #[test]
    fn a_number_without_a_country_gets_the_one_of_the_house() {
        for text in ["7501234567", "07501234567", "0750 123 4567", "٠٧٥٠١٢٣٤٥٦٧", "9647501234567", "+9647501234567"]
        {
            assert_eq!(read_in("964", text).as_deref(), Some("+9647501234567"), "{text}");
        }
        assert_eq!(read_in("964", "447700900123").as_deref(), Some("+447700900123"));
    }

    #[test]
    fn without_a_country_of_the_house_it_has_none() {
        for text in ["7501234567", "07501234567", "", "0", "nonsense", "123"] {
            assert_eq!(read_in("", text), None, "{text}");
        }
        assert_eq!(read_in("", "9647501234567").as_deref(), Some("+9647501234567"));
        for text in ["", "0", "1", "-1", "12345678901234567890", "75.0e1x"] {
            assert_eq!(read_in("964", text), None, "{text}");
        }
    }

    #[test]
    fn it_is_an_integer_for_old_clients() {
        assert_eq!(to_integer(PhoneNumber::parse("+9647501234567").ok().as_ref()), 9_647_501_234_567);
        assert_eq!(to_integer(None), 0);
    }
}
