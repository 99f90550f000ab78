use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization, char::is_combining_mark, is_nfc_quick};

use crate::Invalid;

/// NFC, no control characters but line breaks where `lines` allows them, no white space around.
fn normalise(text: &str, lines: bool) -> Result<String, &'static str> {
    let text = text.trim();
    // Most text is in its normal form already, above all what a store gives back; to see that takes a fraction.
    let is_normal = text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes;
    let text: String = if is_normal { text.to_owned() } else { text.nfc().collect() };
    if text.chars().any(|c| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'))) {
        return Err("has a control character; give plain text");
    }
    Ok(text)
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $least:literal..=$most:literal code points, lines: $lines:literal, refusal: $refusal:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub const MAX_CODE_POINTS: usize = $most;

            pub fn parse(text: &str) -> Result<Self, Invalid> {
                let text = normalise(text, $lines).map_err(|detail| Invalid::new("", detail))?;
                if !($least..=$most).contains(&text.chars().count()) {
                    return Err(Invalid::new("", $refusal));
                }
                Ok(Self(text))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("***")
            }
        }
        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    };
}

text_type! {
    /// A person's name, in any script, as the person writes it.
    PersonName, 1..=200 code points, lines: false, refusal: "must be 1 to 200 characters"
}
text_type! {
    /// A line of text: a title, a reason, a description.
    ShortText, 1..=500 code points, lines: false, refusal: "must be 1 to 500 characters"
}
text_type! {
    /// Clinical prose: findings, conditions. May be empty.
    LongText, 0..=20_000 code points, lines: true, refusal: "must be at most 20,000 characters"
}

text_type! {
    /// Where somebody lives, as they write it, over several lines if they like.
    PostalAddress, 1..=500 code points, lines: true, refusal: "must be 1 to 500 characters"
}

text_type! {
    /// What the client calls a file. Shown to people, never a path of ours.
    FileName, 1..=255 code points, lines: false, refusal: "must be 1 to 255 characters"
}

impl FileName {
    /// The last part of whatever a browser sent, without what could make a name look like another one; `None` when
    /// nothing is left of it. A strange name is no reason to refuse a file.
    pub fn of_upload(text: &str) -> Option<Self> {
        let last = text.rsplit(['/', '\\']).next()?;
        let name: String = last
            .nfc()
            .filter(|c| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
            .take(Self::MAX_CODE_POINTS)
            .collect();
        Self::parse(&name).ok()
    }
}

/// A piece of a name, to find people whose name has it somewhere, compared as [`fold`] compares.
#[derive(Clone, PartialEq, Eq)]
pub struct NamePart(String);

impl NamePart {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let folded = fold(text.trim());
        if (1..=PersonName::MAX_CODE_POINTS).contains(&folded.chars().count()) {
            Ok(Self(folded))
        } else {
            Err(Invalid::new("/name", "must be 1 to 200 characters of a name"))
        }
    }

    pub fn folded(&self) -> &str {
        &self.0
    }

    pub fn is_in(&self, name: &PersonName) -> bool {
        fold(name.as_str()).contains(&self.0)
    }
}

impl fmt::Debug for NamePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Nothing was said.
impl Default for LongText {
    fn default() -> Self {
        Self(String::new())
    }
}

impl LongText {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a task of the catalogue is called by on bills and in requests: `CT`, `REPORT`, `XR-CHEST`. Kept in capitals.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskCode(String);

impl TaskCode {
    pub const MAX_CHARS: usize = 32;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let code = text.trim().to_ascii_uppercase();
        let plain = code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if plain && (1..=Self::MAX_CHARS).contains(&code.len()) && code.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            Ok(Self(code))
        } else {
            Err(Invalid::new(
                "/code",
                "must be 1 to 32 letters and digits, with - _ or . between them, such as XR-CHEST",
            ))
        }
    }

    /// The task that a report is charged as.
    pub fn report() -> Self {
        Self("REPORT".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl TryFrom<String> for TaskCode {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}
impl From<TaskCode> for String {
    fn from(code: TaskCode) -> Self {
        code.0
    }
}

/// The form in which text is compared for finding: compatibility decomposition (UAX #15, NFKD) without the marks, in
/// lower case, with the letters that Arabic, Kurdish and Persian keyboards write in several ways made one, and digits
/// made ASCII. So `Müller` is found by `muller`, `أحمد` by `احمد`, `ڕێبین` by `ریبین`.
pub fn fold(text: &str) -> String {
    text.nfkd()
        .filter(|c| !is_combining_mark(*c) && *c != '\u{640}' && *c != '\u{200c}')
        .flat_map(char::to_lowercase)
        .map(unify)
        .collect()
}

fn unify(c: char) -> char {
    match c {
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ى' | 'ي' | 'ې' | 'ێ' | 'ۍ' => 'ی',
        'ك' => 'ک',
        'ة' | 'ە' | 'ۀ' | 'ھ' => 'ه',
        'ۆ' | 'ۇ' | 'ۋ' => 'و',
        'ڕ' => 'ر',
        'ڵ' => 'ل',
        'ø' => 'o',
        'đ' => 'd',
        'ł' => 'l',
        'ı' => 'i',
        '٠'..='٩' => ascii_digit(c, '٠'),
        '۰'..='۹' => ascii_digit(c, '۰'),
        _ => c,
    }
}

fn ascii_digit(c: char, zero: char) -> char {
    char::from_digit(u32::from(c) - u32::from(zero), 10).unwrap_or(c)
}

/// The folded words of a text, in order, without repetition. A word is a run of letters and digits.
pub fn search_words(text: &str) -> Vec<String> {
    let folded = fold(text);
    let mut words: Vec<String> = Vec::new();
    for word in folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_one_form() {
        let composed = PersonName::parse(" Zo\u{eb} ").unwrap();
        let decomposed = PersonName::parse("Zoe\u{308}").unwrap();
        assert_eq!(composed, decomposed);
        assert_eq!(composed.as_str(), "Zo\u{eb}");
    }

    #[test]
    fn a_name_is_bounded_and_plain() {
        assert!(PersonName::parse("  ").is_err());
        assert!(PersonName::parse(&"x".repeat(201)).is_err());
        assert!(PersonName::parse(&"\u{634}".repeat(200)).is_ok());
        assert!(PersonName::parse("a\u{0}b").is_err());
        assert!(PersonName::parse("a\nb").is_err());
    }

    #[test]
    fn a_part_of_a_name_is_found_wherever_it_stands() {
        let name = PersonName::parse("José Müller-Lopez").unwrap();
        for part in ["jose", "ULL", " é mü ", "r-l", "ez"] {
            assert!(NamePart::parse(part).unwrap().is_in(&name), "{part}");
        }
        assert!(!NamePart::parse(".*").unwrap().is_in(&name));
        assert!(NamePart::parse(" ").is_err() && NamePart::parse(&"x".repeat(201)).is_err());
    }

    #[test]
    fn a_file_name_is_the_last_part_of_what_was_sent() {
        let name = |sent: &str| FileName::of_upload(sent).map(String::from);
        assert_eq!(name("C:\\scans\\ sharp\u{0}.pdf ").as_deref(), Some("sharp.pdf"));
        assert_eq!(name("../../etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(name("report\u{202e}fdp.exe").as_deref(), Some("reportfdp.exe"));
        assert_eq!(name("ڕاپۆرت.pdf").as_deref(), Some("ڕاپۆرت.pdf"));
        assert_eq!(name(&"x".repeat(300)).map(|name| name.len()), Some(255));
        for nothing in ["", " ", "a/", "\u{1}"] {
            assert_eq!(name(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn accents_case_and_letter_variants_do_not_hide_a_name() {
        assert_eq!(search_words("Jos\u{e9} M\u{dc}LLER-Lopez"), ["jose", "muller", "lopez"]);
        assert_eq!(fold("أَحْمَد"), fold("احمد"));
        assert_eq!(fold("علي"), fold("على"));
        assert_eq!(fold("كريم"), fold("کریم"));
        assert_eq!(fold("ڕێبین"), "ریبین");
        assert_eq!(fold("٠٧٥٠۱۲"), "075012");
    }

    #[test]
    fn a_task_code_is_short_plain_and_in_capitals() {
        assert_eq!(TaskCode::parse(" xr-chest ").unwrap().as_str(), "XR-CHEST");
        assert_eq!(TaskCode::parse("report").unwrap(), TaskCode::report());
        for refused in ["", "-", "a b", "م", "$where", &"X".repeat(33)] {
            assert!(TaskCode::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn debug_does_not_print_a_name() {
        assert_eq!(format!("{:?}", PersonName::parse("Ada").unwrap()), "***");
    }
}
