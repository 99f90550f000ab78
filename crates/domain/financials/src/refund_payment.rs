use std::sync::Arc;

use infirmary_kernel::{
    Action, Caller, Currency, Done, Gate, Idempotency, Money, PaymentId, Permission, Receipt, ShortText, Subject,
    WriteError,
};

use crate::{
    FinancialsError, Ledger, Refund, RefundedPayment, amount, payment,
    retry::{MAX_TRIES, unless_answered},
};

#[derive(Debug, Clone)]
pub struct NewRefund {
    pub amount: Money,
    pub reason: ShortText,
}

/// Money is given back. It leaves the house for good, so the caller has to have proved lately who they are.
pub struct RefundPayment {
    pub gate: Gate,
    pub ledger: Arc<dyn Ledger>,
    pub currency: Currency,
}

impl RefundPayment {
    pub async fn run(
        &self,
        caller: &Caller,
        id: PaymentId,
        new: NewRefund,
        idempotency: Idempotency,
        receipt: impl Fn(&Refund) -> Receipt,
    ) -> Result<Done<Refund>, FinancialsError> {
        let subject = Subject::new("payment", id);
        self.gate.admit(caller, Permission::WriteFinancials, subject.clone()).await?;
        self.gate.step_up(caller, subject.clone()).await?;
        let amount = amount::asked(new.amount, self.currency)?;
        let idempotency = Some(&idempotency);
        for _ in 0..MAX_TRIES {
            let known = self.ledger.payment(id).await?.ok_or(FinancialsError::NotFound)?;
            let allocations = match payment::take_back(amount, &known) {
                Ok(allocations) => allocations,
                Err(refusal) => return unless_answered(&self.gate, caller, idempotency, refusal).await,
            };
            let now = self.gate.now();
            let refund = Refund {
                id: self.gate.mint(now),
                payment: id,
                amount,
                reason: new.reason.clone(),
                refunded_at: now,
                refunded_by: caller.account,
                allocations,
            };
            let receipt = receipt(&refund);
            let event =
                self.gate.event(caller, Action::PAYMENT_REFUND, subject.clone().of_patient(known.payment.patient));
            let trail = self.gate.trail(caller, event, idempotency, &receipt);
            match self.ledger.refund_payment(RefundedPayment { refund: refund.clone(), trail }).await {
                Err(WriteError::Stale) => {}
                written => return Ok(Done::new(written?, refund, receipt)),
            }
        }
        Err(WriteError::Stale.into())
    }
}
