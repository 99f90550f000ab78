//! Who may do what to a patient, and the trail it leaves.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::sync::Arc;

use infirmary_kernel::{
    AccessError, Action, Done, Fingerprint, Idempotency, IdempotencyKey, Outcome, PageRequest, PersonName, Reach,
    Receipt, Refused, Role, WriteError,
    testing::{TestGate, caller, fresh_id, patient_caller},
};
use infirmary_patients::{
    ChangePatient, NewPatient, Patient, PatientChange, PatientError, PatientStore, Queries, RegisterPatient,
    SearchTerms, testing::MemoryPatients,
};

#[derive(Default)]
struct Desk {
    gate: TestGate,
    patients: MemoryPatients,
}

impl Desk {
    fn registering(&self) -> RegisterPatient {
        RegisterPatient { gate: self.gate.gate.clone(), patients: Arc::new(self.patients.clone()) }
    }
    fn changing(&self) -> ChangePatient {
        ChangePatient { gate: self.gate.gate.clone(), patients: Arc::new(self.patients.clone()) }
    }
    fn queries(&self) -> Queries {
        Queries { gate: self.gate.gate.clone(), patients: Arc::new(self.patients.clone()) }
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
    assert_eq!(desk.patients.list(&PageRequest::default()).await.unwrap().items.len(), 1);
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
