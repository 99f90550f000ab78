//! One test for each law of [`DiagnosisStore`]. Every adapter runs them all on an empty store:
//! `infirmary_diagnosis::diagnosis_store_laws!(make_house)`, where `make_house` is an async function that gives a [`House`].

#![allow(clippy::unwrap_used, reason = "a test may stop")]

pub use infirmary_kernel::testing::made;

use std::collections::HashSet;

use infirmary_kernel::{
    AccountId, Action, Claim, Fingerprint, IdempotencyKey, Limit, LongText, PageRequest, PatientId, Receipt, ShortText,
    StudyId, WriteError, Written,
    testing::{fresh_id, trail, trail_with_claim},
};

use super::{at, content, draft, signed};
use crate::{
    ChangedDiagnosis, Content, ContentChange, Diagnosis, DiagnosisFilter, DiagnosisStatus, DiagnosisStore,
    DiagnosisVersion, RecordedDiagnosis,
};

/// A store under test, and those it knows of: an adapter may insist that they exist.
pub struct House<S> {
    pub store: S,
    pub patients: [PatientId; 2],
    pub doctors: [AccountId; 2],
    /// A study of the first patient, by the first doctor, without a diagnosis. `None` where no study can be made without.
    pub study: Option<StudyId>,
    /// What has to live as long as the store.
    pub keep: Box<dyn std::any::Any + Send + Sync>,
}

impl<S> infirmary_kernel::testing::Made for House<S> {
    type Parts = Self;
    fn parts(self) -> Option<Self> {
        Some(self)
    }
}

#[macro_export]
macro_rules! diagnosis_store_laws {
    ($make:path) => {
        $crate::diagnosis_store_laws!(@each $make:
            a_recorded_diagnosis_is_found_to_the_last_code_point
            a_used_claim_gives_the_receipt_and_changes_nothing
            a_diagnosis_is_of_a_known_patient
            a_study_has_one_diagnosis
            every_version_is_kept_with_who_made_it_and_why
            versions_come_in_pages
            a_stale_change_changes_nothing
            a_filter_takes_what_it_says
            lists_are_newest_first_and_stable_under_equal_times_and_changes
            sixteen_confirmations_of_one_draft_make_one);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some(house) = $crate::testing::laws::made($make().await) else { return };
            $crate::testing::laws::$law(&house).await;
        })*
    };
}

async fn add(store: &impl DiagnosisStore, diagnosis: Diagnosis) -> Diagnosis {
    let recorded = RecordedDiagnosis { diagnosis: diagnosis.clone(), trail: trail(Action::DIAGNOSIS_RECORD) };
    assert_eq!(store.record(recorded).await.unwrap(), Written::Now);
    diagnosis
}

async fn change(store: &impl DiagnosisStore, diagnosis: Diagnosis) -> Result<Diagnosis, WriteError> {
    let changed = ChangedDiagnosis { diagnosis: diagnosis.clone(), trail: trail(Action::DIAGNOSIS_CHANGE) };
    store.change(changed).await.map(|_| diagnosis)
}

fn reason() -> ShortText {
    ShortText::parse("هەڵەی نووسین: $left → \"right\"").unwrap()
}

fn disease(text: &str) -> ContentChange {
    ContentChange { disease: ShortText::parse(text).ok(), ..ContentChange::default() }
}

pub async fn a_recorded_diagnosis_is_found_to_the_last_code_point<S: DiagnosisStore>(house: &House<S>) {
    let House { store, patients: [patient, _], doctors: [author, other], .. } = house;
    let longest = LongText::parse(&"\u{6d5}\n".repeat(10_000)).unwrap();
    let nasty = Content {
        disease: ShortText::parse("$where.{} \"x\" \\ %_ کەڕی").unwrap(),
        findings: longest.clone(),
        conditions: LongText::parse("").unwrap(),
    };
    let first = add(store, Diagnosis { content: nasty, ..draft(*patient, *author, "x") }).await;
    assert_eq!(store.find(first.id).await.unwrap().as_ref(), Some(&first));

    let confirmed = change(store, first.confirm(signed(*other, 5)).unwrap()).await.unwrap();
    assert_eq!(store.find(confirmed.id).await.unwrap().as_ref(), Some(&confirmed));
    let (amended, _) = confirmed.amend(disease("Fracture"), reason(), signed(*author, 6)).unwrap();
    let amended = change(store, amended).await.unwrap();
    assert_eq!(store.find(amended.id).await.unwrap().as_ref(), Some(&amended));
    let retracted = change(store, amended.retract(reason(), signed(*other, 7)).unwrap()).await.unwrap();
    assert_eq!(store.find(retracted.id).await.unwrap().as_ref(), Some(&retracted));

    assert_eq!(store.find(fresh_id()).await.unwrap(), None);
    assert_eq!(store.of_study(fresh_id()).await.unwrap(), None);
}

fn claim(account: AccountId, asked: &[u8], answer: &str) -> Claim {
    Claim {
        account,
        key: IdempotencyKey::parse("$key.of {the} ward").unwrap(),
        fingerprint: Fingerprint::of([asked]),
        receipt: Receipt::from_bytes(answer.as_bytes().to_vec()),
        at: at(0),
    }
}

pub async fn a_used_claim_gives_the_receipt_and_changes_nothing<S: DiagnosisStore>(house: &House<S>) {
    let House { store, patients: [patient, _], doctors: [author, other], .. } = house;
    let record = async |account, asked: &[u8], answer| {
        let trail = trail_with_claim(Action::DIAGNOSIS_RECORD, claim(account, asked, answer));
        store.record(RecordedDiagnosis { diagnosis: draft(*patient, *author, "Asthma"), trail }).await
    };
    assert_eq!(record(*author, b"a", "first").await.unwrap(), Written::Now);
    let first = Written::Before(Receipt::from_bytes(b"first".to_vec()));
    assert_eq!(record(*author, b"a", "second").await.unwrap(), first);
    assert!(matches!(record(*author, b"b", "third").await, Err(WriteError::KeyReused)));
    assert_eq!(record(*other, b"a", "fourth").await.unwrap(), Written::Now, "a key is the account's own");
    let all = store.list(&DiagnosisFilter::default(), &PageRequest::default()).await.unwrap().items;
    assert_eq!(all.len(), 2);

    let trail = trail_with_claim(Action::DIAGNOSIS_AMEND, claim(*author, b"a", "fifth"));
    let diagnosis = all[0].clone().confirm(signed(*author, 1)).unwrap();
    assert_eq!(store.change(ChangedDiagnosis { diagnosis, trail }).await.unwrap(), first);
    assert_eq!(store.find(all[0].id).await.unwrap().unwrap().version, 1);
}

pub async fn a_diagnosis_is_of_a_known_patient<S: DiagnosisStore>(house: &House<S>) {
    let House { store, patients: [_, known], doctors: [author, _], .. } = house;
    let unknown = draft(fresh_id(), *author, "Asthma");
    let attempt = RecordedDiagnosis { diagnosis: unknown.clone(), trail: trail(Action::DIAGNOSIS_RECORD) };
    let refused = store.record(attempt).await;
    assert!(matches!(refused, Err(WriteError::Conflict { law: Diagnosis::OF_A_KNOWN_PATIENT })), "{refused:?}");
    assert_eq!(store.find(unknown.id).await.unwrap(), None);
    assert!(store.versions(unknown.id, &PageRequest::default()).await.unwrap().items.is_empty());
    add(store, draft(*known, *author, "Asthma")).await;
}

pub async fn a_study_has_one_diagnosis<S: DiagnosisStore>(house: &House<S>) {
    let House { store, patients: [patient, _], doctors: [author, _], study, .. } = house;
    let Some(study) = *study else { return };
    let with = |disease| Diagnosis { study: Some(study), ..draft(*patient, *author, disease) };
    let first = add(store, with("Fracture")).await;
    let second = RecordedDiagnosis { diagnosis: with("Other"), trail: trail(Action::DIAGNOSIS_RECORD) };
    let refused = store.record(second).await;
    assert!(matches!(refused, Err(WriteError::Conflict { law: Diagnosis::ONE_FOR_A_STUDY })), "{refused:?}");
    assert_eq!(store.of_study(study).await.unwrap(), Some(first));
}

pub async fn every_version_is_kept_with_who_made_it_and_why<S: DiagnosisStore>(house: &House<S>) {
    let House { store, patients: [patient, _], doctors: [author, other], .. } = house;
    add(store, draft(*patient, *author, "Other")).await;
    let first = add(store, draft(*patient, *author, "Asthma")).await;
    let (second, _) = first.clone().change(disease("Bronchitis"), signed(*author, 10)).unwrap();
    let third = second.clone().confirm(signed(*other, 20)).unwrap();
    let (fourth, _) = third.clone().amend(disease("COPD"), reason(), signed(*author, 30)).unwrap();
    let fifth = fourth.clone().retract(reason(), signed(*other, 40)).unwrap();
    for next in [&second, &third, &fourth, &fifth] {
        change(store, next.clone()).await.unwrap();
    }
    let kept = store.versions(first.id, &PageRequest::default()).await.unwrap();
    assert_eq!(kept.items, [&fifth, &fourth, &third, &second, &first].map(Diagnosis::as_version));
    assert_eq!(kept.next, None);
    assert_eq!(kept.items[0].reason, Some(reason()));
    assert_eq!((kept.items[2].reason.clone(), kept.items[2].made), (None, signed(*other, 20)));
    assert_eq!(store.find(first.id).await.unwrap(), Some(fifth));
}

pub async fn versions_come_in_pages<S: DiagnosisStore>(house: &House<S>) {
    let House { store, patients: [patient, _], doctors: [author, _], .. } = house;
    let mut last = add(store, draft(*patient, *author, "1")).await;
    // More than nine, so that an order of text would show.
    for step in 2..=11 {
        let (next, _) = last.change(disease(&step.to_string()), signed(*author, step)).unwrap();
        last = change(store, next).await.unwrap();
    }
    let mut page = PageRequest { limit: Limit::new(4).unwrap(), after: None };
    let mut versions: Vec<DiagnosisVersion> = Vec::new();
    loop {
        let next = store.versions(last.id, &page).await.unwrap();
        versions.extend(next.items);
        // A version that is made meanwhile is newer than what is still to come.
        let (changed, _) = last.change(disease(&format!("later {}", versions.len())), signed(*author, 99)).unwrap();
        last = change(store, changed).await.unwrap();
        match next.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), (1..=11).rev().collect::<Vec<_>>());
}

pub async fn a_stale_change_changes_nothing<S: DiagnosisStore>(house: &House<S>) {
    let House { store, patients: [patient, _], doctors: [author, _], .. } = house;
    let first = add(store, draft(*patient, *author, "Asthma")).await;
    let second = change(store, first.clone().confirm(signed(*author, 1)).unwrap()).await.unwrap();
    for version in [1, 2, 4] {
        let stale = Diagnosis { version, content: content("Lost"), ..second.clone() };
        assert!(matches!(change(store, stale).await, Err(WriteError::Stale)), "{version}");
    }
    assert_eq!(store.find(first.id).await.unwrap(), Some(second));
    assert_eq!(store.versions(first.id, &PageRequest::default()).await.unwrap().items.len(), 2);
    let absent = Diagnosis { version: 2, ..draft(*patient, *author, "Nobody's") };
    assert!(matches!(change(store, absent).await, Err(WriteError::Stale)));
}

pub async fn a_filter_takes_what_it_says<S: DiagnosisStore>(house: &House<S>) {
    let House { store, patients: [ada, bob], doctors: [first, second], .. } = house;
    let recorded = |patient, author, ms| Diagnosis { recorded_at: at(ms), ..draft(patient, author, "Asthma") };
    let a = add(store, recorded(*ada, *first, 0)).await;
    let b = add(store, recorded(*ada, *second, 10)).await;
    let c = add(store, recorded(*bob, *first, 20)).await;
    let b = change(store, b.confirm(signed(*first, 30)).unwrap()).await.unwrap();
    let c = change(store, c.retract(reason(), signed(*first, 40)).unwrap()).await.unwrap();
    let any = DiagnosisFilter::default;
    let statuses = |statuses: &[DiagnosisStatus]| DiagnosisFilter { statuses: statuses.to_vec(), ..any() };
    let cases = [
        (any(), vec![&c, &b, &a]),
        (DiagnosisFilter { patient: Some(*ada), ..any() }, vec![&b, &a]),
        (DiagnosisFilter { author: Some(*first), ..any() }, vec![&c, &a]),
        (DiagnosisFilter { patient: Some(*bob), author: Some(*second), ..any() }, vec![]),
        (DiagnosisFilter { patient: Some(fresh_id()), ..any() }, vec![]),
        (statuses(&[DiagnosisStatus::Draft]), vec![&a]),
        (statuses(&[DiagnosisStatus::Confirmed, DiagnosisStatus::Amended]), vec![&b]),
        (statuses(&DiagnosisStatus::ALL), vec![&c, &b, &a]),
        (DiagnosisFilter { patient: Some(*bob), ..statuses(&[DiagnosisStatus::EnteredInError]) }, vec![&c]),
        (DiagnosisFilter { from: Some(at(10)), ..any() }, vec![&c, &b]),
        (DiagnosisFilter { to: Some(at(10)), ..any() }, vec![&a]),
        (DiagnosisFilter { patient: Some(*ada), from: Some(at(0)), to: Some(at(11)), ..any() }, vec![&b, &a]),
    ];
    for (filter, expected) in cases {
        let found = store.list(&filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

pub async fn lists_are_newest_first_and_stable_under_equal_times_and_changes<S: DiagnosisStore>(house: &House<S>) {
    let House { store, patients: [patient, _], doctors: [author, _], .. } = house;
    let mut expected = Vec::new();
    for ms in [0, 5, 5, 5, 2, 5] {
        let recorded = Diagnosis { recorded_at: at(ms), ..draft(*patient, *author, "Asthma") };
        let recorded = add(store, recorded).await;
        expected.push((recorded.recorded_at, recorded.id));
    }
    expected.sort();
    expected.reverse();
    let mut page = PageRequest { limit: Limit::new(2).unwrap(), after: None };
    let mut found = Vec::new();
    loop {
        let next = store.list(&DiagnosisFilter::default(), &page).await.unwrap();
        found.extend(next.items.iter().map(|diagnosis| (diagnosis.recorded_at, diagnosis.id)));
        // Confirmed and joined by a newer one between two pages: no reason to move.
        change(store, next.items[0].clone().confirm(signed(*author, 50)).unwrap()).await.unwrap();
        add(store, Diagnosis { recorded_at: at(100), ..draft(*patient, *author, "Later") }).await;
        match next.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, expected);
}

pub async fn sixteen_confirmations_of_one_draft_make_one<S: DiagnosisStore>(house: &House<S>) {
    let House { store, patients: [patient, _], doctors: [author, other], .. } = house;
    let first = add(store, draft(*patient, *author, "Asthma")).await;
    let attempts = (0..16).map(async |attempt| {
        let by = if attempt % 2 == 0 { *author } else { *other };
        change(store, first.clone().confirm(signed(by, attempt)).unwrap()).await
    });
    let attempts = futures_util::future::join_all(attempts).await;
    let made: Vec<_> = attempts.iter().filter_map(|attempt| attempt.as_ref().ok()).collect();
    assert_eq!(made.len(), 1);
    assert!(attempts.iter().all(|attempt| matches!(attempt, Ok(_) | Err(WriteError::Stale))));
    assert_eq!(store.find(first.id).await.unwrap().as_ref(), Some(made[0]));
    let versions = store.versions(first.id, &PageRequest::default()).await.unwrap().items;
    assert_eq!(versions.iter().map(|version| version.version).collect::<HashSet<_>>(), HashSet::from([1, 2]));
}
