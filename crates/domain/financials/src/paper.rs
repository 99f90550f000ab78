//! What of the books is set as PDF, in words.

use infirmary_kernel::{House, SheetPatient, Timestamp};

use crate::{
    Line, PaidCharges, PaymentMethod, Posting, ReceiptSheet, SheetAllocation, SheetEntry, SheetTotals, Statement,
    StatementSheet, Totals,
};

impl ReceiptSheet {
    /// `totals` are those of the patient at the time of issue.
    pub fn of(house: House, patient: SheetPatient, paid: PaidCharges, totals: &Totals, issued_at: Timestamp) -> Self {
        let PaidCharges { payment, charges } = paid;
        let allocations = payment.payment.allocations.iter().zip(charges).map(|(allocation, view)| SheetAllocation {
            charged_at: view.charge.charged_at,
            description: view.charge.description.as_str().to_owned(),
            amount: allocation.amount,
        });
        Self {
            house,
            payment: payment.payment.id,
            patient,
            received_at: payment.payment.received_at,
            method: in_words(payment.payment.method).to_owned(),
            amount: payment.payment.amount,
            allocations: allocations.collect(),
            refunded: payment.refunded(),
            balance: totals.balance(),
            issued_at,
        }
    }
}

impl StatementSheet {
    pub fn of(house: House, patient: SheetPatient, statement: Statement, issued_at: Timestamp) -> Self {
        let totals = SheetTotals {
            charged: statement.totals.charged(),
            voided: statement.totals.voided(),
            paid: statement.totals.paid(),
            refunded: statement.totals.refunded(),
            balance: statement.totals.balance(),
        };
        let entries = statement.lines.items.into_iter().map(|Line { entry, balance }| SheetEntry {
            at: entry.at,
            description: match &entry.posting {
                Posting::Charge { description, .. } => description.as_str().to_owned(),
                Posting::Payment { method, .. } => format!("Payment: {}", in_words(*method)),
                Posting::Refund { reason, .. } => format!("Refund: {}", reason.as_str()),
                Posting::Void { description, reason, .. } => {
                    format!("Void: {} ({})", description.as_str(), reason.as_str())
                }
            },
            change: entry.change(),
            balance,
        });
        Self { house, patient, entries: entries.collect(), totals, issued_at }
    }
}

const fn in_words(method: PaymentMethod) -> &'static str {
    match method {
        PaymentMethod::Cash => "Cash",
        PaymentMethod::Card => "Card",
        PaymentMethod::Transfer => "Bank transfer",
        PaymentMethod::Insurance => "Insurance",
        PaymentMethod::Other => "Other",
    }
}
