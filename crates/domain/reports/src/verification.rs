use std::{fmt, str::FromStr};

use infirmary_kernel::{Entropy, Invalid, ShortText, Timestamp};

use crate::ReportStatus;

/// What is printed on a report to check it by: 128 random bits, so that no code can be guessed from another.
///
/// Written in Crockford's base 32, in groups, as `4CRXG-0M52E-…`: no two of its characters look alike on paper, and case,
/// hyphens and the usual slips (O for 0, I or L for 1) do not matter when it is typed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerificationCode([u8; 16]);

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 26 characters hold 130 bits: the two highest are zero.
const CHARS: usize = 26;
const GROUP_CHARS: usize = 5;

impl VerificationCode {
    /// Text longer than this is not read.
    const MAX_TYPED_CHARS: usize = 100;

    pub fn draw(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refusal = || Invalid::new("/code", "is not a code of a report; give the 26 characters printed on it");
        if text.len() > Self::MAX_TYPED_CHARS {
            return Err(refusal());
        }
        let mut value: u128 = 0;
        let mut chars = 0;
        for c in text.bytes().filter(|c| !matches!(c, b'-' | b' ')) {
            let c = match c.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                c => c,
            };
            let digit = ALPHABET.iter().position(|known| *known == c).ok_or_else(refusal)?;
            if value >> 123 != 0 {
                return Err(refusal());
            }
            value = value << 5 | digit as u128;
            chars += 1;
        }
        if chars == CHARS { Ok(Self(value.to_be_bytes())) } else { Err(refusal()) }
    }
}

impl fmt::Display for VerificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        for place in 0..CHARS {
            // The last group has one more, rather than a group of one.
            if place > 0 && place % GROUP_CHARS == 0 && place + 1 < CHARS {
                f.write_str("-")?;
            }
            let digit = (value >> (5 * (CHARS - 1 - place))) & 31;
            write!(f, "{}", char::from(ALPHABET[digit as usize]))?;
        }
        Ok(())
    }
}

/// Who has the code can ask about the report; it stays out of logs.
impl fmt::Debug for VerificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for VerificationCode {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

/// What anyone may know of a report whose code they hold. Nothing in it tells whose report it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Authentic {
        house: ShortText,
        issued_at: Timestamp,
        status: ReportStatus,
    },
    /// No report of this house has the code.
    Unknown,
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::testing::CountingEntropy;

    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_written() {
        let entropy = CountingEntropy::default();
        for code in [
            VerificationCode::from_bytes([0; 16]),
            VerificationCode::from_bytes([0xff; 16]),
            VerificationCode::draw(&entropy),
            VerificationCode::draw(&entropy),
        ] {
            assert_eq!(code.to_string().parse(), Ok(code));
        }
        assert_eq!(VerificationCode::from_bytes([0xff; 16]).to_string(), "7ZZZZ-ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZZ");
    }

    #[test]
    fn slips_of_the_pen_are_the_same_code() {
        let code = VerificationCode::from_bytes([0, 0, 0, 0, 0x08, 0x42, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let written = code.to_string();
        assert!(written.contains('1') && written.contains('0'), "{written}");
        let slips = [
            written.to_lowercase(),
            written.replace('-', ""),
            written.replace('-', " "),
            written.replace('0', "O").replace('1', "l"),
            written.replace('1', "I"),
        ];
        for typed in slips {
            assert_eq!(typed.parse(), Ok(code), "{typed}");
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let most = "7ZZZZ-ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZZ";
        for refused in ["", "-", "0", "80000-00000-00000-00000-000000", &most[1..], &format!("{most}0"), "ÿ"] {
            assert!(VerificationCode::parse(refused).is_err(), "{refused}");
        }
        assert!(VerificationCode::parse("7ZZZZ-ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZU").is_err(), "U is in no code");
        assert!(VerificationCode::parse(&"-".repeat(10_000)).is_err());
    }

    #[test]
    fn no_two_draws_are_the_same_and_none_is_printed_in_logs() {
        let entropy = CountingEntropy::default();
        let code = VerificationCode::draw(&entropy);
        assert_ne!(code, VerificationCode::draw(&entropy));
        assert_eq!(format!("{code:?}"), "***");
    }
}
