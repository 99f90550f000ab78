use infirmary_kernel::{AccountId, Money, PaymentId, RefundId, ShortText, Timestamp};

use crate::Allocation;

/// A part of a payment that was given back. What it takes back from each charge is owed again: the allocations, newest
/// charge first, sum up to the amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub id: RefundId,
    pub payment: PaymentId,
    pub amount: Money,
    pub reason: ShortText,
    pub refunded_at: Timestamp,
    pub refunded_by: AccountId,
    pub allocations: Vec<Allocation>,
}
