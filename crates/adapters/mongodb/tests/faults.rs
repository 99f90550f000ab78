//! The server fails in every way that it has: whatever is answered is true, and the same write again has one effect.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_audit::{AuditLog, verify_log};
use infirmary_auth::{Account, AccountStore, ChangedAccount, NewAccount, PasswordHash, law, testing::account};
use infirmary_financials::{
    Allocation, Ledger, LedgerQueries, Payment, PaymentMethod, RecordedCharge, TakenPayment,
    testing::{CURRENCY, charge, money},
};
use infirmary_kernel::{
    Action, Claim, Event, Fingerprint, IdempotencyKey, Journal, PatientId, Receipt, Receipts, Role, StoreError,
    Subject, Timestamp, WriteError, Written,
    testing::{caller, fresh_id, trail, trail_with_claim},
};
use infirmary_mongodb::{MongoStore, testing};
use infirmary_patients::{Patient, PatientStore, RegisteredPatient, testing::patient};
use infirmary_workflows::{ImportedId, ImportedRecord, Importer, testing::import_laws::records_of};
use mongodb::bson::{Document, doc};

/// What the server does to a command.
#[derive(Debug, Clone)]
#[expect(dead_code, reason = "the kind is for who reads of a failure")]
struct Fault {
    kind: &'static str,
    command: &'static str,
    /// To so many of them; 0: to all.
    times: i32,
    data: Document,
}

/// Each failing command, in each way, once and for good.
fn faults(commands: &[&'static str]) -> Vec<Fault> {
    let kinds = [
        ("interrupted at shutdown", doc! { "errorCode": 11_600 }),
        ("shutdown in progress", doc! { "errorCode": 91 }),
        ("not the primary any more", doc! { "errorCode": 10_107 }),
        ("write conflict", doc! { "errorCode": 112, "errorLabels": ["TransientTransactionError"] }),
        ("closed connection", doc! { "closeConnection": true }),
        ("majority not reached in time", doc! { "writeConcernError": { "code": 64, "errmsg": "waiting timed out" } }),
        ("slow", doc! { "blockConnection": true, "blockTimeMS": 30 }),
    ];
    let mut faults = Vec::new();
    for command in commands {
        for (kind, data) in &kinds {
            // A conflict that never ends is not one: it would be tried until the time of a write is over.
            for times in if *kind == "write conflict" { [1, 3] } else { [1, 0] } {
                faults.push(Fault { kind, command, times, data: data.clone() });
            }
        }
    }
    faults
}

struct House {
    store: MongoStore,
    _database: testing::TestDatabase,
    fail_point: testing::FailPoint,
}

impl House {
    async fn new() -> Option<Self> {
        let (database, fail_point) = testing::failing_database().await?;
        Some(Self { store: database.open().await, _database: database, fail_point })
    }

    async fn arm(&self, fault: &Fault) {
        let mode =
            if fault.times == 0 { "alwaysOn".into() } else { mongodb::bson::Bson::from(doc! { "times": fault.times }) };
        self.fail_point.arm(fault.command, mode, &fault.data).await;
    }

    async fn disarm(&self) {
        self.fail_point.disarm().await;
    }

    async fn holds(&self, context: &str) {
        let exported = self.store.close(at()).await.unwrap();
        let verification = verify_log(&self.store, Some(exported), |_| {}).await.unwrap();
        assert_eq!(verification.fault, None, "{context}");
    }

    /// How many entries tell of a record.
    async fn entries_of(&self, id: uuid::Uuid) -> usize {
        let everything = doc! {};
        let mut found = 0;
        let audit = self.fail_point.database().collection::<Document>("audit");
        let mut cursor = audit.find(everything).await.unwrap();
        while cursor.advance().await.unwrap() {
            let entry = cursor.deserialize_current().unwrap();
            let form = entry.get_binary_generic("form").unwrap();
            found += usize::from(String::from_utf8_lossy(form).contains(&id.to_string()));
        }
        found
    }
}

fn at() -> Timestamp {
    Timestamp::from_unix_ms(1_772_355_600_000)
}

fn is_honest<T: std::fmt::Debug>(result: &Result<T, WriteError>) -> bool {
    matches!(result, Ok(_) | Err(WriteError::Store(StoreError::Unavailable { .. } | StoreError::OutcomeUnknown { .. })))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_with_a_key_has_one_effect_however_the_server_fails() {
    let Some(house) = House::new().await else { return };
    let faults = faults(&["insert", "commitTransaction", "find"]);
    let mut answers = std::collections::BTreeMap::new();
    for (number, fault) in faults.iter().enumerate() {
        let new = patient("Ada Lovelace", house.store.next_mrn().await.unwrap());
        let claim = Claim {
            account: fresh_id(),
            key: IdempotencyKey::parse("key").unwrap(),
            fingerprint: Fingerprint::of([b"ada".as_slice()]),
            receipt: Receipt::from_bytes(number.to_string().into_bytes()),
            at: at(),
        };
        let mut event = trail(Action::PATIENT_REGISTER);
        event.event.subject = Subject::patient(new.id);
        let registered = RegisteredPatient {
            patient: new.clone(),
            trail: infirmary_kernel::Trail { claim: Some(claim.clone()), ..event },
        };

        house.arm(fault).await;
        let first = house.store.register(registered.clone()).await;
        house.disarm().await;
        assert!(is_honest(&first), "{fault:?}: {first:?}");
        *answers.entry(answer(&first)).or_insert(0) += 1;
        let there = PatientStore::find(&house.store, new.id).await.unwrap().is_some();
        let claimed = Receipts::find(&house.store, claim.account, &claim.key).await.unwrap().is_some();
        assert_eq!(there, claimed, "{fault:?}: the claim is there with the write, and not without it");
        match &first {
            Ok(written) => assert!(there && *written == Written::Now, "{fault:?}: {written:?}"),
            Err(WriteError::Store(StoreError::Unavailable { .. })) => assert!(!there, "{fault:?}"),
            Err(_) => {}
        }

        let again = house.store.register(registered).await;
        let again = again.unwrap_or_else(|error| panic!("{fault:?}, after {first:?}: {error:?}"));
        let expected = if there { Written::Before(claim.receipt) } else { Written::Now };
        assert_eq!(again, expected, "{fault:?}, after {first:?}");
        assert_eq!(PatientStore::find(&house.store, new.id).await.unwrap(), Some(new.clone()), "{fault:?}");
        assert_eq!(house.entries_of(new.id.as_uuid()).await, 1, "{fault:?}: one effect, one entry");
    }
    house.holds("registrations").await;
    println!("{} faults: {answers:?}", faults.len());
}

fn answer<T>(result: &Result<T, WriteError>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(WriteError::Store(StoreError::Unavailable { .. })) => "unavailable",
        Err(WriteError::Store(StoreError::OutcomeUnknown { .. })) => "unknown",
        Err(_) => "refused",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_without_a_key_is_there_whole_or_not_at_all() {
    let Some(house) = House::new().await else { return };
    for (number, fault) in faults(&["insert", "update", "commitTransaction"]).iter().enumerate() {
        let new = account(&format!("a{number}@example.org"), Role::Admin);
        let password = PasswordHash::from_stored("x".to_owned());
        let created = NewAccount { account: new.clone(), password, session: None };
        house.arm(fault).await;
        let first = house.store.create(created, trail(Action::ACCOUNT_REGISTER)).await;
        house.disarm().await;
        assert!(is_honest(&first), "{fault:?}: {first:?}");
        let found = AccountStore::find(&house.store, new.id).await.unwrap();
        match &first {
            Ok(()) => assert_eq!(found.as_ref(), Some(&new), "{fault:?}"),
            Err(WriteError::Store(StoreError::Unavailable { .. })) => assert_eq!(found, None, "{fault:?}"),
            Err(_) => assert!(found.is_none_or(|found| found == new), "{fault:?}"),
        }
    }
    house.holds("accounts").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_as_noted_is_in_the_log_once_and_all_of_it() {
    let Some(house) = House::new().await else { return };
    let doctor = caller(Role::Doctor);
    for (fault, count) in faults(&["insert", "find", "commitTransaction"]).iter().zip([1, 3].into_iter().cycle()) {
        let patients: Vec<PatientId> = (0..count).map(|_| fresh_id()).collect();
        let subjects = patients.iter().map(|patient| Subject::patient(*patient));
        let events =
            subjects.map(|subject| Event::by(fresh_id(), at(), &doctor, Action::PATIENT_READ, subject)).collect();
        house.arm(fault).await;
        let noted = house.store.append_all(events).await;
        house.disarm().await;
        let mut entries = std::collections::BTreeSet::new();
        for patient in patients {
            entries.insert(house.entries_of(patient.as_uuid()).await);
        }
        let entries: Vec<usize> = entries.into_iter().collect();
        match noted {
            Ok(()) => assert_eq!(entries, [1], "{fault:?}"),
            Err(StoreError::Unavailable { .. }) => assert_eq!(entries, [0], "{fault:?}"),
            Err(StoreError::OutcomeUnknown { .. }) => assert!(entries == [0] || entries == [1], "{fault:?}"),
            Err(error) => panic!("{fault:?}: {error}"),
        }
    }
    house.holds("witnesses").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_has_one_effect_however_the_server_fails() {
    let Some(house) = House::new().await else { return };
    let patient = register(&house.store).await.id;
    for fault in faults(&["find", "update", "commitTransaction"]) {
        let charges = [charge(patient, 100), charge(patient, 100)];
        for charge in &charges {
            let recorded = RecordedCharge { charge: charge.clone(), trail: trail(Action::CHARGE_CREATE) };
            house.store.record_charge(recorded).await.unwrap();
        }
        let payment = Payment {
            id: fresh_id(),
            patient,
            amount: money(150),
            method: PaymentMethod::Cash,
            received_at: at(),
            received_by: fresh_id(),
            allocations: vec![
                Allocation { charge: charges[0].id, amount: money(100) },
                Allocation { charge: charges[1].id, amount: money(50) },
            ],
        };
        let claim = Claim {
            account: fresh_id(),
            key: IdempotencyKey::parse("key").unwrap(),
            fingerprint: Fingerprint::of([b"pay".as_slice()]),
            receipt: Receipt::from_bytes(b"paid".to_vec()),
            at: at(),
        };
        let taken = TakenPayment { payment, trail: trail_with_claim(Action::PAYMENT_TAKE, claim.clone()) };
        house.arm(&fault).await;
        let first = house.store.take_payment(taken.clone()).await;
        house.disarm().await;
        assert!(is_honest(&first), "{fault:?}: {first:?}");
        let there = house.store.payment(taken.payment.id).await.unwrap().is_some();
        if let Err(WriteError::Store(StoreError::Unavailable { .. })) = &first {
            assert!(!there, "{fault:?}");
        }
        let again = house.store.take_payment(taken).await;
        let again = again.unwrap_or_else(|error| panic!("{fault:?}, after {first:?}: {error:?}"));
        let expected = if there { Written::Before(claim.receipt) } else { Written::Now };
        assert_eq!(again, expected, "{fault:?}, after {first:?}");
        let left = house.store.charges(&[charges[0].id, charges[1].id]).await.unwrap();
        let left: i64 = left.iter().map(|view| view.outstanding().amount_minor()).sum();
        assert_eq!(left, 50, "{fault:?}, after {first:?}");
    }
    assert_eq!(house.store.discrepancies(CURRENCY, 10).await.unwrap(), []);
    house.holds("payments").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_drew_the_same_chains_keep_them_whole() {
    let Some((one, database)) = testing::store().await else { return };
    let other = database.open_as_another_would().await;
    let doctor = caller(Role::Doctor);
    let write = async |store: &MongoStore, writer: i64| {
        for step in 0..8 {
            let at = Timestamp::from_unix_ms(at().unix_ms() + writer * 100 + step);
            let event = Event::by(fresh_id(), at, &doctor, Action::PATIENT_READ, Subject::patient(fresh_id()));
            store.append(event).await.unwrap();
            register(store).await;
        }
    };
    let writers = (0..12).map(|writer| write(if writer % 2 == 0 { &one } else { &other }, writer));
    futures_util::future::join_all(writers).await;
    let exported = other.close(at()).await.unwrap();
    let mut entries = 0;
    let verification = verify_log(&one, Some(exported), |good| entries = good).await.unwrap();
    assert_eq!((verification.fault, entries), (None, 192));
}

async fn register(store: &MongoStore) -> Patient {
    let patient = patient("Ada", store.next_mrn().await.unwrap());
    let registered = RegisteredPatient { patient: patient.clone(), trail: trail(Action::PATIENT_REGISTER) };
    store.register(registered).await.unwrap();
    patient
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_with_one_key_from_two_processes_one_has_an_effect() {
    let Some((one, database)) = testing::store().await else { return };
    let other = database.open().await;
    for round in 0..4 {
        let account = fresh_id();
        let tries = (0..50).map(async |number| {
            let store = if number % 2 == 0 { &one } else { &other };
            let new = patient("Ada", store.next_mrn().await.unwrap());
            let claim = Claim {
                account,
                key: IdempotencyKey::parse("key").unwrap(),
                fingerprint: Fingerprint::of([b"ada".as_slice()]),
                receipt: Receipt::from_bytes(vec![number]),
                at: at(),
            };
            let trail = trail_with_claim(Action::PATIENT_REGISTER, claim);
            store.register(RegisteredPatient { patient: new, trail }).await.unwrap()
        });
        let written = futures_util::future::join_all(tries).await;
        assert_eq!(written.iter().filter(|written| **written == Written::Now).count(), 1, "round {round}");
    }
    let all = PatientStore::list(&one, None, &Default::default()).await.unwrap();
    assert_eq!(all.items.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_last_two_admins_who_go_at_two_processes_at_once_one_stays() {
    let Some((one, database)) = testing::store().await else { return };
    let other = database.open().await;
    let admin = async |name: String| {
        let admin = account(&format!("{name}@example.org"), Role::Admin);
        let password = PasswordHash::from_stored("x".to_owned());
        let new = NewAccount { account: admin.clone(), password, session: None };
        one.create(new, trail(Action::ACCOUNT_REGISTER)).await.unwrap();
        admin
    };
    let go = async |store: &MongoStore, admin: &Account| {
        let account = Account { role: Role::Doctor, version: 2, ..admin.clone() };
        let changed = ChangedAccount { account, cut_off: false, trail: trail(Action::ACCOUNT_CHANGE) };
        AccountStore::change(store, changed).await
    };
    let mut last = admin("first".to_owned()).await;
    for round in 0..8 {
        let next = admin(format!("a{round}")).await;
        let (first, second) = futures_util::future::join(go(&one, &last), go(&other, &next)).await;
        last = match (first, second) {
            (Ok(()), Err(WriteError::Conflict { law: law::LAST_ADMIN })) => next,
            (Err(WriteError::Conflict { law: law::LAST_ADMIN }), Ok(())) => last,
            both => panic!("round {round}: {both:?}"),
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_imported_whole_or_not_at_all_with_an_entry_for_each_record() {
    let Some(house) = House::new().await else { return };
    for fault in faults(&["insert", "aggregate", "commitTransaction"]) {
        let batch = records_of(&house.store, 2).await;
        let ids: Vec<ImportedId> = batch.iter().map(|imported| imported.record.id()).collect();
        house.arm(&fault).await;
        let first = house.store.import(batch.clone()).await;
        house.disarm().await;
        assert!(is_honest(&first), "{fault:?}: {first:?}");
        let there = Importer::known(&house.store, &ids).await.unwrap().len();
        match &first {
            Ok(_) => assert_eq!(there, ids.len(), "{fault:?}"),
            Err(WriteError::Store(StoreError::Unavailable { .. })) => assert_eq!(there, 0, "{fault:?}"),
            Err(_) => assert!(there == 0 || there == ids.len(), "{fault:?}: {there}"),
        }
        let again = house.store.import(batch.clone()).await.unwrap();
        assert!(again == 0 || there == 0, "{fault:?}, after {first:?}: {again}");
        for imported in &batch {
            // The bill of a study is linked to it, and is none by hand.
            let entries = usize::from(imported.event.action != Action::CHARGE_CREATE);
            let told = house.entries_of(imported.event.id.as_uuid()).await;
            assert_eq!(told, entries, "{fault:?}: {}", imported.event.action.as_str());
        }
    }
    house.holds("imports").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_payment_at_the_desk_and_an_imported_one_at_once_one_is_taken() {
    let Some((one, database)) = testing::store().await else { return };
    let other = database.open().await;
    for round in 0..6 {
        let mut batch = records_of(&one, 1).await;
        let payment = batch.iter().position(|imported| imported.event.action == Action::PAYMENT_TAKE).unwrap();
        let imported = batch.remove(payment);
        one.import(batch).await.unwrap();
        let ImportedRecord::Payment(payment) = &imported.record else { panic!("no payment") };
        let desk =
            TakenPayment { payment: Payment { id: fresh_id(), ..payment.clone() }, trail: trail(Action::PAYMENT_TAKE) };
        let (desk, import) =
            futures_util::future::join(other.take_payment(desk), one.import(vec![imported.clone()])).await;
        match (&desk, &import) {
            (Ok(_), Ok(0)) | (Err(WriteError::Stale), Ok(1)) => {}
            both => panic!("round {round}: {both:?}"),
        }
        let bill = one.charges(&[payment.allocations[0].charge]).await.unwrap();
        assert_eq!((bill[0].outstanding().amount_minor(), bill[0].paid), (0, payment.amount), "round {round}");
    }
}
