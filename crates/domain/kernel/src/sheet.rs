//! What the printed sheets of every domain share: the house at their head, the person they are for.

use crate::{PersonName, PostalAddress, ShortText};

/// The hospital, as its letters are headed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct House {
    pub name: ShortText,
    pub address: Option<PostalAddress>,
}

/// Whom a sheet is for. The number is written as people read it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetPatient {
    pub name: PersonName,
    pub mrn: String,
}

/// A sheet that was not set. Nothing happened; what was asked can be asked again.
#[derive(Debug, thiserror::Error)]
pub enum TypesetError {
    /// As many sheets as may wait are waiting.
    #[error("too many documents are being set; try again in some seconds")]
    Busy,
    /// Says nothing of what the sheet holds.
    #[error("the document could not be set: {reason}")]
    Failed { reason: String },
}
