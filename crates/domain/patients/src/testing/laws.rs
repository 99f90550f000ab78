//! One test for each law of [`PatientStore`]. Every adapter runs them all on an empty store:
//! `infirmary_patients::patient_store_laws!(make_store)`, where `make_store` is an async function that gives a store and
//! whatever has to live as long as it does.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

pub use infirmary_kernel::testing::made;

use std::collections::HashSet;

use infirmary_kernel::{
    Action, Claim, Fingerprint, IdempotencyKey, Limit, NamePart, Page, PageRequest, Receipt, Timestamp, WriteError,
    Written,
    testing::{fresh_id, trail, trail_with_claim},
};

use super::patient;
use crate::{ChangedPatient, Patient, PatientStore, RegisteredPatient, SearchTerms};

#[macro_export]
macro_rules! patient_store_laws {
    ($make:path) => {
        $crate::patient_store_laws!(@each $make:
            a_registered_patient_is_found_to_the_last_code_point
            a_used_claim_gives_the_receipt_and_adds_nothing
            one_record_number_is_one_patient
            one_account_is_one_patient
            record_numbers_are_never_given_twice
            a_stale_change_changes_nothing
            a_changed_name_is_found_and_the_old_one_is_not
            search_finds_by_the_beginning_of_any_word_in_any_script
            search_pages_give_each_patient_once_under_inserts
            lists_are_newest_first_and_stable_under_equal_times
            a_part_of_a_name_finds_who_has_it_oldest_first
            a_patient_is_found_by_their_record_number
            candidates_share_a_phone_or_name_and_birth_date
            sixteen_registrations_with_one_key_make_one_patient);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((store, _keep)) = $crate::testing::laws::made($make().await) else { return };
            $crate::testing::laws::$law(&store).await;
        })*
    };
}

async fn register(store: &impl PatientStore, name: &str) -> Patient {
    let patient = patient(name, store.next_mrn().await.unwrap());
    add(store, patient).await
}

async fn add(store: &impl PatientStore, patient: Patient) -> Patient {
    let registered = RegisteredPatient { patient: patient.clone(), trail: trail(Action::PATIENT_REGISTER) };
    assert_eq!(store.register(registered).await.unwrap(), Written::Now);
    patient
}

async fn search(store: &impl PatientStore, text: &str) -> Vec<String> {
    let page = PageRequest { limit: Limit::new(200).unwrap(), after: None };
    let found = store.search(&SearchTerms::parse(text).unwrap(), None, &page).await.unwrap();
    found.items.iter().map(|patient| patient.name.as_str().to_owned()).collect()
}

pub async fn a_registered_patient_is_found_to_the_last_code_point(store: &impl PatientStore) {
    let longest = "\u{6d5}".repeat(200);
    for name in ["Ada Lovelace", "أحمد علي", "ڕێبین ئازاد", "$where.{} \"x\" \\ %_", &longest] {
        let mut new = patient(name, store.next_mrn().await.unwrap());
        new.address = Some("1 High Street\nErbil, هەولێر".to_owned().try_into().unwrap());
        new.email = Some("ada@example.org".parse().unwrap());
        new.sex = Some("female".parse().unwrap());
        new.account = Some(fresh_id());
        let new = add(store, new).await;
        assert_eq!(store.find(new.id).await.unwrap().as_ref(), Some(&new));
    }
    let bare = Patient { birth_date: None, phone: None, ..patient("Bare", store.next_mrn().await.unwrap()) };
    let bare = add(store, bare).await;
    assert_eq!(store.find(bare.id).await.unwrap(), Some(bare));
    assert_eq!(store.find(fresh_id()).await.unwrap(), None);
}

fn claim(account: infirmary_kernel::AccountId, asked: &[u8], answer: &str) -> Claim {
    Claim {
        account,
        key: IdempotencyKey::parse("$key.of {the} desk").unwrap(),
        fingerprint: Fingerprint::of([asked]),
        receipt: Receipt::from_bytes(answer.as_bytes().to_vec()),
        at: Timestamp::from_unix_ms(1_772_355_600_000),
    }
}

pub async fn a_used_claim_gives_the_receipt_and_adds_nothing(store: &impl PatientStore) {
    let account = fresh_id();
    let attempt = async |account, name: &str, asked: &[u8], answer: &str| {
        let patient = patient(name, store.next_mrn().await.unwrap());
        let trail = trail_with_claim(Action::PATIENT_REGISTER, claim(account, asked, answer));
        store.register(RegisteredPatient { patient, trail }).await
    };
    assert_eq!(attempt(account, "Ada", b"ada", "first").await.unwrap(), Written::Now);
    let again = attempt(account, "Ada", b"ada", "second").await.unwrap();
    assert_eq!(again, Written::Before(Receipt::from_bytes(b"first".to_vec())));
    assert!(matches!(attempt(account, "Bob", b"bob", "third").await, Err(WriteError::KeyReused)));
    assert_eq!(attempt(fresh_id(), "Eve", b"eve", "fourth").await.unwrap(), Written::Now, "a key is the account's own");
    let all = store.list(None, &PageRequest::default()).await.unwrap();
    assert_eq!(all.items.len(), 2);
}

pub async fn one_record_number_is_one_patient(store: &impl PatientStore) {
    let first = register(store, "Ada").await;
    let second = RegisteredPatient { patient: patient("Bob", first.mrn), trail: trail(Action::PATIENT_REGISTER) };
    assert!(matches!(store.register(second).await, Err(WriteError::Conflict { law: "mrn" })));
    assert_eq!(search(store, "bob").await, Vec::<String>::new(), "a refused member leaves nothing of the rest");
}

pub async fn one_account_is_one_patient(store: &impl PatientStore) {
    let account = Some(fresh_id());
    let first = Patient { account, ..patient("Ada", store.next_mrn().await.unwrap()) };
    add(store, first).await;
    let second = Patient { account, ..patient("Bob", store.next_mrn().await.unwrap()) };
    let second = RegisteredPatient { patient: second, trail: trail(Action::PATIENT_REGISTER) };
    assert!(matches!(store.register(second).await, Err(WriteError::Conflict { law: "account" })));
}

pub async fn record_numbers_are_never_given_twice(store: &impl PatientStore) {
    let numbers = futures_util::future::join_all((0..64).map(|_| store.next_mrn())).await;
    let distinct: HashSet<_> = numbers.into_iter().map(|number| number.unwrap()).collect();
    assert_eq!(distinct.len(), 64);
}

pub async fn a_stale_change_changes_nothing(store: &impl PatientStore) {
    let first = register(store, "Ada").await;
    let change = |name: &str, version| {
        let patient = Patient { version, ..patient(name, first.mrn) };
        ChangedPatient { patient: Patient { id: first.id, ..patient }, trail: trail(Action::PATIENT_CHANGE) }
    };
    store.change(change("Ada King", 2)).await.unwrap();
    for version in [1, 2, 4] {
        assert!(matches!(store.change(change("Ada Lost", version)).await, Err(WriteError::Stale)), "{version}");
    }
    let found = store.find(first.id).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.version), ("Ada King", 2));
    let absent = ChangedPatient { patient: patient("Nobody", first.mrn), trail: trail(Action::PATIENT_CHANGE) };
    assert!(matches!(store.change(absent).await, Err(WriteError::Stale)));
}

pub async fn a_changed_name_is_found_and_the_old_one_is_not(store: &impl PatientStore) {
    let first = register(store, "Ada Byron").await;
    let renamed = Patient { name: patient("Ada King", first.mrn).name, version: 2, ..first };
    store.change(ChangedPatient { patient: renamed, trail: trail(Action::PATIENT_CHANGE) }).await.unwrap();
    assert_eq!(search(store, "king").await, ["Ada King"]);
    assert_eq!(search(store, "byron").await, Vec::<String>::new());
}

pub async fn search_finds_by_the_beginning_of_any_word_in_any_script(store: &impl PatientStore) {
    let muller = register(store, "José Müller-López").await;
    register(store, "أَحْمَد علي").await;
    register(store, "ڕێبین ئازاد").await;
    let percent = Patient { phone: None, ..patient("100% Proof_ Proofer", store.next_mrn().await.unwrap()) };
    add(store, percent).await;
    for typed in ["jose", "JOSÉ", "mul", "müller", "lopez jo", "jo mu lo"] {
        assert_eq!(search(store, typed).await, ["José Müller-López"], "{typed}");
    }
    for typed in ["احمد", "أحمد", "على", "علي اح"] {
        assert_eq!(search(store, typed).await, ["أَحْمَد علي"], "{typed}");
    }
    assert_eq!(search(store, "ئازاد ری").await, ["ڕێبین ئازاد"]);
    assert_eq!(search(store, "proof").await, ["100% Proof_ Proofer"], "two words that match are one patient");
    assert_eq!(search(store, "100%").await, ["100% Proof_ Proofer"]);
    assert_eq!(search(store, &muller.mrn.to_string()).await, ["José Müller-López"]);
    assert_eq!(search(store, "0750 123").await.len(), 3);
    assert_eq!(search(store, "+964 (750) 1234567").await.len(), 3);
    for typed in ["ller", "joseph", "jo ahmad", "%", "_"].into_iter().filter(|typed| SearchTerms::parse(typed).is_ok())
    {
        assert_eq!(search(store, typed).await, Vec::<String>::new(), "{typed}");
    }
}

/// Follows the cursors to the end; `between` runs after each page.
async fn walk<S: PatientStore>(
    store: &S,
    fetch: impl AsyncFn(&S, &PageRequest) -> Page<Patient>,
    between: impl AsyncFn(&S),
) -> Vec<Patient> {
    let mut request = PageRequest { limit: Limit::new(2).unwrap(), after: None };
    let mut all = Vec::new();
    loop {
        let page = fetch(store, &request).await;
        all.extend(page.items);
        between(store).await;
        match page.next {
            Some(next) => request.after = Some(next),
            None => return all,
        }
    }
}

fn distinct(patients: &[Patient]) -> usize {
    patients.iter().map(|patient| patient.id).collect::<HashSet<_>>().len()
}

pub async fn search_pages_give_each_patient_once_under_inserts(store: &impl PatientStore) {
    for name in ["Sam Samson", "Samira", "Sami Sample", "Samson", "Samuel", "Sam", "Sammy"] {
        register(store, name).await;
    }
    let terms = SearchTerms::parse("sam").unwrap();
    let found = walk(
        store,
        async |store, page| store.search(&terms, None, page).await.unwrap(),
        async |store| {
            register(store, "Sa").await;
        },
    )
    .await;
    assert_eq!(found.len(), 7);
    assert_eq!(distinct(&found), 7);
    let first_words: Vec<_> = found.iter().map(|patient| patient.name.as_str()).collect();
    assert_eq!(&first_words[2..6], ["Sami Sample", "Samira", "Sammy", "Samson"], "in the order of the matching word");
}

pub async fn lists_are_newest_first_and_stable_under_equal_times(store: &impl PatientStore) {
    let mut expected = Vec::new();
    for name in ["A", "B", "C", "D", "E"] {
        expected.insert(0, register(store, name).await.id);
    }
    let all = walk(
        store,
        async |store, page| store.list(None, page).await.unwrap(),
        async |store| {
            register(store, "Later").await;
        },
    )
    .await;
    let listed: Vec<_> = all.iter().map(|patient| patient.id).collect();
    assert_eq!(listed, expected, "what came after the first page does not disturb the others");
}

pub async fn a_part_of_a_name_finds_who_has_it_oldest_first(store: &impl PatientStore) {
    for name in ["José Müller-López", "Ada Lovelace", "Bob 100% King", "أحمد علي"] {
        register(store, name).await;
    }
    let named = async |part: &str, most| {
        let found = store.named(&NamePart::parse(part).unwrap(), None, most).await.unwrap();
        found.into_iter().map(|patient| patient.name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(named("LOV", 10).await, ["Ada Lovelace"]);
    assert_eq!(named("ller-l", 10).await, ["José Müller-López"]);
    assert_eq!(named("0% k", 10).await, ["Bob 100% King"]);
    assert_eq!(named("حمد", 10).await, ["أحمد علي"]);
    assert_eq!(named("o", 10).await, ["José Müller-López", "Ada Lovelace", "Bob 100% King"]);
    assert_eq!(named("o", 2).await, ["José Müller-López", "Ada Lovelace"]);
    for nobody in ["%", "_", ".*", "zz"] {
        let expected: &[&str] = if nobody == "%" { &["Bob 100% King"] } else { &[] };
        assert_eq!(named(nobody, 10).await, expected, "{nobody}");
    }
}

pub async fn a_patient_is_found_by_their_record_number(store: &impl PatientStore) {
    let (ada, bob) = (register(store, "Ada").await, register(store, "Bob").await);
    assert_eq!(store.by_mrn(ada.mrn).await.unwrap(), Some(ada));
    assert_eq!(store.by_mrn(bob.mrn).await.unwrap(), Some(bob));
    assert_eq!(store.by_mrn(store.next_mrn().await.unwrap()).await.unwrap(), None);
}

pub async fn candidates_share_a_phone_or_name_and_birth_date(store: &impl PatientStore) {
    let known = register(store, "Zoë Ümit").await;
    let other = Patient { phone: None, birth_date: None, ..patient("Zoë Ümit", store.next_mrn().await.unwrap()) };
    add(store, other.clone()).await;
    let look = |name: &str, phone: Option<&str>, birth: Option<&str>| Patient {
        phone: phone.map(|phone| phone.parse().unwrap()),
        birth_date: birth.map(|birth| birth.parse().unwrap()),
        ..patient(name, known.mrn)
    };
    let ids = async |patient: Patient| -> Vec<_> {
        store.candidates(&patient, None).await.unwrap().iter().map(|candidate| candidate.id).collect()
    };
    assert_eq!(ids(look("Somebody", Some("00964 750 1234567"), None)).await, [known.id]);
    assert_eq!(ids(look("ZOE UMIT", None, Some("1984-02-29"))).await, [known.id]);
    assert_eq!(ids(look("Zoë Ümit", None, Some("1984-03-01"))).await, []);
    assert_eq!(ids(look("Zoë Ümit", None, None)).await, []);
}

pub async fn sixteen_registrations_with_one_key_make_one_patient(store: &impl PatientStore) {
    let account = fresh_id();
    let attempts = futures_util::future::join_all((0..16).map(async |attempt| {
        let patient = patient("Ada", store.next_mrn().await.unwrap());
        let trail = trail_with_claim(Action::PATIENT_REGISTER, claim(account, b"ada", &attempt.to_string()));
        store.register(RegisteredPatient { patient, trail }).await.unwrap()
    }))
    .await;
    assert_eq!(attempts.iter().filter(|written| **written == Written::Now).count(), 1);
    let receipts: HashSet<_> = attempts
        .iter()
        .filter_map(|written| match written {
            Written::Before(receipt) => Some(receipt.as_bytes().to_vec()),
            Written::Now => None,
        })
        .collect();
    assert_eq!(receipts.len(), 1, "all were told the same");
    assert_eq!(store.list(None, &PageRequest::default()).await.unwrap().items.len(), 1);
}
