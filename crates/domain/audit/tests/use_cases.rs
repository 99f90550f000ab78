//! Who may read the log, and that reading it is in it.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{sync::Arc, time::Duration};

use infirmary_audit::{
    AuditError, AuditLog, ChainHead, ChainId, EntryFilter, Fault, Flaw, Head, Heads, MockAuditLog, Place, Queries,
    VerifyChain, testing::MemoryAuditLog,
};
use infirmary_kernel::{
    AccessError, Action, Caller, Clock, Gate, Outcome, PageRequest, Refused, Role, Subject,
    testing::{
        CountingIds, ManualClock, MemoryConfidentiality, MemoryJournal, caller, fresh_id, locked, patient_caller,
    },
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
            Arc::new(MemoryConfidentiality::default()),
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
    assert_eq!(verification.fault, Some(Fault { place: Place::entry(2), flaw }));

    locked(&office.log.entries).truncate(1);
    let verification = office.verifying().run(&admin, Some(exported)).await.unwrap();
    assert_eq!(verification.fault, Some(Fault { place: Place::entry(2), flaw: Flaw::CutOff }));
}

#[tokio::test]
async fn a_head_that_the_log_does_not_reach_is_a_fault_and_not_a_loop() {
    let mut log = MockAuditLog::new();
    let ahead = Head { sequence: 5, ..Head::GENESIS };
    let heads = Heads { chains: vec![ChainHead { chain: ChainId::ONLY, head: ahead }], root: None };
    log.expect_heads().returning(move || Ok(heads.clone()));
    log.expect_after().returning(|_, _, _| Ok(Vec::new()));
    let verification = infirmary_audit::verify_log(&log, None, |_| {}).await.unwrap();
    assert_eq!(verification.fault, Some(Fault { place: Place::entry(1), flaw: Flaw::CutOff }));
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let office = Office::default();
    let after = Some(infirmary_kernel::Cursor { sort_key: "ada".into(), id: fresh_id::<()>().as_uuid() });
    let page = PageRequest { after, ..PageRequest::default() };
    let refused = office.queries().entries(&caller(Role::Admin), &everything(), &page).await;
    assert!(matches!(refused, Err(AuditError::Invalid(_))));
    assert_eq!(office.log.heads().await.unwrap(), Heads::default());
}

/// Twelve reads, on three chains; a root after each fourth.
async fn closed_office() -> (Office, Head) {
    let office = Office { log: MemoryAuditLog::with_chains(3), ..Office::default() };
    let doctor = caller(Role::Doctor);
    let mut exported = Head::GENESIS;
    for count in 1..=12 {
        office.visit(&doctor, Subject::patient(fresh_id())).await;
        if count % 4 == 0 {
            exported = office.log.close(office.clock.now()).await.unwrap();
        }
    }
    (office, exported)
}

async fn found(office: &Office, exported: Option<Head>) -> Option<String> {
    infirmary_audit::verify_log(&office.log, exported, |_| {}).await.unwrap().fault.map(|fault| fault.to_string())
}

#[tokio::test]
async fn what_is_rewritten_in_one_chain_is_told_by_the_root_that_closed_it() {
    let (office, exported) = closed_office().await;
    assert_eq!(found(&office, Some(exported)).await, None);
    let chain = ChainId::new(2);
    let mut previous = Head::GENESIS;
    for sealed in locked(&office.log.entries).iter_mut().filter(|sealed| sealed.chain == chain) {
        let mut event =
            infirmary_kernel::Event::anonymous(fresh_id(), sealed.at, None, sealed.action.clone(), Subject::default());
        (event.account, event.subject.patient) = (sealed.account, sealed.patient);
        *sealed = infirmary_audit::seal(chain, &previous, &event);
        previous = sealed.head();
    }
    let told = found(&office, None).await.unwrap();
    assert_eq!(told, "audit entry 1 of chain 2: is not the one that root 1 closed");
}

#[tokio::test]
async fn a_chain_that_is_gone_or_cut_off_is_told_by_a_root() {
    let (office, _) = closed_office().await;
    locked(&office.log.entries).retain(|sealed| sealed.chain.get() != 3);
    let told = found(&office, None).await.unwrap();
    assert_eq!(told, "audit entry 1 of chain 3: was closed by root 1, and its chain ends before it");

    let (office, _) = closed_office().await;
    let last = locked(&office.log.entries).pop().unwrap();
    let told = found(&office, None).await.unwrap();
    let place = format!("audit entry {} of chain {}", last.sequence, last.chain.get());
    assert_eq!(told, format!("{place}: was closed by root 3, and its chain ends before it"));
}

#[tokio::test]
async fn a_root_that_is_changed_or_gone_is_told() {
    let spoiled = async |spoil: fn(&mut Vec<infirmary_audit::SealedRoot>)| {
        let (office, exported) = closed_office().await;
        spoil(&mut locked(&office.log.roots));
        (found(&office, None).await, found(&office, Some(exported)).await)
    };
    let told = |text: &str| (Some(text.to_owned()), Some(text.to_owned()));
    assert_eq!(
        spoiled(|roots| roots[1].canonical.push(b' ')).await,
        told("audit root 2: its hash is not that of its content")
    );
    assert_eq!(spoiled(|roots| _ = roots.remove(1)).await, told("audit root 2: is missing; the one that follows is 3"));
    let cut = "audit root 3: was exported, and the log ends before it".to_owned();
    assert_eq!(spoiled(|roots| _ = roots.pop()).await, (None, Some(cut)));
    let twice = |roots: &mut Vec<infirmary_audit::SealedRoot>| {
        let heads = roots[0].open().unwrap().heads;
        roots.truncate(1);
        let again = infirmary_audit::seal_root(&roots[0].head(), ManualClock::default().now(), &heads);
        roots.push(again);
    };
    let no_further = "audit root 2: the head it names of chain 1 is no further than the one that was closed before";
    assert_eq!(spoiled(twice).await, told(no_further));
}

#[tokio::test]
async fn a_head_of_when_there_was_one_chain_is_held_against_that_chain() {
    let doctor = caller(Role::Doctor);
    let visit = async |office: &Office| office.visit(&doctor, Subject::patient(fresh_id())).await;
    let one = Office::default();
    let mut kept = Vec::new();
    for _ in 0..4 {
        visit(&one).await;
        kept.push(one.log.heads().await.unwrap().exported());
    }
    // As a house has it that came to many machines.
    let moved = async |entries: Vec<infirmary_audit::Sealed>| {
        let many = Office { log: MemoryAuditLog::with_chains(2), ..Office::default() };
        locked(&many.log.entries).extend(entries);
        for _ in 0..4 {
            visit(&many).await;
        }
        many
    };
    let entries = locked(&one.log.entries).clone();
    let many = moved(entries.clone()).await;
    let told = async |many: &Office, kept: &[Head]| {
        let verified = infirmary_audit::verify_log(&many.log, kept.iter().copied(), |_| {}).await.unwrap();
        verified.fault.map(|fault| fault.to_string())
    };
    assert_eq!(told(&many, &kept).await, None);
    let root = many.log.close(many.clock.now()).await.unwrap();
    assert_eq!(told(&many, &[&kept[..], &[root]].concat()).await, None);
    assert_eq!(many.log.heads().await.unwrap().exported(), root);

    let mut previous = entries[0].head();
    let mut rewritten = entries.clone();
    for sealed in &mut rewritten[1..] {
        let mut event =
            infirmary_kernel::Event::anonymous(fresh_id(), sealed.at, None, sealed.action.clone(), Subject::default());
        event.account = sealed.account;
        *sealed = infirmary_audit::seal(ChainId::ONLY, &previous, &event);
        previous = sealed.head();
    }
    let many = moved(rewritten).await;
    assert_eq!(told(&many, &kept[..1]).await, None);
    assert!(told(&many, &kept).await.is_some());

    // A head of before and one of a root beside each other: each is looked for in its order.
    let many = moved(entries).await;
    many.log.close(many.clock.now()).await.unwrap();
    locked(&many.log.entries)[1].hash = Head::GENESIS.hash;
    assert_eq!(told(&many, &kept[3..]).await.unwrap(), "audit entry 2: its hash is not that of its content");
}
