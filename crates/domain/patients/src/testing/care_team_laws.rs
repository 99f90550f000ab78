//! One test for each law of [`CareTeamStore`], and of what follows of it: [`Confidentiality`], and what [`PatientStore`] gives
//! to a reader. `infirmary_patients::care_team_laws!(make_store)`, as `patient_store_laws!`.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

pub use infirmary_kernel::testing::made;

use std::time::Duration;

use infirmary_kernel::{
    AccountId, Action, Claim, Clock, Confidentiality, Fingerprint, IdempotencyKey, Limit, NamePart, PageRequest,
    PatientId, Receipt, SessionId, Standing, Timestamp, WriteError, Written,
    testing::{ManualClock, fresh_id, trail, trail_with_claim},
};

use super::patient;
use crate::{
    AddedMember, CareTeamMember, CareTeamStore, ChangedPatient, EmergencyAccess, EmergencyReason, Patient,
    PatientStore, RegisteredPatient, RemovedMember, SearchTerms, StartedEmergencyAccess,
};

#[macro_export]
macro_rules! care_team_laws {
    ($make:path) => {
        $crate::care_team_laws!(@each $make:
            who_is_added_comes_to_the_record_until_they_are_removed
            a_member_is_added_once_and_removed_once
            a_team_is_in_the_order_in_which_it_came_together
            of_many_who_come_at_once_a_team_takes_as_many_as_it_may_have
            a_record_that_is_not_restricted_is_open
            emergency_access_is_of_one_session_and_one_patient_and_over_at_its_end
            a_lifted_restriction_ends_emergency_access_for_good
            emergency_access_under_one_claim_begins_once
            emergency_accesses_are_listed_newest_first_with_what_was_given
            nobody_is_of_the_team_of_a_patient_whom_there_is_not
            a_restricted_patient_is_given_to_readers_of_the_care_team_and_to_no_other
            pages_for_a_reader_are_full_and_give_each_patient_once);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((store, _keep)) = $crate::testing::care_team_laws::made($make().await) else { return };
            $crate::testing::care_team_laws::$law(&store).await;
        })*
    };
}

/// The store of a registry.
pub trait Registry: PatientStore + CareTeamStore + Confidentiality {}
impl<S: PatientStore + CareTeamStore + Confidentiality> Registry for S {}

fn at(minutes: u64) -> Timestamp {
    ManualClock::default().now().plus(Duration::from_secs(minutes * 60))
}

async fn register(store: &impl Registry, name: &str) -> Patient {
    let patient = patient(name, store.next_mrn().await.unwrap());
    let registered = RegisteredPatient { patient: patient.clone(), trail: trail(Action::PATIENT_REGISTER) };
    store.register(registered).await.unwrap();
    patient
}

async fn label(store: &impl Registry, patient: Patient, restricted: bool) -> Patient {
    let patient = Patient { restricted, version: patient.version + 1, ..patient };
    let mut trail = trail(Action::PATIENT_CHANGE);
    trail.event.at = at(10);
    store.change(ChangedPatient { patient: patient.clone(), trail }).await.unwrap();
    patient
}

async fn restricted(store: &impl Registry, name: &str) -> Patient {
    let patient = register(store, name).await;
    label(store, patient, true).await
}

async fn add(store: &impl Registry, patient: PatientId, account: AccountId, minutes: u64) -> Result<bool, WriteError> {
    let member = CareTeamMember { patient, account, added_at: at(minutes), added_by: fresh_id() };
    store.add(AddedMember { member, trail: trail(Action::CARE_TEAM_ADD) }).await
}

async fn remove(store: &impl Registry, patient: PatientId, account: AccountId) -> Result<(), WriteError> {
    store.remove(RemovedMember { patient, account, trail: trail(Action::CARE_TEAM_REMOVE) }).await
}

fn emergency(patient: PatientId, session: SessionId, minutes: u64) -> EmergencyAccess {
    EmergencyAccess {
        id: fresh_id(),
        patient,
        account: fresh_id(),
        session,
        reason: EmergencyReason::PatientSafety,
        note: "بێهۆشە; which allergies? $x".to_owned().try_into().unwrap(),
        started_at: at(minutes),
        ends_at: EmergencyAccess::end_of(at(minutes)),
    }
}

async fn start(store: &impl Registry, access: &EmergencyAccess) {
    let started = StartedEmergencyAccess { access: access.clone(), trail: trail(Action::EMERGENCY_ACCESS_START) };
    assert_eq!(store.start_emergency_access(started).await.unwrap(), Written::Now);
}

async fn standing(store: &impl Registry, patient: PatientId, account: AccountId) -> Standing {
    store.standing(patient, account, fresh_id(), at(0)).await.unwrap()
}

pub async fn who_is_added_comes_to_the_record_until_they_are_removed(store: &impl Registry) {
    let (ada, bob) = (restricted(store, "Ada").await.id, restricted(store, "Bob").await.id);
    let (doctor, other) = (fresh_id(), fresh_id());
    assert_eq!(standing(store, ada, doctor).await, Standing::Outside);
    assert!(add(store, ada, doctor, 0).await.unwrap());
    assert_eq!(standing(store, ada, doctor).await, Standing::CareTeam);
    assert_eq!(standing(store, bob, doctor).await, Standing::Outside, "of another patient");
    assert_eq!(standing(store, ada, other).await, Standing::Outside, "another account");
    remove(store, ada, doctor).await.unwrap();
    assert_eq!(standing(store, ada, doctor).await, Standing::Outside);
}

pub async fn a_member_is_added_once_and_removed_once(store: &impl Registry) {
    let (ada, doctor) = (register(store, "Ada").await.id, fresh_id());
    assert!(add(store, ada, doctor, 0).await.unwrap());
    assert!(!add(store, ada, doctor, 5).await.unwrap());
    let team = store.members(ada).await.unwrap();
    assert_eq!((team.len(), team[0].added_at), (1, at(0)), "nothing has changed by it");
    assert!(matches!(remove(store, ada, fresh_id()).await, Err(WriteError::Stale)));
    remove(store, ada, doctor).await.unwrap();
    assert!(matches!(remove(store, ada, doctor).await, Err(WriteError::Stale)));
    assert_eq!(store.members(ada).await.unwrap(), []);
    assert!(add(store, ada, doctor, 7).await.unwrap(), "they may come again");
}

pub async fn a_team_is_in_the_order_in_which_it_came_together(store: &impl Registry) {
    let (ada, bob) = (register(store, "Ada").await.id, register(store, "Bob").await.id);
    let doctors: [AccountId; 4] = std::array::from_fn(|_| fresh_id());
    for (doctor, minutes) in doctors.iter().zip([5, 3, 3, 9]) {
        add(store, ada, *doctor, minutes).await.unwrap();
    }
    add(store, bob, doctors[0], 0).await.unwrap();
    let team: Vec<_> = store.members(ada).await.unwrap().iter().map(|member| member.account).collect();
    assert_eq!(team, [doctors[1], doctors[2], doctors[0], doctors[3]]);
}

pub async fn of_many_who_come_at_once_a_team_takes_as_many_as_it_may_have(store: &impl Registry) {
    let ada = register(store, "Ada").await.id;
    for _ in 0..CareTeamMember::MAX_PER_PATIENT - 3 {
        add(store, ada, fresh_id(), 0).await.unwrap();
    }
    let answers = futures_util::future::join_all((0..16).map(|_| add(store, ada, fresh_id(), 1))).await;
    let full = |answer: &&Result<bool, _>| matches!(answer, Err(WriteError::Conflict { law: CareTeamMember::FULL }));
    assert_eq!(answers.iter().filter(full).count(), 13, "{answers:?}");
    assert_eq!(store.members(ada).await.unwrap().len(), CareTeamMember::MAX_PER_PATIENT);
}

pub async fn a_record_that_is_not_restricted_is_open(store: &impl Registry) {
    let (ada, doctor) = (register(store, "Ada").await, fresh_id());
    assert_eq!(standing(store, ada.id, doctor).await, Standing::Open);
    add(store, ada.id, doctor, 0).await.unwrap();
    assert_eq!(standing(store, ada.id, doctor).await, Standing::Open);
    assert_eq!(standing(store, fresh_id(), doctor).await, Standing::NoRecord);
    let closed = label(store, ada, true).await;
    assert!(PatientStore::find(store, closed.id).await.unwrap().unwrap().restricted);
    assert_eq!(standing(store, closed.id, fresh_id()).await, Standing::Outside);
    let opened = label(store, closed, false).await;
    assert!(!PatientStore::find(store, opened.id).await.unwrap().unwrap().restricted);
    assert_eq!(standing(store, opened.id, fresh_id()).await, Standing::Open);
}

pub async fn emergency_access_is_of_one_session_and_one_patient_and_over_at_its_end(store: &impl Registry) {
    let (ada, bob) = (restricted(store, "Ada").await.id, restricted(store, "Bob").await.id);
    let access = emergency(ada, fresh_id(), 20);
    start(store, &access).await;
    let standing_at =
        async |patient, session, minutes| store.standing(patient, access.account, session, at(minutes)).await.unwrap();
    for minutes in [20, 50, 79] {
        assert_eq!(standing_at(ada, access.session, minutes).await, Standing::EmergencyAccess, "{minutes}");
    }
    assert_eq!(standing_at(ada, access.session, 80).await, Standing::Outside);
    assert_eq!(standing_at(bob, access.session, 21).await, Standing::Outside);
    assert_eq!(standing_at(ada, fresh_id(), 21).await, Standing::Outside, "another session of the same account");
    add(store, ada, access.account, 0).await.unwrap();
    assert_eq!(standing_at(ada, access.session, 21).await, Standing::CareTeam);
}

pub async fn a_lifted_restriction_ends_emergency_access_for_good(store: &impl Registry) {
    let (ada, bob) = (restricted(store, "Ada").await, restricted(store, "Bob").await.id);
    let session = fresh_id();
    let (of_ada, of_bob) = (emergency(ada.id, session, 5), emergency(bob, session, 5));
    start(store, &of_ada).await;
    start(store, &of_bob).await;
    let opened = label(store, ada, false).await;
    let again = label(store, opened, true).await;
    let standing = async |patient| store.standing(patient, of_ada.account, session, at(15)).await.unwrap();
    assert_eq!(standing(again.id).await, Standing::Outside);
    assert_eq!(standing(bob).await, Standing::EmergencyAccess, "another patient's goes on");
    let kept = store.emergency_accesses(again.id, &PageRequest::default()).await.unwrap().items;
    assert_eq!(kept, [EmergencyAccess { ends_at: at(10), ..of_ada }]);
}

pub async fn emergency_access_under_one_claim_begins_once(store: &impl Registry) {
    let (ada, account) = (restricted(store, "Ada").await.id, fresh_id());
    let attempt = async |fingerprint: &[u8], receipt: &str| {
        let claim = Claim {
            account,
            key: IdempotencyKey::parse("glass.$1").unwrap(),
            fingerprint: Fingerprint::of([fingerprint]),
            receipt: Receipt::from_bytes(receipt.as_bytes().to_vec()),
            at: at(0),
        };
        let trail = trail_with_claim(Action::EMERGENCY_ACCESS_START, claim);
        store.start_emergency_access(StartedEmergencyAccess { access: emergency(ada, fresh_id(), 0), trail }).await
    };
    assert_eq!(attempt(b"a", "first").await.unwrap(), Written::Now);
    let before = Written::Before(Receipt::from_bytes(b"first".to_vec()));
    assert_eq!(attempt(b"a", "second").await.unwrap(), before);
    assert!(matches!(attempt(b"b", "third").await, Err(WriteError::KeyReused)));
    assert_eq!(store.emergency_accesses(ada, &PageRequest::default()).await.unwrap().items.len(), 1);
}

pub async fn emergency_accesses_are_listed_newest_first_with_what_was_given(store: &impl Registry) {
    let (ada, bob) = (restricted(store, "Ada").await.id, restricted(store, "Bob").await.id);
    let mut expected = Vec::new();
    for (minutes, reason) in [0, 7, 7, 9, 9].into_iter().zip(EmergencyReason::ALL.into_iter().cycle()) {
        let access = EmergencyAccess { reason, ..emergency(ada, fresh_id(), minutes) };
        start(store, &access).await;
        expected.insert(0, access);
    }
    start(store, &emergency(bob, fresh_id(), 1)).await;
    let (mut found, mut page) = (Vec::new(), PageRequest { limit: Limit::new(2).unwrap(), after: None });
    loop {
        let part = store.emergency_accesses(ada, &page).await.unwrap();
        found.extend(part.items);
        start(store, &emergency(ada, fresh_id(), 30)).await;
        page.after = part.next;
        if page.after.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
}

pub async fn nobody_is_of_the_team_of_a_patient_whom_there_is_not(store: &impl Registry) {
    let unknown = fresh_id();
    let law = CareTeamMember::OF_A_KNOWN_PATIENT;
    assert!(matches!(add(store, unknown, fresh_id(), 0).await, Err(WriteError::Conflict { law: told }) if told == law));
    let (access, trail) = (emergency(unknown, fresh_id(), 0), trail(Action::EMERGENCY_ACCESS_START));
    let refused = store.start_emergency_access(StartedEmergencyAccess { access, trail }).await;
    assert!(matches!(refused, Err(WriteError::Conflict { law: told }) if told == law), "{refused:?}");
    assert_eq!(store.members(unknown).await.unwrap(), []);
}

pub async fn a_restricted_patient_is_given_to_readers_of_the_care_team_and_to_no_other(store: &impl Registry) {
    let open = register(store, "Ada Lovelace").await;
    let (ada, eve) = (restricted(store, "Ada Byron").await, restricted(store, "Ada Eve").await);
    let (doctor, outside) = (fresh_id(), fresh_id());
    add(store, ada.id, doctor, 0).await.unwrap();
    start(store, &EmergencyAccess { account: outside, ..emergency(ada.id, fresh_id(), 0) }).await;
    let page = PageRequest::default();
    let sorted = |patients: Vec<Patient>| {
        let mut ids: Vec<_> = patients.iter().map(|patient| patient.id).collect();
        ids.sort();
        ids
    };
    for (reader, expected) in
        [(None, vec![open.id, ada.id, eve.id]), (Some(doctor), vec![open.id, ada.id]), (Some(outside), vec![open.id])]
    {
        let (one, two) = (SearchTerms::parse("ada").unwrap(), SearchTerms::parse("lov ada").unwrap());
        assert_eq!(sorted(store.search(&one, reader, &page).await.unwrap().items), expected, "by one word");
        assert_eq!(sorted(store.search(&two, reader, &page).await.unwrap().items), [open.id], "by two");
        let byron = SearchTerms::parse("ada byr").unwrap();
        let found = store.search(&byron, reader, &page).await.unwrap().items.len();
        assert_eq!(found, usize::from(expected.contains(&ada.id)), "by two, of whom it is");
        assert_eq!(sorted(store.list(reader, &page).await.unwrap().items), expected, "in the list");
        let part = NamePart::parse("da").unwrap();
        assert_eq!(sorted(store.named(&part, reader, 10).await.unwrap()), expected, "by a part of the name");
        let by_phone = patient("Somebody", open.mrn);
        assert_eq!(sorted(store.candidates(&by_phone, reader).await.unwrap()), expected, "by the phone");
        let by_birth = Patient { phone: None, ..patient("Ada Byron", open.mrn) };
        let found = store.candidates(&by_birth, reader).await.unwrap().len();
        assert_eq!(found, usize::from(expected.contains(&ada.id)), "by name and birth date");
    }
}

pub async fn pages_for_a_reader_are_full_and_give_each_patient_once(store: &impl Registry) {
    let mut open = Vec::new();
    for number in 0..12 {
        let name = format!("Sam {number:02}");
        if number % 4 == 1 {
            open.push(register(store, &name).await.id);
        } else {
            restricted(store, &name).await;
        }
    }
    let newest_first: Vec<_> = open.iter().rev().copied().collect();
    let reader = Some(fresh_id());
    for terms in [None, Some("sam"), Some("sam 0")] {
        let terms = terms.map(|terms| SearchTerms::parse(terms).unwrap());
        let (mut found, mut page) = (Vec::new(), PageRequest { limit: Limit::new(1).unwrap(), after: None });
        loop {
            let part = match &terms {
                Some(terms) => store.search(terms, reader, &page).await.unwrap(),
                None => store.list(reader, &page).await.unwrap(),
            };
            assert_eq!(part.items.len(), 1, "a page is short when it is the last one");
            found.extend(part.items.iter().map(|patient| patient.id));
            page.after = part.next;
            if page.after.is_none() {
                break;
            }
        }
        assert_eq!(&found, if terms.is_none() { &newest_first } else { &open });
    }
}
