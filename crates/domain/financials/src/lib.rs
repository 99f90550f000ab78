//! What patients owe and what they have paid: charges, payments, refunds, statements.
//!
//! A charge follows from a task of a study or from a report by itself, or is written by hand. A payment lies on charges,
//! oldest first; a refund takes it off them, newest first, and they are owed again. Everything else (balances, whether a
//! charge is paid, the statement, the summary of the house) is derived from these three when it is asked for.
//!
//! Invariants
//! - Charges − voids − payments + refunds = balance, for each patient and for the house, at all times.
//! - On each charge 0 ≤ paid − refunded ≤ amount; nothing is paid on a void one.
//! - A task of a study is charged once, and so is the report on a diagnosis.
//! - Integers of minor units in the one currency of the facility.
//! - A payment or refund has one effect for one idempotency key; neither is taken without.
//! - Deliberately absent: running totals, money without a charge to lie on, changing or deleting what was posted.

mod amount;
mod charge;
mod charge_by_hand;
mod error;
mod paper;
mod payment;
mod ports;
mod queries;
mod refund;
mod refund_payment;
mod retry;
mod settle_charge;
mod sheet;
mod statement;
mod summary;
mod take_payment;
mod totals;
mod void_charge;

#[cfg(feature = "test-support")]
pub mod testing;

pub use amount::MAX_AMOUNT_MINOR;
pub use charge::{Charge, ChargeStatus, ChargeView, Source, Void};
pub use charge_by_hand::{ChargeByHand, NewCharge};
pub use error::FinancialsError;
pub use payment::{Allocation, Payment, PaymentMethod, PaymentView, allocate, take_back};
pub use ports::{
    BookLaw, ChargeFilter, Discrepancy, Ledger, LedgerQueries, RecordedCharge, RefundedPayment, TakenPayment,
    VoidedCharge,
};
#[cfg(feature = "test-support")]
pub use ports::{MockLedger, MockLedgerQueries};
pub use queries::{PaidCharges, Queries};
pub use refund::Refund;
pub use refund_payment::{NewRefund, RefundPayment};
pub use settle_charge::SettleCharge;
pub use sheet::{ReceiptSheet, ReceiptTypesetter, SheetAllocation, SheetEntry, SheetTotals, StatementSheet};
pub use statement::{Entry, Line, Place, Posting, Statement, StatementRows};
pub use summary::{Period, Summary, SummaryBy, SummaryRow};
pub use take_payment::{NewPayment, TakePayment};
pub use totals::Totals;
pub use void_charge::VoidCharge;
