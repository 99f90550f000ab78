use infirmary_kernel::{AccessError, Invalid, Money, StoreError, WriteError};

use crate::{Payment, Statement};

#[derive(Debug, thiserror::Error)]
pub enum FinancialsError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("the request was refused")]
    Invalid(#[from] Invalid),
    /// No such charge or payment, or none that the caller may know of.
    #[error("there is no such record")]
    NotFound,
    #[error("the charge is void already")]
    AlreadyVoid,
    /// Refund the payment first.
    #[error("a charge on which {paid} is paid cannot be made void")]
    PaidOn { paid: Money },
    /// Nothing of it was taken. At most `owed` can be paid, on the charges named or on all of the patient.
    #[error("a payment cannot be more than is owed: {owed}")]
    MoreThanOwed { owed: Money },
    /// Take it in parts.
    #[error("a payment cannot be spread over more than {} charges", Payment::MAX_CHARGES)]
    TooManyCharges,
    #[error("a refund cannot be more than is left of the payment: {left}")]
    MoreThanRefundable { left: Money },
    /// Read it in pages.
    #[error("a statement on paper has at most {} entries", Statement::MAX_ENTRIES_ON_PAPER)]
    TooLongForPaper,
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<StoreError> for FinancialsError {
    fn from(error: StoreError) -> Self {
        Self::Access(AccessError::Store(error))
    }
}
