use std::{fmt, str::FromStr};

use infirmary_kernel::{Invalid, ShortText};

use crate::Modality;

/// A unique identifier of DICOM (PS3.5 §9): digits in groups between dots, at most 64 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DicomUid(String);

impl DicomUid {
    pub const MAX_CHARS: usize = 64;

    /// Leading zeros in a group, which the standard forbids and devices write, are left as they are: it is a name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        // Padded to an even length with NUL by the standard, with a space by some.
        let text = text.trim_matches(['\0', ' ']);
        let group = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
        if text.len() <= Self::MAX_CHARS && text.split('.').all(group) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("", "is not a DICOM UID; give digits and dots such as 1.2.840.10008.1.2, at most 64"))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DicomUid {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}
impl fmt::Display for DicomUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
// The UID of an instance leads to a patient, in the archive that made it.
impl fmt::Debug for DicomUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The day of an examination where it was made. DICOM tells neither the zone nor, often, the time, so it is a day of
/// the calendar and no moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StudyDate {
    year: u16,
    month: u8,
    day: u8,
}

impl StudyDate {
    /// `YYYYMMDD` as DICOM writes it (PS3.5 §6.2, DA), `YYYY.MM.DD` as its predecessor did, or `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refusal = || Invalid::new("", "is not a date; give YYYY-MM-DD");
        let text = text.trim_matches(['\0', ' ']);
        let digits: String = match text.len() {
            8 => text.to_owned(),
            10 if matches!((text.as_bytes()[4], text.as_bytes()[7]), (b'-', b'-') | (b'.', b'.')) => {
                text.replace(['-', '.'], "")
            }
            _ => return Err(refusal()),
        };
        if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refusal());
        }
        let number = |part: &str| part.parse::<u16>().map_err(|_| refusal());
        let (year, month, day) = (number(&digits[..4])?, number(&digits[4..6])?, number(&digits[6..])?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u16::from(leap),
            1..=12 => 31,
            _ => return Err(refusal()),
        };
        if !(1850..=2199).contains(&year) || !(1..=days).contains(&day) {
            return Err(refusal());
        }
        Ok(Self { year, month: month as u8, day: day as u8 })
    }
}

impl FromStr for StudyDate {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}
impl fmt::Display for StudyDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}
impl fmt::Debug for StudyDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a DICOM file says of itself. Devices leave out and garble what the standard requires; what cannot be read is
/// absent here, and is no reason to refuse an image that can be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DicomAttributes {
    /// (0010,0020): the number the patient has where the image was made, which need not be our house.
    pub patient_id: Option<ShortText>,
    /// (0020,000D)
    pub study_uid: Option<DicomUid>,
    /// (0020,000E)
    pub series_uid: Option<DicomUid>,
    /// (0008,0018)
    pub instance_uid: Option<DicomUid>,
    /// (0008,0060)
    pub modality: Option<Modality>,
    /// (0018,0015)
    pub body_part: Option<ShortText>,
    /// (0008,0020)
    pub study_date: Option<StudyDate>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_date_is_one_in_each_of_its_spellings(year in 1840..2210_u16, month in 0..14_u8, day in 0..33_u8) {
            let spelled = [
                format!("{year:04}{month:02}{day:02}"),
                format!("{year:04}-{month:02}-{day:02}"),
                format!("{year:04}.{month:02}.{day:02}"),
            ];
            let [first, others @ ..] = spelled.map(|text| StudyDate::parse(&text).ok());
            prop_assert!(others.iter().all(|other| *other == first));
            if let Some(date) = first {
                prop_assert_eq!(StudyDate::parse(&date.to_string()).unwrap(), date);
            } else {
                prop_assert!(!(1850..=2199).contains(&year) || !(1..=12).contains(&month) || !(1..=28).contains(&day));
            }
        }

        #[test]
        fn a_uid_is_kept_as_it_is_but_for_its_padding(uid in "[0-9]{1,8}(\\.[0-9]{1,8}){0,5}", padding in "[\u{0} ]{0,3}") {
            let parsed = DicomUid::parse(&format!("{uid}{padding}")).unwrap();
            prop_assert_eq!(parsed.as_str(), uid.as_str());
        }
    }

    #[test]
    fn a_uid_is_groups_of_digits() {
        assert_eq!(DicomUid::parse("1.2.840.10008.1.2\0").unwrap().as_str(), "1.2.840.10008.1.2");
        for refused in ["", ".", "1.", ".1", "1..2", "1.2a", "1.2 .3", &"1.".repeat(33), "١.٢"] {
            assert!(DicomUid::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_study_date_is_a_day_of_the_calendar() {
        assert_eq!(StudyDate::parse("20240229").unwrap().to_string(), "2024-02-29");
        for spelling in ["2024-02-29", "2024.02.29", "20240229 "] {
            assert_eq!(StudyDate::parse(spelling).unwrap(), StudyDate::parse("20240229").unwrap());
        }
        for refused in
            ["", "20230229", "20241301", "20240100", "2024-02.29", "20240431", "00000101", "2024-2-29", "éééé"]
        {
            assert!(StudyDate::parse(refused).is_err(), "{refused}");
        }
    }
}
