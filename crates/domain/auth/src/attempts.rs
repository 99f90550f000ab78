//! How often somebody may be wrong about a password. The counting is here, pure; the store keeps the counters.

use std::{net::IpAddr, time::Duration};

use infirmary_kernel::{AccountId, EmailAddress, PhoneNumber, Sha256Digest, Timestamp};

/// What is counted for: an e-mail or a phone, known or not, an account, an address, the house. Two spellings of one are one
/// key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey(String);

impl CounterKey {
    /// Nobody reads from the counters who tried to sign in: the e-mail is hashed.
    pub fn email(email: &EmailAddress) -> Self {
        Self(format!("e:{}", Sha256Digest::of(email.as_str().as_bytes())))
    }

    /// An IPv6 network of 64 bits is one address, since its holder has all of them (RFC 6177).
    pub fn address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(format!("a:{address}")),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(format!("a:{a:x}:{b:x}:{c:x}:{d:x}::/64"))
            }
        }
    }

    /// Of the answers to the challenges of an account: whoever gets that far knows the password.
    pub fn second_factor(account: AccountId) -> Self {
        Self(format!("f:{account}"))
    }

    pub fn phone(phone: &PhoneNumber) -> Self {
        Self(format!("p:{}", Sha256Digest::of(phone.as_str().as_bytes())))
    }

    pub fn house() -> Self {
        Self("h".to_owned())
    }

    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One try of a password, or of a second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Whose it is: of an e-mail, or of an account.
    pub email: CounterKey,
    pub address: Option<CounterKey>,
    pub at: Timestamp,
}

impl Attempt {
    pub fn new(email: &EmailAddress, address: Option<IpAddr>, at: Timestamp) -> Self {
        Self { email: CounterKey::email(email), address: address.map(CounterKey::address), at }
    }

    pub fn of_second_factor(account: AccountId, address: Option<IpAddr>, at: Timestamp) -> Self {
        Self { email: CounterKey::second_factor(account), address: address.map(CounterKey::address), at }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The password may be compared.
    Admitted,
    /// Not now, however right it is. `first` of the refusals of this wait: the one that goes into the audit trail, which
    /// nobody may grow without limit.
    Refused { retry_after: Duration, first: bool },
}

/// Failures of one e-mail or address. A counter that is not stored is the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// Of an e-mail: in a row. Of an address: since [`Counter::since`].
    pub failures: u32,
    pub since: Timestamp,
    pub blocked_until: Timestamp,
    /// How often an address was shut before.
    pub blocks: u32,
    /// The e-mails (the beginnings of their keys' digests) that an address failed at since [`Counter::since`].
    pub emails: Vec<u64>,
    /// Whether a refusal of the present wait is in the trail.
    pub noted: bool,
}

impl Default for Counter {
    fn default() -> Self {
        let never = Timestamp::from_unix_ms(0);
        Self { failures: 0, since: never, blocked_until: never, blocks: 0, emails: Vec::new(), noted: false }
    }
}

impl Counter {
    pub const FREE_FAILURES: u32 = 4;
    pub const MAX_WAIT_SECONDS: u64 = 15 * 60;
    /// In a row for one e-mail: from then on the password is off, until an admin or a reset clears the counter.
    pub const MAX_FAILURES: u32 = 100;
    pub const ADDRESS_FAILURES: u32 = 20;
    pub const ADDRESS_EMAILS: usize = 15;
    pub const ADDRESS_WINDOW_SECONDS: u64 = 10 * 60;
    pub const ADDRESS_MAX_BLOCK_SECONDS: u64 = 24 * 60 * 60;
    /// After this long without a failure a store may forget a counter.
    pub const FORGET_AFTER_DAYS: u64 = 30;

    /// From when on a store may forget the counter; `None` while it keeps a password off.
    pub fn forget_at(&self) -> Option<Timestamp> {
        // Of an address, the last failure may be later than `since` by as much as the window.
        let quiet = Duration::from_secs(Self::ADDRESS_WINDOW_SECONDS + Self::FORGET_AFTER_DAYS * 24 * 60 * 60);
        (self.failures < Self::MAX_FAILURES).then(|| self.since.plus(quiet))
    }

    fn refusal(&mut self, now: Timestamp) -> Option<Admission> {
        let off = self.failures >= Self::MAX_FAILURES;
        if !off && self.blocked_until <= now {
            return None;
        }
        let wait = if off { Duration::from_secs(Self::MAX_WAIT_SECONDS) } else { self.blocked_until.since(now) };
        let retry_after = Duration::from_secs(wait.as_millis().div_ceil(1_000) as u64);
        Some(Admission::Refused { retry_after, first: !std::mem::replace(&mut self.noted, true) })
    }

    fn block(&mut self, now: Timestamp, wait: Duration) {
        self.blocked_until = now.plus(wait);
        self.noted = false;
    }
}

/// Before a password is compared: whether it may be, and then it counts as a failure of the e-mail already, so that of a
/// hundred guesses at once only the free ones are compared.
///
/// An address is only looked at: many people of a house may come from one, and are not failures while they are hashed.
pub fn begin(email: &mut Counter, address: Option<&mut Counter>, now: Timestamp) -> Admission {
    if let Some(refused) = email.refusal(now).or_else(|| address.and_then(|address| address.refusal(now))) {
        return refused;
    }
    email.failures += 1;
    email.since = now;
    if let Some(exponent) = email.failures.checked_sub(Counter::FREE_FAILURES + 1) {
        let wait = 1_u64.checked_shl(exponent).unwrap_or(u64::MAX).min(Counter::MAX_WAIT_SECONDS);
        email.block(now, Duration::from_secs(wait));
    }
    Admission::Admitted
}

/// When an admitted password was not compared after all, for want of a thread: it was no failure of the e-mail. A wait that
/// is due without it stays.
pub fn take_back(email: &mut Counter) {
    email.failures = email.failures.saturating_sub(1);
    if email.failures <= Counter::FREE_FAILURES {
        email.blocked_until = Counter::default().blocked_until;
    }
}

/// After a password was wrong: it counts for the address.
pub fn fail(address: &mut Counter, attempt: &Attempt) {
    let now = attempt.at;
    if now.since(address.since) >= Duration::from_secs(Counter::ADDRESS_WINDOW_SECONDS) {
        address.failures = 0;
        address.emails.clear();
        address.since = now;
        // A day of quiet after a block, and the next one starts small again.
        if now.since(address.blocked_until) >= Duration::from_secs(Counter::ADDRESS_MAX_BLOCK_SECONDS) {
            address.blocks = 0;
        }
    }
    address.failures += 1;
    let email = Sha256Digest::of(attempt.email.as_str().as_bytes());
    let email = email.as_bytes().first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk));
    if !address.emails.contains(&email) {
        address.emails.push(email);
    }
    if address.failures >= Counter::ADDRESS_FAILURES || address.emails.len() >= Counter::ADDRESS_EMAILS {
        let wait =
            Counter::ADDRESS_WINDOW_SECONDS.saturating_mul(1_u64.checked_shl(address.blocks).unwrap_or(u64::MAX));
        address.block(now, Duration::from_secs(wait.min(Counter::ADDRESS_MAX_BLOCK_SECONDS)));
        address.blocks = address.blocks.saturating_add(1);
        address.failures = 0;
        address.emails.clear();
    }
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::{Clock, testing::ManualClock};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// However somebody spreads their tries, the n-th that is compared comes no sooner than the waits before it add up to.
        #[test]
        fn no_rhythm_of_tries_gets_more_of_them_compared(waits in vec(prop_oneof![0..3_000_u64, 0..1_000_000_u64], 0..200)) {
            let (mut email, begun) = (Counter::default(), ManualClock::default().now());
            let (mut now, mut open_at, mut compared) = (begun, begun, 0_u32);
            for ms in waits {
                now = now.plus(Duration::from_millis(ms));
                match begin(&mut email, None, now) {
                    Admission::Admitted => {
                        prop_assert!(now >= open_at && compared < Counter::MAX_FAILURES);
                        compared += 1;
                        let wait = if compared <= 4 { 0 } else { (1_u64 << (compared - 5).min(10)).min(900) };
                        open_at = now.plus(Duration::from_secs(wait));
                    }
                    Admission::Refused { retry_after, .. } => {
                        let off = compared >= Counter::MAX_FAILURES;
                        prop_assert!(off || now < open_at);
                        let left = if off { Duration::from_secs(900) } else { open_at.since(now) };
                        prop_assert!(retry_after >= left && retry_after < left + SECOND, "rounded up to seconds");
                    }
                }
            }
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn wait(admission: Admission) -> Option<u64> {
        match admission {
            Admission::Admitted => None,
            Admission::Refused { retry_after, .. } => Some(retry_after.as_secs()),
        }
    }

    #[test]
    fn four_failures_are_free_and_then_each_doubles_the_wait_up_to_a_quarter_of_an_hour() {
        let (mut email, mut now) = (Counter::default(), ManualClock::default().now());
        for _ in 0..5 {
            assert_eq!(begin(&mut email, None, now), Admission::Admitted);
        }
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            assert_eq!(wait(begin(&mut email, None, now)), Some(expected));
            now = now.plus(SECOND * u32::try_from(expected).unwrap());
            assert_eq!(begin(&mut email, None, now), Admission::Admitted);
        }
    }

    #[test]
    fn only_the_first_refusal_of_a_wait_is_noted() {
        let (mut email, now) = (Counter { failures: 4, ..Counter::default() }, ManualClock::default().now());
        begin(&mut email, None, now);
        let first = |admission| matches!(admission, Admission::Refused { first: true, .. });
        assert!(first(begin(&mut email, None, now)));
        assert!(!first(begin(&mut email, None, now)));
        begin(&mut email, None, now.plus(SECOND));
        assert!(first(begin(&mut email, None, now.plus(SECOND))));
    }

    #[test]
    fn a_hundred_failures_in_a_row_turn_the_password_off() {
        let mut now = ManualClock::default().now();
        let mut email = Counter { failures: 99, ..Counter::default() };
        assert_eq!(begin(&mut email, None, now), Admission::Admitted);
        now = now.plus(SECOND * 60 * 60 * 24 * 365);
        assert_eq!(wait(begin(&mut email, None, now)), Some(900));
        assert_eq!(email.failures, 100, "a refusal is not a failure");
    }

    #[test]
    fn a_counter_may_be_forgotten_after_thirty_quiet_days_unless_it_keeps_a_password_off() {
        let (day, now) = (SECOND * 60 * 60 * 24, ManualClock::default().now());
        let mut email = Counter { failures: 98, ..Counter::default() };
        begin(&mut email, None, now);
        assert!(email.forget_at().is_some_and(|time| (now.plus(day * 30)..now.plus(day * 31)).contains(&time)));
        begin(&mut email, None, now.plus(day));
        assert_eq!(email.forget_at(), None);

        let (mut address, late) = (Counter::default(), now.plus(SECOND * 599));
        for at in [now, late] {
            fail(&mut address, &Attempt::new(&EmailAddress::parse("ada@example.org").unwrap(), None, at));
        }
        assert!(address.forget_at().is_some_and(|time| time >= late.plus(day * 30)));
    }

    #[test]
    fn what_was_not_compared_is_no_failure_and_shortens_no_wait_that_is_due() {
        let (mut email, now) = (Counter::default(), ManualClock::default().now());
        for _ in 0..1_000 {
            assert_eq!(begin(&mut email, None, now), Admission::Admitted);
            take_back(&mut email);
        }
        for _ in 0..5 {
            begin(&mut email, None, now);
        }
        begin(&mut email, None, now.plus(SECOND));
        take_back(&mut email);
        assert!(email.failures == 5 && email.blocked_until > now.plus(SECOND));
    }

    #[test]
    fn an_address_is_shut_after_twenty_failures_and_longer_each_time_up_to_a_day() {
        let (mut address, mut now) = (Counter::default(), ManualClock::default().now());
        let email = EmailAddress::parse("ada@example.org").unwrap();
        for minutes in [10, 20, 40, 80, 160, 320, 640, 1_280, 1_440, 1_440] {
            for _ in 0..20 {
                assert_eq!(begin(&mut Counter::default(), Some(&mut address), now), Admission::Admitted);
                fail(&mut address, &Attempt::new(&email, None, now));
            }
            assert_eq!(wait(begin(&mut Counter::default(), Some(&mut address), now)), Some(minutes * 60));
            now = address.blocked_until;
        }
        now = now.plus(SECOND * 60 * 60 * 24);
        fail(&mut address, &Attempt::new(&email, None, now));
        assert_eq!(address.blocks, 0);
    }

    #[test]
    fn an_address_is_shut_after_fifteen_accounts_and_not_by_slow_failures() {
        let (mut address, mut now) = (Counter::default(), ManualClock::default().now());
        for n in 0..15 {
            assert!(address.blocked_until <= now, "{n}");
            fail(&mut address, &Attempt::new(&EmailAddress::parse(&format!("a{n}@example.org")).unwrap(), None, now));
        }
        assert!(address.blocked_until > now);
        let mut slow = Counter::default();
        for n in 0..100 {
            fail(&mut slow, &Attempt::new(&EmailAddress::parse(&format!("a{n}@example.org")).unwrap(), None, now));
            now = now.plus(SECOND * 50);
            assert!(slow.blocked_until < now);
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_one_is_ipv4() {
        let key = |text: &str| CounterKey::address(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
