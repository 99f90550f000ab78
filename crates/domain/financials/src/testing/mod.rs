//! The laws of [`crate::Ledger`] and [`crate::LedgerQueries`] as a suite, a ledger in memory that passes it, and a model to
//! hold either against.

pub mod laws;
mod memory;
pub mod model;

use std::sync::Arc;

pub use memory::MemoryLedger;

use infirmary_kernel::{
    Caller, Clock, Confidentiality, Currency, Done, Fingerprint, Gate, Idempotency, IdempotencyKey, Journal, Money,
    PatientId, Receipt, Receipts, Role, ShortText,
    testing::{CountingIds, ManualClock, caller, fresh_id},
};

use crate::{
    Charge, ChargeByHand, ChargeView, Ledger, LedgerQueries, NewCharge, Queries, RefundPayment, Source, TakePayment,
    VoidCharge,
};

pub const CURRENCY: Currency = Currency::GBP;

/// An empty ledger under test, with the use cases over it.
pub struct Books {
    pub ledger: Arc<dyn Ledger>,
    pub queries: Arc<dyn LedgerQueries>,
    /// Over the journal and the receipts of the same store.
    pub gate: Gate,
    pub clock: Arc<ManualClock>,
    /// Whom the store knows, with nothing on their accounts.
    pub patients: [PatientId; 3],
}

impl Books {
    pub fn over(
        store: &(impl Ledger + LedgerQueries + Journal + Receipts + Confidentiality + Clone + 'static),
        patients: [PatientId; 3],
    ) -> Self {
        let clock = Arc::new(ManualClock::default());
        let store = Arc::new(store.clone());
        let gate =
            Gate::new(store.clone(), store.clone(), store.clone(), clock.clone(), Arc::new(CountingIds::default()));
        Self { ledger: store.clone(), queries: store, gate, clock, patients }
    }

    pub fn in_memory() -> Self {
        let patients = [fresh_id(), fresh_id(), fresh_id()];
        Self::over(&MemoryLedger::knowing(patients), patients)
    }

    pub fn charging(&self) -> ChargeByHand {
        ChargeByHand { gate: self.gate.clone(), ledger: self.ledger.clone(), currency: CURRENCY }
    }

    pub fn voiding(&self) -> VoidCharge {
        VoidCharge { gate: self.gate.clone(), ledger: self.ledger.clone() }
    }

    pub fn taking(&self) -> TakePayment {
        TakePayment { gate: self.gate.clone(), ledger: self.ledger.clone(), currency: CURRENCY }
    }

    pub fn refunding(&self) -> RefundPayment {
        RefundPayment { gate: self.gate.clone(), ledger: self.ledger.clone(), currency: CURRENCY }
    }

    pub fn reading(&self) -> Queries {
        Queries {
            gate: self.gate.clone(),
            ledger: self.ledger.clone(),
            queries: self.queries.clone(),
            currency: CURRENCY,
        }
    }

    /// Somebody at the desk, who signed in just now.
    pub fn accountant(&self) -> Caller {
        Caller { authenticated_at: self.clock.now(), ..caller(Role::Accountant) }
    }

    /// A charge by hand, posted by the use case.
    pub async fn charge(&self, patient: PatientId, pence: i64) -> Charge {
        let new = NewCharge { patient, description: text("Dressing"), amount: money(pence), task: None };
        let told = |view: &ChargeView| receipt(&view.charge.id.to_string());
        match self.charging().run(&self.accountant(), new, None, told).await {
            Ok(Done::Now { value, .. }) => value.charge,
            other => panic!("a charge that a test needs was not made: {other:?}"),
        }
    }
}

pub const fn money(pence: i64) -> Money {
    Money::new(pence, CURRENCY)
}

pub fn text(text: &str) -> ShortText {
    ShortText::parse(text).expect("a text of a test is valid")
}

pub fn receipt(told: &str) -> Receipt {
    Receipt::from_bytes(told.as_bytes().to_vec())
}

pub fn idempotency(key: &str, asked: &str) -> Idempotency {
    Idempotency {
        key: IdempotencyKey::parse(key).expect("a key of a test is valid"),
        fingerprint: Fingerprint::of([asked.as_bytes()]),
    }
}

/// A charge by hand of that many pence, at the time the manual clock starts.
pub fn charge(patient: PatientId, pence: i64) -> Charge {
    Charge {
        id: fresh_id(),
        patient,
        source: Source::Hand,
        task: None,
        description: text("Dressing"),
        amount: money(pence),
        charged_at: ManualClock::default().now(),
        charged_by: fresh_id(),
        voided: None,
    }
}
