//! What the replaced system's data and this one's have to do with each other: how a record is called there and here, how
//! a phone number is written, which words mean what. Pure. Its routes are `http/legacy`, its import `command/import`.

pub mod id;
pub mod money;
pub mod phone;
pub mod words;
