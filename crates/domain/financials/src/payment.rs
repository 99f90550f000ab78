use std::{collections::HashSet, fmt};

use infirmary_kernel::{AccountId, ChargeId, Invalid, Money, PatientId, PaymentId, Timestamp};

use crate::{ChargeView, FinancialsError, Refund, amount};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaymentMethod {
    Cash,
    Card,
    Transfer,
    Insurance,
    Other,
}

impl PaymentMethod {
    pub const ALL: [Self; 5] = [Self::Cash, Self::Card, Self::Transfer, Self::Insurance, Self::Other];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cash => "cash",
            Self::Card => "card",
            Self::Transfer => "transfer",
            Self::Insurance => "insurance",
            Self::Other => "other",
        }
    }

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|method| method.as_str() == text).ok_or_else(|| {
            Invalid::new("/method", "is not a method of payment; give cash, card, transfer, insurance or other")
        })
    }
}

impl fmt::Display for PaymentMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The part of a payment (or of a refund) that is on one charge. Positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation {
    pub charge: ChargeId,
    pub amount: Money,
}

/// Money that came in. All of it lies on charges: the allocations, oldest charge first, sum up to the amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    pub id: PaymentId,
    pub patient: PatientId,
    pub amount: Money,
    pub method: PaymentMethod,
    pub received_at: Timestamp,
    pub received_by: AccountId,
    pub allocations: Vec<Allocation>,
}

impl Payment {
    /// Over how many charges one payment can be spread.
    pub const MAX_CHARGES: usize = 500;
}

/// A payment with what was given back of it, oldest refund first. Law: the refunds sum up to at most its amount, in all
/// and on each charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentView {
    pub payment: Payment,
    pub refunds: Vec<Refund>,
}

impl PaymentView {
    pub fn refunded(&self) -> Money {
        let nothing = Money::zero(self.payment.amount.currency());
        self.refunds.iter().fold(nothing, |sum, refund| amount::plus(sum, refund.amount))
    }

    /// What is left of it to give back.
    pub fn refundable(&self) -> Money {
        amount::less(self.payment.amount, self.refunded())
    }

    /// What is left of it on each charge, oldest charge first.
    pub fn remaining(&self) -> impl DoubleEndedIterator<Item = Allocation> {
        self.payment.allocations.iter().map(|allocation| {
            let taken = self.refunds.iter().flat_map(|refund| &refund.allocations);
            let taken = taken.filter(|taken| taken.charge == allocation.charge);
            let left = taken.fold(allocation.amount, |left, taken| amount::less(left, taken.amount));
            Allocation { amount: left, ..*allocation }
        })
    }
}

/// Spreads an amount over `charges`, which are given oldest first: each is paid off before the next is begun.
pub fn allocate(amount: Money, charges: &[ChargeView]) -> Result<Vec<Allocation>, FinancialsError> {
    let mut left = amount;
    let mut allocations = Vec::new();
    for view in charges.iter().filter(|view| view.outstanding().is_positive()) {
        if !left.is_positive() {
            break;
        }
        if allocations.len() == Payment::MAX_CHARGES {
            return Err(FinancialsError::TooManyCharges);
        }
        let part = smaller(left, view.outstanding())?;
        left = amount::less(left, part);
        allocations.push(Allocation { charge: view.charge.id, amount: part });
    }
    if left.is_positive() {
        return Err(FinancialsError::MoreThanOwed { owed: amount::less(amount, left) });
    }
    Ok(allocations)
}

/// What is left of a payment's allocations, taken back from the newest charge first.
pub fn take_back(amount: Money, payment: &PaymentView) -> Result<Vec<Allocation>, FinancialsError> {
    let mut left = amount;
    let mut allocations = Vec::new();
    for on_charge in payment.remaining().rev().filter(|on_charge| on_charge.amount.is_positive()) {
        if !left.is_positive() {
            break;
        }
        let part = smaller(left, on_charge.amount)?;
        left = amount::less(left, part);
        allocations.push(Allocation { amount: part, ..on_charge });
    }
    if left.is_positive() {
        return Err(FinancialsError::MoreThanRefundable { left: amount::less(amount, left) });
    }
    Ok(allocations)
}

/// The charges that a payment names, oldest first; or which of the names is none of an unpaid charge of the patient.
pub(crate) fn named(
    patient: PatientId,
    names: &[ChargeId],
    mut found: Vec<ChargeView>,
) -> Result<Vec<ChargeView>, Invalid> {
    let mut refusals = Vec::new();
    let mut seen = HashSet::new();
    for (index, name) in names.iter().enumerate() {
        let view = found.iter().find(|view| view.charge.id == *name && view.charge.patient == patient);
        let detail = match view {
            _ if !seen.insert(*name) => "is named twice",
            None => "is not a charge of this patient",
            Some(view) if view.charge.voided.is_some() => "is void",
            Some(_) => continue,
        };
        refusals.extend(Invalid::new(format!("/chargeIds/{index}"), detail).fields);
    }
    if !refusals.is_empty() {
        return Err(Invalid { fields: refusals });
    }
    found.sort_by_key(|view| (view.charge.charged_at, view.charge.id));
    Ok(found)
}

fn smaller(left: Money, right: Money) -> Result<Money, Invalid> {
    // A charge in another currency than the payment's is one that a change of the configuration left behind.
    amount::same_currency(left, right.currency())?;
    Ok(if left.amount_minor() < right.amount_minor() { left } else { right })
}
