//! PDF: reports, receipts and statements set by Typst, and PDFs from outside looked into.
//!
//! Typesetting reads no file, no network and no clock: templates and fonts are in the binary, the data comes as values and
//! is never taken for markup, and the same sheet gives the same bytes. The documents are PDF/A-2a and PDF/UA-1: they can be
//! kept for decades and read aloud.
//!
//! Invariants
//! - Nothing of it runs on an async thread; at most half of the cores work, and what finds no place is told so.
//! - Nothing is loaded before the first document, and nothing but fonts and library stays after one.

mod guard;
mod head;
mod press;
mod reader;
mod receipt;
mod report;
mod text;
mod typst_press;
mod workers;

pub use guard::PdfGuard;
pub use typst_press::TypstPress;
