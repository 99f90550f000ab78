//! Who may do what to an account, what is refused, and the trail it leaves.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{sync::Arc, time::Duration};

use infirmary_financials::{
    Charge, ChargeFilter, ChargeStatus, ChargeView, FinancialsError, MAX_AMOUNT_MINOR, MockLedger, NewCharge,
    NewPayment, NewRefund, Payment, PaymentMethod, PaymentView, Period, ReceiptSheet, SettleCharge, Source, Statement,
    StatementSheet, SummaryBy, TakePayment,
    testing::{Books, CURRENCY, MemoryLedger, charge, idempotency, money, receipt, text},
};
use infirmary_kernel::{
    AccessError, Action, Caller, ChargeId, Clock, Currency, Cursor, Done, Event, House, Invalid, Money, Outcome,
    PageRequest, PatientId, PersonName, Receipt, Refused, Role, SheetPatient, TaskCode, WriteError,
    testing::{MemoryJournal, TestGate, caller, fresh_id, patient_caller, trail},
};

struct Desk {
    books: Books,
    journal: MemoryJournal,
}

impl Desk {
    fn new() -> Self {
        let patients = [fresh_id(), fresh_id(), fresh_id()];
        let ledger = MemoryLedger::knowing(patients);
        Self { books: Books::over(&ledger, patients), journal: ledger.journal }
    }

    fn patient(&self) -> PatientId {
        self.books.patients[0]
    }

    async fn pay(&self, new: NewPayment) -> Result<Payment, FinancialsError> {
        let key = idempotency(&fresh_id::<()>().to_string(), "");
        let done = self.books.taking().run(&self.books.accountant(), new, key, told).await?;
        Ok(now(done))
    }

    async fn refund(&self, payment: &Payment, pence: i64) -> Result<(), FinancialsError> {
        let key = idempotency(&fresh_id::<()>().to_string(), "");
        let refund = NewRefund { amount: money(pence), reason: text("paid twice") };
        let desk = self.books.accountant();
        self.books.refunding().run(&desk, payment.id, refund, key, |_| receipt("")).await.map(|_| ())
    }

    /// The charge of a study, as the workflow stores it.
    async fn of_study(&self, patient: PatientId, author: &Caller) -> Charge {
        let source = Source::Study { study: fresh_id(), diagnosis: fresh_id(), author: author.account };
        let charge = Charge { source, task: TaskCode::parse("CT").ok(), ..charge(patient, 100) };
        let trail = trail(Action::STUDY_RECORD);
        let recorded = infirmary_financials::RecordedCharge { charge: charge.clone(), trail };
        self.books.ledger.record_charge(recorded).await.unwrap();
        charge
    }

    fn last(&self) -> Event {
        self.journal.events().pop().unwrap()
    }
}

fn now<T: std::fmt::Debug>(done: Done<T>) -> T {
    match done {
        Done::Now { value, .. } => value,
        Done::Before(_) => panic!("it was not done before"),
    }
}

fn told(payment: &Payment) -> Receipt {
    receipt(&payment.id.to_string())
}

fn paying(patient: PatientId, pence: i64) -> NewPayment {
    NewPayment { patient, amount: money(pence), method: PaymentMethod::Cash, charges: None }
}

fn naming(patient: PatientId, pence: i64, charges: &[ChargeId]) -> NewPayment {
    NewPayment { charges: Some(charges.to_vec()), ..paying(patient, pence) }
}

fn role_may_not<T: std::fmt::Debug>(result: Result<T, FinancialsError>) -> bool {
    matches!(result, Err(FinancialsError::Access(AccessError::Refused(Refused::Role { .. }))))
}

fn hidden<T: std::fmt::Debug>(result: Result<T, FinancialsError>) -> bool {
    matches!(result, Err(FinancialsError::Access(AccessError::Refused(Refused::Hidden))))
}

fn refusals<T: std::fmt::Debug>(result: Result<T, FinancialsError>) -> Vec<String> {
    match result {
        Err(FinancialsError::Invalid(Invalid { fields })) => {
            fields.into_iter().map(|field| field.pointer.into_owned()).collect()
        }
        other => panic!("expected refused values, not {other:?}"),
    }
}

#[tokio::test]
async fn only_admins_and_accountants_charge_void_take_and_refund_and_a_refusal_is_in_the_trail() {
    let desk = Desk::new();
    let (books, patient) = (&desk.books, desk.patient());
    let open = books.charge(patient, 100).await.id;
    let taken = desk.pay(paying(patient, 50)).await.unwrap();
    for role in Role::ALL {
        let caller = Caller { patient: Some(patient), authenticated_at: books.clock.now(), ..caller(role) };
        let may = matches!(role, Role::Admin | Role::Accountant);
        let new = NewCharge { patient, description: text("Dressing"), amount: money(1), task: None };
        let key = || idempotency(role.as_str(), "");
        let charged = books.charging().run(&caller, new, None, |_| receipt("")).await;
        let paid = books.taking().run(&caller, paying(patient, 1), key(), told).await;
        let refund = NewRefund { amount: money(1), reason: text("paid twice") };
        let refunding = books.refunding();
        let key = idempotency(&format!("refund {role}"), "");
        let refunded = refunding.run(&caller, taken.id, refund, key, |_| receipt("")).await;
        let voided = books.voiding().run(&caller, open, text("in error"), None, |_| receipt("")).await;
        assert_eq!(charged.is_ok() && paid.is_ok() && refunded.is_ok(), may, "{role}");
        if may {
            assert!(matches!(voided, Err(FinancialsError::PaidOn { .. })));
        } else {
            assert!(role_may_not(charged) && role_may_not(paid) && role_may_not(refunded) && role_may_not(voided));
            let last = desk.last();
            assert_eq!((last.action, last.outcome, last.role), (Action::ACCESS_REFUSED, Outcome::Refused, Some(role)));
        }
    }
}

#[tokio::test]
async fn each_write_is_in_the_trail_of_the_patient() {
    let desk = Desk::new();
    let (books, patient) = (&desk.books, desk.patient());
    let open = books.charge(patient, 100).await.id;
    let taken = desk.pay(paying(patient, 100)).await.unwrap();
    desk.refund(&taken, 100).await.unwrap();
    books.voiding().run(&books.accountant(), open, text("in error"), None, |_| receipt("")).await.unwrap();
    let events: Vec<_> =
        desk.journal.events().into_iter().map(|event| (event.action, event.subject.kind, event.subject.id)).collect();
    assert_eq!(
        events,
        [
            (Action::CHARGE_CREATE, "charge".into(), Some(open.as_uuid())),
            (Action::PAYMENT_TAKE, "payment".into(), Some(taken.id.as_uuid())),
            (Action::PAYMENT_REFUND, "payment".into(), Some(taken.id.as_uuid())),
            (Action::CHARGE_VOID, "charge".into(), Some(open.as_uuid())),
        ]
    );
    assert!(desk.journal.events().iter().all(|event| event.subject.patient == Some(patient)));
}

#[tokio::test]
async fn a_refund_needs_a_recent_authentication() {
    let desk = Desk::new();
    let (books, patient) = (&desk.books, desk.patient());
    books.charge(patient, 100).await;
    let taken = desk.pay(paying(patient, 100)).await.unwrap();
    let earlier = books.accountant();
    let refund = NewRefund { amount: money(1), reason: text("paid twice") };
    let refunding = books.refunding();
    books.clock.advance(Duration::from_secs(15 * 60));
    assert!(
        refunding.run(&earlier, taken.id, refund.clone(), idempotency("in time", ""), |_| receipt("")).await.is_ok()
    );
    books.clock.advance(Duration::from_millis(1));
    let refused = refunding.run(&earlier, taken.id, refund, idempotency("late", ""), |_| receipt("")).await;
    assert!(matches!(
        refused,
        Err(FinancialsError::Access(AccessError::Refused(Refused::StepUp { max_age_minutes: 15 })))
    ));
    assert_eq!(desk.last().outcome, Outcome::Refused);
}

#[tokio::test]
async fn amounts_are_positive_bounded_and_in_the_currency_of_the_facility() {
    let desk = Desk::new();
    let (books, patient) = (&desk.books, desk.patient());
    let dollars = Currency::parse("USD").unwrap();
    let charging = async |amount| {
        let new = NewCharge { patient, description: text("Dressing"), amount, task: None };
        books.charging().run(&books.accountant(), new, None, |_| receipt("")).await
    };
    for pence in [0, -1, i64::MIN, MAX_AMOUNT_MINOR + 1, i64::MAX] {
        assert_eq!(refusals(charging(money(pence)).await), ["/amount/amount"], "{pence}");
    }
    assert_eq!(refusals(charging(Money::new(1, dollars)).await), ["/amount/currency"]);
    assert!(charging(money(MAX_AMOUNT_MINOR)).await.is_ok());

    for pence in [0, -1, i64::MIN] {
        assert_eq!(refusals(desk.pay(paying(patient, pence)).await), ["/amount/amount"], "{pence}");
    }
    let foreign = NewPayment { amount: Money::new(1, dollars), ..paying(patient, 1) };
    assert_eq!(refusals(desk.pay(foreign).await), ["/amount/currency"]);
    let taken = desk.pay(paying(patient, 10)).await.unwrap();
    for pence in [0, -1, i64::MIN] {
        assert_eq!(refusals(desk.refund(&taken, pence).await), ["/amount/amount"], "{pence}");
    }
}

#[tokio::test]
async fn a_charge_for_nobody_known_is_a_refused_value() {
    let desk = Desk::new();
    let new = NewCharge { patient: fresh_id(), description: text("Dressing"), amount: money(1), task: None };
    let refused = desk.books.charging().run(&desk.books.accountant(), new, None, |_| receipt("")).await;
    assert_eq!(refusals(refused), ["/patientId"]);
}

#[tokio::test]
async fn a_payment_lies_on_the_oldest_charges_or_on_those_named() {
    let desk = Desk::new();
    let (books, patient) = (&desk.books, desk.patient());
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(books.charge(patient, 100).await.id);
        books.clock.advance(Duration::from_secs(1));
    }
    let parts = |payment: &Payment| -> Vec<(ChargeId, i64)> {
        payment.allocations.iter().map(|part| (part.charge, part.amount.amount_minor())).collect()
    };
    let oldest = desk.pay(paying(patient, 150)).await.unwrap();
    assert_eq!(parts(&oldest), [(open[0], 100), (open[1], 50)]);
    let named = desk.pay(naming(patient, 150, &[open[3], open[2], open[0]])).await.unwrap();
    assert_eq!(parts(&named), [(open[2], 100), (open[3], 50)], "oldest first among those named, too");
    let refused = desk.pay(naming(patient, 51, &[open[3]])).await;
    assert!(matches!(refused, Err(FinancialsError::MoreThanOwed { owed }) if owed == money(50)));
    let refused = desk.pay(paying(patient, 101)).await;
    assert!(matches!(refused, Err(FinancialsError::MoreThanOwed { owed }) if owed == money(100)));
    desk.pay(paying(patient, 100)).await.unwrap();
    let refused = desk.pay(paying(patient, 1)).await;
    assert!(matches!(refused, Err(FinancialsError::MoreThanOwed { owed }) if owed == money(0)));

    let charges = &books.ledger;
    desk.refund(&named, 60).await.unwrap();
    let views = charges.charges(&open).await.unwrap();
    let outstanding: Vec<i64> = views.iter().map(|view| view.outstanding().amount_minor()).collect();
    assert_eq!(outstanding, [0, 0, 10, 50], "newest first, and owed again");
    assert_eq!(views.last().map(ChargeView::status), Some(ChargeStatus::Open));
}

#[tokio::test]
async fn each_name_that_is_none_of_an_unpaid_charge_of_the_patient_is_told() {
    let desk = Desk::new();
    let (books, [patient, other, _]) = (&desk.books, desk.books.patients);
    let open = books.charge(patient, 100).await.id;
    let others = books.charge(other, 100).await.id;
    let cancelled = books.charge(patient, 100).await.id;
    books.voiding().run(&books.accountant(), cancelled, text("in error"), None, |_| receipt("")).await.unwrap();
    let refused = desk.pay(naming(patient, 10, &[open, others, cancelled, fresh_id(), open])).await;
    assert_eq!(refusals(refused), ["/chargeIds/1", "/chargeIds/2", "/chargeIds/3", "/chargeIds/4"]);
    assert_eq!(refusals(desk.pay(naming(patient, 10, &[])).await), ["/chargeIds"]);
    let many: Vec<ChargeId> = (0..=Payment::MAX_CHARGES).map(|_| fresh_id()).collect();
    assert_eq!(refusals(desk.pay(naming(patient, 10, &many)).await), ["/chargeIds"]);
}

#[tokio::test]
async fn a_payment_is_not_spread_over_more_charges_than_it_can_hold() {
    let desk = Desk::new();
    let (books, patient) = (&desk.books, desk.patient());
    let most = i64::try_from(Payment::MAX_CHARGES).unwrap();
    for _ in 0..=most {
        books.charge(patient, 1).await;
    }
    assert!(matches!(desk.pay(paying(patient, most + 1)).await, Err(FinancialsError::TooManyCharges)));
    desk.pay(paying(patient, most)).await.unwrap();
    desk.pay(paying(patient, 1)).await.unwrap();
}

#[tokio::test]
async fn a_charge_is_made_void_once_and_only_while_nothing_is_paid_on_it() {
    let desk = Desk::new();
    let (books, patient) = (&desk.books, desk.patient());
    let open = books.charge(patient, 100).await.id;
    let void = async |id| books.voiding().run(&books.accountant(), id, text("in error"), None, |_| receipt("")).await;
    let taken = desk.pay(paying(patient, 30)).await.unwrap();
    assert!(matches!(void(open).await, Err(FinancialsError::PaidOn { paid }) if paid == money(30)));
    desk.refund(&taken, 30).await.unwrap();
    let view = now(void(open).await.unwrap());
    assert_eq!((view.status(), view.outstanding()), (ChargeStatus::Void, money(0)));
    assert_eq!(view.charge.voided.unwrap().reason, text("in error"));
    assert!(matches!(void(open).await, Err(FinancialsError::AlreadyVoid)));
    assert!(matches!(void(fresh_id()).await, Err(FinancialsError::NotFound)));
    let absent = Payment { id: fresh_id(), ..taken };
    assert!(matches!(desk.refund(&absent, 1).await, Err(FinancialsError::NotFound)));
}

#[tokio::test]
async fn a_repeated_request_is_told_the_same_though_the_account_would_refuse_it_now() {
    let desk = Desk::new();
    let (books, patient) = (&desk.books, desk.patient());
    let open = books.charge(patient, 100).await.id;
    let clerk = books.accountant();
    let key = || idempotency("pay", "");
    let first = books.taking().run(&clerk, paying(patient, 100), key(), told).await.unwrap().into_receipt();
    for _ in 0..2 {
        let again = books.taking().run(&clerk, paying(patient, 100), key(), told).await.unwrap();
        assert!(matches!(again, Done::Before(receipt) if receipt == first));
    }
    let other = books.taking().run(&clerk, paying(patient, 1), idempotency("pay", "other"), told).await;
    assert!(matches!(other, Err(FinancialsError::Write(WriteError::KeyReused))));

    let taken = books.queries.list_payments(Some(patient), &PageRequest::default()).await.unwrap().items.remove(0);
    let refund = NewRefund { amount: money(100), reason: text("paid twice") };
    let refunding = books.refunding();
    let give_back = async || {
        let key = idempotency("refund", "");
        refunding.run(&clerk, taken.payment.id, refund.clone(), key, |it| receipt(&it.id.to_string())).await.unwrap()
    };
    let first = give_back().await.into_receipt();
    assert!(matches!(give_back().await, Done::Before(receipt) if receipt == first));

    let void = async || {
        let key = Some(idempotency("void", ""));
        books.voiding().run(&clerk, open, text("in error"), key, |_| receipt("void")).await.unwrap()
    };
    void().await;
    assert!(matches!(void().await, Done::Before(told) if told == receipt("void")));
    let totals = books.reading().totals(&clerk, patient).await.unwrap();
    assert_eq!((totals.paid(), totals.refunded(), totals.voided()), (money(100), money(100), money(100)));
}

#[tokio::test]
async fn a_payment_that_others_were_quicker_than_is_decided_anew_and_given_up_after_sixteen_times() {
    let patient = fresh_id();
    let open = charge(patient, 100);
    let taking = |stale: usize| {
        let mut ledger = MockLedger::new();
        let view = ChargeView::unpaid(open.clone());
        ledger.expect_open_charges().returning(move |_, _| Ok(vec![view.clone()]));
        let mut tries = 0;
        ledger.expect_take_payment().times((stale + 1).min(16)).returning(move |_| {
            tries += 1;
            if tries > stale { Ok(infirmary_kernel::Written::Now) } else { Err(WriteError::Stale) }
        });
        TakePayment { gate: TestGate::default().gate, ledger: Arc::new(ledger), currency: CURRENCY }
    };
    let run = async |stale| {
        taking(stale).run(&caller(Role::Accountant), paying(patient, 10), idempotency("k", ""), told).await
    };
    assert!(run(15).await.is_ok());
    assert!(matches!(run(16).await, Err(FinancialsError::Write(WriteError::Stale))));
}

#[tokio::test]
async fn a_doctor_reads_the_charges_of_their_own_studies_and_nothing_else_of_the_accounts() {
    let desk = Desk::new();
    let (books, [patient, other, _]) = (&desk.books, desk.books.patients);
    let (doctor, colleague) = (caller(Role::Doctor), caller(Role::Doctor));
    let own = desk.of_study(patient, &doctor).await;
    let elsewhere = desk.of_study(other, &doctor).await;
    desk.of_study(patient, &colleague).await;
    books.charge(patient, 100).await;
    let reading = books.reading();
    let list = async |filter| -> Vec<ChargeId> {
        let page = reading.charges(&doctor, filter, &PageRequest::default()).await.unwrap();
        page.items.iter().map(|view| view.charge.id).collect()
    };
    assert_eq!(list(ChargeFilter::default()).await, [elsewhere.id, own.id]);
    let of_patient = ChargeFilter { patient: Some(patient), ..ChargeFilter::default() };
    assert_eq!(list(of_patient).await, [own.id]);
    let of_colleague = ChargeFilter { author: Some(colleague.account), ..ChargeFilter::default() };
    assert_eq!(list(of_colleague).await, [elsewhere.id, own.id], "the filter cannot reach further than the doctor");
    let page = PageRequest::default();
    assert!(role_may_not(reading.payments(&doctor, Some(patient), &page).await));
    assert!(role_may_not(reading.payment(&doctor, fresh_id()).await));
    assert!(role_may_not(reading.statement(&doctor, patient, &page).await));
    assert!(role_may_not(reading.totals(&doctor, patient).await));
    let period = Period::new(own.charged_at, own.charged_at.plus(Duration::from_secs(1))).unwrap();
    assert!(role_may_not(reading.summary(&doctor, period, SummaryBy::Day).await));
}

#[tokio::test]
async fn a_patient_reads_their_own_account_and_may_not_know_of_others() {
    let desk = Desk::new();
    let (books, [patient, other, _]) = (&desk.books, desk.books.patients);
    let own = books.charge(patient, 100).await.id;
    books.charge(other, 100).await;
    let paid = desk.pay(paying(patient, 40)).await.unwrap();
    let others = desk.pay(paying(other, 40)).await.unwrap();
    let (ada, reading, page) = (patient_caller(patient), books.reading(), PageRequest::default());

    let charges = reading.charges(&ada, ChargeFilter::default(), &page).await.unwrap();
    assert_eq!(charges.items.iter().map(|view| view.charge.id).collect::<Vec<_>>(), [own]);
    let payments = reading.payments(&ada, None, &page).await.unwrap();
    assert_eq!(payments.items, [PaymentView { payment: paid.clone(), refunds: vec![] }]);
    assert_eq!(reading.payment(&ada, paid.id).await.unwrap().payment, paid);
    assert_eq!(reading.statement(&ada, patient, &page).await.unwrap().lines.items.len(), 2);
    assert_eq!(reading.totals(&ada, patient).await.unwrap().balance(), money(60));
    let receipt = reading.receipt(&ada, paid.id).await.unwrap();
    assert_eq!(receipt.charges.iter().map(|view| view.charge.id).collect::<Vec<_>>(), [own]);

    let of_other = ChargeFilter { patient: Some(other), ..ChargeFilter::default() };
    assert!(hidden(reading.charges(&ada, of_other, &page).await));
    assert!(hidden(reading.payments(&ada, Some(other), &page).await));
    assert!(hidden(reading.payment(&ada, others.id).await));
    assert!(hidden(reading.receipt(&ada, others.id).await));
    assert!(hidden(reading.statement(&ada, other, &page).await));
    assert!(hidden(reading.totals(&ada, other).await));
    let nobody = Caller { patient: None, ..ada };
    assert!(hidden(reading.charges(&nobody, ChargeFilter::default(), &page).await), "an account without a record");
    assert!(hidden(reading.payments(&nobody, None, &page).await));
}

#[tokio::test]
async fn each_read_is_in_the_trail_before_the_answer() {
    let desk = Desk::new();
    let (books, patient) = (&desk.books, desk.patient());
    books.charge(patient, 100).await;
    let taken = desk.pay(paying(patient, 40)).await.unwrap();
    let before = desk.journal.events().len();
    let (clerk, reading, page) = (books.accountant(), books.reading(), PageRequest::default());
    let filter = ChargeFilter { patient: Some(patient), ..ChargeFilter::default() };
    reading.charges(&clerk, filter, &page).await.unwrap();
    reading.payments(&clerk, Some(patient), &page).await.unwrap();
    reading.payment(&clerk, taken.id).await.unwrap();
    reading.receipt(&clerk, taken.id).await.unwrap();
    reading.statement(&clerk, patient, &page).await.unwrap();
    reading.totals(&clerk, patient).await.unwrap();
    let period = Period::new(taken.received_at, books.clock.now().plus(Duration::from_secs(1))).unwrap();
    reading.summary(&clerk, period, SummaryBy::Method).await.unwrap();
    let events = desk.journal.events().split_off(before);
    let read: Vec<_> = events.into_iter().map(|event| (event.action, event.subject.patient)).collect();
    assert_eq!(
        read,
        [
            (Action::CHARGE_READ, Some(patient)),
            (Action::PAYMENT_READ, Some(patient)),
            (Action::PAYMENT_READ, Some(patient)),
            (Action::PAYMENT_READ, Some(patient)),
            (Action::STATEMENT_READ, Some(patient)),
            (Action::STATEMENT_READ, Some(patient)),
            (Action::SUMMARY_READ, None),
        ]
    );
}

#[tokio::test]
async fn paper_says_what_the_books_say() {
    let desk = Desk::new();
    let (books, patient) = (&desk.books, desk.patient());
    let (clerk, reading) = (books.accountant(), books.reading());
    for _ in 0..2 {
        books.charge(patient, 100).await;
        books.clock.advance(Duration::from_secs(1));
    }
    let taken = desk.pay(paying(patient, 150)).await.unwrap();
    books.clock.advance(Duration::from_secs(1));
    desk.refund(&taken, 20).await.unwrap();
    let house = House { name: text("Infirmary"), address: None };
    let ada = SheetPatient { name: PersonName::parse("Ada").unwrap(), mrn: "P00004175".into() };
    let now = books.clock.now();

    let totals = reading.totals(&clerk, patient).await.unwrap();
    let paid = reading.receipt(&clerk, taken.id).await.unwrap();
    let receipt = ReceiptSheet::of(house.clone(), ada.clone(), paid, &totals, now);
    assert_eq!((receipt.amount, receipt.refunded, receipt.balance), (money(150), money(20), money(70)));
    let parts: Vec<_> = receipt.allocations.iter().map(|part| (part.description.as_str(), part.amount)).collect();
    assert_eq!(parts, [("Dressing", money(100)), ("Dressing", money(50))]);

    let statement = reading.whole_statement(&clerk, patient).await.unwrap();
    let sheet = StatementSheet::of(house, ada, statement, now);
    let lines: Vec<_> =
        sheet.entries.iter().map(|line| (line.description.as_str(), line.change, line.balance)).collect();
    assert_eq!(
        lines,
        [
            ("Dressing", money(100), money(100)),
            ("Dressing", money(100), money(200)),
            ("Payment: Cash", money(-150), money(50)),
            ("Refund: paid twice", money(20), money(70)),
        ]
    );
    assert_eq!(sheet.totals.balance, money(70));
}

#[tokio::test]
async fn a_statement_goes_on_paper_whole_or_not_at_all() {
    let desk = Desk::new();
    let (books, patient) = (&desk.books, desk.patient());
    let (clerk, reading) = (books.accountant(), books.reading());
    for _ in 0..Statement::MAX_ENTRIES_ON_PAPER {
        books.charge(patient, 1).await;
    }
    let whole = reading.whole_statement(&clerk, patient).await.unwrap();
    assert_eq!(whole.lines.items.last().unwrap().balance, whole.totals.balance());
    books.charge(patient, 1).await;
    assert!(matches!(reading.whole_statement(&clerk, patient).await, Err(FinancialsError::TooLongForPaper)));
    assert!(role_may_not(reading.whole_statement(&caller(Role::Doctor), patient).await));
}

#[tokio::test]
async fn a_cursor_of_another_list_is_a_refused_value() {
    let desk = Desk::new();
    let (clerk, reading) = (desk.books.accountant(), desk.books.reading());
    let of_time = PageRequest {
        after: Some(Cursor::at(clerk.authenticated_at, fresh_id::<()>().as_uuid())),
        ..PageRequest::default()
    };
    let of_words = Cursor { sort_key: "ئازاد".into(), id: fresh_id::<()>().as_uuid() };
    let of_words = PageRequest { after: Some(of_words), ..PageRequest::default() };
    assert_eq!(refusals(reading.statement(&clerk, desk.patient(), &of_time).await), ["/cursor"]);
    assert_eq!(refusals(reading.charges(&clerk, ChargeFilter::default(), &of_words).await), ["/cursor"]);
    assert_eq!(refusals(reading.payments(&clerk, None, &of_words).await), ["/cursor"]);
}

#[test]
fn a_period_has_a_beginning_before_its_end_and_is_bounded() {
    let start = charge(fresh_id(), 0).charged_at;
    let days = |count: u64| start.plus(Duration::from_secs(count * 24 * 60 * 60));
    assert!(Period::new(start, start).is_err());
    assert!(Period::new(days(1), start).is_err());
    assert!(Period::new(start, days(Period::MAX_DAYS)).is_ok());
    assert!(Period::new(start, days(Period::MAX_DAYS + 1)).is_err());
}

#[tokio::test]
async fn a_charge_is_settled_once_by_whoever_may_and_for_its_own_patient_only() {
    let desk = Desk::new();
    let charge = desk.books.charge(desk.patient(), 500).await.id;
    desk.pay(naming(desk.patient(), 200, &[charge])).await.unwrap();
    let settling = SettleCharge { gate: desk.books.gate.clone(), ledger: desk.books.ledger.clone() };
    let settle = async |caller: &Caller, patient| settling.run(caller, patient, charge, PaymentMethod::Other).await;
    let accountant = desk.books.accountant();
    for role in [Role::Doctor, Role::Patient] {
        assert!(role_may_not(settle(&caller(role), desk.patient()).await), "{role}");
    }
    let other = desk.books.patients[1];
    assert!(matches!(settle(&accountant, other).await, Err(FinancialsError::NotFound)));
    let payment = settle(&accountant, desk.patient()).await.unwrap().unwrap();
    assert_eq!(payment.amount, money(300));
    assert_eq!(settle(&accountant, desk.patient()).await.unwrap(), None);
}
