//! financials

mod sheet;

pub use sheet::{ReceiptSheet, ReceiptTypesetter, SheetAllocation, SheetEntry, SheetTotals, StatementSheet};
