//! One test for each law of the ports. Every adapter runs them all on an empty ledger:
//! `infirmary_financials::ledger_laws!(make)`, where `make` is an async function that gives the [`Books`] and whatever has
//! to live as long as they do.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

pub use infirmary_kernel::testing::made;

use std::{collections::HashSet, time::Duration};

use futures_util::future::{join, join_all};
use infirmary_kernel::{
    AccountId, Action, ChargeId, Claim, Currency, Done, Fingerprint, IdempotencyKey, Limit, Money, Page, PageRequest,
    PatientId, Receipt, TaskCode, Timestamp, WriteError, Written,
    testing::{fresh_id, trail, trail_with_claim},
};

use super::{Books, CURRENCY, charge, idempotency, model, money, receipt, text};
use crate::{
    Allocation, Charge, ChargeFilter, ChargeStatus, ChargeView, FinancialsError, Line, MAX_AMOUNT_MINOR, NewPayment,
    NewRefund, Payment, PaymentMethod, PaymentView, Period, Posting, RecordedCharge, Refund, RefundedPayment, Source,
    SummaryBy, TakenPayment, Totals, Void, VoidedCharge,
};

#[macro_export]
macro_rules! ledger_laws {
    ($make:path) => {
        $crate::ledger_laws!(@each $make:
            a_charge_is_read_back_to_the_last_code_point
            a_payment_and_its_refunds_are_read_back_to_the_last_code_point
            a_used_claim_gives_the_receipt_and_changes_nothing
            a_task_of_a_study_is_charged_once
            the_report_on_a_diagnosis_is_charged_once
            a_charge_is_of_a_known_patient
            a_payment_that_does_not_fit_is_stale_and_leaves_nothing
            payments_that_both_fit_are_both_taken
            a_charge_with_something_paid_on_it_is_not_made_void
            a_refund_of_more_than_is_left_is_stale_and_leaves_nothing
            the_largest_amounts_are_held_exactly
            open_charges_are_those_owed_oldest_first
            lists_are_newest_first_and_stable_under_equal_times
            charges_are_listed_by_patient_author_and_status
            a_statement_runs_on_over_its_pages_under_equal_times
            totals_are_given_in_the_order_asked_and_sum_up_to_the_house
            a_summary_sums_up_whatever_it_is_summed_by
            a_hundred_payments_with_one_key_have_one_effect
            a_hundred_payments_on_one_charge_never_take_more_than_it
            a_payment_and_a_void_at_once_leave_one_of_them
            refunds_at_once_never_give_back_more_than_was_paid
            sixteen_charges_of_one_task_of_a_study_are_one
            a_reader_never_sees_half_of_a_payment
            the_books_agree_with_a_plain_model_after_every_step);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((books, _keep)) = $crate::testing::laws::made($make().await) else { return };
            $crate::testing::laws::$law(&books).await;
        })*
    };
}

fn start() -> Timestamp {
    Timestamp::from_unix_ms(1_772_355_600_000)
}

fn minutes(count: u64) -> Timestamp {
    start().plus(Duration::from_secs(60 * count))
}

fn with_claim(action: Action, account: AccountId, asked: &str, told: &str) -> infirmary_kernel::Trail {
    let claim = Claim {
        account,
        key: IdempotencyKey::parse("$key.of {the} desk مفتاح").unwrap(),
        fingerprint: Fingerprint::of([asked.as_bytes()]),
        receipt: receipt(told),
        at: start(),
    };
    trail_with_claim(action, claim)
}

async fn record(books: &Books, charge: Charge) -> Charge {
    let recorded = RecordedCharge { charge: charge.clone(), trail: trail(Action::CHARGE_CREATE) };
    assert_eq!(books.ledger.record_charge(recorded).await.unwrap(), Written::Now);
    charge
}

fn payment(patient: PatientId, allocations: &[(ChargeId, i64)]) -> Payment {
    Payment {
        id: fresh_id(),
        patient,
        amount: money(allocations.iter().map(|(_, pence)| pence).sum()),
        method: PaymentMethod::Card,
        received_at: start(),
        received_by: fresh_id(),
        allocations: allocations.iter().map(|(charge, pence)| part(*charge, *pence)).collect(),
    }
}

fn refund(payment: &Payment, allocations: &[(ChargeId, i64)]) -> Refund {
    Refund {
        id: fresh_id(),
        payment: payment.id,
        amount: money(allocations.iter().map(|(_, pence)| pence).sum()),
        reason: text("دفع مرتين"),
        refunded_at: start(),
        refunded_by: fresh_id(),
        allocations: allocations.iter().map(|(charge, pence)| part(*charge, *pence)).collect(),
    }
}

const fn part(charge: ChargeId, pence: i64) -> Allocation {
    Allocation { charge, amount: money(pence) }
}

async fn take(books: &Books, payment: &Payment) -> Result<Written, WriteError> {
    books.ledger.take_payment(TakenPayment { payment: payment.clone(), trail: trail(Action::PAYMENT_TAKE) }).await
}

async fn give_back(books: &Books, refund: &Refund) -> Result<Written, WriteError> {
    let refunded = RefundedPayment { refund: refund.clone(), trail: trail(Action::PAYMENT_REFUND) };
    books.ledger.refund_payment(refunded).await
}

fn void_at(at: Timestamp) -> Void {
    Void { at, by: fresh_id(), reason: text("بالخطأ $set.{}") }
}

async fn void(books: &Books, charge: ChargeId) -> Result<Written, WriteError> {
    let voided = VoidedCharge { charge, void: void_at(start()), trail: trail(Action::CHARGE_VOID) };
    books.ledger.void_charge(voided).await
}

async fn view(books: &Books, id: ChargeId) -> ChargeView {
    books.ledger.charges(&[id]).await.unwrap().pop().expect("the charge is there")
}

async fn in_order(books: &Books) {
    assert_eq!(books.queries.discrepancies(CURRENCY, 100).await.unwrap(), []);
}

fn of_study() -> Source {
    Source::Study { study: fresh_id(), diagnosis: fresh_id(), author: fresh_id() }
}

fn task(code: &str) -> Option<TaskCode> {
    Some(TaskCode::parse(code).unwrap())
}

pub async fn a_charge_is_read_back_to_the_last_code_point(books: &Books) {
    let of_report = Source::Report { report: fresh_id(), diagnosis: fresh_id(), author: fresh_id() };
    let longest = "\u{6d5}".repeat(500);
    for (source, description) in [
        (Source::Hand, "أشعة سينية للصدر"),
        (of_study(), "تیشکی سنگ، ڕێبین"),
        (of_report, "$where.{} \"x\" \\ %_ '"),
        (of_study(), &longest),
    ] {
        let bare = Charge { description: text(description), ..charge(books.patients[0], 29_900) };
        let bare = record(books, bare).await;
        let coded = Charge { id: fresh_id(), task: task("XR-CHEST"), source, ..bare.clone() };
        let coded = record(books, coded).await;
        let mut found = books.ledger.charges(&[bare.id, coded.id]).await.unwrap();
        found.sort_by_key(|view| view.charge.id);
        assert_eq!(found, [ChargeView::unpaid(bare), ChargeView::unpaid(coded.clone())]);

        let void = void_at(minutes(1));
        let voided = VoidedCharge { charge: coded.id, void: void.clone(), trail: trail(Action::CHARGE_VOID) };
        assert_eq!(books.ledger.void_charge(voided).await.unwrap(), Written::Now);
        let read = view(books, coded.id).await;
        assert_eq!(read.charge, Charge { voided: Some(void), ..coded });
        assert_eq!(read.status(), ChargeStatus::Void);
    }
    let free = record(books, charge(books.patients[0], 0)).await;
    assert_eq!(view(books, free.id).await.status(), ChargeStatus::Paid, "nothing is owed on what costs nothing");
    assert_eq!(books.ledger.charges(&[fresh_id()]).await.unwrap(), []);
    assert_eq!(books.ledger.charges(&[]).await.unwrap(), []);
}

pub async fn a_payment_and_its_refunds_are_read_back_to_the_last_code_point(books: &Books) {
    let patient = books.patients[0];
    let (old, new) = (record(books, charge(patient, 100)).await, record(books, charge(patient, 200)).await);
    for method in PaymentMethod::ALL {
        let taken = Payment { method, ..payment(patient, &[(old.id, 10), (new.id, 20)]) };
        take(books, &taken).await.unwrap();
        let first = refund(&taken, &[(new.id, 20), (old.id, 1)]);
        let second = Refund { refunded_at: minutes(1), ..refund(&taken, &[(old.id, 2)]) };
        for refund in [&second, &first] {
            give_back(books, refund).await.unwrap();
        }
        let read = books.ledger.payment(taken.id).await.unwrap();
        assert_eq!(read, Some(PaymentView { payment: taken, refunds: vec![first, second] }), "oldest refund first");
    }
    let (old, new) = (view(books, old.id).await, view(books, new.id).await);
    assert_eq!((old.paid, old.refunded, old.outstanding()), (money(50), money(15), money(65)));
    assert_eq!((new.paid, new.refunded, new.outstanding()), (money(100), money(100), money(200)));
    assert_eq!(books.ledger.payment(fresh_id()).await.unwrap(), None);
    in_order(books).await;
}

pub async fn a_used_claim_gives_the_receipt_and_changes_nothing(books: &Books) {
    let (patient, clerk) = (books.patients[0], fresh_id());
    let [first, other] = [charge(patient, 100), charge(patient, 100)];
    let attempt = async |charge: &Charge, account, asked: &str, told: &str| {
        let trail = with_claim(Action::CHARGE_CREATE, account, asked, told);
        books.ledger.record_charge(RecordedCharge { charge: charge.clone(), trail }).await
    };
    assert_eq!(attempt(&first, clerk, "first", "told").await.unwrap(), Written::Now);
    assert_eq!(attempt(&other, clerk, "first", "not told").await.unwrap(), Written::Before(receipt("told")));
    assert!(matches!(attempt(&other, clerk, "other", "").await, Err(WriteError::KeyReused)));
    assert_eq!(books.ledger.charges(&[other.id]).await.unwrap(), []);
    assert_eq!(attempt(&other, fresh_id(), "other", "").await.unwrap(), Written::Now, "a key is the account's own");

    // The second time, none of these would hold: the claim is asked before anything else.
    let clerk = fresh_id();
    let taken = payment(patient, &[(first.id, 100)]);
    for expected in [Written::Now, Written::Before(receipt("paid"))] {
        let trail = with_claim(Action::PAYMENT_TAKE, clerk, "pay", "paid");
        let again = TakenPayment { payment: Payment { id: fresh_id(), ..taken.clone() }, trail };
        let again = if expected == Written::Now { TakenPayment { payment: taken.clone(), ..again } } else { again };
        assert_eq!(books.ledger.take_payment(again).await.unwrap(), expected);
    }
    let clerk = fresh_id();
    for expected in [Written::Now, Written::Before(receipt("refunded"))] {
        let trail = with_claim(Action::PAYMENT_REFUND, clerk, "refund", "refunded");
        let again = RefundedPayment { refund: refund(&taken, &[(first.id, 100)]), trail };
        assert_eq!(books.ledger.refund_payment(again).await.unwrap(), expected);
    }
    let clerk = fresh_id();
    for expected in [Written::Now, Written::Before(receipt("void"))] {
        let trail = with_claim(Action::CHARGE_VOID, clerk, "void", "void");
        let again = VoidedCharge { charge: first.id, void: void_at(start()), trail };
        assert_eq!(books.ledger.void_charge(again).await.unwrap(), expected);
    }
    let totals = books.queries.totals_of_patients(&[patient], CURRENCY).await.unwrap();
    assert_eq!(totals, [Totals::new(CURRENCY, 200, 100, 100, 100).unwrap()]);
}

async fn conflict(books: &Books, new: Charge) -> Option<&'static str> {
    match books.ledger.record_charge(RecordedCharge { charge: new, trail: trail(Action::CHARGE_CREATE) }).await {
        Ok(_) => None,
        Err(WriteError::Conflict { law }) => Some(law),
        Err(other) => panic!("expected a conflict, not {other:?}"),
    }
}

pub async fn a_task_of_a_study_is_charged_once(books: &Books) {
    let (study, patient) = (of_study(), books.patients[0]);
    let new = |source, code| Charge { source, task: task(code), ..charge(patient, 29_900) };
    let first = record(books, new(study, "CT")).await;
    assert_eq!(conflict(books, new(study, "CT")).await, Some(Charge::ONE_FOR_A_TASK_OF_A_STUDY));
    void(books, first.id).await.unwrap();
    assert_eq!(conflict(books, new(study, "CT")).await, Some(Charge::ONE_FOR_A_TASK_OF_A_STUDY), "void or not");
    for other in [new(study, "MR"), new(of_study(), "CT"), new(Source::Hand, "CT"), new(Source::Hand, "CT")] {
        assert_eq!(conflict(books, other).await, None);
    }
}

pub async fn the_report_on_a_diagnosis_is_charged_once(books: &Books) {
    let patient = books.patients[0];
    let diagnosis = fresh_id();
    let on = |diagnosis| Charge {
        source: Source::Report { report: fresh_id(), diagnosis, author: fresh_id() },
        task: Some(TaskCode::report()),
        ..charge(patient, 5_000)
    };
    record(books, on(diagnosis)).await;
    assert_eq!(conflict(books, on(diagnosis)).await, Some(Charge::ONE_FOR_THE_REPORT_ON_A_DIAGNOSIS));
    assert_eq!(conflict(books, on(fresh_id())).await, None);
    let study = Source::Study { study: fresh_id(), diagnosis, author: fresh_id() };
    let of_study = Charge { source: study, task: Some(TaskCode::report()), ..charge(patient, 5_000) };
    assert_eq!(conflict(books, of_study).await, None, "the study of the same diagnosis has charges of its own");
}

pub async fn a_charge_is_of_a_known_patient(books: &Books) {
    let nobody = charge(fresh_id(), 100);
    assert_eq!(conflict(books, nobody.clone()).await, Some(Charge::OF_A_KNOWN_PATIENT));
    assert_eq!(books.ledger.charges(&[nobody.id]).await.unwrap(), []);
}

pub async fn a_payment_that_does_not_fit_is_stale_and_leaves_nothing(books: &Books) {
    let [patient, other, _] = books.patients;
    let open = record(books, charge(patient, 100)).await.id;
    let cancelled = record(books, charge(patient, 100)).await.id;
    void(books, cancelled).await.unwrap();
    let others = record(books, charge(other, 100)).await.id;
    let dollars = Currency::parse("USD").unwrap();
    let mut foreign = payment(patient, &[(open, 1)]);
    foreign.amount = Money::new(1, dollars);
    foreign.allocations[0].amount = Money::new(1, dollars);
    for refused in [
        payment(patient, &[(open, 101)]),
        payment(patient, &[(open, 10), (cancelled, 1)]),
        payment(patient, &[(open, 10), (others, 1)]),
        payment(patient, &[(open, 10), (fresh_id(), 1)]),
        foreign,
    ] {
        assert!(matches!(take(books, &refused).await, Err(WriteError::Stale)), "{refused:?}");
        assert_eq!(books.ledger.payment(refused.id).await.unwrap(), None);
    }
    assert_eq!(view(books, open).await.paid, money(0), "the members that would have fitted left nothing either");
    take(books, &payment(patient, &[(open, 100)])).await.unwrap();
    assert!(matches!(take(books, &payment(patient, &[(open, 1)])).await, Err(WriteError::Stale)));
    in_order(books).await;
}

pub async fn payments_that_both_fit_are_both_taken(books: &Books) {
    let patient = books.patients[0];
    let open = record(books, charge(patient, 100)).await.id;
    let payments: Vec<Payment> = (0..10).map(|_| payment(patient, &[(open, 10)])).collect();
    for taken in join_all(payments.iter().map(|payment| take(books, payment))).await {
        assert_eq!(taken.unwrap(), Written::Now);
    }
    assert_eq!(view(books, open).await.status(), ChargeStatus::Paid);
}

pub async fn a_charge_with_something_paid_on_it_is_not_made_void(books: &Books) {
    let patient = books.patients[0];
    let open = record(books, charge(patient, 100)).await.id;
    let taken = payment(patient, &[(open, 1)]);
    take(books, &taken).await.unwrap();
    assert!(matches!(void(books, open).await, Err(WriteError::Stale)));
    assert_eq!(view(books, open).await.charge.voided, None);
    give_back(books, &refund(&taken, &[(open, 1)])).await.unwrap();
    void(books, open).await.unwrap();
    assert!(matches!(void(books, open).await, Err(WriteError::Stale)), "it is void already");
    assert!(matches!(void(books, fresh_id()).await, Err(WriteError::Stale)));
    in_order(books).await;
}

pub async fn a_refund_of_more_than_is_left_is_stale_and_leaves_nothing(books: &Books) {
    let patient = books.patients[0];
    let old = record(books, charge(patient, 100)).await.id;
    let new = record(books, charge(patient, 100)).await.id;
    let taken = payment(patient, &[(old, 50), (new, 50)]);
    take(books, &taken).await.unwrap();
    take(books, &payment(patient, &[(old, 50)])).await.unwrap();
    for refused in [
        refund(&taken, &[(old, 51)]),
        refund(&taken, &[(new, 50), (old, 51)]),
        refund(&taken, &[(fresh_id(), 1)]),
        refund(&payment(patient, &[(old, 50)]), &[(old, 1)]),
    ] {
        assert!(matches!(give_back(books, &refused).await, Err(WriteError::Stale)), "{refused:?}");
    }
    assert_eq!(view(books, new).await.refunded, money(0));
    give_back(books, &refund(&taken, &[(old, 50)])).await.unwrap();
    assert!(matches!(give_back(books, &refund(&taken, &[(old, 1)])).await, Err(WriteError::Stale)));
    assert_eq!(view(books, old).await.outstanding(), money(50), "what was given back is owed again");
    in_order(books).await;
}

pub async fn the_largest_amounts_are_held_exactly(books: &Books) {
    let patient = books.patients[0];
    let mut allocations = Vec::new();
    for _ in 0..12 {
        allocations.push((record(books, charge(patient, MAX_AMOUNT_MINOR - 1)).await.id, MAX_AMOUNT_MINOR - 1));
    }
    let taken = payment(patient, &allocations);
    take(books, &taken).await.unwrap();
    let read = books.ledger.payment(taken.id).await.unwrap().unwrap();
    assert_eq!(read.refundable(), money(12 * (MAX_AMOUNT_MINOR - 1)));
    let totals = books.queries.totals_of_house(CURRENCY).await.unwrap();
    assert_eq!((totals.charged(), totals.balance()), (money(12 * (MAX_AMOUNT_MINOR - 1)), money(0)));
    let extreme = NewPayment { patient, amount: money(i64::MAX), method: PaymentMethod::Cash, charges: None };
    let refused = books.taking().run(&books.accountant(), extreme, idempotency("k", ""), |_| receipt("")).await;
    assert!(matches!(refused, Err(FinancialsError::MoreThanOwed { owed }) if owed == money(0)));
    let extreme = NewRefund { amount: money(i64::MAX), reason: text("all of it") };
    let refunding = books.refunding();
    let refused = refunding.run(&books.accountant(), taken.id, extreme, idempotency("r", ""), |_| receipt("")).await;
    assert!(matches!(refused, Err(FinancialsError::MoreThanRefundable { left }) if left == taken.amount));
    in_order(books).await;
}

pub async fn open_charges_are_those_owed_oldest_first(books: &Books) {
    let [patient, other, _] = books.patients;
    let charged =
        async |at, pence| record(books, Charge { charged_at: minutes(at), ..charge(patient, pence) }).await.id;
    let (third, first, second) = (charged(2, 100).await, charged(0, 100).await, charged(1, 100).await);
    let (paid, cancelled) = (charged(0, 50).await, charged(0, 50).await);
    let fourth = charged(2, 100).await;
    charged(0, 0).await;
    record(books, charge(other, 100)).await;
    take(books, &payment(patient, &[(paid, 50), (second, 99)])).await.unwrap();
    void(books, cancelled).await.unwrap();
    let open = async |most| -> Vec<ChargeId> {
        books.ledger.open_charges(patient, most).await.unwrap().iter().map(|view| view.charge.id).collect()
    };
    assert_eq!(open(10).await, [first, second, third, fourth]);
    assert_eq!(open(3).await, [first, second, third]);
    let seconds = books.ledger.open_charges(patient, 2).await.unwrap().pop().unwrap();
    assert_eq!((seconds.paid, seconds.outstanding()), (money(99), money(1)));
    assert_eq!(books.ledger.open_charges(fresh_id(), 10).await.unwrap(), []);
}

/// Follows the cursors to the end; `between` runs after each page.
async fn walk<T>(limit: usize, fetch: impl AsyncFn(&PageRequest) -> Page<T>, between: impl AsyncFn()) -> Vec<T> {
    let mut request = PageRequest { limit: Limit::new(limit).unwrap(), after: None };
    let mut all = Vec::new();
    loop {
        let page = fetch(&request).await;
        assert!(page.items.len() <= limit);
        all.extend(page.items);
        between().await;
        match page.next {
            Some(next) => request.after = Some(next),
            None => return all,
        }
    }
}

pub async fn lists_are_newest_first_and_stable_under_equal_times(books: &Books) {
    let [patient, other, _] = books.patients;
    let (mut charges, mut payments) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let charged = record(books, charge(patient, 100)).await;
        let taken = payment(patient, &[(charged.id, 60)]);
        take(books, &taken).await.unwrap();
        let refund = refund(&taken, &[(charged.id, 10)]);
        give_back(books, &refund).await.unwrap();
        charges.insert(0, charged);
        payments.insert(0, PaymentView { payment: taken, refunds: vec![refund] });
    }
    let later = async || {
        let charged = record(books, charge(patient, 100)).await;
        take(books, &payment(patient, &[(charged.id, 100)])).await.unwrap();
    };
    let elsewhere = record(books, Charge { charged_at: minutes(0), ..charge(other, 100) }).await;
    take(books, &payment(other, &[(elsewhere.id, 100)])).await.unwrap();

    let filter = ChargeFilter { patient: Some(patient), ..ChargeFilter::default() };
    let listed =
        walk(2, async |page| books.queries.list_charges(&filter, page).await.unwrap(), async || later().await).await;
    let ids: Vec<ChargeId> = listed.iter().map(|view| view.charge.id).collect();
    assert_eq!(ids, charges.iter().map(|charge| charge.id).collect::<Vec<_>>());
    assert!(listed.iter().all(|view| (view.paid, view.refunded) == (money(60), money(10))));

    let before = books.queries.list_payments(Some(patient), &PageRequest::default()).await.unwrap().items;
    let listed =
        walk(2, async |page| books.queries.list_payments(Some(patient), page).await.unwrap(), async || later().await)
            .await;
    assert_eq!(listed, before, "what came after the first page does not disturb the others");
    assert_eq!(listed[listed.len() - 5..], payments);
    let all = books.queries.list_payments(None, &PageRequest::default()).await.unwrap().items;
    assert!(all.iter().any(|view| view.payment.patient == other));
    assert_eq!(
        all.len(),
        books.queries.list_payments(Some(patient), &PageRequest::default()).await.unwrap().items.len() + 1
    );
}

pub async fn charges_are_listed_by_patient_author_and_status(books: &Books) {
    let [patient, other, _] = books.patients;
    let author = fresh_id();
    let by_author = Source::Study { study: fresh_id(), diagnosis: fresh_id(), author };
    let reported = Source::Report { report: fresh_id(), diagnosis: fresh_id(), author };
    let of_doctor = |source, patient| Charge { source, task: task("CT"), ..charge(patient, 100) };
    let authored = record(books, of_doctor(by_author, patient)).await.id;
    let report = record(books, of_doctor(reported, other)).await.id;
    let paid = record(books, charge(patient, 100)).await.id;
    let part_paid = record(books, charge(patient, 100)).await.id;
    let cancelled = record(books, charge(patient, 100)).await.id;
    void(books, cancelled).await.unwrap();
    let taken = payment(patient, &[(paid, 100), (part_paid, 100)]);
    take(books, &taken).await.unwrap();
    give_back(books, &refund(&taken, &[(part_paid, 1)])).await.unwrap();
    let list = async |filter: ChargeFilter| -> Vec<ChargeId> {
        let page = walk(2, async |page| books.queries.list_charges(&filter, page).await.unwrap(), async || {}).await;
        page.iter().map(|view| view.charge.id).collect()
    };
    let of = |patient, author, status| ChargeFilter { patient, author, status, reader: None };
    assert_eq!(list(of(None, None, None)).await, [cancelled, part_paid, paid, report, authored]);
    assert_eq!(list(of(Some(patient), None, None)).await, [cancelled, part_paid, paid, authored]);
    assert_eq!(list(of(Some(patient), None, Some(ChargeStatus::Open))).await, [part_paid, authored]);
    assert_eq!(list(of(Some(patient), None, Some(ChargeStatus::Paid))).await, [paid]);
    assert_eq!(list(of(Some(patient), None, Some(ChargeStatus::Void))).await, [cancelled]);
    assert_eq!(list(of(None, None, Some(ChargeStatus::Open))).await, [part_paid, report, authored]);
    assert_eq!(list(of(None, None, Some(ChargeStatus::Paid))).await, [paid]);
    assert_eq!(list(of(None, None, Some(ChargeStatus::Void))).await, [cancelled]);
    assert_eq!(list(of(None, Some(author), None)).await, [report, authored]);
    assert_eq!(list(of(Some(other), Some(author), Some(ChargeStatus::Open))).await, [report]);
    assert_eq!(list(of(Some(patient), Some(fresh_id()), None)).await, []);
}

pub async fn a_statement_runs_on_over_its_pages_under_equal_times(books: &Books) {
    let [patient, other, nobody] = books.patients;
    for (at, pence) in [(0, 100), (0, 200), (0, 300), (1, 400)] {
        let new =
            Charge {
                charged_at: minutes(at), description: text("أشعة"), task: task("CT"), ..charge(patient, pence)
            };
        let charged = record(books, new).await.id;
        let taken = Payment { received_at: minutes(at), ..payment(patient, &[(charged, pence)]) };
        take(books, &taken).await.unwrap();
        let all = Refund { refunded_at: minutes(at), ..refund(&taken, &[(charged, pence)]) };
        give_back(books, &all).await.unwrap();
        let voided = VoidedCharge { charge: charged, void: void_at(minutes(at)), trail: trail(Action::CHARGE_VOID) };
        books.ledger.void_charge(voided).await.unwrap();
    }
    record(books, Charge { charged_at: minutes(2), ..charge(patient, 7) }).await;
    record(books, charge(other, 1_000)).await;
    let desk = books.accountant();
    let reading = books.reading();
    let whole = reading.statement(&desk, patient, &PageRequest::default()).await.unwrap();
    assert_eq!((whole.opening, whole.lines.items.len(), whole.lines.next.clone()), (money(0), 17, None));
    assert_eq!(whole.totals, Totals::new(CURRENCY, 1_007, 1_000, 1_000, 1_000).unwrap());
    let balances: Vec<i64> = whole.lines.items.iter().map(|line| line.balance.amount_minor()).collect();
    assert_eq!(balances[2], 600, "what is of one moment is charged before it is paid");
    assert_eq!(balances[5], 0, "paid before it is given back");
    assert_eq!(balances[8], 600, "given back before it is void");
    assert_eq!((balances[11], balances[15], balances[16]), (0, 0, 7));
    let said: Vec<&Posting> = whole.lines.items.iter().map(|line| &line.entry.posting).collect();
    assert!(matches!(said[0], Posting::Charge { description, task: Some(_), .. } if description.as_str() == "أشعة"));
    assert!(matches!(said[3], Posting::Payment { method: PaymentMethod::Card, .. }));
    assert!(matches!(said[6], Posting::Refund { reason, .. } if reason.as_str() == "دفع مرتين"));
    assert!(matches!(said[9], Posting::Void { description, reason, .. }
        if description.as_str() == "أشعة" && reason.as_str() == "بالخطأ $set.{}"));

    for limit in [1, 2, 3, 16, 17] {
        let mut lines: Vec<Line> = Vec::new();
        let mut request = PageRequest { limit: Limit::new(limit).unwrap(), after: None };
        loop {
            let page = reading.statement(&desk, patient, &request).await.unwrap();
            assert_eq!(page.opening, lines.last().map_or(money(0), |line| line.balance));
            assert_eq!(page.totals, whole.totals);
            lines.extend(page.lines.items);
            match page.lines.next {
                Some(next) => request.after = Some(next),
                None => break,
            }
        }
        assert_eq!(lines, whole.lines.items, "in pages of {limit}");
    }
    let empty = reading.statement(&desk, nobody, &PageRequest::default()).await.unwrap();
    assert_eq!((empty.lines.items, empty.totals), (vec![], Totals::zero(CURRENCY)));
}

pub async fn totals_are_given_in_the_order_asked_and_sum_up_to_the_house(books: &Books) {
    let [first, second, third] = books.patients;
    let dollars = Currency::parse("USD").unwrap();
    assert_eq!(books.queries.totals_of_house(CURRENCY).await.unwrap(), Totals::zero(CURRENCY));
    let charged = record(books, charge(first, 100)).await.id;
    let taken = payment(first, &[(charged, 80)]);
    take(books, &taken).await.unwrap();
    give_back(books, &refund(&taken, &[(charged, 30)])).await.unwrap();
    let cancelled = record(books, charge(second, 1_000)).await.id;
    void(books, cancelled).await.unwrap();
    record(books, charge(second, 5)).await;
    let totals = |charged, voided, paid, refunded| Totals::new(CURRENCY, charged, voided, paid, refunded).unwrap();
    let of = books.queries.totals_of_patients(&[second, third, first, second], CURRENCY).await.unwrap();
    let [of_first, of_second] = [totals(100, 0, 80, 30), totals(1_005, 1_000, 0, 0)];
    assert_eq!(of, [of_second, Totals::zero(CURRENCY), of_first, of_second]);
    assert_eq!((of_first.balance(), of_second.balance()), (money(50), money(5)));
    let house = books.queries.totals_of_house(CURRENCY).await.unwrap();
    assert_eq!(house, of_first.checked_add(of_second).unwrap());
    assert_eq!(books.queries.totals_of_patients(&[], CURRENCY).await.unwrap(), []);
    assert_eq!(books.queries.totals_of_house(dollars).await.unwrap(), Totals::zero(dollars));
    assert_eq!(books.queries.discrepancies(dollars, 2).await.unwrap().len(), 2, "all of it is in the wrong currency");
    in_order(books).await;
}

pub async fn a_summary_sums_up_whatever_it_is_summed_by(books: &Books) {
    let patient = books.patients[0];
    let day = |days: u64| start().plus(Duration::from_secs(days * 24 * 60 * 60));
    let charged = async |at: u64, pence, code: &str| {
        let task = (!code.is_empty()).then(|| TaskCode::parse(code).unwrap());
        record(books, Charge { charged_at: day(at), task, ..charge(patient, pence) }).await.id
    };
    // Outside of the period on either side: the last moment before it, and the first after.
    let early = Charge { charged_at: start().minus(Duration::from_millis(1)), ..charge(patient, 9) };
    record(books, early).await;
    let late = charged(40, 9, "CT").await;
    let (ct, other, cancelled) = (charged(0, 300, "CT").await, charged(0, 50, "").await, charged(1, 20, "CT").await);
    let report = charged(39, 40, "REPORT").await;
    let voided = VoidedCharge { charge: cancelled, void: void_at(day(39)), trail: trail(Action::CHARGE_VOID) };
    books.ledger.void_charge(voided).await.unwrap();
    let by_card = Payment { received_at: day(1), ..payment(patient, &[(ct, 300), (other, 10)]) };
    let in_cash = Payment { method: PaymentMethod::Cash, received_at: day(39), ..payment(patient, &[(report, 40)]) };
    for taken in [&by_card, &in_cash] {
        take(books, taken).await.unwrap();
    }
    let back = Refund { refunded_at: day(39), ..refund(&by_card, &[(other, 10), (ct, 5)]) };
    give_back(books, &back).await.unwrap();
    take(books, &Payment { received_at: day(40), ..payment(patient, &[(late, 9)]) }).await.unwrap();

    let period = Period::new(start(), day(40)).unwrap();
    let totals = Totals::new(CURRENCY, 410, 20, 350, 15).unwrap();
    let rows = async |by| -> Vec<(String, [i64; 4])> {
        let summary = books.queries.summary(period, by, CURRENCY).await.unwrap();
        assert_eq!((summary.period, summary.by, summary.totals), (period, by, totals));
        let sum = summary.rows.iter().try_fold(Totals::zero(CURRENCY), |sum, row| sum.checked_add(row.totals)).unwrap();
        if by != SummaryBy::Method {
            assert_eq!(sum, totals);
        }
        assert_eq!((sum.paid(), sum.refunded()), (totals.paid(), totals.refunded()));
        let row = |of: Totals| [of.charged(), of.voided(), of.paid(), of.refunded()].map(|sum| sum.amount_minor());
        summary.rows.into_iter().map(|each| (each.key, row(each.totals))).collect()
    };
    let expect = |rows: &[(&str, [i64; 4])]| -> Vec<(String, [i64; 4])> {
        rows.iter().map(|(key, sums)| ((*key).to_owned(), *sums)).collect()
    };
    let by_day = [("2026-03-01", [350, 0, 0, 0]), ("2026-03-02", [20, 0, 310, 0]), ("2026-04-09", [40, 20, 40, 15])];
    assert_eq!(rows(SummaryBy::Day).await, expect(&by_day));
    assert_eq!(rows(SummaryBy::Month).await, expect(&[("2026-03", [370, 0, 310, 0]), ("2026-04", [40, 20, 40, 15])]));
    let by_task = [("CT", [320, 20, 300, 5]), ("REPORT", [40, 0, 40, 0]), ("other", [50, 0, 10, 10])];
    assert_eq!(rows(SummaryBy::Task).await, expect(&by_task));
    assert_eq!(rows(SummaryBy::Method).await, expect(&[("card", [0, 0, 310, 15]), ("cash", [0, 0, 40, 0])]));
}

fn paying(patient: PatientId, pence: i64) -> NewPayment {
    NewPayment { patient, amount: money(pence), method: PaymentMethod::Cash, charges: None }
}

fn told(payment: &Payment) -> Receipt {
    receipt(&payment.id.to_string())
}

pub async fn a_hundred_payments_with_one_key_have_one_effect(books: &Books) {
    let patient = books.patients[0];
    let open = books.charge(patient, 1_000).await.id;
    let (desk, taking) = (books.accountant(), books.taking());
    // All that is owed: whoever comes second would be refused, were it another payment.
    let attempts = (0..100).map(|_| taking.run(&desk, paying(patient, 1_000), idempotency("$k.1", "pay"), told));
    let done: Vec<Done<Payment>> = join_all(attempts).await.into_iter().map(|done| done.unwrap()).collect();
    assert_eq!(done.iter().filter(|done| matches!(done, Done::Now { .. })).count(), 1);
    let receipts: HashSet<Vec<u8>> = done.into_iter().map(|done| done.into_receipt().into_bytes()).collect();
    assert_eq!(receipts.len(), 1, "all were told the same");
    assert_eq!(view(books, open).await.paid, money(1_000));
    let other = taking.run(&desk, paying(patient, 1), idempotency("$k.1", "another"), told).await;
    assert!(matches!(other, Err(FinancialsError::Write(WriteError::KeyReused))), "{other:?}");
    in_order(books).await;
}

pub async fn a_hundred_payments_on_one_charge_never_take_more_than_it(books: &Books) {
    let patient = books.patients[0];
    let open = books.charge(patient, 1_000).await.id;
    let (desk, taking) = (books.accountant(), books.taking());
    // 30 each: 33 of them fit.
    let attempts =
        (0..100).map(|key: usize| taking.run(&desk, paying(patient, 30), idempotency(&key.to_string(), "pay"), told));
    let mut taken = 0;
    for attempt in join_all(attempts).await {
        match attempt {
            Ok(Done::Now { .. }) => taken += 1,
            Err(FinancialsError::MoreThanOwed { owed }) => assert!(owed.amount_minor() < 30),
            Err(FinancialsError::Write(WriteError::Stale)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(taken <= 33);
    assert_eq!(view(books, open).await.paid, money(30 * taken));
    while view(books, open).await.outstanding().amount_minor() >= 30 {
        let key = idempotency(&format!("rest {taken}"), "pay");
        assert!(matches!(taking.run(&desk, paying(patient, 30), key, told).await, Ok(Done::Now { .. })));
        taken += 1;
    }
    assert_eq!(taken, 33);
    in_order(books).await;
}

pub async fn a_payment_and_a_void_at_once_leave_one_of_them(books: &Books) {
    let patient = books.patients[0];
    let (desk, taking, voiding) = (books.accountant(), books.taking(), books.voiding());
    for round in 0..20 {
        let open = books.charge(patient, 100).await.id;
        let pay = taking.run(&desk, paying(patient, 100), idempotency(&round.to_string(), "pay"), told);
        let void = voiding.run(&desk, open, text("in error"), None, |_| receipt(""));
        let (paid, voided) = if round % 2 == 0 {
            join(pay, void).await
        } else {
            let (voided, paid) = join(void, pay).await;
            (paid, voided)
        };
        match (&paid, &voided) {
            (Ok(_), Err(FinancialsError::PaidOn { .. })) | (Err(FinancialsError::MoreThanOwed { .. }), Ok(_)) => {}
            other => panic!("{other:?}"),
        }
        in_order(books).await;
    }
}

pub async fn refunds_at_once_never_give_back_more_than_was_paid(books: &Books) {
    let patient = books.patients[0];
    let (old, new) = (books.charge(patient, 100).await.id, books.charge(patient, 100).await.id);
    let (desk, refunding) = (books.accountant(), books.refunding());
    let taken = books.taking().run(&desk, paying(patient, 200), idempotency("pay", ""), told).await.unwrap();
    let Done::Now { value: taken, .. } = taken else { panic!("it was not taken before") };
    let give_back = |pence, key: &str| {
        let refund = NewRefund { amount: money(pence), reason: text("paid twice") };
        refunding.run(&desk, taken.id, refund, idempotency(key, "refund"), |refund| receipt(&refund.id.to_string()))
    };
    let keys: Vec<String> = (0..16).map(|key| format!("refund {key}")).collect();
    let mut given_back = 0;
    for attempt in join_all(keys.iter().map(|key| give_back(30, key))).await {
        match attempt {
            Ok(Done::Now { .. }) => given_back += 30,
            Err(FinancialsError::MoreThanRefundable { left }) => assert!(left.amount_minor() < 30),
            Err(FinancialsError::Write(WriteError::Stale)) => {}
            other => panic!("{other:?}"),
        }
    }
    let read = books.ledger.payment(taken.id).await.unwrap().unwrap();
    assert_eq!(read.refunded(), money(given_back));
    let (old, new) = (view(books, old).await.net_paid(), view(books, new).await.net_paid());
    assert_eq!(old.checked_add(new).unwrap(), money(200 - given_back));
    assert!(new == money(0) || old == money(100), "the newest charge is taken back from first");
    in_order(books).await;

    let rest = 200 - given_back;
    let again = join_all((0..16).map(|_| give_back(rest, "one key"))).await;
    let receipts: HashSet<Vec<u8>> = again.into_iter().map(|done| done.unwrap().into_receipt().into_bytes()).collect();
    assert_eq!(receipts.len(), 1, "one key, one refund");
    assert_eq!(books.ledger.payment(taken.id).await.unwrap().unwrap().refundable(), money(0));
}

pub async fn sixteen_charges_of_one_task_of_a_study_are_one(books: &Books) {
    let source = of_study();
    let attempts = (0..16).map(|_| {
        let new = Charge { source, task: task("CT"), ..charge(books.patients[0], 100) };
        books.ledger.record_charge(RecordedCharge { charge: new, trail: trail(Action::CHARGE_CREATE) })
    });
    let mut made = 0;
    for attempt in join_all(attempts).await {
        match attempt {
            Ok(_) => made += 1,
            Err(WriteError::Conflict { law }) => assert_eq!(law, Charge::ONE_FOR_A_TASK_OF_A_STUDY),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 1);
}

pub async fn a_reader_never_sees_half_of_a_payment(books: &Books) {
    let patient = books.patients[0];
    let (old, new) = (books.charge(patient, 1_000).await.id, books.charge(patient, 1_000).await.id);
    let write = async {
        for _ in 0..25 {
            let taken = payment(patient, &[(old, 30), (new, 10)]);
            take(books, &taken).await.unwrap();
            give_back(books, &refund(&taken, &[(new, 10), (old, 10)])).await.unwrap();
        }
    };
    let read = async {
        for _ in 0..50 {
            let views = books.ledger.charges(&[old, new]).await.unwrap();
            let on = |id| views.iter().find(|view| view.charge.id == id).unwrap();
            assert_eq!(on(old).paid.amount_minor(), 3 * on(new).paid.amount_minor());
            assert_eq!(on(old).refunded, on(new).refunded);
            let page = books.queries.list_payments(Some(patient), &PageRequest::default()).await.unwrap();
            for view in page.items {
                let parts = view.payment.allocations.iter().map(|part| part.amount.amount_minor()).sum::<i64>();
                assert_eq!(parts, 40);
                for refund in view.refunds {
                    assert_eq!(refund.allocations.len(), 2);
                }
            }
            let statement = books.queries.statement(patient, CURRENCY, None, 200).await.unwrap();
            let totals = statement.totals;
            let lines = crate::Statement::of(patient, statement, 200).unwrap().lines.items;
            assert_eq!(lines.last().unwrap().balance, totals.balance());
            in_order(books).await;
        }
    };
    join(write, read).await;
}

pub async fn the_books_agree_with_a_plain_model_after_every_step(books: &Books) {
    let mut model = model::Model::of(books);
    for step in model::steps(0x1f1).take(400) {
        model.take(step).await;
    }
    model.compare_records().await;
}
