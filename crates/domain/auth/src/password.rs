use std::fmt;

use infirmary_kernel::{EmailAddress, Invalid, PersonName, fold};
use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;

use crate::{Factors, common::is_common};

/// A password as somebody typed it, in NFC and untrimmed. It is bounded, so that it can be hashed; it need not be good.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

impl Password {
    pub const MAX_CODE_POINTS: usize = 256;
    pub const MAX_BYTES: usize = 1_024;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refusal = || Invalid::new("/password", "must be at most 256 characters and 1,024 bytes, without NUL");
        if text.len() > Self::MAX_BYTES || text.contains('\0') {
            return Err(refusal());
        }
        let normal: String = text.nfc().collect();
        if normal.len() > Self::MAX_BYTES || normal.chars().count() > Self::MAX_CODE_POINTS {
            return Err(refusal());
        }
        Ok(Self(normal.into()))
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A password that is good enough to be somebody's from now on. [`PasswordPolicy::choose`] makes it.
#[derive(Debug, Clone)]
pub struct NewPassword(Password);

impl NewPassword {
    pub const fn as_password(&self) -> &Password {
        &self.0
    }
}

/// What a password has to be (NIST SP 800-63B-4 §3.1.1.2): long, not a common one, and not made of words that anybody who
/// knows the person or the house would try. No rules of composition.
#[derive(Debug, Clone)]
pub struct PasswordPolicy {
    house_words: Vec<String>,
}

impl PasswordPolicy {
    /// Of a password that stands alone, without a second factor.
    pub const MIN_CODE_POINTS: usize = 15;
    /// Of a password beside a second factor.
    pub const MIN_CODE_POINTS_WITH_FACTOR: usize = 8;
    /// How much of a password has to be something else than e-mail, name and house.
    pub const MIN_OWN_CODE_POINTS: usize = 8;

    pub fn new(house: &str) -> Self {
        Self { house_words: words(house) }
    }

    pub fn choose(
        &self,
        text: &str,
        email: &EmailAddress,
        name: &PersonName,
        factors: Factors,
    ) -> Result<NewPassword, Invalid> {
        let refusal = |detail: &'static str| Err(Invalid::new("/password", detail));
        let password = Password::parse(text)?;
        if !Self::is_long_enough(&password, factors) {
            return refusal(if factors.any() {
                "must be at least 8 characters"
            } else {
                "must be at least 15 characters; several words are easy to remember"
            });
        }
        if is_common(password.expose()) {
            return refusal("is one of the most used passwords; choose another");
        }
        let mut known = [words(email.as_str()), words(name.as_str()), self.house_words.clone()].concat();
        known.push("infirmary".to_owned());
        if own_code_points(password.expose(), known) < Self::MIN_OWN_CODE_POINTS {
            return refusal("is little more than the e-mail, the name or the house; add other words");
        }
        Ok(NewPassword(password))
    }

    /// For an account with these factors.
    pub(crate) fn is_long_enough(password: &Password, factors: Factors) -> bool {
        let least = if factors.any() { Self::MIN_CODE_POINTS_WITH_FACTOR } else { Self::MIN_CODE_POINTS };
        password.expose().chars().count() >= least
    }
}

/// Words of three letters and more; shorter ones say nothing of a person.
fn words(text: &str) -> Vec<String> {
    let folded = fold(text);
    let long = |word: &&str| word.chars().count() >= 3;
    folded.split(|c: char| !c.is_alphanumeric()).filter(long).map(str::to_owned).collect()
}

/// Letters and digits that are left of a password without the words given, the longest taken first.
fn own_code_points(password: &str, mut known: Vec<String>) -> usize {
    known.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let rest = known.iter().fold(fold(password), |rest, word| rest.replace(word.as_str(), " "));
    rest.chars().filter(|c| c.is_alphanumeric()).count()
}

/// What is kept of a password: the hasher's own text, which says how it was made.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_stored(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose_with(text: &str, factors: Factors) -> Result<NewPassword, Invalid> {
        let email = EmailAddress::parse("ada.lovelace@example.org").unwrap();
        let name = PersonName::parse("Ada Lovelace").unwrap();
        PasswordPolicy::new("St Mary's Hospital").choose(text, &email, &name, factors)
    }

    fn choose(text: &str) -> Result<NewPassword, Invalid> {
        choose_with(text, Factors::NONE)
    }

    #[test]
    fn beside_a_second_factor_eight_characters_are_enough_but_no_common_ones() {
        let factors = Factors { totp: true, whatsapp: false };
        assert!(choose("plovdiv7").is_err() && choose_with("plovdiv7", factors).is_ok());
        for bad in ["plovdi7", "password1", "12345678", "lovelace", "infirmary7", "stmarys1"] {
            assert!(choose_with(bad, factors).is_err(), "{bad}");
        }
    }

    #[test]
    fn fifteen_characters_are_enough_and_fourteen_are_not() {
        assert!(choose("plovdiv varna 7").is_ok());
        assert!(choose("plovdiv varna7").is_err());
        assert!(choose("\u{1f600}plovdiv varna7").is_ok(), "code points are counted, not bytes");
    }

    #[test]
    fn a_long_password_of_own_words_is_good_in_any_script() {
        for good in [
            "correct horse battery",
            "  spaces around it  ",
            "ئەسپی ڕاست و پاتری",
            "12 monkeys & 1 lovelace",
            "a😀b😀c😀d😀e😀f😀g😀h😀",
        ] {
            assert!(choose(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn short_common_and_borrowed_passwords_are_refused() {
        for bad in [
            "fourteen chars",
            "manchesterunited",
            "MyChemicalRomance",
            "111111111111111",
            "Ada.Lovelace.1815",
            "ada.lovelace@example.org",
            "St-Marys-Hospital-2026",
            "lovelacelovelacelovelace",
            "...............",
        ] {
            assert!(choose(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_measured_in_code_points_and_bounded_before_it_is_hashed() {
        assert!(Password::parse(&"x".repeat(256)).is_ok());
        assert!(Password::parse(&"x".repeat(257)).is_err());
        assert!(Password::parse(&"\u{1f600}".repeat(256)).is_ok());
        assert!(Password::parse(&"\u{1f600}".repeat(257)).is_err());
        assert!(Password::parse(&"x".repeat(1_048_576)).is_err());
        assert!(Password::parse("with\0nul").is_err());
        assert_eq!(Password::parse("Zoe\u{308} ").unwrap().expose(), "Zo\u{eb} ");
        assert!(!format!("{:?}", Password::parse("secret").unwrap()).contains("secret"));
    }
}
