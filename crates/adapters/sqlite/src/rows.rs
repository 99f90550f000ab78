//! Between rows and domain values. Ids are 16 bytes, times are milliseconds, amounts are minor units.

use infirmary_kernel::{Id, Invalid, PageRequest, Sha256Digest, StoreError, Timestamp, WriteError};
use rusqlite::{Error, ErrorCode, Row, RowIndex, types::Type};

/// A row that cannot be read, as opposed to a store that cannot be reached.
pub(crate) fn store_error(error: &Error) -> StoreError {
    let reason = error.to_string();
    match error {
        Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) | Error::IntegralValueOutOfRange(..) => {
            StoreError::Corrupt { reason }
        }
        _ if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt { reason },
        _ => StoreError::Unavailable { reason },
    }
}

/// For `?` on rusqlite results within a write.
pub(crate) trait OrWriteError<T> {
    fn or_write_error(self) -> Result<T, WriteError>;

    /// As [`OrWriteError::or_write_error`]; a unique index that stands against it is told as its law. `laws` are pairs of
    /// `table.first_column` and the name of the law.
    fn or_conflict(self, laws: &[(&str, &'static str)]) -> Result<T, WriteError>;
}

impl<T> OrWriteError<T> for rusqlite::Result<T> {
    fn or_write_error(self) -> Result<T, WriteError> {
        self.or_conflict(&[])
    }

    fn or_conflict(self, laws: &[(&str, &'static str)]) -> Result<T, WriteError> {
        self.map_err(|error| {
            let law = match &error {
                // SQLite says "UNIQUE constraint failed: patients.mrn".
                Error::SqliteFailure(failure, Some(message)) if failure.code == ErrorCode::ConstraintViolation => {
                    laws.iter().find(|(column, _)| names_column(message, column)).map(|(_, law)| *law)
                }
                _ => None,
            };
            match law {
                Some(law) => WriteError::Conflict { law },
                None => WriteError::Store(store_error(&error)),
            }
        })
    }
}

/// Of a write that no law stands against.
pub(crate) fn unopposed(error: WriteError) -> StoreError {
    match error {
        WriteError::Store(error) => error,
        other => StoreError::Unavailable { reason: other.to_string() },
    }
}

fn names_column(message: &str, column: &str) -> bool {
    message
        .split_once("constraint failed: ")
        .is_some_and(|(_, columns)| columns.split(", ").next().is_some_and(|first| first == column))
}

/// Columns are named or, where a row is read at every request, counted.
pub(crate) trait RowExt {
    fn id<T>(&self, column: impl RowIndex) -> rusqlite::Result<Id<T>>;
    fn optional_id<T>(&self, column: impl RowIndex) -> rusqlite::Result<Option<Id<T>>>;
    fn time(&self, column: impl RowIndex) -> rusqlite::Result<Timestamp>;
    fn optional_time(&self, column: impl RowIndex) -> rusqlite::Result<Option<Timestamp>>;
    fn digest(&self, column: impl RowIndex) -> rusqlite::Result<Sha256Digest>;
    fn optional_digest(&self, column: impl RowIndex) -> rusqlite::Result<Option<Sha256Digest>>;
    /// Text that was written from a valid value and has to be valid still.
    fn parsed<T>(&self, column: impl RowIndex, parse: impl FnOnce(&str) -> Result<T, Invalid>) -> rusqlite::Result<T>;
    fn optional_parsed<T>(
        &self,
        column: impl RowIndex,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> rusqlite::Result<Option<T>>;
}

impl RowExt for Row<'_> {
    fn id<T>(&self, column: impl RowIndex) -> rusqlite::Result<Id<T>> {
        self.get(column).map(|bytes: [u8; 16]| id_of(bytes))
    }

    fn optional_id<T>(&self, column: impl RowIndex) -> rusqlite::Result<Option<Id<T>>> {
        self.get(column).map(|bytes: Option<[u8; 16]>| bytes.map(id_of))
    }

    fn time(&self, column: impl RowIndex) -> rusqlite::Result<Timestamp> {
        self.get(column).map(Timestamp::from_unix_ms)
    }

    fn optional_time(&self, column: impl RowIndex) -> rusqlite::Result<Option<Timestamp>> {
        self.get(column).map(|time: Option<i64>| time.map(Timestamp::from_unix_ms))
    }

    fn digest(&self, column: impl RowIndex) -> rusqlite::Result<Sha256Digest> {
        self.get(column).map(Sha256Digest::from_bytes)
    }

    fn optional_digest(&self, column: impl RowIndex) -> rusqlite::Result<Option<Sha256Digest>> {
        self.get(column).map(|bytes: Option<[u8; 32]>| bytes.map(Sha256Digest::from_bytes))
    }

    fn parsed<T>(&self, column: impl RowIndex, parse: impl FnOnce(&str) -> Result<T, Invalid>) -> rusqlite::Result<T> {
        let index = column.idx(self.as_ref())?;
        parse(self.get_ref(index)?.as_str()?).map_err(|invalid| damaged(index, invalid))
    }

    fn optional_parsed<T>(
        &self,
        column: impl RowIndex,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> rusqlite::Result<Option<T>> {
        let index = column.idx(self.as_ref())?;
        let text = self.get_ref(index)?.as_str_or_null()?;
        text.map(parse).transpose().map_err(|invalid| damaged(index, invalid))
    }
}

fn damaged(index: usize, invalid: Invalid) -> Error {
    Error::FromSqlConversionFailure(index, Type::Text, Box::new(invalid))
}

pub(crate) fn id_of<T>(bytes: [u8; 16]) -> Id<T> {
    Id::from_uuid(uuid::Uuid::from_bytes(bytes))
}

/// As a parameter of a statement.
pub(crate) fn blob<T>(id: Id<T>) -> [u8; 16] {
    id.as_uuid().into_bytes()
}

pub(crate) fn optional_blob<T>(id: Option<Id<T>>) -> Option<[u8; 16]> {
    id.map(blob)
}

/// Where a page of a list that is newest first starts: the time and id that all its items are before.
pub(crate) fn place_after(page: &PageRequest) -> (i64, [u8; 16]) {
    match page.after_time() {
        Ok(Some((time, id))) => (time.unix_ms(), id.into_bytes()),
        _ => (i64::MAX, [u8::MAX; 16]),
    }
}
