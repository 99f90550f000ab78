use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, ChargeId, Currency, Page, PageRequest, PatientId, PaymentId, StoreError, Trail, WriteError, Written,
};
use uuid::Uuid;

use crate::{
    Charge, ChargeStatus, ChargeView, Payment, PaymentView, Period, Place, Refund, StatementRows, Summary, SummaryBy,
    Totals, Void,
};

/// A charge to be added.
#[derive(Debug, Clone)]
pub struct RecordedCharge {
    pub charge: Charge,
    pub trail: Trail,
}

/// A charge to be made void.
#[derive(Debug, Clone)]
pub struct VoidedCharge {
    pub charge: ChargeId,
    pub void: Void,
    pub trail: Trail,
}

/// A payment to be added, with its allocations.
#[derive(Debug, Clone)]
pub struct TakenPayment {
    pub payment: Payment,
    pub trail: Trail,
}

/// A refund to be added, with what it takes back.
#[derive(Debug, Clone)]
pub struct RefundedPayment {
    pub refund: Refund,
    pub trail: Trail,
}

/// What is written, and what is read to decide it.
///
/// Laws
/// - A write is there whole, with its audit event and its claim, or not at all; a reader never sees half of one.
/// - A write with a claim that was used: [`Written::Before`] with that receipt, and nothing is changed, whatever else stands
///   against it. With another fingerprint: `KeyReused`.
/// - `record_charge` keeps the laws of uniqueness that [`Charge`] names, as `Conflict` with their names.
/// - A write whose decision does not hold any more at the moment of the write is `Stale`, and nothing is changed. In
///   particular:
///   - `take_payment`: a charge is absent, void, of another patient or currency, or an allocation is more than what is
///     owed on it;
///   - `void_charge`: it is absent, void, or something is paid on it, net of refunds;
///   - `refund_payment`: the payment is absent, or an allocation is more than what is left of the payment on that charge.
///
///   Each `Stale` therefore means that somebody else's write succeeded.
/// - What does not stand in each other's way does not: two payments that both fit on a charge are both taken.
/// - `open_charges` are those of the patient on which something is owed, oldest first, then by id, at most `most`.
/// - `charges` gives those of the ids that exist, in any order.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Ledger: Send + Sync {
    async fn record_charge(&self, recorded: RecordedCharge) -> Result<Written, WriteError>;
    async fn void_charge(&self, voided: VoidedCharge) -> Result<Written, WriteError>;
    async fn take_payment(&self, taken: TakenPayment) -> Result<Written, WriteError>;
    async fn refund_payment(&self, refunded: RefundedPayment) -> Result<Written, WriteError>;
    async fn charges(&self, ids: &[ChargeId]) -> Result<Vec<ChargeView>, StoreError>;
    async fn open_charges(&self, patient: PatientId, most: usize) -> Result<Vec<ChargeView>, StoreError>;
    async fn payment(&self, id: PaymentId) -> Result<Option<PaymentView>, StoreError>;
}

/// Which charges a list holds; all of them by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChargeFilter {
    pub patient: Option<PatientId>,
    /// Only charges of studies and reports of this doctor.
    pub author: Option<AccountId>,
    pub status: Option<ChargeStatus>,
    /// Of a restricted patient only when this account is of the care team; `None`: whosever they are.
    pub reader: Option<AccountId>,
}

/// What does not hold in the books though it must, and the record where it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    pub law: BookLaw,
    /// Of the charge, payment, refund or patient.
    pub record: Uuid,
}

/// The laws that `verify` checks on what is stored, whoever stored it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BookLaw {
    /// 0 ≤ paid − refunded ≤ amount of each charge, and 0 when it is void.
    ChargeWithinBounds,
    /// The allocations of a payment are positive, sum up to it, and lie on charges of its patient.
    PaymentAllocated,
    /// The allocations of a refund are positive, sum up to it, and leave no less than zero of the payment on a charge.
    RefundAllocated,
    /// Charges − voids − payments + refunds of a patient is what is outstanding on the charges.
    BalanceOfPatient,
    /// All of it is in the currency of the facility.
    OneCurrency,
}

impl BookLaw {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChargeWithinBounds => "what is paid on a charge is within 0 and its amount",
            Self::PaymentAllocated => "a payment is the sum of its allocations",
            Self::RefundAllocated => "a refund is the sum of what it takes back",
            Self::BalanceOfPatient => "charges - voids - payments + refunds of a patient is what is outstanding",
            Self::OneCurrency => "the books are in the currency of the facility",
        }
    }
}

/// What is read for people.
///
/// Laws
/// - One answer is of one moment: entries, opening balance and totals of a statement belong together.
/// - `charges` and `payments` are newest first (time, then id); pages are stable under inserts and equal times.
/// - `statement` is in the order of [`Place`]; the balance that runs over all its pages ends at that of its totals.
/// - `totals` are of the patients in the order given, each with zeros when nothing was posted; those of the house (`None`)
///   are the sum over all patients. Amounts of another currency than the one given are not in it.
/// - The rows of a `summary` by day, month or task sum up to its totals, and so do paid and refunded by method.
/// - `discrepancies` of a store that only this code wrote to is empty.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait LedgerQueries: Send + Sync {
    async fn list_charges(&self, filter: &ChargeFilter, page: &PageRequest) -> Result<Page<ChargeView>, StoreError>;
    /// Those of one patient, or of all.
    async fn list_payments(
        &self,
        patient: Option<PatientId>,
        page: &PageRequest,
    ) -> Result<Page<PaymentView>, StoreError>;
    /// The first `most` entries after the place given.
    async fn statement(
        &self,
        patient: PatientId,
        currency: Currency,
        after: Option<Place>,
        most: usize,
    ) -> Result<StatementRows, StoreError>;
    async fn totals_of_patients(&self, patients: &[PatientId], currency: Currency) -> Result<Vec<Totals>, StoreError>;
    async fn totals_of_house(&self, currency: Currency) -> Result<Totals, StoreError>;
    async fn summary(&self, period: Period, by: SummaryBy, currency: Currency) -> Result<Summary, StoreError>;
    /// At most `most` of what is wrong.
    async fn discrepancies(&self, currency: Currency, most: usize) -> Result<Vec<Discrepancy>, StoreError>;
}
