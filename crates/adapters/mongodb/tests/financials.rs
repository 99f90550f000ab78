//! What the laws of the ledger cannot show: books that another hand has written in, desks of several processes, and what is
//! sent to the server.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::collections::BTreeMap;

use infirmary_financials::{
    Allocation, BookLaw, Charge, ChargeFilter, ChargeView, Discrepancy, Ledger, LedgerQueries, NewPayment, NewRefund,
    Payment, PaymentMethod, Period, RecordedCharge, Refund, RefundedPayment, Source, SummaryBy, TakenPayment, Void,
    VoidedCharge,
    testing::{Books, CURRENCY, charge, idempotency, money, receipt, text},
};
use infirmary_kernel::{
    Action, ChargeId, Done, Limit, PageRequest, PatientId, TaskCode, Timestamp, WriteError,
    testing::{fresh_id, trail},
};
use infirmary_mongodb::{MongoStore, testing};
use infirmary_patients::{
    AddedMember, CareTeamMember, CareTeamStore, ChangedPatient, Patient, PatientStore, RegisteredPatient,
    testing::patient,
};
use mongodb::bson::{Binary, DateTime, Document, doc, spec::BinarySubtype};
use uuid::Uuid;

async fn registered(store: &MongoStore) -> Patient {
    let patient = patient("Ada", store.next_mrn().await.unwrap());
    let registered = RegisteredPatient { patient: patient.clone(), trail: trail(Action::PATIENT_REGISTER) };
    store.register(registered).await.unwrap();
    patient
}

async fn record(store: &MongoStore, charge: Charge) -> ChargeId {
    let id = charge.id;
    store.record_charge(RecordedCharge { charge, trail: trail(Action::CHARGE_CREATE) }).await.unwrap();
    id
}

fn payment(patient: PatientId, parts: &[(ChargeId, i64)]) -> Payment {
    Payment {
        id: fresh_id(),
        patient,
        amount: money(parts.iter().map(|(_, pence)| pence).sum()),
        method: PaymentMethod::Card,
        received_at: Timestamp::from_unix_ms(1_772_355_600_000),
        received_by: fresh_id(),
        allocations: parts
            .iter()
            .map(|(charge, pence)| Allocation { charge: *charge, amount: money(*pence) })
            .collect(),
    }
}

async fn take(store: &MongoStore, payment: &Payment) -> Result<(), WriteError> {
    let taken = TakenPayment { payment: payment.clone(), trail: trail(Action::PAYMENT_TAKE) };
    store.take_payment(taken).await.map(|_| ())
}

async fn give_back(store: &MongoStore, payment: &Payment, pence: i64) -> Result<(), WriteError> {
    let refund = Refund {
        id: fresh_id(),
        payment: payment.id,
        amount: money(pence),
        reason: text("paid twice"),
        refunded_at: payment.received_at,
        refunded_by: fresh_id(),
        allocations: vec![Allocation { charge: payment.allocations[0].charge, amount: money(pence) }],
    };
    store.refund_payment(RefundedPayment { refund, trail: trail(Action::PAYMENT_REFUND) }).await.map(|_| ())
}

async fn void(store: &MongoStore, charge: ChargeId) -> Result<(), WriteError> {
    let void = Void { at: Timestamp::from_unix_ms(1_772_355_600_000), by: fresh_id(), reason: text("in error") };
    store.void_charge(VoidedCharge { charge, void, trail: trail(Action::CHARGE_VOID) }).await.map(|_| ())
}

async fn view(store: &MongoStore, charge: ChargeId) -> ChargeView {
    store.charges(&[charge]).await.unwrap().pop().unwrap()
}

/// A hundred charged, eighty paid, thirty given back; then another hand sets fields of one kind of document, and unsets
/// others. What is found wrong.
async fn found_after(collection: &str, damage: Document) -> Vec<(BookLaw, &'static str)> {
    let Some((store, database)) = testing::store().await else { return Vec::new() };
    let owing = registered(&store).await.id;
    let books = Books::over(&store, [owing, registered(&store).await.id, fresh_id()]);
    let charge = books.charge(owing, 100).await.id;
    let new = NewPayment { patient: owing, amount: money(80), method: PaymentMethod::Cash, charges: None };
    let taken = books.taking().run(&books.accountant(), new, idempotency("pay", ""), |_| receipt("")).await.unwrap();
    let Done::Now { value: payment, .. } = taken else { panic!("it was not taken before") };
    let refund = NewRefund { amount: money(30), reason: text("paid twice") };
    let refunding = books.refunding();
    let given =
        refunding.run(&books.accountant(), payment.id, refund, idempotency("refund", ""), |_| receipt("")).await;
    let Done::Now { value: refund, .. } = given.unwrap() else { panic!("it was not given back before") };
    assert_eq!(store.discrepancies(CURRENCY, 10).await.unwrap(), []);

    let rows = database.client().await.collection::<Document>(collection);
    assert_eq!(rows.update_many(doc! {}, damage).await.unwrap().modified_count, 1);
    let name = |record: Uuid| match record {
        _ if record == charge.as_uuid() => "charge",
        _ if record == payment.id.as_uuid() => "payment",
        _ if record == refund.id.as_uuid() => "refund",
        _ if record == owing.as_uuid() => "patient",
        _ => "other",
    };
    assert_eq!(store.discrepancies(CURRENCY, 0).await.unwrap(), []);
    assert_eq!(store.discrepancies(CURRENCY, 1).await.unwrap().len(), 1);
    let found = store.discrepancies(CURRENCY, 10).await.unwrap();
    found.into_iter().map(|Discrepancy { law, record }| (law, name(record))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_hand_has_written_is_found_and_named() {
    use BookLaw::{BalanceOfPatient, ChargeWithinBounds, OneCurrency, PaymentAllocated, RefundAllocated};
    if testing::database().is_none() {
        return;
    }
    let set = |field: &str, value: i64| doc! { "$set": { field: value } };
    let other = Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] };
    let of_other = |field: &str| doc! { "$set": { field: other.clone() } };
    let cases = [
        ("charges", set("amount", 49), vec![(ChargeWithinBounds, "charge")]),
        ("charges", set("paid", 90), vec![(ChargeWithinBounds, "charge"), (BalanceOfPatient, "patient")]),
        ("charges", set("outstanding", 49), vec![(ChargeWithinBounds, "charge")]),
        ("charges", doc! { "$set": { "status": "paid" } }, vec![(ChargeWithinBounds, "charge")]),
        (
            "charges",
            doc! { "$set": { "status": "void", "outstanding": 0_i64, "voided_at": DateTime::now() } },
            vec![(ChargeWithinBounds, "charge"), (BalanceOfPatient, "patient")],
        ),
        ("charges", doc! { "$set": { "task": "CT" } }, vec![(PaymentAllocated, "payment")]),
        (
            "charges",
            doc! { "$set": { "currency": "USD" } },
            vec![(PaymentAllocated, "payment"), (BalanceOfPatient, "patient"), (OneCurrency, "charge")],
        ),
        ("payments", set("amount", 81), vec![(PaymentAllocated, "payment"), (BalanceOfPatient, "patient")]),
        ("payments", set("refunded", 29), vec![(RefundAllocated, "payment")]),
        (
            "payments",
            set("allocations.0.amount", 20),
            vec![(ChargeWithinBounds, "charge"), (PaymentAllocated, "payment"), (RefundAllocated, "refund")],
        ),
        (
            "payments",
            of_other("allocations.0.charge"),
            vec![(ChargeWithinBounds, "charge"), (PaymentAllocated, "payment"), (RefundAllocated, "refund")],
        ),
        (
            "payments",
            of_other("patient"),
            vec![
                (PaymentAllocated, "payment"),
                (RefundAllocated, "refund"),
                (BalanceOfPatient, "patient"),
                (BalanceOfPatient, "other"),
            ],
        ),
        (
            "refunds",
            set("amount", 29),
            vec![(RefundAllocated, "refund"), (RefundAllocated, "payment"), (BalanceOfPatient, "patient")],
        ),
        ("refunds", of_other("payment"), vec![(RefundAllocated, "refund"), (RefundAllocated, "payment")]),
        ("refunds", doc! { "$set": { "method": "card" } }, vec![(RefundAllocated, "refund")]),
        (
            "refunds",
            doc! { "$set": { "currency": "USD" } },
            vec![(RefundAllocated, "refund"), (BalanceOfPatient, "patient")],
        ),
        (
            "refunds",
            doc! { "$set": { "amount": 81_i64, "allocations.0.amount": 81_i64 } },
            vec![
                (ChargeWithinBounds, "charge"),
                (RefundAllocated, "refund"),
                (RefundAllocated, "payment"),
                (BalanceOfPatient, "patient"),
            ],
        ),
    ];
    for (collection, damage, expected) in cases {
        let mut found = found_after(collection, damage.clone()).await;
        // Of one law, in any order.
        found.sort_by_key(|(law, record)| {
            (
                expected.iter().position(|(known, _)| known == law),
                expected.iter().position(|(_, known)| known == record),
            )
        });
        assert_eq!(found, expected, "{collection}: {damage}");
    }
}

/// They are gone through by a thousand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_found_whosever_of_many_patients_it_is() {
    let Some((store, database)) = testing::store().await else { return };
    let uuid = |number: u128| Binary { subtype: BinarySubtype::Uuid, bytes: number.to_be_bytes().to_vec() };
    let client = database.client().await;
    let patients = (1..=2_500).map(|number| doc! { "_id": uuid(number), "mrn": number as i64 });
    client.collection::<Document>("patients").insert_many(patients).await.unwrap();
    // Of the first and the last of each thousand, of those about them, and of somebody beyond the registry.
    let owing = [1, 2, 999, 1_000, 1_001, 1_999, 2_000, 2_001, 2_500, u128::MAX];
    let charges = owing.map(|patient| {
        doc! {
            "_id": uuid(patient), "patient": uuid(patient), "amount": 100_i64, "currency": "USD",
            "paid": 0_i64, "refunded": 0_i64, "outstanding": 100_i64, "status": "open",
        }
    });
    client.collection::<Document>("charges").insert_many(charges).await.unwrap();
    let expected = owing.map(|record| Discrepancy { law: BookLaw::OneCurrency, record: Uuid::from_u128(record) });
    let mut found = store.discrepancies(CURRENCY, 100).await.unwrap();
    found.sort_by_key(|found| found.record);
    assert_eq!(found, expected);
    assert_eq!(store.discrepancies(CURRENCY, 7).await.unwrap().len(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_at_two_processes_take_all_of_a_charge_and_never_more() {
    let Some((one, database)) = testing::store().await else { return };
    let other = database.open().await;
    let patient = registered(&one).await.id;
    let open = record(&one, charge(patient, 1_000)).await;
    // 30 each: 33 of them fit.
    let payments: Vec<Payment> = (0..60).map(|_| payment(patient, &[(open, 30)])).collect();
    let attempts =
        payments.iter().enumerate().map(|(number, payment)| take(if number % 2 == 0 { &one } else { &other }, payment));
    let mut taken = 0;
    for attempt in futures_util::future::join_all(attempts).await {
        match attempt {
            Ok(()) => taken += 1,
            Err(WriteError::Stale) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((taken, view(&other, open).await.outstanding()), (33, money(10)));
    assert_eq!(one.discrepancies(CURRENCY, 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_payment_and_a_void_at_two_processes_one_holds() {
    let Some((one, database)) = testing::store().await else { return };
    let other = database.open().await;
    let patient = registered(&one).await.id;
    for round in 0..20 {
        let open = record(&one, charge(patient, 100)).await;
        let payment = payment(patient, &[(open, 1)]);
        let (here, there) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        match futures_util::future::join(take(here, &payment), void(there, open)).await {
            (Ok(()), Err(WriteError::Stale)) | (Err(WriteError::Stale), Ok(())) => {}
            both => panic!("round {round}: {both:?}"),
        }
    }
    assert_eq!(one.discrepancies(CURRENCY, 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_at_two_processes_give_back_all_of_a_payment_and_never_more() {
    let Some((one, database)) = testing::store().await else { return };
    let other = database.open().await;
    let patient = registered(&one).await.id;
    let open = record(&one, charge(patient, 200)).await;
    let (paid, beside) = (payment(patient, &[(open, 100)]), payment(patient, &[(open, 100)]));
    take(&one, &paid).await.unwrap();
    take(&one, &beside).await.unwrap();
    let attempts = (0..16).map(|number| give_back(if number % 2 == 0 { &one } else { &other }, &paid, 30));
    let given = futures_util::future::join_all(attempts).await;
    assert!(given.iter().all(|given| matches!(given, Ok(()) | Err(WriteError::Stale))), "{given:?}");
    assert_eq!(given.iter().filter(|given| given.is_ok()).count(), 3);
    let read = one.payment(paid.id).await.unwrap().unwrap();
    assert_eq!((read.refundable(), view(&other, open).await.outstanding()), (money(10), money(90)));
    assert_eq!(one.discrepancies(CURRENCY, 10).await.unwrap(), []);
}

/// Each charge is paid in full before the next is made: at any moment, nothing is owed but one charge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_and_summaries_are_of_one_moment() {
    let Some((store, _database)) = testing::store().await else { return };
    let patient = registered(&store).await.id;
    let writing = std::sync::atomic::AtomicBool::new(true);
    let write = async {
        for _ in 0..60 {
            let charged = record(&store, charge(patient, 100)).await;
            take(&store, &payment(patient, &[(charged, 100)])).await.unwrap();
        }
        writing.store(false, std::sync::atomic::Ordering::Relaxed);
    };
    let period = Period::new(Timestamp::from_unix_ms(1_772_000_000_000), Timestamp::from_unix_ms(1_773_000_000_000));
    let period = period.unwrap();
    let read = async {
        let mut balances = Vec::new();
        while writing.load(std::sync::atomic::Ordering::Relaxed) {
            balances.push(store.statement(patient, CURRENCY, None, 500).await.unwrap().totals.balance());
            balances.push(store.summary(period, SummaryBy::Day, CURRENCY).await.unwrap().totals.balance());
        }
        balances
    };
    let ((), balances) = futures_util::future::join(write, read).await;
    assert!(balances.len() > 10, "{}", balances.len());
    assert!(balances.iter().all(|balance| [money(0), money(100)].contains(balance)), "{balances:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_a_study_is_charged_once_by_two_processes() {
    let Some((one, database)) = testing::store().await else { return };
    let other = database.open().await;
    let patient = registered(&one).await.id;
    let source = Source::Study { study: fresh_id(), diagnosis: fresh_id(), author: fresh_id() };
    let attempts = (0..16).map(async |number| {
        let task = Some(TaskCode::parse("CT").unwrap());
        let charge = Charge { source, task, ..charge(patient, 100) };
        let store = if number % 2 == 0 { &one } else { &other };
        store.record_charge(RecordedCharge { charge, trail: trail(Action::CHARGE_CREATE) }).await
    });
    let mut made = 0;
    for attempt in futures_util::future::join_all(attempts).await {
        match attempt {
            Ok(_) => made += 1,
            Err(WriteError::Conflict { law: Charge::ONE_FOR_A_TASK_OF_A_STUDY }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn charges_of_a_restricted_patient_are_given_to_readers_of_the_care_team() {
    let Some((store, _database)) = testing::store().await else { return };
    let (author, other) = (fresh_id(), fresh_id());
    let (open, restricted) = (registered(&store).await, registered(&store).await);
    let changed = Patient { restricted: true, version: restricted.version + 1, ..restricted.clone() };
    store.change(ChangedPatient { patient: changed, trail: trail(Action::PATIENT_CHANGE) }).await.unwrap();
    let by_author = |patient: PatientId| {
        let source = Source::Study { study: fresh_id(), diagnosis: fresh_id(), author };
        Charge { source, task: Some(TaskCode::parse("CT").unwrap()), ..charge(patient, 100) }
    };
    let mut shown = Vec::new();
    let mut all = Vec::new();
    for _ in 0..3 {
        let seen = record(&store, by_author(open.id)).await;
        let hidden = record(&store, by_author(restricted.id)).await;
        shown.insert(0, seen);
        all.splice(0..0, [hidden, seen]);
    }
    let list = async |reader| {
        let filter = ChargeFilter { author: Some(author), reader, ..ChargeFilter::default() };
        let mut page = PageRequest { limit: Limit::new(2).unwrap(), after: None };
        let mut ids = Vec::new();
        loop {
            let found = store.list_charges(&filter, &page).await.unwrap();
            assert!(found.next.is_none() || found.items.len() == 2, "what is hidden leaves no gap");
            ids.extend(found.items.iter().map(|view| view.charge.id));
            match found.next {
                Some(next) => page.after = Some(next),
                None => return ids,
            }
        }
    };
    assert_eq!(list(None).await, all);
    assert_eq!(list(Some(author)).await, shown);
    let member =
        CareTeamMember { patient: restricted.id, account: author, added_at: open.registered_at, added_by: fresh_id() };
    store.add(AddedMember { member, trail: trail(Action::CARE_TEAM_ADD) }).await.unwrap();
    assert_eq!(list(Some(author)).await, all);
    assert_eq!(list(Some(other)).await, shown);
}

/// What was sent, by name; of a write also what its first entry of a chain takes.
async fn sent<T>(store: &MongoStore, work: impl Future<Output = T>) -> BTreeMap<String, u64> {
    store.commands().of(work).await.1
}

#[tokio::test]
async fn what_is_sent_does_not_grow_with_the_account() {
    let Some((store, _database)) = testing::store().await else { return };
    let patient = registered(&store).await.id;
    let (few, many) = (2, 120);
    let mut seen = Vec::new();
    for count in [few, many] {
        let mut charges = Vec::new();
        for _ in 0..count {
            charges.push((record(&store, charge(patient, 10)).await, 4));
        }
        let whole = payment(patient, &charges);
        let taken = sent(&store, async { take(&store, &whole).await.unwrap() }).await;
        give_back(&store, &whole, 1).await.unwrap();
        for part in &charges {
            take(&store, &payment(patient, &[(part.0, 1)])).await.unwrap();
        }
        let page = PageRequest { limit: Limit::new(200).unwrap(), after: None };
        let everything = ChargeFilter { reader: Some(fresh_id()), ..ChargeFilter::default() };
        let period = Period::new(Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(86_400_000 * 3_000)).unwrap();
        let ids: Vec<ChargeId> = charges.iter().map(|(charge, _)| *charge).collect();
        let read = [
            sent(&store, async { store.charges(&ids).await.unwrap().len() }).await,
            sent(&store, store.open_charges(patient, 500)).await,
            sent(&store, store.payment(whole.id)).await,
            sent(&store, store.list_charges(&everything, &page)).await,
            sent(&store, store.list_payments(Some(patient), &page)).await,
            sent(&store, store.statement(patient, CURRENCY, None, 2_001)).await,
            sent(&store, store.totals_of_patients(&[patient, fresh_id()], CURRENCY)).await,
            sent(&store, store.totals_of_house(CURRENCY)).await,
            sent(&store, store.summary(period, SummaryBy::Task, CURRENCY)).await,
        ];
        seen.push((taken, read));
    }
    assert_eq!(seen[0], seen[1]);
    let counts = seen[0].1.each_ref().map(|sent| sent.values().sum::<u64>());
    // Of a statement and a summary, one is the end of their transaction.
    assert_eq!(counts, [1, 1, 1, 1, 1, 4, 1, 1, 5], "{:?}", seen[0]);
    let taken = &seen[0].0;
    assert_eq!((taken.get("find"), taken.get("update")), (Some(&1), Some(&1)), "{taken:?}");
}
