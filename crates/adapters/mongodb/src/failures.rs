//! What an error of the driver means to who asked. Texts of the server are not passed on: they repeat values.

use infirmary_kernel::{StoreError, WriteError};
use mongodb::error::{Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure};

use crate::schema;

/// The names of the server's error codes that are looked for.
const DUPLICATE_KEY: i32 = 11_000;
const WRITE_CONFLICT: i32 = 112;

/// Of a read, or of what is known not to have happened.
pub(crate) fn store_error(error: &Error) -> StoreError {
    match error.kind.as_ref() {
        ErrorKind::Bson(_) => StoreError::Corrupt { reason: "a document is not BSON".to_owned() },
        _ => StoreError::Unavailable { reason: reason(error) },
    }
}

/// Of a write outside of a transaction.
pub(crate) fn write_error(error: &Error) -> StoreError {
    match error.kind.as_ref() {
        // Refused by the server, or never sent.
        ErrorKind::Command(_)
        | ErrorKind::Write(WriteFailure::WriteError(_))
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::Authentication { .. }
        | ErrorKind::DnsResolve { .. } => StoreError::Unavailable { reason: reason(error) },
        _ => StoreError::OutcomeUnknown { reason: reason(error) },
    }
}

pub(crate) fn reason(error: &Error) -> String {
    match error.kind.as_ref() {
        ErrorKind::Command(error) => format!("the database refused a command: {} ({})", error.code_name, error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => format!("the database refused a write ({})", error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => {
            format!("the database cannot tell whether a write is safe: {} ({})", error.code_name, error.code)
        }
        ErrorKind::Io(error) => format!("the connection to the database failed: {}", error.kind()),
        ErrorKind::ServerSelection { .. } => "no server of the database can be reached".to_owned(),
        ErrorKind::ConnectionPoolCleared { .. } => "the connections to the database were closed".to_owned(),
        ErrorKind::Authentication { .. } => "the database does not accept the credentials".to_owned(),
        ErrorKind::DnsResolve { .. } => "the name of the database cannot be resolved".to_owned(),
        ErrorKind::InsertMany(_) => "the database refused documents".to_owned(),
        _ => "the database answered with what is not understood".to_owned(),
    }
}

/// The whole transaction may be run again: nothing of it happened.
pub(crate) fn is_transient(error: &Error) -> bool {
    error.contains_label(TRANSIENT_TRANSACTION_ERROR)
}

/// Whether the commit happened is not known; it may be sent again.
pub(crate) fn is_unknown_commit(error: &Error) -> bool {
    error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
}

/// Another transaction writes the same at this moment.
pub(crate) fn is_conflict(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(error) if error.code == WRITE_CONFLICT)
}

/// A unique index that a document stands against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Duplicate<'a> {
    pub(crate) collection: &'a str,
    pub(crate) index: &'a str,
}

impl Duplicate<'_> {
    /// `Conflict` with the law that the index keeps. Of an index that is no law, such as that of ids: the store's error.
    pub(crate) fn to_write_error(self) -> WriteError {
        match schema::law(self.collection, self.index) {
            Some(law) => WriteError::Conflict { law },
            None => StoreError::Unavailable { reason: format!("a key of {} is there already", self.collection) }.into(),
        }
    }
}

pub(crate) fn duplicate(error: &Error) -> Option<Duplicate<'_>> {
    let message = match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY => &error.message,
        ErrorKind::InsertMany(errors) => {
            &errors.write_errors.as_ref()?.iter().find(|error| error.code == DUPLICATE_KEY)?.message
        }
        ErrorKind::Command(error) if error.code == DUPLICATE_KEY => &error.message,
        _ => return None,
    };
    Some(named(message))
}

/// The server says "E11000 duplicate key error collection: house.accounts index: email dup key: { … }".
fn named(message: &str) -> Duplicate<'_> {
    let after = |start: &str| message.split_once(start).map_or("", |(_, rest)| rest);
    let word = |text: &'_ str| text.split(' ').next().map_or(0, str::len);
    let collection = after("collection: ");
    let collection = &collection[..word(collection)];
    let index = after(" index: ");
    Duplicate {
        // Names of databases have no dot.
        collection: collection.split_once('.').map_or(collection, |(_, name)| name),
        index: &index[..word(index)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_is_told_by_collection_and_index_and_never_by_its_value() {
        let message = r#"E11000 duplicate key error collection: house.accounts index: email dup key: { email: "ada@example.org index: x" }"#;
        assert_eq!(named(message), Duplicate { collection: "accounts", index: "email" });
        let refused = named(message).to_write_error();
        assert!(matches!(refused, WriteError::Conflict { law: "email" }), "{refused:?}");
        let id = "E11000 duplicate key error collection: house.accounts index: _id_ dup key: { _id: 7 }";
        assert!(matches!(named(id).to_write_error(), WriteError::Store(StoreError::Unavailable { .. })));
        assert_eq!(named("something else"), Duplicate { collection: "", index: "" });
    }
}
