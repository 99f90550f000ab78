//! financials
