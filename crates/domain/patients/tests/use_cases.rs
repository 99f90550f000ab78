//! Who may do what to a patient, and the trail it leaves.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{sync::Arc, time::Duration};

use infirmary_kernel::{
    AccessError, Action, Caller, Done, Fingerprint, Idempotency, IdempotencyKey, Outcome, PageRequest, PersonName,
    Purpose, Reach, Receipt, Refused, Role, WriteError,
    testing::{TestGate, caller, fresh_id, patient_caller},
};
use infirmary_patients::{
    ChangePatient, NewPatient, Patient, PatientChange, PatientError, PatientStore, Queries, RegisterPatient,
    SearchTerms, testing::MemoryPatients,
};

struct Desk {
    gate: TestGate,
    patients: MemoryPatients,
}

impl Default for Desk {
    fn default() -> Self {
        let gate = TestGate::default();
        let mut patients = MemoryPatients::default();
        patients.confidentiality = gate.confidentiality.clone();
        Self { gate, patients }
    }
}

impl Desk {
    fn registering(&self) -> RegisterPatient {
        RegisterPatient { gate: self.gate.gate.clone(), patients: Arc::new(self.patients.clone()) }
    }
    fn changing(&self) -> ChangePatient {
        ChangePatient { gate: self.gate.gate.clone(), patients: Arc::new(self.patients.clone()) }
    }
    fn queries(&self) -> Queries {
        let patients = Arc::new(self.patients.clone());
        Queries { gate: self.gate.gate.clone(), patients: patients.clone(), care_teams: patients }
    }

    async fn register(&self, name: &str) -> Patient {
        let done = self.registering().run(&caller(Role::Doctor), new(name), true, None, told).await.unwrap();
        match done {
            Done::Now { value, .. } => value,
            Done::Before(_) => panic!("nothing was registered before"),
        }
    }
}

fn new(name: &str) -> NewPatient {
    NewPatient {
        name: PersonName::parse(name).unwrap(),
        birth_date: "1984-02-29".parse().ok(),
        sex: None,
        phone: "+9647501234567".parse().ok(),
        email: None,
        address: None,
    }
}

fn told(patient: &Patient) -> Receipt {
    Receipt::from_bytes(patient.id.to_string().into_bytes())
}

#[tokio::test]
async fn only_admins_and_doctors_register_and_a_refusal_is_in_the_trail() {
    let desk = Desk::default();
    for role in [Role::Admin, Role::Doctor] {
        assert!(desk.registering().run(&caller(role), new("Ada"), true, None, told).await.is_ok());
    }
    for role in [Role::Accountant, Role::Patient] {
        let refused = desk.registering().run(&caller(role), new("Ada"), true, None, told).await;
        assert!(matches!(refused, Err(PatientError::Access(AccessError::Refused(Refused::Role { .. })))));
        let last = desk.gate.journal.events().pop().unwrap();
        assert_eq!((last.action, last.outcome, last.role), (Action::ACCESS_REFUSED, Outcome::Refused, Some(role)));
    }
}

#[tokio::test]
async fn a_likely_duplicate_is_shown_and_not_registered() {
    let desk = Desk::default();
    let known = desk.register("Ada").await;
    let refused = desk.registering().run(&caller(Role::Doctor), new("Somebody Else"), false, None, told).await;
    match refused {
        Err(PatientError::LikelyDuplicate { candidates }) => assert_eq!(candidates, [known]),
        other => panic!("expected the candidates, not {other:?}"),
    }
    assert_eq!(desk.patients.list(None, &PageRequest::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_repeated_request_is_told_the_same_and_another_under_its_key_is_refused() {
    let desk = Desk::default();
    let doctor = caller(Role::Doctor);
    let with = |asked: &[u8]| {
        Some(Idempotency { key: IdempotencyKey::parse("k").unwrap(), fingerprint: Fingerprint::of([asked]) })
    };
    // The store keeps its claims in its own journal; the gate of this test looks into the same one.
    let gate = infirmary_kernel::Gate::new(
        Arc::new(desk.patients.journal.clone()),
        Arc::new(desk.patients.journal.clone()),
        Arc::new(desk.patients.clone()),
        desk.gate.clock.clone(),
        Arc::new(infirmary_kernel::testing::CountingIds::default()),
    );
    let registering = RegisterPatient { gate, patients: Arc::new(desk.patients.clone()) };
    let first = registering.run(&doctor, new("Ada"), false, with(b"ada"), told).await.unwrap().into_receipt();
    let again = registering.run(&doctor, new("Ada"), false, with(b"ada"), told).await.unwrap();
    assert!(matches!(again, Done::Before(receipt) if receipt == first));
    let other = registering.run(&doctor, new("Bob"), true, with(b"bob"), told).await;
    assert!(matches!(other, Err(PatientError::Write(WriteError::KeyReused))));
}

#[tokio::test]
async fn a_patient_sees_and_changes_only_themselves_and_only_their_contact() {
    let desk = Desk::default();
    let (own, other) = (desk.register("Ada").await, desk.register("Bob").await);
    let ada = patient_caller(own.id);

    let (seen, reach) = desk.queries().patient(&ada, own.id).await.unwrap();
    assert_eq!((seen.id, reach), (own.id, Reach::Own));
    let hidden = desk.queries().patient(&ada, other.id).await;
    assert!(matches!(hidden, Err(PatientError::Access(AccessError::Refused(Refused::Hidden)))));
    let absent = desk.queries().patient(&ada, fresh_id()).await;
    assert!(matches!(absent, Err(PatientError::Access(AccessError::Refused(Refused::Hidden)))), "no different");

    let moved = PatientChange { phone: Some("+9647509999999".parse().ok()), ..PatientChange::default() };
    let changed = desk.changing().run(&ada, own.id, 1, moved.clone()).await.unwrap();
    assert_eq!(changed.version, 2);
    assert!(matches!(
        desk.changing().run(&ada, own.id, 1, moved.clone()).await,
        Err(PatientError::Write(WriteError::Stale))
    ));
    assert!(desk.changing().run(&ada, other.id, 1, moved).await.is_err());
    let renamed = PatientChange { name: PersonName::parse("Eve").ok(), ..PatientChange::default() };
    assert!(matches!(desk.changing().run(&ada, own.id, 2, renamed).await, Err(PatientError::Invalid(_))));
}

#[tokio::test]
async fn each_read_and_change_is_in_the_trail_with_the_names_of_the_fields() {
    let desk = Desk::default();
    let known = desk.register("Ada").await;
    let doctor = caller(Role::Doctor);
    desk.queries().patient(&doctor, known.id).await.unwrap();
    desk.queries().find(&doctor, Some(&SearchTerms::parse("ada").unwrap()), &PageRequest::default()).await.unwrap();
    let read: Vec<_> =
        desk.gate.journal.events().into_iter().map(|event| (event.action, event.subject.patient)).collect();
    assert_eq!(read, [(Action::PATIENT_READ, Some(known.id)), (Action::PATIENT_FIND, None)]);

    let change =
        PatientChange { name: PersonName::parse("Ada King").ok(), email: Some(None), ..PatientChange::default() };
    desk.changing().run(&doctor, known.id, 1, change).await.unwrap();
    let event = desk.patients.journal.events().pop().unwrap();
    assert_eq!(
        (event.action, event.fields),
        (Action::PATIENT_CHANGE, vec!["name".into()]),
        "an empty e-mail stayed empty"
    );
}

#[tokio::test]
async fn an_accountant_finds_patients_for_a_bill_and_a_patient_finds_nobody() {
    let desk = Desk::default();
    desk.register("Ada").await;
    let (_, reach) = desk.queries().find(&caller(Role::Accountant), None, &PageRequest::default()).await.unwrap();
    assert_eq!(reach, Reach::Billing);
    assert!(desk.queries().find(&caller(Role::Patient), None, &PageRequest::default()).await.is_err());
}

#[tokio::test]
async fn a_birth_date_in_the_future_is_refused() {
    let desk = Desk::default();
    let unborn = NewPatient { birth_date: "2026-03-04".parse().ok(), ..new("Ada") };
    let refused = desk.registering().run(&caller(Role::Doctor), unborn, true, None, told).await;
    assert!(matches!(refused, Err(PatientError::Invalid(invalid)) if invalid.fields[0].pointer == "/birthDate"));
}

impl Desk {
    async fn restrict(&self, patient: &Patient) -> Patient {
        let change = PatientChange { restricted: Some(true), ..PatientChange::default() };
        self.changing().run(&self.admin(), patient.id, patient.version, change).await.unwrap()
    }

    fn admin(&self) -> Caller {
        Caller { authenticated_at: self.gate.gate.now(), ..caller(Role::Admin) }
    }
}

fn is_refused<T>(result: Result<T, PatientError>, refused: Refused) -> bool {
    matches!(result, Err(PatientError::Access(AccessError::Refused(told))) if told == refused)
}

#[tokio::test]
async fn an_admin_who_has_proved_who_they_are_restricts_a_record_and_nobody_else() {
    let desk = Desk::default();
    let ada = desk.register("Ada").await;
    let change = || PatientChange { restricted: Some(true), ..PatientChange::default() };
    for role in [Role::Doctor, Role::Accountant] {
        let refused = desk.changing().run(&caller(role), ada.id, 1, change()).await;
        assert!(matches!(refused, Err(PatientError::Access(AccessError::Refused(Refused::Role { .. })))), "{role}");
    }
    let refused = desk.changing().run(&patient_caller(ada.id), ada.id, 1, change()).await;
    assert!(matches!(refused, Err(PatientError::Access(AccessError::Refused(Refused::Role { .. })))));
    let admin = desk.admin();
    desk.gate.clock.advance(Duration::from_secs(16 * 60));
    let refused = desk.changing().run(&admin, ada.id, 1, change()).await;
    assert!(is_refused(refused, Refused::StepUp { max_age_minutes: 15 }));
    assert!(desk.restrict(&ada).await.restricted);
    let last = desk.patients.journal.events().pop().unwrap();
    assert_eq!((last.action, last.fields), (Action::PATIENT_CHANGE, vec!["restricted".into()]));
}

#[tokio::test]
async fn a_restricted_record_is_closed_to_doctors_outside_and_open_to_those_who_need_it_otherwise() {
    let desk = Desk::default();
    let ada = desk.register("Ada").await;
    let ada = desk.restrict(&ada).await;
    let (outside, member) = (caller(Role::Doctor), caller(Role::Doctor));
    desk.gate.confidentiality.add_to_care_team(ada.id, member.account);

    assert!(is_refused(desk.queries().patient(&outside, ada.id).await, Refused::Restricted));
    let last = desk.gate.journal.events().pop().unwrap();
    assert_eq!((last.action, last.subject.patient), (Action::ACCESS_REFUSED, Some(ada.id)));
    assert_eq!(last.rule.as_deref(), Some("restricted to the care team"));
    let moved = PatientChange { phone: Some(None), ..PatientChange::default() };
    let refused = desk.changing().run(&outside, ada.id, ada.version, moved).await;
    assert!(is_refused(refused, Refused::Restricted));
    assert!(is_refused(desk.queries().care_team(&outside, ada.id).await, Refused::Restricted));

    for (reader, expected) in [
        (member, Reach::All),
        (desk.admin(), Reach::All),
        (caller(Role::Accountant), Reach::Billing),
        (patient_caller(ada.id), Reach::Own),
    ] {
        let (read, reach) = desk.queries().patient(&reader, ada.id).await.unwrap();
        assert_eq!((read.id, reach), (ada.id, expected));
        assert_eq!(desk.gate.journal.events().pop().unwrap().purpose, None);
    }
}

#[tokio::test]
async fn who_broke_the_glass_comes_to_that_record_and_every_event_says_so_until_it_is_over() {
    let desk = Desk::default();
    let (ada, bob) = (desk.register("Ada").await, desk.register("Bob").await);
    let (ada, bob) = (desk.restrict(&ada).await, desk.restrict(&bob).await);
    let doctor = caller(Role::Doctor);
    let until = desk.gate.gate.now().plus(Duration::from_secs(3_600));
    desk.gate.confidentiality.break_glass(ada.id, doctor.session, until);
    desk.queries().patient(&doctor, ada.id).await.unwrap();
    let read = desk.gate.journal.events().pop().unwrap();
    assert_eq!((read.action, read.purpose), (Action::PATIENT_READ, Some(Purpose::BreakTheGlass)));
    let moved = PatientChange { phone: Some(None), ..PatientChange::default() };
    desk.changing().run(&doctor, ada.id, ada.version, moved).await.unwrap();
    let change = desk.patients.journal.events().pop().unwrap();
    assert_eq!((change.action, change.purpose), (Action::PATIENT_CHANGE, Some(Purpose::BreakTheGlass)));
    assert!(is_refused(desk.queries().patient(&doctor, bob.id).await, Refused::Restricted));
    let refused = desk.gate.journal.events().pop().unwrap();
    assert_eq!(refused.purpose, None, "another record has nothing of it");

    let elsewhere = Caller { session: fresh_id(), ..caller(Role::Doctor) };
    assert!(is_refused(desk.queries().patient(&elsewhere, ada.id).await, Refused::Restricted));
    desk.gate.clock.advance(Duration::from_secs(3_600));
    assert!(is_refused(desk.queries().patient(&doctor, ada.id).await, Refused::Restricted));
}

#[tokio::test]
async fn a_doctor_outside_finds_a_restricted_patient_by_the_whole_record_number_and_learns_only_that() {
    let desk = Desk::default();
    let ada = desk.register("Ada").await;
    let ada = desk.restrict(&ada).await;
    let (outside, member, page) = (caller(Role::Doctor), caller(Role::Doctor), PageRequest::default());
    desk.gate.confidentiality.add_to_care_team(ada.id, member.account);
    let find = async |caller: &Caller, text: &str| {
        let (found, reach) =
            desk.queries().find(caller, Some(&SearchTerms::parse(text).unwrap()), &page).await.unwrap();
        (found.items.len(), reach)
    };
    let mrn = ada.mrn.to_string();
    for text in ["ada", "0750 123", &mrn[..mrn.len() - 1]] {
        assert_eq!(find(&outside, text).await, (0, Reach::All), "{text}");
        assert_eq!(find(&member, text).await, (1, Reach::All), "{text}");
        assert_eq!(find(&caller(Role::Accountant), text).await, (1, Reach::Billing), "{text}");
    }
    assert_eq!(desk.queries().find(&outside, None, &page).await.unwrap().0.items, []);
    assert_eq!(find(&outside, &mrn).await, (1, Reach::Existence));
    let told = desk.gate.journal.events().pop().unwrap();
    assert_eq!((told.action, told.subject.patient), (Action::PATIENT_FIND, Some(ada.id)), "the patient hears of it");
    assert_eq!(find(&member, &mrn).await, (1, Reach::All));
}

#[tokio::test]
async fn the_look_for_duplicates_does_not_tell_of_a_restricted_patient() {
    let desk = Desk::default();
    let ada = desk.register("Ada").await;
    let ada = desk.restrict(&ada).await;
    let outside = desk.registering().run(&caller(Role::Doctor), new("Ada"), false, None, told).await;
    assert!(matches!(outside, Ok(Done::Now { .. })), "{outside:?}");
    match desk.registering().run(&caller(Role::Admin), new("Ada"), false, None, told).await {
        Err(PatientError::LikelyDuplicate { candidates }) => assert_eq!(candidates.first(), Some(&ada)),
        other => panic!("expected the candidates, not {other:?}"),
    }
}
