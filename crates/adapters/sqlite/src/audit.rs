use async_trait::async_trait;
use infirmary_audit::{AuditLog, ChainHead, ChainId, Entry, EntryFilter, Head, Heads, Sealed, SealedRoot};
use infirmary_kernel::{Action, Page, PageRequest, StoreError, Timestamp};
use rusqlite::{Connection, Error, Row, params, types::Type};

use crate::{
    SqliteStore,
    rows::{RowExt, blob},
    statement::Statement,
    trail,
};

#[async_trait]
impl AuditLog for SqliteStore {
    async fn find(&self, filter: &EntryFilter, page: &PageRequest) -> Result<Page<Entry>, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |connection| find(connection, &filter, &page)).await
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        let head = self.read(trail::head).await?;
        let chains = if head == Head::GENESIS { Vec::new() } else { vec![ChainHead { chain: ChainId::ONLY, head }] };
        Ok(Heads { chains, root: None })
    }

    async fn after(&self, chain: ChainId, sequence: u64, limit: usize) -> Result<Vec<Sealed>, StoreError> {
        if chain != ChainId::ONLY {
            return Ok(Vec::new());
        }
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT * FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?")?
                .query_map(params![i64::try_from(sequence).unwrap_or(i64::MAX), limit], sealed)?
                .collect()
        })
        .await
    }

    async fn roots_after(&self, _sequence: u64, _limit: usize) -> Result<Vec<SealedRoot>, StoreError> {
        Ok(Vec::new())
    }

    async fn close(&self, _at: Timestamp) -> Result<Head, StoreError> {
        self.read(trail::head).await
    }
}

fn find(connection: &Connection, filter: &EntryFilter, page: &PageRequest) -> rusqlite::Result<Page<Entry>> {
    let entries = finding(filter, page).rows(connection, |row| {
        sealed(row)?.open().map_err(|error| Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error)))
    })?;
    Ok(Page::of_rows(entries, page.limit, Entry::cursor))
}

/// Every index of the table ends with the place in the chain, so the order costs nothing. A plus keeps an index from
/// being chosen where a narrower one is.
fn finding(filter: &EntryFilter, page: &PageRequest) -> Statement {
    let mut query = Statement::new("SELECT * FROM audit WHERE 1");
    query.push_if(filter.patient, " AND patient = ?", blob);
    let account = if filter.patient.is_some() { " AND +account = ?" } else { " AND account = ?" };
    query.push_if(filter.account, account, blob);
    query.push_if(filter.except_account, " AND account IS NOT ?", blob);
    let led = filter.patient.is_some() || filter.account.is_some();
    let action = if led { " AND +action = ?" } else { " AND action = ?" };
    query.push_if(filter.action.as_ref(), action, |action| action.as_str().to_owned());
    query.push_if(filter.from, " AND at >= ?", Timestamp::unix_ms);
    query.push_if(filter.to, " AND at < ?", Timestamp::unix_ms);
    if let Ok(Some((at, place))) = page.after_time() {
        let place = i64::try_from(place.as_u128()).unwrap_or(i64::MAX);
        query.push(" AND (at, sequence) < (?, ?)", [Box::new(at.unix_ms()), Box::new(place)]);
    }
    query.push(" ORDER BY at DESC, sequence DESC LIMIT ?", [Box::new(page.limit.get() + 1)]);
    query
}

fn sealed(row: &Row<'_>) -> rusqlite::Result<Sealed> {
    let sequence = row.get("sequence")?;
    trail::of_entry(sequence, columns(row, sequence))
}

fn columns(row: &Row<'_>, sequence: u64) -> rusqlite::Result<Sealed> {
    Ok(Sealed {
        chain: ChainId::ONLY,
        sequence,
        at: row.time("at")?,
        account: row.optional_id("account")?,
        patient: row.optional_id("patient")?,
        action: Action::from_stored(row.get("action")?),
        canonical: row.get("form")?,
        hash: row.digest("hash")?,
    })
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::{Cursor, testing::fresh_id};

    use super::*;

    #[test]
    fn every_filter_is_answered_from_one_index_in_the_order_of_time() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut connection).unwrap().unwrap();
        let any = EntryFilter::default;
        let (patient, account, except_account) = (Some(fresh_id()), Some(fresh_id()), Some(fresh_id()));
        let (action, at) = (Some(Action::PATIENT_READ), Some(Timestamp::from_unix_ms(0)));
        let filters = [
            (any(), "time"),
            (EntryFilter { from: at, to: at, ..any() }, "time"),
            (EntryFilter { patient, except_account, ..any() }, "patient"),
            (EntryFilter { patient, account, action: action.clone(), from: at, ..any() }, "patient"),
            (EntryFilter { account, action: action.clone(), to: at, ..any() }, "account"),
            (EntryFilter { action, ..any() }, "action"),
        ];
        for (filter, index) in filters {
            for after in [None, Some(Cursor::at(Timestamp::from_unix_ms(5), uuid::Uuid::from_u128(7)))] {
                let page = PageRequest { after, ..PageRequest::default() };
                let plan = finding(&filter, &page).plan(&connection).join("; ");
                assert!(plan.contains(&format!("audit_by_{index}")), "{filter:?}: {plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{filter:?} is sorted: {plan}");
            }
        }
    }
}
