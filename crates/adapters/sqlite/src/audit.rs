use async_trait::async_trait;
use infirmary_audit::{AuditLog, Entry, EntryFilter, Head, Sealed};
use infirmary_kernel::{Action, Page, PageRequest, StoreError};
use rusqlite::{Connection, Error, Row, ToSql, params, params_from_iter, types::Type};

use crate::{
    SqliteStore,
    rows::{RowExt, blob},
    trail,
};

#[async_trait]
impl AuditLog for SqliteStore {
    async fn find(&self, filter: &EntryFilter, page: &PageRequest) -> Result<Page<Entry>, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |connection| find(connection, &filter, &page)).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.read(trail::head).await
    }

    async fn after(&self, sequence: u64, limit: usize) -> Result<Vec<Sealed>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT * FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?")?
                .query_map(params![i64::try_from(sequence).unwrap_or(i64::MAX), limit], sealed)?
                .collect()
        })
        .await
    }
}

/// Only conditions that are asked for stand in the statement, so that each is answered by its index, newest first.
fn find(connection: &Connection, filter: &EntryFilter, page: &PageRequest) -> rusqlite::Result<Page<Entry>> {
    let mut sql = String::from("SELECT * FROM audit WHERE 1");
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut and = |condition: &str, value: Box<dyn ToSql>| {
        sql.push_str(condition);
        values.push(value);
    };
    if let Some(patient) = filter.patient {
        and(" AND patient = ?", Box::new(blob(patient)));
    }
    if let Some(account) = filter.account {
        and(" AND account = ?", Box::new(blob(account)));
    }
    if let Some(account) = filter.except_account {
        and(" AND account IS NOT ?", Box::new(blob(account)));
    }
    if let Some(action) = &filter.action {
        and(" AND action = ?", Box::new(action.as_str().to_owned()));
    }
    if let Some(from) = filter.from {
        and(" AND at >= ?", Box::new(from.unix_ms()));
    }
    if let Some(to) = filter.to {
        and(" AND at < ?", Box::new(to.unix_ms()));
    }
    if let Ok(Some((at, place))) = page.after_time() {
        and(" AND (at, sequence) < (?,", Box::new(at.unix_ms()));
        and(" ?)", Box::new(i64::try_from(place.as_u128()).unwrap_or(i64::MAX)));
    }
    and(" ORDER BY at DESC, sequence DESC LIMIT ?", Box::new(page.limit.get() + 1));
    let entries = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| {
            sealed(row)?.open().map_err(|error| Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error)))
        })?
        .collect::<Result<_, _>>()?;
    Ok(Page::of_rows(entries, page.limit, Entry::cursor))
}

fn sealed(row: &Row<'_>) -> rusqlite::Result<Sealed> {
    Ok(Sealed {
        sequence: row.get("sequence")?,
        at: row.time("at")?,
        account: row.optional_id("account")?,
        patient: row.optional_id("patient")?,
        action: Action::from_stored(row.get("action")?),
        canonical: row.get("form")?,
        hash: row.digest("hash")?,
    })
}
