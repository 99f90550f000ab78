//! What holds of every value, whatever it is.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{collections::BTreeSet, time::Duration};

use infirmary_kernel::{
    AccessError, BirthDate, Currency, Cursor, EmailAddress, FileName, Fingerprint, Id, IdempotencyKey, Limit, Link,
    LinkTarget, Money, MoneyError, NamePart, Page, PatientId, Permission, PersonName, PhoneNumber, Reach, Refused,
    Role, Sha256Digest, Subject, TaskCode, Timestamp, fold, search_words,
    testing::{TestGate, TestSigner, caller, fresh_id, patient_caller},
};
use proptest::{array, collection::vec, prelude::*, sample};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

fn pounds(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

/// Amounts near nothing, near the ends, and in between.
fn minor() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -3..3_i64, (0..3_i64).prop_map(|n| i64::MAX - n), (0..3_i64).prop_map(|n| i64::MIN + n)]
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800_000..=253_402_300_799_999_i64).prop_map(Timestamp::from_unix_ms)
}

/// Letters of the scripts that names here are written in, with and without marks, and anything at all.
fn text() -> impl Strategy<Value = String> {
    let letters = "abcXYZéÉüÜñßøđłıİأإآىيكةئێۆڕڵەھ٠١٩۰۹ \u{301}\u{308}\u{64e}\u{640}\u{200c}-'";
    let letters: Vec<char> = letters.chars().collect();
    prop_oneof![vec(sample::select(letters), 0..24).prop_map(|letters| letters.into_iter().collect()), any::<String>(),]
}

proptest! {
    #[test]
    fn sums_are_those_of_whole_numbers_or_refused(amounts in vec(minor(), 0..12)) {
        let exact = amounts.iter().try_fold(0_i64, |sum, amount| sum.checked_add(*amount));
        let sum = Money::sum(Currency::GBP, amounts.iter().copied().map(pounds));
        prop_assert_eq!(sum, exact.map(pounds).ok_or(MoneyError::Overflow));
    }

    #[test]
    fn what_is_added_can_be_taken_away(left in minor(), right in minor()) {
        if let Ok(sum) = pounds(left).checked_add(pounds(right)) {
            prop_assert_eq!(sum.checked_sub(pounds(right)), Ok(pounds(left)));
            prop_assert_eq!(pounds(right).checked_add(pounds(left)), Ok(sum));
        } else {
            prop_assert!(i128::from(left) + i128::from(right) != i128::from(left.wrapping_add(right)));
        }
    }

    #[test]
    fn an_amount_is_shown_to_the_last_digit(minor in minor(), code in sample::select(vec!["GBP", "IQD", "JPY"])) {
        let currency = Currency::parse(code).unwrap();
        let shown = Money::new(minor, currency).to_string();
        let (number, shown_code) = shown.split_once(' ').unwrap();
        prop_assert_eq!(shown_code, code);
        let digits: String = number.chars().filter(|c| *c != '.').collect();
        prop_assert_eq!(digits.parse::<i64>().unwrap(), minor);
        prop_assert_eq!(number.split_once('.').map_or(0, |(_, fraction)| fraction.len()), currency.minor_digits());
    }

    #[test]
    fn every_spelling_of_a_phone_is_one_number(
        digits in "[1-9][0-9]{7,14}",
        zeros in any::<bool>(),
        zero in sample::select(vec!['0', '٠', '۰']),
        marks in vec((any::<sample::Index>(), sample::select(" -.()/\u{a0}\u{200e}\u{202a}\u{2069}".chars().collect::<Vec<_>>())), 0..8),
    ) {
        let expected = PhoneNumber::parse(&format!("+{digits}")).unwrap();
        prop_assert_eq!(expected.digits(), digits.as_str());
        let in_script = |digit: char| char::from_u32(u32::from(zero) + digit.to_digit(10).unwrap()).unwrap();
        let prefix = if zeros { vec![zero, zero] } else { vec!['+'] };
        let mut spelling: Vec<char> = prefix.into_iter().chain(digits.chars().map(in_script)).collect();
        for (place, mark) in marks {
            spelling.insert(place.index(spelling.len() + 1), mark);
        }
        let spelling: String = spelling.into_iter().collect();
        prop_assert_eq!(PhoneNumber::parse(&spelling).unwrap(), expected, "{}", spelling);
    }

    #[test]
    fn a_phone_that_is_taken_is_e164_and_stays_as_it_is(text in prop_oneof![text(), "[+0-9 ()٠-٩-]{0,24}"]) {
        if let Ok(phone) = PhoneNumber::parse(&text) {
            let digits = phone.as_str().strip_prefix('+').unwrap();
            prop_assert!((8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0'));
            prop_assert_eq!(PhoneNumber::parse(phone.as_str()).unwrap(), phone);
        }
    }

    #[test]
    fn one_mailbox_is_one_address_in_any_case(local in "[a-zA-Z0-9][a-zA-Z0-9.+_-]{0,20}[a-zA-Z0-9]", domain in "[a-zA-Z]{1,10}\\.[a-zA-Z]{2,6}") {
        prop_assume!(!local.contains(".."));
        let spelled = format!(" {local}@{domain}\n");
        let address = EmailAddress::parse(&spelled).unwrap();
        prop_assert_eq!(EmailAddress::parse(&spelled.to_uppercase()).unwrap(), address.clone());
        prop_assert_eq!(address.as_str(), spelled.trim().to_lowercase());
    }

    #[test]
    fn a_name_has_one_form_however_it_was_typed(text in text()) {
        let spelled = |text: String| PersonName::parse(&text).ok();
        let form = spelled(text.clone());
        prop_assert_eq!(spelled(text.nfd().collect()), form.clone());
        if let Some(name) = form {
            prop_assert_eq!(PersonName::parse(name.as_str()).unwrap(), name);
        }
    }

    #[test]
    fn what_is_folded_stays_as_it_is(text in text()) {
        let folded = fold(&text);
        prop_assert_eq!(fold(&folded), folded.clone());
        prop_assert_eq!(fold(&text.nfd().collect::<String>()), folded.clone(), "decomposed");
        prop_assert_eq!(fold(&text.nfc().collect::<String>()), folded, "composed");
    }

    #[test]
    fn a_name_is_found_by_each_of_its_words_and_parts(text in text()) {
        let words = search_words(&text);
        prop_assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len(), "none of them twice");
        for word in &words {
            prop_assert_eq!(search_words(word), [word.as_str()]);
        }
        if let (Ok(name), Ok(part)) = (PersonName::parse(&text), NamePart::parse(&text)) {
            prop_assert!(part.is_in(&name));
        }
    }

    #[test]
    fn the_name_of_an_uploaded_file_is_no_path_and_hides_nothing(text in prop_oneof![text(), "[a-z./\\\\\u{202e}\u{0}]{0,40}"]) {
        if let Some(name) = FileName::of_upload(&text) {
            let strange = |c: char| c.is_control() || matches!(c, '/' | '\\' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            prop_assert!(!name.as_str().chars().any(strange));
            prop_assert_eq!(FileName::of_upload(name.as_str()), Some(name));
        }
    }

    #[test]
    fn a_task_code_is_in_capitals_and_one_in_any_case(code in "[a-zA-Z0-9][a-zA-Z0-9._-]{0,31}") {
        let parsed = TaskCode::parse(&code).unwrap();
        prop_assert_eq!(TaskCode::parse(&code.to_lowercase()).unwrap(), parsed.clone());
        prop_assert_eq!(parsed.as_str(), code.to_uppercase());
    }

    #[test]
    fn a_cursor_comes_back_as_it_was(sort_key in any::<String>(), id in any::<u128>()) {
        prop_assume!(sort_key.len() < 700);
        let cursor = Cursor { sort_key, id: Uuid::from_u128(id) };
        let encoded = cursor.encode();
        prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')), "needs no escape");
        prop_assert_eq!(Cursor::decode(&encoded).unwrap(), cursor);
    }

    #[test]
    fn a_cursor_has_one_spelling(text in "[A-Za-z0-9_=-]{0,80}") {
        if let Ok(cursor) = Cursor::decode(&text) {
            prop_assert_eq!(cursor.encode(), text);
        }
    }

    #[test]
    fn pages_hold_every_row_once_and_none_is_longer_than_asked(rows in vec((0..20_i64, any::<u64>()), 0..60), limit in 1..8_usize) {
        // A store's list: newest first, ties in the order of the id.
        let mut rows: Vec<(i64, Uuid)> = rows.into_iter().map(|(ms, id)| (ms, Uuid::from_u128(id.into()))).collect();
        rows.sort_by(|a, b| b.cmp(a));
        rows.dedup();
        let limit = Limit::new(limit).unwrap();
        let mut after = None;
        let mut seen = Vec::new();
        loop {
            let left = rows.iter().copied().filter(|row| after.is_none_or(|after| *row < after));
            let page = Page::of_rows(left.take(limit.get() + 1).collect(), limit, |(ms, id)| Cursor::at(Timestamp::from_unix_ms(*ms), *id));
            prop_assert!(page.items.len() <= limit.get());
            seen.extend(page.items);
            let Some(next) = page.next else { break };
            let next = Cursor::decode(&next.encode()).unwrap();
            after = Some((next.time().unwrap().unix_ms(), next.id));
        }
        prop_assert_eq!(seen, rows);
    }

    #[test]
    fn a_key_is_1_to_255_characters_that_can_be_seen(text in prop_oneof![any::<String>(), "[a-z\u{0}\n]{0,300}"]) {
        let good = (1..=255).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        prop_assert_eq!(IdempotencyKey::parse(&text).is_ok(), good);
    }

    #[test]
    fn two_requests_have_one_fingerprint_only_if_they_are_one(
        left in vec(vec(any::<u8>(), 0..4), 0..4),
        right in vec(vec(any::<u8>(), 0..4), 0..4),
        cut in any::<sample::Index>(),
    ) {
        let of = |parts: &[Vec<u8>]| Fingerprint::of(parts.iter().map(Vec::as_slice));
        prop_assert_eq!(of(&left) == of(&right), left == right);
        // The same bytes, parted elsewhere.
        let whole = left.concat();
        let (head, tail) = whole.split_at(cut.index(whole.len() + 1));
        let parted = vec![head.to_vec(), tail.to_vec()];
        prop_assert_eq!(of(&parted) == of(&left), parted == left);
    }

    #[test]
    fn a_time_is_written_in_one_way_and_read_in_any_zone(time in moment(), minutes in -14 * 60..=14 * 60_i32) {
        let written = time.to_string();
        prop_assert!(written.len() == 24 && written.ends_with('Z'));
        prop_assert_eq!(Timestamp::parse(&written).unwrap(), time);
        let zone = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
        let there = time.to_datetime().with_timezone(&zone).to_rfc3339();
        if let Ok(read) = Timestamp::parse(&there) {
            prop_assert_eq!(read, time, "{}", there);
        }
    }

    #[test]
    fn time_goes_on_and_stops_at_the_ends(time in moment(), ms in any::<u64>()) {
        let duration = Duration::from_millis(ms);
        let (later, earlier) = (time.plus(duration), time.minus(duration));
        prop_assert!(earlier <= time && time <= later);
        prop_assert!(later.since(time) <= duration && time.since(earlier) <= duration);
        prop_assert!(time.since(later).is_zero());
        let exact = i128::from(time.unix_ms()) + i128::from(ms);
        prop_assert_eq!(i128::from(later.unix_ms()), exact.min(253_402_300_799_999));
    }

    #[test]
    fn a_birth_date_is_a_day_of_the_calendar(year in 1840..2210_i32, month in 0..14_u32, day in 0..33_u32) {
        let text = format!("{year:04}-{month:02}-{day:02}");
        let real = chrono::NaiveDate::from_ymd_opt(year, month, day).is_some() && (1850..=2199).contains(&year);
        let parsed = BirthDate::parse(&text);
        prop_assert_eq!(parsed.is_ok(), real);
        prop_assert!(parsed.is_err() || parsed.unwrap().to_string() == text);
        prop_assert!(BirthDate::parse(&text.replace("-0", "- ")).is_err() || !text.contains("-0"), "a date has one spelling");
    }

    #[test]
    fn an_id_has_one_spelling_but_for_its_case(bits in any::<u128>()) {
        let id: PatientId = Id::from_uuid(Uuid::from_u128(bits));
        prop_assert_eq!(PatientId::parse(&id.to_string()).unwrap(), id);
        prop_assert_eq!(PatientId::parse(&id.to_string().to_uppercase()).unwrap(), id);
        for other in [id.as_uuid().simple().to_string(), id.as_uuid().urn().to_string(), format!("{{{id}}}")] {
            prop_assert!(PatientId::parse(&other).is_err(), "{}", other);
        }
    }

    #[test]
    fn a_digest_has_one_spelling(bytes in array::uniform32(any::<u8>())) {
        let digest = Sha256Digest::from_bytes(bytes);
        let text = digest.to_string();
        prop_assert_eq!(Sha256Digest::parse(&text).unwrap(), digest);
        prop_assert!(Sha256Digest::parse(&text.to_uppercase()).is_err() || text.to_uppercase() == text);
    }

    #[test]
    fn a_link_opens_one_object_for_five_minutes_and_not_one_bit_of_it_can_be_made_up(
        ms in 0..4_000_000_000_000_i64,
        later in 0..600_000_u64,
        report in any::<bool>(),
        place in any::<sample::Index>(),
        bit in 0..8,
    ) {
        let now = Timestamp::from_unix_ms(ms);
        let target = if report { LinkTarget::Report(fresh_id()) } else { LinkTarget::Image(fresh_id()) };
        let link = Link::new(target, fresh_id(), now);
        let token = link.sign(&TestSigner);
        let followed = Link::verify(&token, &TestSigner, now.plus(Duration::from_millis(later)));
        prop_assert_eq!(followed, (later < 300_000).then_some(link));
        let mut turned = token.into_bytes();
        let place = place.index(turned.len());
        turned[place] ^= 1_u8 << bit;
        let turned = String::from_utf8_lossy(&turned).into_owned();
        prop_assert_eq!(Link::verify(&turned, &TestSigner, now), None);
    }
}

#[test]
fn every_letter_is_folded_once() {
    for letter in '\0'..=char::MAX {
        let folded = fold(letter.encode_utf8(&mut [0; 4]));
        assert_eq!(fold(&folded), folded, "{letter:?}");
    }
}

/// Told once more, in the plainest way: what each role may and how far, of the table of the API's documentation.
fn may(role: Role, permission: Permission) -> Option<Reach> {
    use Permission as P;
    match (role, permission) {
        (_, P::OwnAccount) => Some(Reach::Own),
        (_, P::ReadTasks) => Some(Reach::All),
        (Role::Admin, P::WriteStudies | P::IssueReports | P::ReadOwnAccessLog | P::UseEmergencyAccess) => None,
        (Role::Admin, _) => Some(Reach::All),
        (Role::Doctor, P::ReadCharges) => Some(Reach::Own),
        (Role::Doctor, P::FindPatients | P::ReadPatient | P::RegisterPatient | P::ChangePatient) => Some(Reach::All),
        (Role::Doctor, P::ReadStudies | P::WriteStudies | P::ReadReports | P::IssueReports) => Some(Reach::All),
        (Role::Doctor, P::ReadCareTeam | P::UseEmergencyAccess) => Some(Reach::All),
        (Role::Accountant, P::FindPatients | P::ReadPatient) => Some(Reach::Billing),
        (Role::Accountant, P::WriteTasks | P::ReadCharges | P::ReadPayments | P::ReadSummary | P::WriteFinancials) => {
            Some(Reach::All)
        }
        (Role::Patient, P::ReadOwnAccessLog | P::ReadPatient | P::ChangePatient | P::ReadCareTeam) => Some(Reach::Own),
        (Role::Patient, P::ReadStudies | P::ReadReports | P::ReadCharges | P::ReadPayments) => Some(Reach::Own),
        _ => None,
    }
}

proptest! {
    #[test]
    fn the_gate_lets_in_whom_the_table_does_and_no_further(
        role in sample::select(Role::ALL.to_vec()),
        permission in sample::select(Permission::ALL.to_vec()),
        own in any::<bool>(),
        must_enrol in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (house, record) = (TestGate::default(), fresh_id());
        let mut who = if own { patient_caller(record) } else { caller(Role::Patient) };
        (who.role, who.must_enrol) = (role, must_enrol);
        let told = may(role, permission);
        prop_assert_eq!(permission.reach(role), told);

        let enrolled = !must_enrol || permission == Permission::OwnAccount;
        let admitted = runtime.block_on(house.gate.admit(&who, permission, Subject::all("test")));
        prop_assert_eq!(admitted.ok(), told.filter(|_| enrolled));
        let admitted = runtime.block_on(house.gate.admit_to(&who, permission, record, Subject::patient(record)));
        let expected = told.filter(|reach| enrolled && (own || *reach != Reach::Own));
        let hidden = matches!(admitted, Err(AccessError::Refused(Refused::Hidden)));
        prop_assert_eq!(hidden, enrolled && told == Some(Reach::Own) && !own, "it does not exist for them");
        prop_assert_eq!(admitted.ok(), expected);
        let refusals = usize::from(told.is_none() || !enrolled) + usize::from(expected.is_none());
        prop_assert_eq!(house.journal.events().len(), refusals, "each refusal is in the trail");
    }
}
