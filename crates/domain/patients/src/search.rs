use infirmary_kernel::{Invalid, fold, search_words};

use crate::{Mrn, Patient};

/// The words a patient is found by: each word of the name, the digits of the phone, the record number. Folded, so that
/// the index of every store compares plain text.
///
/// National numbers are typed without the country, so each tail of the phone that can begin one is a word too.
pub fn index_words(patient: &Patient) -> Vec<String> {
    let mut words = search_words(patient.name.as_str());
    words.push(fold(&patient.mrn.to_string()));
    if let Some(phone) = &patient.phone {
        let digits = phone.digits();
        words.push(digits.to_owned());
        words.extend((1..=MAX_COUNTRY_CODE_DIGITS).filter_map(|country| digits.get(country..)).map(str::to_owned));
    }
    words
}

/// ITU-T E.164: a country code has one to three digits.
const MAX_COUNTRY_CODE_DIGITS: usize = 3;

/// What somebody typed to find a patient: every term has to begin a word of the patient. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchTerms(Vec<String>);

impl SearchTerms {
    pub const MAX_CODE_POINTS: usize = 200;
    /// More words than a name has tell no two patients apart.
    pub const MAX_TERMS: usize = 8;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.chars().count() > Self::MAX_CODE_POINTS {
            return Err(Invalid::new("/q", "must be at most 200 characters"));
        }
        let mut terms = Self::phone(text).map_or_else(|| search_words(text), |digits| vec![digits]);
        terms.truncate(Self::MAX_TERMS);
        if terms.is_empty() {
            return Err(Invalid::new(
                "/q",
                "must have a letter or a digit: the beginning of a name, a phone or a record number",
            ));
        }
        Ok(Self(terms))
    }

    /// A phone as it is typed, with separators and prefixes: one run of digits.
    fn phone(text: &str) -> Option<String> {
        let folded = fold(text.trim());
        let plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')' | '.' | '/');
        if !folded.chars().all(plain) {
            return None;
        }
        let digits: String = folded.chars().filter(char::is_ascii_digit).collect();
        let significant = digits.trim_start_matches('0');
        (!significant.is_empty()).then(|| significant.to_owned())
    }

    /// Folded terms, in the order typed.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// When it is a record number, whole and without a mistyped digit.
    pub fn record_number(&self) -> Option<Mrn> {
        match self.0.as_slice() {
            [only] => Mrn::parse(&only.to_uppercase()).ok(),
            _ => None,
        }
    }

    pub fn matches(&self, patient: &Patient) -> bool {
        let words = index_words(patient);
        self.0.iter().all(|term| words.iter().any(|word| word.starts_with(term)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        SearchTerms::parse(text).unwrap().0
    }

    #[test]
    fn a_phone_is_found_however_it_is_typed() {
        for typed in ["+964 750 123", "00964-750-123", "٠٠٩٦٤٧٥٠١٢٣"] {
            assert_eq!(terms(typed), ["964750123"], "{typed}");
        }
        assert_eq!(terms("0750 123"), ["750123"]);
    }

    #[test]
    fn a_record_number_is_known_as_one_when_it_is_whole() {
        let mrn = Mrn::from_serial(417);
        let found = |text: &str| SearchTerms::parse(text).unwrap().record_number();
        assert_eq!(found(&mrn.to_string()), Some(mrn));
        assert_eq!(found(&format!(" {} ", mrn.to_string().to_lowercase())), Some(mrn));
        for other in ["P0000417", "P00004170", "00004175", "P00004175 ada", "ada"] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_cut_into_words() {
        assert_eq!(terms("Müller, Ana"), ["muller", "ana"]);
        assert!(SearchTerms::parse(" ,- ").is_err());
        assert!(SearchTerms::parse(&"a".repeat(201)).is_err());
    }
}
