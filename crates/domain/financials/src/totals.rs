use infirmary_kernel::{Currency, Money, MoneyError};

use crate::{Entry, Posting};

/// Four sums and the balance that follows from them: charged − voided − paid + refunded. Of a patient, of the house, or of
/// a period (where the balance is by how much more is owed at its end than at its beginning).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    charged: Money,
    voided: Money,
    paid: Money,
    refunded: Money,
    balance: Money,
}

impl Totals {
    /// Of sums in minor units of `currency`. Fails when the balance, or a step to it, is larger than an amount can be.
    pub fn new(currency: Currency, charged: i64, voided: i64, paid: i64, refunded: i64) -> Result<Self, MoneyError> {
        let [charged, voided, paid, refunded] =
            [charged, voided, paid, refunded].map(|amount_minor| Money::new(amount_minor, currency));
        let balance = charged.checked_sub(voided)?.checked_sub(paid)?.checked_add(refunded)?;
        Ok(Self { charged, voided, paid, refunded, balance })
    }

    pub const fn zero(currency: Currency) -> Self {
        let nothing = Money::zero(currency);
        Self { charged: nothing, voided: nothing, paid: nothing, refunded: nothing, balance: nothing }
    }

    /// What the entries come to. They are all in that currency.
    pub fn of<'a>(currency: Currency, entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, MoneyError> {
        entries.into_iter().try_fold(Self::zero(currency), |sum, entry| sum.with(&entry.posting, entry.amount))
    }

    /// These, and one posting more (or the part of it that belongs here).
    pub fn with(self, posting: &Posting, amount: Money) -> Result<Self, MoneyError> {
        let one = match posting {
            Posting::Charge { .. } => [amount.amount_minor(), 0, 0, 0],
            Posting::Void { .. } => [0, amount.amount_minor(), 0, 0],
            Posting::Payment { .. } => [0, 0, amount.amount_minor(), 0],
            Posting::Refund { .. } => [0, 0, 0, amount.amount_minor()],
        };
        let [charged, voided, paid, refunded] = one;
        self.checked_add(Self::new(amount.currency(), charged, voided, paid, refunded)?)
    }

    pub const fn charged(&self) -> Money {
        self.charged
    }

    pub const fn voided(&self) -> Money {
        self.voided
    }

    pub const fn paid(&self) -> Money {
        self.paid
    }

    pub const fn refunded(&self) -> Money {
        self.refunded
    }

    pub const fn balance(&self) -> Money {
        self.balance
    }

    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        Ok(Self {
            charged: self.charged.checked_add(other.charged)?,
            voided: self.voided.checked_add(other.voided)?,
            paid: self.paid.checked_add(other.paid)?,
            refunded: self.refunded.checked_add(other.refunded)?,
            balance: self.balance.checked_add(other.balance)?,
        })
    }
}
