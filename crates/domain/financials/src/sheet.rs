use async_trait::async_trait;
use infirmary_kernel::{House, Money, PaymentId, SheetPatient, Timestamp, TypesetError};

/// What a receipt says: that this much was paid, for what, and what is still owed.
#[derive(Debug, Clone)]
pub struct ReceiptSheet {
    pub house: House,
    /// The receipt's number is the payment's.
    pub payment: PaymentId,
    pub patient: SheetPatient,
    pub received_at: Timestamp,
    /// In words: `Cash`, `Card`.
    pub method: String,
    pub amount: Money,
    /// Their amounts add up to `amount`.
    pub allocations: Vec<SheetAllocation>,
    /// What of it was given back since; zero when nothing was.
    pub refunded: Money,
    /// What the patient owes when the receipt is set; below zero when the house owes them.
    pub balance: Money,
    pub issued_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct SheetAllocation {
    pub charged_at: Timestamp,
    pub description: String,
    pub amount: Money,
}

/// All that happened on a patient's account, oldest first, and what it comes to.
#[derive(Debug, Clone)]
pub struct StatementSheet {
    pub house: House,
    pub patient: SheetPatient,
    pub entries: Vec<SheetEntry>,
    pub totals: SheetTotals,
    pub issued_at: Timestamp,
}

/// One line of a statement.
#[derive(Debug, Clone)]
pub struct SheetEntry {
    pub at: Timestamp,
    /// What it was, in words: `CT of the head`, `Payment, card`, `Refund: paid twice`.
    pub description: String,
    /// Above zero: more is owed (a charge, a refund). Below zero: less is (a payment, a void).
    pub change: Money,
    /// What is owed after it.
    pub balance: Money,
}

/// `charged - voided - paid + refunded = balance`.
#[derive(Debug, Clone)]
pub struct SheetTotals {
    pub charged: Money,
    pub voided: Money,
    pub paid: Money,
    pub refunded: Money,
    pub balance: Money,
}

/// Sets receipts and statements as PDF.
///
/// Laws
/// - The same sheet gives the same bytes.
/// - Every text of the sheet is in the document as it is: none of it is taken for markup.
/// - It does not block the async threads, and at most a bounded number of documents is set or waits at once.
#[async_trait]
pub trait ReceiptTypesetter: Send + Sync {
    async fn receipt(&self, sheet: ReceiptSheet) -> Result<Vec<u8>, TypesetError>;
    async fn statement(&self, sheet: StatementSheet) -> Result<Vec<u8>, TypesetError>;
}
