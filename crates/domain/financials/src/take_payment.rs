use std::sync::Arc;

use infirmary_kernel::{
    Action, Caller, ChargeId, Currency, Done, Gate, Idempotency, Invalid, Money, PatientId, Permission, Receipt,
    Subject, WriteError,
};

use crate::{
    Allocation, FinancialsError, Ledger, Payment, PaymentMethod, TakenPayment, amount, payment,
    retry::{MAX_TRIES, unless_answered},
};

/// On so many charges most payments end.
const FEW_CHARGES: usize = 16;

#[derive(Debug, Clone)]
pub struct NewPayment {
    pub patient: PatientId,
    pub amount: Money,
    pub method: PaymentMethod,
    /// The charges that it is for; without, whatever is open. Oldest first in either case.
    pub charges: Option<Vec<ChargeId>>,
}

/// Money is taken at the desk.
pub struct TakePayment {
    pub gate: Gate,
    pub ledger: Arc<dyn Ledger>,
    pub currency: Currency,
}

impl TakePayment {
    pub async fn run(
        &self,
        caller: &Caller,
        new: NewPayment,
        idempotency: Idempotency,
        receipt: impl Fn(&Payment) -> Receipt,
    ) -> Result<Done<Payment>, FinancialsError> {
        let about = Subject::all("payment").of_patient(new.patient);
        self.gate.admit(caller, Permission::WriteFinancials, about).await?;
        let amount = amount::asked(new.amount, self.currency)?;
        if let Some(names) = &new.charges {
            count_of_names(names)?;
        }
        let idempotency = Some(&idempotency);
        for _ in 0..MAX_TRIES {
            let allocations = match self.allocate(&new).await {
                Err(error @ FinancialsError::Access(_)) => return Err(error),
                Err(refusal) => return unless_answered(&self.gate, caller, idempotency, refusal).await,
                Ok(allocations) => allocations,
            };
            let now = self.gate.now();
            let payment = Payment {
                id: self.gate.mint(now),
                patient: new.patient,
                amount,
                method: new.method,
                received_at: now,
                received_by: caller.account,
                allocations,
            };
            let receipt = receipt(&payment);
            let subject = Subject::new("payment", payment.id).of_patient(payment.patient);
            let event = self.gate.event(caller, Action::PAYMENT_TAKE, subject);
            let trail = self.gate.trail(caller, event, idempotency, &receipt);
            match self.ledger.take_payment(TakenPayment { payment: payment.clone(), trail }).await {
                Err(WriteError::Stale) => {}
                written => return Ok(Done::new(written?, payment, receipt)),
            }
        }
        Err(WriteError::Stale.into())
    }

    async fn allocate(&self, new: &NewPayment) -> Result<Vec<Allocation>, FinancialsError> {
        let charges = match &new.charges {
            Some(names) => payment::named(new.patient, names, self.ledger.charges(names).await?)?,
            None => {
                let oldest = self.ledger.open_charges(new.patient, FEW_CHARGES).await?;
                match payment::allocate(new.amount, &oldest) {
                    // One more than can be paid at once, to tell "more than is owed" from "on too many charges".
                    Err(FinancialsError::MoreThanOwed { .. }) if oldest.len() == FEW_CHARGES => {
                        self.ledger.open_charges(new.patient, Payment::MAX_CHARGES + 1).await?
                    }
                    allocated => return allocated,
                }
            }
        };
        payment::allocate(new.amount, &charges)
    }
}

fn count_of_names(names: &[ChargeId]) -> Result<(), Invalid> {
    if (1..=Payment::MAX_CHARGES).contains(&names.len()) {
        Ok(())
    } else {
        Err(Invalid::new("/chargeIds", "must name 1 to 500 charges; leave it out to pay the oldest first"))
    }
}
