use std::sync::Arc;

use infirmary_kernel::{
    Action, Caller, ChargeId, Done, Gate, Idempotency, Permission, Receipt, ShortText, Subject, WriteError,
};

use crate::{
    ChargeView, FinancialsError, Ledger, Void, VoidedCharge,
    retry::{MAX_TRIES, unless_answered},
};

/// A charge that was wrong is taken off the account: only while nothing is paid on it.
pub struct VoidCharge {
    pub gate: Gate,
    pub ledger: Arc<dyn Ledger>,
}

impl VoidCharge {
    pub async fn run(
        &self,
        caller: &Caller,
        id: ChargeId,
        reason: ShortText,
        idempotency: Option<Idempotency>,
        receipt: impl Fn(&ChargeView) -> Receipt,
    ) -> Result<Done<ChargeView>, FinancialsError> {
        let subject = Subject::new("charge", id);
        self.gate.admit(caller, Permission::WriteFinancials, subject.clone()).await?;
        let idempotency = idempotency.as_ref();
        for _ in 0..MAX_TRIES {
            let known = self.ledger.charges(&[id]).await?.pop().ok_or(FinancialsError::NotFound)?;
            let void = Void { at: self.gate.now(), by: caller.account, reason: reason.clone() };
            let view = match known.void(void.clone()) {
                Ok(view) => view,
                Err(refusal) => return unless_answered(&self.gate, caller, idempotency, refusal).await,
            };
            let receipt = receipt(&view);
            let subject = subject.clone().of_patient(view.charge.patient);
            let event = self.gate.event(caller, Action::CHARGE_VOID, subject).changing(["voided"]);
            let trail = self.gate.trail(caller, event, idempotency, &receipt);
            match self.ledger.void_charge(VoidedCharge { charge: id, void, trail }).await {
                Err(WriteError::Stale) => {}
                written => return Ok(Done::new(written?, view, receipt)),
            }
        }
        Err(WriteError::Stale.into())
    }
}
