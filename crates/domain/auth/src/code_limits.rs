//! How often a code may be asked for. The counting is here, pure; the store keeps the counters.

use std::time::Duration;

use infirmary_kernel::{PhoneNumber, Timestamp};

use crate::{Admission, CountedRequest};

/// Where codes may be sent, and how many in a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodePolicy {
    /// Of the beginnings of numbers, such as `+964`; empty: everywhere.
    pub countries: Vec<CallingCode>,
    /// Codes that the whole house sends in 24 hours: what a flood of requests can cost.
    pub max_per_day: u32,
}

impl CodePolicy {
    pub const DEFAULT_MAX_PER_DAY: u32 = 1_000;

    pub fn allows(&self, phone: &PhoneNumber) -> bool {
        self.countries.is_empty() || self.countries.iter().any(|code| phone.digits().starts_with(code.0.as_str()))
    }
}

impl Default for CodePolicy {
    fn default() -> Self {
        Self { countries: Vec::new(), max_per_day: Self::DEFAULT_MAX_PER_DAY }
    }
}

/// The beginning of the numbers of a country or an area: `+` and 1 to 7 digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallingCode(String);

impl CallingCode {
    const MAX_DIGITS: usize = 7;

    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().strip_prefix('+')?;
        let plain = !digits.is_empty() && digits.len() <= Self::MAX_DIGITS && !digits.starts_with('0');
        (plain && digits.bytes().all(|b| b.is_ascii_digit())).then(|| Self(digits.to_owned()))
    }
}

/// The codes that were asked for, of one number, of one address, or of the house. A counter that is not stored is the
/// default one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeCounter {
    /// Of a number or an address: when, at most [`CodeCounter::MAX_TIMES`] of them, oldest first.
    pub times: Vec<Timestamp>,
    /// Of the house: how many since [`CodeCounter::since`].
    pub total: u32,
    pub since: Option<Timestamp>,
    /// Whether a refusal since the last admission is in the trail.
    pub noted: bool,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl CodeCounter {
    /// Within each time, at most so many for a number.
    pub const OF_NUMBER: [(Duration, usize); 4] =
        [(MINUTE, 1), (Duration::from_secs(15 * 60), 3), (HOUR, 5), (DAY, 10)];
    pub const OF_ADDRESS: [(Duration, usize); 1] = [(HOUR, 20)];
    pub const MAX_TIMES: usize = 20;

    /// From when on a store may forget the counter.
    pub fn forget_at(&self) -> Timestamp {
        let latest = self.times.last().copied().max(self.since).unwrap_or(Timestamp::from_unix_ms(0));
        latest.plus(DAY)
    }

    /// How long until one more keeps to the limits.
    fn wait(&self, limits: &[(Duration, usize)], now: Timestamp) -> Duration {
        let waits = limits.iter().map(|(window, most)| {
            let in_the_way = self.times.len().checked_sub(*most).and_then(|place| self.times.get(place));
            in_the_way.map_or(Duration::ZERO, |time| time.plus(*window).since(now))
        });
        waits.max().unwrap_or_default()
    }

    fn add(&mut self, now: Timestamp) {
        if self.times.len() >= Self::MAX_TIMES {
            self.times.remove(0);
        }
        self.times.push(now);
        self.noted = false;
    }

    fn day(&self, now: Timestamp) -> Option<Timestamp> {
        self.since.filter(|since| now.since(*since) < DAY)
    }
}

/// The counters that a request for a code is held against.
pub struct CodeCounters<'a> {
    pub number: &'a mut CodeCounter,
    pub address: Option<&'a mut CodeCounter>,
    /// Absent when no code is sent: a number that is nobody's does not use up what is for others.
    pub house: Option<&'a mut CodeCounter>,
}

/// Counts the request, or says how long to wait. Whether the number is somebody's makes no difference to a number or an
/// address.
pub fn admit(counters: CodeCounters<'_>, request: &CountedRequest) -> Admission {
    let CodeCounters { number, address, house } = counters;
    let CountedRequest { max_per_day, at: now, apart, .. } = *request;
    let mut wait = number.wait(&CodeCounter::OF_NUMBER, now).max(number.wait(&[(apart, 1)], now));
    if let Some(address) = &address {
        wait = wait.max(address.wait(&CodeCounter::OF_ADDRESS, now));
    }
    if let Some(house) = &house {
        let (since, total) = house.day(now).map_or((now, 0), |since| (since, house.total));
        if total >= max_per_day {
            wait = wait.max(since.plus(DAY).since(now));
        }
    }
    if !wait.is_zero() {
        let retry_after = Duration::from_secs(wait.as_millis().div_ceil(1_000) as u64);
        return Admission::Refused { retry_after, first: !std::mem::replace(&mut number.noted, true) };
    }
    number.add(now);
    if let Some(address) = address {
        address.add(now);
    }
    if let Some(house) = house {
        match house.day(now) {
            Some(_) => house.total = house.total.saturating_add(1),
            None => *house = CodeCounter { total: 1, since: Some(now), ..CodeCounter::default() },
        }
    }
    Admission::Admitted
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::{Clock, testing::ManualClock};

    use super::*;
    use crate::CounterKey;

    fn request(max_per_day: u32, at: Timestamp) -> CountedRequest {
        let number = CounterKey::phone(&PhoneNumber::parse("+9647501234567").unwrap());
        CountedRequest { number, address: None, sent: true, apart: Duration::ZERO, max_per_day, at }
    }

    fn wait(admission: Admission) -> u64 {
        match admission {
            Admission::Admitted => 0,
            Admission::Refused { retry_after, .. } => retry_after.as_secs(),
        }
    }

    fn ask(number: &mut CodeCounter, now: Timestamp) -> u64 {
        wait(admit(CodeCounters { number, address: None, house: None }, &request(1_000, now)))
    }

    #[test]
    fn a_number_has_one_a_minute_three_a_quarter_five_an_hour_and_ten_a_day() {
        let (start, mut number) = (ManualClock::default().now(), CodeCounter::default());
        let mut now = start;
        let mut given = Vec::new();
        while given.len() < 10 {
            match ask(&mut number, now) {
                0 => given.push(now.since(start).as_secs()),
                seconds => now = now.plus(Duration::from_secs(seconds)),
            }
        }
        assert_eq!(given, [0, 60, 120, 900, 960, 3_600, 3_660, 3_720, 4_500, 4_560]);
        assert_eq!(ask(&mut number, now), 24 * 60 * 60 - 4_560, "ten in a day, and none before the first is a day old");
        assert_eq!(ask(&mut number, start.plus(DAY)), 0);
        assert_eq!(number.forget_at(), start.plus(DAY * 2));
    }

    #[test]
    fn who_wants_them_further_apart_gets_them_further_apart() {
        let (now, mut number) = (ManualClock::default().now(), CodeCounter::default());
        let mut ask = |at| {
            let apart = CountedRequest { apart: MINUTE * 5, ..request(1_000, at) };
            wait(admit(CodeCounters { number: &mut number, address: None, house: None }, &apart))
        };
        assert_eq!((ask(now), ask(now.plus(MINUTE)), ask(now.plus(MINUTE * 5))), (0, 240, 0));
    }

    #[test]
    fn an_address_has_twenty_an_hour_for_whatever_numbers() {
        let (start, mut address) = (ManualClock::default().now(), CodeCounter::default());
        let mut ask = |now| {
            let number = &mut CodeCounter::default();
            wait(admit(CodeCounters { number, address: Some(&mut address), house: None }, &request(1_000, now)))
        };
        for n in 0..20 {
            assert_eq!(ask(start.plus(Duration::from_secs(n))), 0);
        }
        assert_eq!(ask(start.plus(Duration::from_secs(20))), 3_580);
        assert_eq!(ask(start.plus(HOUR)), 0);
        assert_eq!(ask(start.plus(HOUR)), 1);
    }

    #[test]
    fn the_house_sends_no_more_in_a_day_than_its_cap_and_numbers_of_nobody_use_none_of_it() {
        let (start, mut house) = (ManualClock::default().now(), CodeCounter::default());
        let mut ask = |now, sent: bool| {
            let number = &mut CodeCounter::default();
            wait(admit(CodeCounters { number, address: None, house: sent.then_some(&mut house) }, &request(3, now)))
        };
        for _ in 0..3 {
            assert_eq!((ask(start, true), ask(start, false)), (0, 0));
        }
        assert_eq!((ask(start.plus(HOUR), true), ask(start.plus(HOUR), false)), (23 * 60 * 60, 0));
        assert_eq!(ask(start.plus(DAY), true), 0);
        let number = &mut CodeCounter::default();
        let counters = CodeCounters { number, address: None, house: Some(&mut CodeCounter::default()) };
        assert_eq!(wait(admit(counters, &request(0, start))), 24 * 60 * 60, "a cap of nothing sends nothing");
    }

    #[test]
    fn what_is_refused_is_not_counted_and_is_noted_once() {
        let (now, mut number) = (ManualClock::default().now(), CodeCounter::default());
        ask(&mut number, now);
        let mut ask =
            |now| admit(CodeCounters { number: &mut number, address: None, house: None }, &request(1_000, now));
        assert!(matches!(ask(now), Admission::Refused { first: true, .. }));
        for _ in 0..100 {
            assert!(matches!(ask(now), Admission::Refused { first: false, .. }));
        }
        assert_eq!(ask(now.plus(MINUTE)), Admission::Admitted);
        assert!(matches!(ask(now.plus(MINUTE)), Admission::Refused { first: true, .. }));
        assert_eq!(number.times.len(), 2);
    }

    #[test]
    fn codes_go_to_the_countries_that_are_listed() {
        let codes = |list: &[&str]| list.iter().map(|code| CallingCode::parse(code).unwrap()).collect();
        let policy = CodePolicy { countries: codes(&["+964", "+44", "+1212"]), ..CodePolicy::default() };
        let allows = |text: &str| policy.allows(&PhoneNumber::parse(text).unwrap());
        for allowed in ["+9647501234567", "0044 20 7946 0000", "+1 212 555 0100"] {
            assert!(allows(allowed), "{allowed}");
        }
        for refused in ["+1 876 555 0100", "+49 30 901820", "+98 21 1234 5678"] {
            assert!(!allows(refused), "{refused}");
        }
        assert!(CodePolicy::default().allows(&PhoneNumber::parse("+1 876 555 0100").unwrap()));
        for wrong in ["", "964", "+", "+0", "+96a", "GB", "+12345678"] {
            assert!(CallingCode::parse(wrong).is_none(), "{wrong}");
        }
    }
}
