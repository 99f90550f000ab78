//! Books kept a second time, in the plainest way, to hold the real ones against after every step.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::collections::BTreeMap;

use infirmary_kernel::{Caller, ChargeId, Done, PageRequest, PatientId, PaymentId};

use super::{Books, CURRENCY, idempotency, money, receipt, text};
use crate::{FinancialsError, NewCharge, NewPayment, NewRefund, Payment, PaymentMethod, Refund, Totals};

/// What somebody does at the desk. Records are named by their number among those made so far, wrapped around.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Charge { patient: usize, pence: i64 },
    Void { charge: usize },
    Pay { patient: usize, pence: i64 },
    PayNamed { charge: usize, pence: i64 },
    Refund { payment: usize, pence: i64 },
}

/// Steps from a seed, the same ones for the same seed (SplitMix64).
pub fn steps(seed: u64) -> impl Iterator<Item = Step> {
    let mut state = seed;
    let mut next = move |below: u64| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    };
    std::iter::repeat_with(move || {
        let (which, record, pence) = (next(9), next(1_000) as usize, next(700) as i64);
        match which {
            0..=2 => Step::Charge { patient: record, pence },
            3 => Step::Void { charge: record },
            4 | 5 => Step::Pay { patient: record, pence },
            6 => Step::PayNamed { charge: record, pence },
            _ => Step::Refund { payment: record, pence: pence / 2 },
        }
    })
}

struct Charged {
    id: ChargeId,
    patient: PatientId,
    amount: i64,
    net_paid: i64,
    void: bool,
}

impl Charged {
    fn outstanding(&self) -> i64 {
        if self.void { 0 } else { self.amount - self.net_paid }
    }
}

/// The second books, and the desk at which both are written.
pub struct Model<'a> {
    books: &'a Books,
    desk: Caller,
    charges: Vec<Charged>,
    /// With what is left of it.
    payments: Vec<(Payment, i64)>,
    sums: BTreeMap<PatientId, [i64; 4]>,
    keys: usize,
}

const CHARGED: usize = 0;
const VOIDED: usize = 1;
const PAID: usize = 2;
const REFUNDED: usize = 3;

impl<'a> Model<'a> {
    pub fn of(books: &'a Books) -> Self {
        let sums = books.patients.iter().map(|patient| (*patient, [0; 4])).collect();
        Self { books, desk: books.accountant(), charges: Vec::new(), payments: Vec::new(), sums, keys: 0 }
    }

    /// Takes the step in both books. Panics when the real ones did otherwise than these, or do not add up.
    pub async fn take(&mut self, step: Step) {
        self.books.clock.advance(std::time::Duration::from_millis(u64::from(self.keys.is_multiple_of(3))));
        self.keys += 1;
        match step {
            Step::Charge { patient, pence } => self.charge(self.books.patients[patient % 3], pence).await,
            Step::Void { charge } if !self.charges.is_empty() => self.void(charge % self.charges.len()).await,
            Step::Pay { patient, pence } => self.pay(self.books.patients[patient % 3], None, pence).await,
            Step::PayNamed { charge, pence } if !self.charges.is_empty() => {
                let named = &self.charges[charge % self.charges.len()];
                self.pay(named.patient, Some(named.id), pence).await;
            }
            Step::Refund { payment, pence } if !self.payments.is_empty() => {
                self.refund(payment % self.payments.len(), pence).await;
            }
            _ => {}
        }
        self.compare().await;
    }

    async fn charge(&mut self, patient: PatientId, pence: i64) {
        let new = NewCharge { patient, description: text("Dressing"), amount: money(pence), task: None };
        match self.books.charging().run(&self.desk, new, None, |_| receipt("")).await {
            Ok(Done::Now { value, .. }) => {
                assert!(pence > 0);
                let id = value.charge.id;
                self.charges.push(Charged { id, patient, amount: pence, net_paid: 0, void: false });
                self.add(patient, CHARGED, pence);
            }
            Err(FinancialsError::Invalid(_)) => assert!(pence <= 0),
            other => panic!("{other:?}"),
        }
    }

    async fn void(&mut self, index: usize) {
        let Charged { id, patient, amount, net_paid, void } = self.charges[index];
        match self.books.voiding().run(&self.desk, id, text("in error"), None, |_| receipt("")).await {
            Ok(_) => {
                assert!(!void && net_paid == 0);
                self.charges[index].void = true;
                self.add(patient, VOIDED, amount);
            }
            Err(FinancialsError::AlreadyVoid) => assert!(void),
            Err(FinancialsError::PaidOn { paid }) => assert_eq!(paid.amount_minor(), net_paid),
            other => panic!("{other:?}"),
        }
    }

    async fn pay(&mut self, patient: PatientId, named: Option<ChargeId>, pence: i64) {
        let on = |charge: &&Charged| charge.patient == patient && named.is_none_or(|named| named == charge.id);
        let owed: i64 = self.charges.iter().filter(on).map(Charged::outstanding).sum();
        let named_void = named.is_some() && self.charges.iter().filter(on).all(|charge| charge.void);
        let method = PaymentMethod::ALL[self.keys % PaymentMethod::ALL.len()];
        let charges = named.map(|named| vec![named]);
        let new = NewPayment { patient, amount: money(pence), method, charges };
        let key = idempotency(&format!("pay {}", self.keys), "");
        match self.books.taking().run(&self.desk, new, key, |_| receipt("")).await {
            Ok(Done::Now { value, .. }) => {
                assert!(pence > 0 && pence <= owed);
                let parts: i64 = value.allocations.iter().map(|part| part.amount.amount_minor()).sum();
                assert_eq!(parts, pence, "all of a payment lies on charges");
                for part in &value.allocations {
                    self.on(part.charge).net_paid += part.amount.amount_minor();
                }
                self.payments.push((value, pence));
                self.add(patient, PAID, pence);
            }
            Err(FinancialsError::MoreThanOwed { owed: told }) => {
                assert!(pence > owed);
                assert_eq!(told.amount_minor(), owed);
            }
            Err(FinancialsError::Invalid(_)) => assert!(pence <= 0 || named_void),
            other => panic!("{other:?}"),
        }
    }

    async fn refund(&mut self, index: usize, pence: i64) {
        let (id, patient, left) = {
            let (payment, left) = &self.payments[index];
            (payment.id, payment.patient, *left)
        };
        let new = NewRefund { amount: money(pence), reason: text("paid twice") };
        let key = idempotency(&format!("refund {}", self.keys), "");
        match self.books.refunding().run(&self.desk, id, new, key, |_| receipt("")).await {
            Ok(Done::Now { value, .. }) => {
                assert!(pence > 0 && pence <= left);
                self.give_back(index, &value);
                self.add(patient, REFUNDED, pence);
            }
            Err(FinancialsError::MoreThanRefundable { left: told }) => {
                assert!(pence > left);
                assert_eq!(told.amount_minor(), left);
            }
            Err(FinancialsError::Invalid(_)) => assert!(pence <= 0),
            other => panic!("{other:?}"),
        }
    }

    fn give_back(&mut self, index: usize, refund: &Refund) {
        let parts: i64 = refund.allocations.iter().map(|part| part.amount.amount_minor()).sum();
        assert_eq!(parts, refund.amount.amount_minor(), "all of a refund comes off charges");
        for part in &refund.allocations {
            self.on(part.charge).net_paid -= part.amount.amount_minor();
        }
        self.payments[index].1 -= refund.amount.amount_minor();
    }

    fn on(&mut self, charge: ChargeId) -> &mut Charged {
        self.charges.iter_mut().find(|known| known.id == charge).expect("a payment lies on charges that exist")
    }

    fn add(&mut self, patient: PatientId, column: usize, pence: i64) {
        self.sums.entry(patient).or_default()[column] += pence;
    }

    async fn compare(&self) {
        let totals = |[charged, voided, paid, refunded]: [i64; 4]| {
            Totals::new(CURRENCY, charged, voided, paid, refunded).expect("sums of a test are small")
        };
        let patients = &self.books.patients;
        let expected: Vec<Totals> = patients.iter().map(|patient| totals(self.sums[patient])).collect();
        let queries = &self.books.queries;
        assert_eq!(queries.totals_of_patients(patients, CURRENCY).await.unwrap(), expected);
        let house = expected.iter().try_fold(Totals::zero(CURRENCY), |sum, one| sum.checked_add(*one));
        assert_eq!(queries.totals_of_house(CURRENCY).await.ok(), house.ok());
        assert_eq!(queries.discrepancies(CURRENCY, 100).await.unwrap(), []);
        for (patient, totals) in patients.iter().zip(expected) {
            let outstanding = self.charges.iter().filter(|charge| charge.patient == *patient).map(Charged::outstanding);
            assert_eq!(totals.balance(), money(outstanding.sum()));
        }
        for charge in &self.charges {
            assert!((0..=charge.amount).contains(&charge.net_paid));
        }
    }

    /// Compares each record with what the real books have of it.
    pub async fn compare_records(&self) {
        for charge in &self.charges {
            let view = self.books.ledger.charges(&[charge.id]).await.unwrap().pop().expect("a charge stays");
            assert_eq!(view.outstanding(), money(charge.outstanding()));
            assert_eq!(view.charge.voided.is_some(), charge.void);
        }
        for (payment, left) in &self.payments {
            let id: PaymentId = payment.id;
            let view = self.books.ledger.payment(id).await.unwrap().expect("a payment stays");
            assert_eq!((&view.payment, view.refundable()), (payment, money(*left)));
        }
        for patient in self.books.patients {
            let desk = &self.desk;
            let reading = self.books.reading();
            let mut page = PageRequest::default();
            let mut balance = money(0);
            loop {
                let statement = reading.statement(desk, patient, &page).await.unwrap();
                assert_eq!(statement.opening, balance);
                balance = statement.lines.items.last().map_or(balance, |line| line.balance);
                match statement.lines.next {
                    Some(next) => page.after = Some(next),
                    None => break assert_eq!(balance, statement.totals.balance()),
                }
            }
        }
    }
}
