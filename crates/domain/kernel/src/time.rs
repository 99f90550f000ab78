use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::{Invalid, Lease};

/// A moment, UTC, cut to milliseconds: what every store can hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// 0001-01-01 to 9999-12-31: the years RFC 3339 can write.
const EARLIEST_MS: i64 = -62_135_596_800_000;
const LATEST_MS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// Moments outside the years 1 to 9999 become the nearest one inside.
    pub const fn from_unix_ms(unix_ms: i64) -> Self {
        if unix_ms < EARLIEST_MS {
            Self(EARLIEST_MS)
        } else if unix_ms > LATEST_MS {
            Self(LATEST_MS)
        } else {
            Self(unix_ms)
        }
    }

    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// RFC 3339; an offset is accepted and normalised away.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        DateTime::parse_from_rfc3339(text)
            .map(|time| Self::from_unix_ms(time.timestamp_millis()))
            .map_err(|_| Invalid::new("/time", "is not a time; give RFC 3339 such as 2026-03-01T09:30:00.000Z"))
    }

    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_unix_ms(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_unix_ms(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whether this is at most `age` after `earlier`, and not before it by more than the clocks of two machines may differ.
    pub fn is_within(self, earlier: Self, age: Duration) -> bool {
        let skew = Duration::from_secs(Lease::MAX_CLOCK_SKEW_SECONDS);
        earlier <= self.plus(skew) && self.since(earlier) <= age
    }

    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_datetime().to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for Timestamp {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}
impl TryFrom<String> for Timestamp {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}
impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

/// A date of birth: a calendar day without a time zone, written `YYYY-MM-DD`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BirthDate(NaiveDate);

impl BirthDate {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text.parse() {
            // The library takes other spellings, too, and one day has one here.
            Ok(date) if Self(date).to_string() == text && (1850..=2199).contains(&date.year()) => Ok(Self(date)),
            _ => Err(Invalid::new("/birthDate", "is not a date; give YYYY-MM-DD, from 1850 on")),
        }
    }

    /// One day of grace, for a facility east of Greenwich.
    pub fn is_after(&self, now: Timestamp) -> bool {
        self.0 > now.plus(Duration::from_secs(24 * 60 * 60)).to_datetime().date_naive()
    }
}

impl fmt::Display for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
impl FromStr for BirthDate {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}
impl TryFrom<String> for BirthDate {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}
impl From<BirthDate> for String {
    fn from(date: BirthDate) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_milliseconds_and_read_with_any_offset() {
        let time = Timestamp::parse("2026-03-01T12:30:00.123456+03:00").unwrap();
        assert_eq!(time.to_string(), "2026-03-01T09:30:00.123Z");
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn a_birth_date_is_a_day_of_the_calendar() {
        assert_eq!(BirthDate::parse("1984-02-29").unwrap().to_string(), "1984-02-29");
        for refused in ["1985-02-29", "84-02-01", "1984-2-1", "1384-01-01", "+1984-02-28", " 1984-02-28", ""] {
            assert!(BirthDate::parse(refused).is_err(), "{refused}");
        }
    }
}
