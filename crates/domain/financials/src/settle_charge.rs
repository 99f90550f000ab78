use std::sync::Arc;

use infirmary_kernel::{Action, Caller, ChargeId, Gate, PatientId, Permission, Subject, Trail, WriteError};

use crate::{Allocation, FinancialsError, Ledger, Payment, PaymentMethod, TakenPayment, retry::MAX_TRIES};

/// What is left on a charge is paid, whatever it is. Settling it again pays nothing.
pub struct SettleCharge {
    pub gate: Gate,
    pub ledger: Arc<dyn Ledger>,
}

impl SettleCharge {
    /// The payment; `None` when nothing is owed on the charge. A void one is not owed.
    pub async fn run(
        &self,
        caller: &Caller,
        patient: PatientId,
        charge: ChargeId,
        method: PaymentMethod,
    ) -> Result<Option<Payment>, FinancialsError> {
        let about = Subject::new("charge", charge).of_patient(patient);
        self.gate.admit(caller, Permission::WriteFinancials, about.clone()).await?;
        for _ in 0..MAX_TRIES {
            let found = self.ledger.charges(&[charge]).await?.pop();
            let found = found.filter(|view| view.charge.patient == patient).ok_or(FinancialsError::NotFound)?;
            let amount = found.outstanding();
            if !amount.is_positive() {
                self.gate.witness(caller, Action::CHARGE_READ, about).await?;
                return Ok(None);
            }
            let now = self.gate.now();
            let payment = Payment {
                id: self.gate.mint(now),
                patient,
                amount,
                method,
                received_at: now,
                received_by: caller.account,
                allocations: vec![Allocation { charge, amount }],
            };
            let subject = Subject::new("payment", payment.id).of_patient(patient);
            let trail = Trail::new(self.gate.event(caller, Action::PAYMENT_TAKE, subject));
            match self.ledger.take_payment(TakenPayment { payment: payment.clone(), trail }).await {
                // Somebody else paid on it: look again at what is left.
                Err(WriteError::Stale) => {}
                written => {
                    written?;
                    return Ok(Some(payment));
                }
            }
        }
        Err(WriteError::Stale.into())
    }
}
