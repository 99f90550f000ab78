use infirmary_financials::Totals;
use infirmary_kernel::{Currency, MoneyError, StoreError};

pub(super) fn unsummable(error: MoneyError) -> StoreError {
    StoreError::Corrupt { reason: error.to_string() }
}

/// Sums in minor units by the ranks of what was posted: of charges, payments, refunds and voids.
#[derive(Default)]
pub(super) struct Sums([i64; 4]);

pub(super) const CHARGE: usize = 0;
pub(super) const PAYMENT: usize = 1;
pub(super) const REFUND: usize = 2;
pub(super) const VOID: usize = 3;

impl Sums {
    pub(super) fn add(&mut self, column: usize, sum: i64) -> Result<(), StoreError> {
        let kept = self.0.get_mut(column).ok_or_else(|| unsummable(MoneyError::Overflow))?;
        *kept = kept.checked_add(sum).ok_or_else(|| unsummable(MoneyError::Overflow))?;
        Ok(())
    }

    pub(super) fn totals(&self, currency: Currency) -> Result<Totals, StoreError> {
        let Self([charged, paid, refunded, voided]) = *self;
        Totals::new(currency, charged, voided, paid, refunded).map_err(unsummable)
    }
}
