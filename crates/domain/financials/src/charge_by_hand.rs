use std::sync::Arc;

use infirmary_kernel::{
    Action, Caller, Currency, Done, Gate, Idempotency, Invalid, Money, PatientId, Permission, Receipt, ShortText,
    Subject, TaskCode, WriteError,
};

use crate::{Charge, ChargeView, FinancialsError, Ledger, RecordedCharge, Source, amount};

#[derive(Debug, Clone)]
pub struct NewCharge {
    pub patient: PatientId,
    pub description: ShortText,
    pub amount: Money,
    pub task: Option<TaskCode>,
}

/// Somebody at the desk charges what no study or report has charged by itself.
pub struct ChargeByHand {
    pub gate: Gate,
    pub ledger: Arc<dyn Ledger>,
    pub currency: Currency,
}

impl ChargeByHand {
    pub async fn run(
        &self,
        caller: &Caller,
        new: NewCharge,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&ChargeView) -> Receipt,
    ) -> Result<Done<ChargeView>, FinancialsError> {
        let NewCharge { patient, description, amount, task } = new;
        let about = Subject::all("charge").of_patient(patient);
        self.gate.admit(caller, Permission::WriteFinancials, about).await?;
        let amount = amount::asked(amount, self.currency)?;
        let now = self.gate.now();
        let id = self.gate.mint(now);
        let charge = Charge::new(id, patient, Source::Hand, task, description, amount, now, caller.account)?;
        let view = ChargeView::unpaid(charge.clone());
        let receipt = receipt(&view);
        let event = self.gate.event(caller, Action::CHARGE_CREATE, Subject::new("charge", id).of_patient(patient));
        let trail = self.gate.trail(caller, event, idempotency.as_ref(), &receipt);
        match self.ledger.record_charge(RecordedCharge { charge, trail }).await {
            Ok(written) => Ok(Done::new(written, view, receipt)),
            Err(WriteError::Conflict { law: Charge::OF_A_KNOWN_PATIENT }) => {
                Err(Invalid::new("/patientId", "is not a patient of this house").into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
