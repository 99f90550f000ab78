use std::{fmt, str::FromStr};

use infirmary_kernel::{
    AccountId, BirthDate, EmailAddress, Invalid, PatientId, PersonName, PhoneNumber, PostalAddress, Timestamp,
};

/// FHIR's administrative gender: for administration, not a statement about biology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdministrativeSex {
    Male,
    Female,
    Other,
    Unknown,
}

impl AdministrativeSex {
    pub const ALL: [Self; 4] = [Self::Male, Self::Female, Self::Other, Self::Unknown];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Male => "male",
            Self::Female => "female",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}

impl FromStr for AdministrativeSex {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|sex| sex.as_str() == text)
            .ok_or_else(|| Invalid::new("/sex", "must be male, female, other or unknown"))
    }
}

/// A medical record number: a running number of the house with a Luhn check digit (ISO/IEC 7812-1, annex B), so that a
/// mistyped digit is noticed: `P00004175` is the 417th patient.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mrn(u64);

impl Mrn {
    /// The `serial`-th number that the house gives.
    pub const fn from_serial(serial: u64) -> Self {
        Self(serial)
    }

    pub const fn serial(self) -> u64 {
        self.0
    }

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refusal = || Invalid::new("/mrn", "is not a medical record number of this house");
        let digits = text.strip_prefix('P').ok_or_else(refusal)?;
        let number: u64 = digits.parse().map_err(|_| refusal())?;
        let mrn = Self(number / 10);
        if mrn.to_string() == text { Ok(mrn) } else { Err(refusal()) }
    }

    fn check_digit(self) -> u64 {
        let mut sum = 0;
        let (mut rest, mut double) = (self.0, true);
        while rest > 0 {
            let digit = if double { rest % 10 * 2 } else { rest % 10 };
            sum += digit / 10 + digit % 10;
            (rest, double) = (rest / 10, !double);
        }
        (10 - sum % 10) % 10
    }
}

impl fmt::Display for Mrn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{:07}{}", self.0, self.check_digit())
    }
}

impl fmt::Debug for Mrn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patient {
    pub id: PatientId,
    pub mrn: Mrn,
    pub name: PersonName,
    pub birth_date: Option<BirthDate>,
    pub sex: Option<AdministrativeSex>,
    pub phone: Option<PhoneNumber>,
    pub email: Option<EmailAddress>,
    pub address: Option<PostalAddress>,
    /// The account by which the patient signs in.
    pub account: Option<AccountId>,
    /// To a restricted record come its care team and who breaks the glass, whatever their role may do else.
    pub restricted: bool,
    pub registered_at: Timestamp,
    /// 1 when registered, one more at each change.
    pub version: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_number_notices_one_wrong_digit_and_a_swap() {
        let mrn = Mrn::from_serial(417);
        let text = mrn.to_string();
        assert_eq!(Mrn::parse(&text).unwrap(), mrn);
        for place in 1..text.len() {
            let mut wrong: Vec<char> = text.chars().collect();
            wrong[place] = char::from_digit((wrong[place].to_digit(10).unwrap() + 1) % 10, 10).unwrap();
            assert!(Mrn::parse(&wrong.into_iter().collect::<String>()).is_err());
        }
        for refused in ["", "P", "P1", "417", "P00000000000000000000000"] {
            assert!(Mrn::parse(refused).is_err(), "{refused}");
        }
    }
}
