//! Who may read the log, and that reading it is in it.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{sync::Arc, time::Duration};

use infirmary_audit::{
    AuditError, AuditLog, EntryFilter, Fault, Flaw, Head, MockAuditLog, Queries, VerifyChain, testing::MemoryAuditLog,
};
use infirmary_kernel::{
    AccessError, Action, Caller, Clock, Gate, Outcome, PageRequest, Refused, Role, Subject,
    testing::{CountingIds, ManualClock, MemoryJournal, caller, fresh_id, locked, patient_caller},
};

#[derive(Default)]
struct Office {
    log: MemoryAuditLog,
    clock: Arc<ManualClock>,
}

impl Office {
    fn gate(&self) -> Gate {
        Gate::new(
            Arc::new(self.log.clone()),
            Arc::new(MemoryJournal::default()),
            self.clock.clone(),
            Arc::new(CountingIds::default()),
        )
    }
    fn queries(&self) -> Queries {
        Queries { gate: self.gate(), log: Arc::new(self.log.clone()) }
    }
    fn verifying(&self) -> VerifyChain {
        VerifyChain { gate: self.gate(), log: Arc::new(self.log.clone()) }
    }
    async fn visit(&self, caller: &Caller, subject: Subject) {
        self.clock.advance(Duration::from_millis(1));
        self.gate().witness(caller, Action::PATIENT_READ, subject).await.unwrap();
    }
    fn last(&self) -> infirmary_audit::Entry {
        locked(&self.log.entries).last().unwrap().open().unwrap()
    }
}

fn everything() -> EntryFilter {
    EntryFilter::default()
}

#[tokio::test]
async fn only_an_admin_reads_the_log_and_the_reading_is_in_it() {
    let office = Office::default();
    let (patient, admin) = (fresh_id(), caller(Role::Admin));
    office.visit(&caller(Role::Doctor), Subject::patient(patient)).await;

    let about = EntryFilter { patient: Some(patient), ..everything() };
    let found = office.queries().entries(&admin, &about, &PageRequest::default()).await.unwrap();
    assert_eq!(found.items.len(), 1);
    let reading = office.last();
    assert_eq!(
        (reading.action, reading.account, reading.subject.patient),
        (Action::AUDIT_READ, Some(admin.account), Some(patient))
    );

    for role in [Role::Doctor, Role::Accountant, Role::Patient] {
        let refused = office.queries().entries(&caller(role), &everything(), &PageRequest::default()).await;
        assert!(matches!(refused, Err(AuditError::Access(AccessError::Refused(Refused::Role { .. })))));
        assert_eq!((office.last().outcome, office.last().role), (Outcome::Refused, Some(role)));
        assert!(office.verifying().run(&caller(role), None).await.is_err());
        assert!(office.queries().head(&caller(role)).await.is_err());
    }
}

#[tokio::test]
async fn an_admin_who_signed_in_long_ago_is_asked_once_more() {
    let office = Office::default();
    let admin = Caller { authenticated_at: office.clock.now(), ..caller(Role::Admin) };
    office.clock.advance(Duration::from_secs(15 * 60));
    assert!(office.queries().entries(&admin, &everything(), &PageRequest::default()).await.is_ok());
    office.clock.advance(Duration::from_millis(1));
    let refused = office.queries().entries(&admin, &everything(), &PageRequest::default()).await;
    assert!(matches!(refused, Err(AuditError::Access(AccessError::Refused(Refused::StepUp { .. })))));
    assert!(office.verifying().run(&admin, None).await.is_err());
}

#[tokio::test]
async fn a_patient_sees_who_came_to_their_record_and_nobody_elses() {
    let office = Office::default();
    let (own, other) = (fresh_id(), fresh_id());
    let (ada, doctor) = (patient_caller(own), caller(Role::Doctor));
    office.visit(&ada, Subject::patient(own)).await;
    office.visit(&doctor, Subject::patient(own)).await;
    office.visit(&doctor, Subject::patient(other)).await;
    office.clock.advance(Duration::from_millis(1));
    let about = EntryFilter { patient: Some(own), ..everything() };
    office.queries().entries(&caller(Role::Admin), &about, &PageRequest::default()).await.unwrap();

    let seen = office.queries().access_log(&ada, &PageRequest::default()).await.unwrap().items;
    let told: Vec<_> = seen.iter().map(|access| (access.action.clone(), access.role, access.account)).collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].1, Some(Role::Admin));
    assert_eq!(told[1], (Action::PATIENT_READ, Some(Role::Doctor), Some(doctor.account)));
    assert_eq!((office.last().action, office.last().account), (Action::AUDIT_READ, Some(ada.account)));

    for role in [Role::Admin, Role::Doctor, Role::Accountant] {
        assert!(office.queries().access_log(&caller(role), &PageRequest::default()).await.is_err());
    }
    let without_record = office.queries().access_log(&caller(Role::Patient), &PageRequest::default()).await;
    assert!(matches!(without_record, Err(AuditError::Access(AccessError::Refused(Refused::Hidden)))));
}

#[tokio::test]
async fn a_spoiled_log_is_found_out() {
    let office = Office::default();
    let admin = caller(Role::Admin);
    for _ in 0..3 {
        office.visit(&admin, Subject::patient(fresh_id())).await;
    }
    let exported = office.queries().head(&admin).await.unwrap();
    let verification = office.verifying().run(&admin, Some(exported)).await.unwrap();
    assert_eq!((verification.head, verification.fault), (exported, None));

    locked(&office.log.entries)[1].account = None;
    let verification = office.verifying().run(&admin, None).await.unwrap();
    assert_eq!(verification.head.sequence, 1);
    let flaw = Flaw::WrongColumn { column: "account" };
    assert_eq!(verification.fault, Some(Fault { sequence: 2, flaw }));

    locked(&office.log.entries).truncate(1);
    let verification = office.verifying().run(&admin, Some(exported)).await.unwrap();
    assert_eq!(verification.fault, Some(Fault { sequence: 2, flaw: Flaw::CutOff }));
}

#[tokio::test]
async fn a_head_that_the_log_does_not_reach_is_a_fault_and_not_a_loop() {
    let mut log = MockAuditLog::new();
    let ahead = Head { sequence: 5, ..Head::GENESIS };
    log.expect_head().returning(move || Ok(ahead));
    log.expect_after().returning(|_, _| Ok(Vec::new()));
    let verification = infirmary_audit::verify_log(&log, None, |_| {}).await.unwrap();
    assert_eq!(verification.fault, Some(Fault { sequence: 1, flaw: Flaw::CutOff }));
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let office = Office::default();
    let after = Some(infirmary_kernel::Cursor { sort_key: "ada".into(), id: fresh_id::<()>().as_uuid() });
    let page = PageRequest { after, ..PageRequest::default() };
    let refused = office.queries().entries(&caller(Role::Admin), &everything(), &page).await;
    assert!(matches!(refused, Err(AuditError::Invalid(_))));
    assert_eq!(office.log.head().await.unwrap(), Head::GENESIS);
}
