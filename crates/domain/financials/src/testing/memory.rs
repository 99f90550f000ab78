use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex},
    task::Poll,
};

use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, ChargeId, Claim, Confidentiality, Currency, Cursor, Event, IdempotencyKey, Journal, Money, MoneyError,
    Page, PageRequest, PatientId, PaymentId, Receipts, RefundId, SessionId, Standing, StoreError, Timestamp,
    WriteError, Written,
    testing::{MemoryConfidentiality, MemoryJournal, locked},
};

use crate::{
    Allocation, BookLaw, Charge, ChargeFilter, ChargeView, Discrepancy, Entry, Ledger, LedgerQueries, Payment,
    PaymentView, Period, Place, Posting, RecordedCharge, Refund, RefundedPayment, Source, StatementRows, Summary,
    SummaryBy, SummaryRow, TakenPayment, Totals, VoidedCharge,
};

/// The ledger in memory. Clones are the same ledger.
#[derive(Clone, Default)]
pub struct MemoryLedger {
    rows: Arc<Mutex<Rows>>,
    pub journal: MemoryJournal,
    pub confidentiality: MemoryConfidentiality,
}

#[derive(Default)]
struct Rows {
    patients: HashSet<PatientId>,
    charges: BTreeMap<ChargeId, Charge>,
    payments: BTreeMap<PaymentId, Payment>,
    refunds: BTreeMap<RefundId, Refund>,
}

impl MemoryLedger {
    pub fn knowing(patients: impl IntoIterator<Item = PatientId>) -> Self {
        let ledger = Self::default();
        locked(&ledger.rows).patients.extend(patients);
        ledger
    }
}

/// Lets others go first, once: so that what runs at once with this on one thread comes between a read and a write, as it
/// does in a store that has to wait for a disk.
async fn others_first() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Rows {
    fn view(&self, charge: &Charge) -> ChargeView {
        let mut view = ChargeView::unpaid(charge.clone());
        let on_it = |allocations: &[Allocation]| -> i64 {
            let on_it = allocations.iter().filter(|allocation| allocation.charge == charge.id);
            on_it.map(|allocation| allocation.amount.amount_minor()).sum()
        };
        let currency = charge.amount.currency();
        view.paid = Money::new(self.payments.values().map(|payment| on_it(&payment.allocations)).sum(), currency);
        view.refunded = Money::new(self.refunds.values().map(|refund| on_it(&refund.allocations)).sum(), currency);
        view
    }

    fn payment(&self, payment: &Payment) -> PaymentView {
        let mut refunds: Vec<Refund> =
            self.refunds.values().filter(|refund| refund.payment == payment.id).cloned().collect();
        refunds.sort_by_key(|refund| (refund.refunded_at, refund.id));
        PaymentView { payment: payment.clone(), refunds }
    }

    fn fits(&self, payment: &Payment) -> bool {
        payment.allocations.iter().all(|allocation| {
            self.charges.get(&allocation.charge).is_some_and(|charge| {
                charge.patient == payment.patient
                    && charge.amount.currency() == allocation.amount.currency()
                    && self.view(charge).outstanding().amount_minor() >= allocation.amount.amount_minor()
            })
        })
    }

    fn is_left(&self, refund: &Refund) -> bool {
        self.payments.get(&refund.payment).is_some_and(|payment| {
            let remaining: Vec<Allocation> = self.payment(payment).remaining().collect();
            refund.allocations.iter().all(|taken| {
                remaining.iter().any(|left| {
                    left.charge == taken.charge && left.amount.amount_minor() >= taken.amount.amount_minor()
                })
            })
        })
    }

    fn conflict(&self, new: &Charge) -> Option<&'static str> {
        let stands_against = |known: &Charge| match (new.source, known.source) {
            (Source::Study { study, .. }, Source::Study { study: charged, .. })
                if study == charged && new.task == known.task =>
            {
                Some(Charge::ONE_FOR_A_TASK_OF_A_STUDY)
            }
            (Source::Report { diagnosis, .. }, Source::Report { diagnosis: charged, .. }) if diagnosis == charged => {
                Some(Charge::ONE_FOR_THE_REPORT_ON_A_DIAGNOSIS)
            }
            _ => None,
        };
        match self.patients.contains(&new.patient) {
            true => self.charges.values().find_map(stands_against),
            false => Some(Charge::OF_A_KNOWN_PATIENT),
        }
    }

    /// All entries, with whose they are.
    fn entries(&self, currency: Currency) -> Vec<(PatientId, Entry)> {
        let mut entries = Vec::new();
        for charge in self.charges.values() {
            let Charge { id, task, description, .. } = charge.clone();
            let posting = Posting::Charge { charge: id, task: task.clone(), description: description.clone() };
            entries.push((charge.patient, Entry { at: charge.charged_at, posting, amount: charge.amount }));
            if let Some(void) = &charge.voided {
                let posting = Posting::Void { charge: id, task, description, reason: void.reason.clone() };
                entries.push((charge.patient, Entry { at: void.at, posting, amount: charge.amount }));
            }
        }
        for payment in self.payments.values() {
            let posting = Posting::Payment { payment: payment.id, method: payment.method };
            entries.push((payment.patient, Entry { at: payment.received_at, posting, amount: payment.amount }));
        }
        for refund in self.refunds.values() {
            let Some(payment) = self.payments.get(&refund.payment) else { continue };
            let reason = refund.reason.clone();
            let posting = Posting::Refund { refund: refund.id, payment: payment.id, method: payment.method, reason };
            entries.push((payment.patient, Entry { at: refund.refunded_at, posting, amount: refund.amount }));
        }
        entries.retain(|(_, entry)| entry.amount.currency() == currency);
        entries.sort_by_key(|(_, entry)| entry.place());
        entries
    }

    /// What the entries in the period come to for each key that `keys` gives of them, with the part that goes there.
    fn sums(
        &self,
        currency: Currency,
        period: Period,
        keys: impl Fn(&Self, &Entry) -> Vec<(String, Money)>,
    ) -> Result<BTreeMap<String, Totals>, StoreError> {
        let mut sums = BTreeMap::new();
        for (_, entry) in self.entries(currency).iter().filter(|(_, entry)| period.contains(entry.at)) {
            for (key, amount) in keys(self, entry) {
                let sum = sums.entry(key).or_insert(Totals::zero(currency));
                *sum = sum.with(&entry.posting, amount).map_err(unsummable)?;
            }
        }
        Ok(sums)
    }

    fn by_task(&self, entry: &Entry) -> Vec<(String, Money)> {
        let of = |allocations: &[Allocation]| -> Vec<(String, Money)> {
            allocations
                .iter()
                .map(|allocation| {
                    let task = self.charges.get(&allocation.charge).and_then(|charge| charge.task.as_ref());
                    (SummaryRow::task_key(task).to_owned(), allocation.amount)
                })
                .collect()
        };
        match &entry.posting {
            Posting::Charge { task, .. } | Posting::Void { task, .. } => {
                vec![(SummaryRow::task_key(task.as_ref()).to_owned(), entry.amount)]
            }
            Posting::Payment { payment, .. } => {
                self.payments.get(payment).map_or(vec![], |of_it| of(&of_it.allocations))
            }
            Posting::Refund { refund, .. } => self.refunds.get(refund).map_or(vec![], |of_it| of(&of_it.allocations)),
        }
    }
}

fn unsummable(error: MoneyError) -> StoreError {
    StoreError::Corrupt { reason: error.to_string() }
}

fn page<T>(mut items: Vec<T>, request: &PageRequest, place: impl Fn(&T) -> (Timestamp, uuid::Uuid)) -> Page<T> {
    items.sort_by_key(|item| std::cmp::Reverse(place(item)));
    if let Ok(Some(after)) = request.after_time() {
        items.retain(|item| place(item) < after);
    }
    Page::of_rows(items, request.limit, |last| {
        let (time, id) = place(last);
        Cursor::at(time, id)
    })
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn record_charge(&self, recorded: RecordedCharge) -> Result<Written, WriteError> {
        others_first().await;
        let mut rows = locked(&self.rows);
        if let Some(before) = self.journal.repeated(&recorded.trail)? {
            return Ok(before);
        }
        if let Some(law) = rows.conflict(&recorded.charge) {
            return Err(WriteError::Conflict { law });
        }
        rows.charges.insert(recorded.charge.id, recorded.charge);
        Ok(self.journal.keep(recorded.trail))
    }

    async fn void_charge(&self, voided: VoidedCharge) -> Result<Written, WriteError> {
        others_first().await;
        let mut rows = locked(&self.rows);
        if let Some(before) = self.journal.repeated(&voided.trail)? {
            return Ok(before);
        }
        let known = rows.charges.get(&voided.charge).ok_or(WriteError::Stale)?;
        let view = rows.view(known).void(voided.void).map_err(|_| WriteError::Stale)?;
        rows.charges.insert(view.charge.id, view.charge);
        Ok(self.journal.keep(voided.trail))
    }

    async fn take_payment(&self, taken: TakenPayment) -> Result<Written, WriteError> {
        others_first().await;
        let mut rows = locked(&self.rows);
        if let Some(before) = self.journal.repeated(&taken.trail)? {
            return Ok(before);
        }
        if !rows.fits(&taken.payment) {
            return Err(WriteError::Stale);
        }
        rows.payments.insert(taken.payment.id, taken.payment);
        Ok(self.journal.keep(taken.trail))
    }

    async fn refund_payment(&self, refunded: RefundedPayment) -> Result<Written, WriteError> {
        others_first().await;
        let mut rows = locked(&self.rows);
        if let Some(before) = self.journal.repeated(&refunded.trail)? {
            return Ok(before);
        }
        if !rows.is_left(&refunded.refund) {
            return Err(WriteError::Stale);
        }
        rows.refunds.insert(refunded.refund.id, refunded.refund);
        Ok(self.journal.keep(refunded.trail))
    }

    async fn charges(&self, ids: &[ChargeId]) -> Result<Vec<ChargeView>, StoreError> {
        others_first().await;
        let rows = locked(&self.rows);
        let ids: BTreeSet<&ChargeId> = ids.iter().collect();
        Ok(ids.into_iter().filter_map(|id| rows.charges.get(id)).map(|charge| rows.view(charge)).collect())
    }

    async fn open_charges(&self, patient: PatientId, most: usize) -> Result<Vec<ChargeView>, StoreError> {
        others_first().await;
        let rows = locked(&self.rows);
        let of_patient = rows.charges.values().filter(|charge| charge.patient == patient);
        let mut open: Vec<ChargeView> =
            of_patient.map(|charge| rows.view(charge)).filter(|view| view.outstanding().is_positive()).collect();
        open.sort_by_key(|view| (view.charge.charged_at, view.charge.id));
        open.truncate(most);
        Ok(open)
    }

    async fn payment(&self, id: PaymentId) -> Result<Option<PaymentView>, StoreError> {
        others_first().await;
        let rows = locked(&self.rows);
        Ok(rows.payments.get(&id).map(|payment| rows.payment(payment)))
    }
}

#[async_trait]
impl LedgerQueries for MemoryLedger {
    async fn list_charges(&self, filter: &ChargeFilter, request: &PageRequest) -> Result<Page<ChargeView>, StoreError> {
        let rows = locked(&self.rows);
        let views = rows.charges.values().map(|charge| rows.view(charge)).filter(|view| {
            filter.patient.is_none_or(|patient| patient == view.charge.patient)
                && filter.author.is_none_or(|author| Some(author) == view.charge.source.author())
                && filter.status.is_none_or(|status| status == view.status())
                && self.confidentiality.shows(view.charge.patient, filter.reader)
        });
        Ok(page(views.collect(), request, |view| (view.charge.charged_at, view.charge.id.as_uuid())))
    }

    async fn list_payments(
        &self,
        patient: Option<PatientId>,
        request: &PageRequest,
    ) -> Result<Page<PaymentView>, StoreError> {
        let rows = locked(&self.rows);
        let asked = rows.payments.values().filter(|payment| patient.is_none_or(|patient| patient == payment.patient));
        let views = asked.map(|payment| rows.payment(payment)).collect();
        Ok(page(views, request, |view: &PaymentView| (view.payment.received_at, view.payment.id.as_uuid())))
    }

    async fn statement(
        &self,
        patient: PatientId,
        currency: Currency,
        after: Option<Place>,
        most: usize,
    ) -> Result<StatementRows, StoreError> {
        let entries = locked(&self.rows).entries(currency).into_iter();
        let entries = entries.filter(|(of, _)| *of == patient).map(|(_, entry)| entry).collect();
        StatementRows::of(entries, currency, after, most).map_err(unsummable)
    }

    async fn totals_of_patients(&self, patients: &[PatientId], currency: Currency) -> Result<Vec<Totals>, StoreError> {
        let entries = locked(&self.rows).entries(currency);
        let of = |patient: &PatientId| {
            Totals::of(currency, entries.iter().filter(|(of, _)| of == patient).map(|(_, entry)| entry))
        };
        patients.iter().map(of).collect::<Result<_, _>>().map_err(unsummable)
    }

    async fn totals_of_house(&self, currency: Currency) -> Result<Totals, StoreError> {
        let entries = locked(&self.rows).entries(currency);
        Totals::of(currency, entries.iter().map(|(_, entry)| entry)).map_err(unsummable)
    }

    async fn summary(&self, period: Period, by: SummaryBy, currency: Currency) -> Result<Summary, StoreError> {
        let rows = locked(&self.rows);
        let until = |entry: &Entry, chars: usize| vec![(entry.at.to_string()[..chars].to_owned(), entry.amount)];
        let sums = match by {
            SummaryBy::Day => rows.sums(currency, period, |_, entry| until(entry, "2026-03-01".len()))?,
            SummaryBy::Month => rows.sums(currency, period, |_, entry| until(entry, "2026-03".len()))?,
            SummaryBy::Task => rows.sums(currency, period, Rows::by_task)?,
            SummaryBy::Method => rows.sums(currency, period, |_, entry| match &entry.posting {
                Posting::Payment { method, .. } | Posting::Refund { method, .. } => {
                    vec![(method.as_str().to_owned(), entry.amount)]
                }
                Posting::Charge { .. } | Posting::Void { .. } => vec![],
            })?,
        };
        let all = rows.entries(currency);
        let within = all.iter().map(|(_, entry)| entry).filter(|entry| period.contains(entry.at));
        let totals = Totals::of(currency, within).map_err(unsummable)?;
        let rows = sums.into_iter().map(|(key, totals)| SummaryRow { key, totals }).collect();
        Ok(Summary { period, by, rows, totals })
    }

    async fn discrepancies(&self, currency: Currency, most: usize) -> Result<Vec<Discrepancy>, StoreError> {
        let rows = locked(&self.rows);
        let mut found = Vec::new();
        let mut note = |law, record, holds: bool| {
            if !holds {
                found.push(Discrepancy { law, record });
            }
        };
        let sum =
            |allocations: &[Allocation]| -> i64 { allocations.iter().map(|part| part.amount.amount_minor()).sum() };
        for charge in rows.charges.values() {
            let most_paid = if charge.voided.is_some() { 0 } else { charge.amount.amount_minor() };
            let net = rows.view(charge).net_paid().amount_minor();
            note(BookLaw::ChargeWithinBounds, charge.id.as_uuid(), (0..=most_paid).contains(&net));
            note(BookLaw::OneCurrency, charge.id.as_uuid(), charge.amount.currency() == currency);
        }
        for payment in rows.payments.values() {
            let of_patient = payment.allocations.iter().all(|allocation| {
                allocation.amount.is_positive()
                    && rows.charges.get(&allocation.charge).is_some_and(|charge| charge.patient == payment.patient)
            });
            let whole = sum(&payment.allocations) == payment.amount.amount_minor();
            note(BookLaw::PaymentAllocated, payment.id.as_uuid(), of_patient && whole);
            note(BookLaw::OneCurrency, payment.id.as_uuid(), payment.amount.currency() == currency);
        }
        for refund in rows.refunds.values() {
            let payment = rows.payments.get(&refund.payment).map(|payment| rows.payment(payment));
            let left = payment.is_some_and(|payment| payment.remaining().all(|left| left.amount.amount_minor() >= 0));
            let whole = sum(&refund.allocations) == refund.amount.amount_minor();
            note(BookLaw::RefundAllocated, refund.id.as_uuid(), left && whole);
        }
        for patient in &rows.patients {
            let entries = rows.entries(currency);
            let of_patient = entries.iter().filter(|(of, _)| of == patient).map(|(_, entry)| entry);
            let balance = Totals::of(currency, of_patient).map_err(unsummable)?.balance().amount_minor();
            let charges = rows.charges.values().filter(|charge| charge.patient == *patient);
            let outstanding: i64 = charges.map(|charge| rows.view(charge).outstanding().amount_minor()).sum();
            note(BookLaw::BalanceOfPatient, patient.as_uuid(), balance == outstanding);
        }
        found.truncate(most);
        Ok(found)
    }
}

#[async_trait]
impl Journal for MemoryLedger {
    async fn append_all(&self, events: Vec<Event>) -> Result<(), StoreError> {
        self.journal.append_all(events).await
    }
}

#[async_trait]
impl Receipts for MemoryLedger {
    async fn find(&self, account: AccountId, key: &IdempotencyKey) -> Result<Option<Claim>, StoreError> {
        self.journal.find(account, key).await
    }
}

#[async_trait]
impl Confidentiality for MemoryLedger {
    async fn standing(
        &self,
        patient: PatientId,
        account: AccountId,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Standing, StoreError> {
        self.confidentiality.standing(patient, account, session, at).await
    }
}
