use std::{borrow::Cow, fmt, str::FromStr};

use email_address::{EmailAddress as Rfc5321, Options};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::{Invalid, fold};

macro_rules! parsed_string {
    ($name:ident) => {
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("***")
            }
        }
        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::parse(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

/// An e-mail address (RFC 5321), lower-case, so that one mailbox is one account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

impl EmailAddress {
    pub const MAX_CODE_POINTS: usize = 254;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        // Most are ASCII, for which all of Unicode's tables say the same.
        let address: String =
            if text.is_ascii() { text.to_ascii_lowercase() } else { text.nfc().flat_map(char::to_lowercase).collect() };
        let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
        let plain = !address.chars().any(|c| c.is_control() || c.is_whitespace() || c == '"');
        if plain
            && address.chars().count() <= Self::MAX_CODE_POINTS
            && Rfc5321::parse_with_options(&address, options).is_ok()
        {
            Ok(Self(address))
        } else {
            Err(Invalid::new(
                "/email",
                "is not an e-mail address; give one such as name@example.org, at most 254 characters",
            ))
        }
    }
}
parsed_string!(EmailAddress);

/// A phone number in E.164 (`+` and 8 to 15 digits): every spelling of one number is one value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Takes `+` or `00` before the country code, any digits of Unicode that [`fold`] knows, and the usual separators.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refusal =
            || Invalid::new("/phone", "is not a phone number; give it with its country, such as +964 750 123 4567");
        let mut digits = String::with_capacity(16);
        let mut plus = false;
        let text = text.trim();
        let folded = if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(fold(text)) };
        for c in folded.chars() {
            match c {
                '0'..='9' => digits.push(c),
                '+' if digits.is_empty() && !plus => plus = true,
                // Bidirectional marks come along when a number is copied out of Arabic text.
                ' '
                | '-'
                | '.'
                | '('
                | ')'
                | '/'
                | '\u{a0}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' => {}
                _ => return Err(refusal()),
            }
        }
        let international = if plus { Some(digits.as_str()) } else { digits.strip_prefix("00") };
        match international {
            Some(number) if (8..=15).contains(&number.len()) && !number.starts_with('0') => {
                Ok(Self(format!("+{number}")))
            }
            _ => Err(refusal()),
        }
    }

    /// Without the `+`: what a person types when looking for it.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }
}
parsed_string!(PhoneNumber);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_is_one_address() {
        assert_eq!(EmailAddress::parse(" Ada@Example.ORG ").unwrap().as_str(), "ada@example.org");
        for refused in [
            "",
            "ada",
            "ada@",
            "@example.org",
            "ada@localhost",
            "Ada <ada@example.org>",
            "a b@example.org",
            "a@b@c.org",
        ] {
            assert!(EmailAddress::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn every_spelling_of_a_number_is_one_number() {
        let number = PhoneNumber::parse("+9647501234567").unwrap();
        for spelling in [
            "+964 750 123 4567",
            "00964-750-123-4567",
            "+964 (750) 123.4567",
            "٠٠٩٦٤٧٥٠١٢٣٤٥٦٧",
            "\u{200e}+964 750 1234567",
        ] {
            assert_eq!(PhoneNumber::parse(spelling).unwrap(), number, "{spelling}");
        }
        for refused in
            ["", "+", "07501234567", "+0750123456", "+1234", "+1234567890123456", "+964x7501234567", "96475012++34567"]
        {
            assert!(PhoneNumber::parse(refused).is_err(), "{refused}");
        }
    }
}
