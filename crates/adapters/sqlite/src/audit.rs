use async_trait::async_trait;
use infirmary_audit::{AuditLog, ChainHead, ChainId, Entry, EntryFilter, Head, Heads, Sealed, SealedRoot, seal_root};
use infirmary_kernel::{Action, Page, PageRequest, StoreError, Timestamp};
use rusqlite::{Connection, Error, OptionalExtension, Row, params, types::Type};

use crate::{
    SqliteStore,
    rows::{OrWriteError, RowExt, blob, unopposed},
    statement::Statement,
    trail,
    writer::Transaction,
};

#[async_trait]
impl AuditLog for SqliteStore {
    async fn find(&self, filter: &EntryFilter, page: &PageRequest) -> Result<Page<Entry>, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |connection| find(connection, &filter, &page)).await
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        self.read_snapshot(heads).await
    }

    async fn after(&self, chain: ChainId, sequence: u64, limit: usize) -> Result<Vec<Sealed>, StoreError> {
        let (after, last) = (chain.number(sequence), chain.number(u64::MAX));
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT * FROM audit WHERE number > ? AND number <= ? ORDER BY number LIMIT ?")?
                .query_map(params![after, last, limit], sealed)?
                .collect()
        })
        .await
    }

    async fn roots_after(&self, sequence: u64, limit: usize) -> Result<Vec<SealedRoot>, StoreError> {
        self.read(move |connection| roots_after(connection, sequence, limit)).await
    }

    async fn close(&self, at: Timestamp) -> Result<Head, StoreError> {
        let heads = self.read_snapshot(heads).await?;
        if heads.root.is_none() {
            return Ok(heads.exported());
        }
        self.write(move |transaction| close(transaction, at).or_write_error()).await.map_err(unopposed)
    }
}

/// A log with one chain needs no roots, and begins to make some when it gets another.
fn heads(connection: &Connection) -> rusqlite::Result<Heads> {
    let (root, chains) = (last_root(connection)?, trail::heads(connection)?);
    let alone = root.is_none() && chains.iter().all(|head| head.chain == ChainId::ONLY);
    Ok(Heads { chains, root: (!alone).then(|| root.unwrap_or_default()) })
}

fn last_root(connection: &Connection) -> rusqlite::Result<Option<Head>> {
    connection
        .prepare_cached(
            "SELECT sequence, hash FROM audit_roots ORDER BY sequence DESC LIMIT 1 /* walks: no further than the last */",
        )?
        .query_row((), |row| Ok(Head { sequence: row.get(0)?, hash: row.digest(1)? }))
        .optional()
}

pub(crate) fn roots_after(connection: &Connection, sequence: u64, limit: usize) -> rusqlite::Result<Vec<SealedRoot>> {
    connection
        .prepare_cached("SELECT * FROM audit_roots WHERE sequence > ? ORDER BY sequence LIMIT ?")?
        .query_map(params![i64::try_from(sequence).unwrap_or(i64::MAX), limit], |row| {
            Ok(SealedRoot { sequence: row.get("sequence")?, canonical: row.get("form")?, hash: row.digest("hash")? })
        })?
        .collect()
}

/// Closes the chains that have gone on since the last root.
fn close(transaction: &Transaction<'_>, at: Timestamp) -> rusqlite::Result<Head> {
    let last = last_root(transaction)?.unwrap_or_default();
    let mut closed = transaction.prepare_cached("SELECT sequence FROM closed_chains WHERE chain = ?")?;
    let mut gone_on = Vec::new();
    for head in trail::heads(transaction)? {
        let before: Option<u64> = closed.query_row([head.chain.get()], |row| row.get(0)).optional()?;
        if before.is_none_or(|before| before < head.head.sequence) {
            gone_on.push(head);
        }
    }
    if gone_on.is_empty() {
        return Ok(last);
    }
    let root = seal_root(&last, at, &gone_on);
    insert_root(transaction, &root, &gone_on)?;
    Ok(root.head())
}

pub(crate) fn insert_root(
    transaction: &Transaction<'_>,
    root: &SealedRoot,
    closed: &[ChainHead],
) -> rusqlite::Result<()> {
    let insert = "INSERT INTO audit_roots (sequence, form, hash) VALUES (?, ?, ?)";
    transaction.run(insert, params![root.sequence, root.canonical, root.hash.as_bytes()])?;
    for ChainHead { chain, head } in closed {
        let close = "INSERT INTO closed_chains (chain, sequence) VALUES (?1, ?2)
                     ON CONFLICT (chain) DO UPDATE SET sequence = ?2";
        transaction.run(close, params![chain.get(), head.sequence])?;
    }
    Ok(())
}

fn find(connection: &Connection, filter: &EntryFilter, page: &PageRequest) -> rusqlite::Result<Page<Entry>> {
    let entries = finding(filter, page).rows(connection, |row| {
        sealed(row)?.open().map_err(|error| Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error)))
    })?;
    Ok(Page::of_rows(entries, page.limit, Entry::cursor))
}

/// Every index of the table ends with the number of the entry, so the order costs nothing. A plus keeps an index from
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
    if let Ok(Some((at, id))) = page.after_time() {
        let (chain, sequence) = id.as_u64_pair();
        let number = ChainId::new(u16::try_from(chain).unwrap_or(u16::MAX)).number(sequence);
        query.push(" AND (at, number) < (?, ?)", [Box::new(at.unix_ms()), Box::new(number)]);
    }
    query.push(" ORDER BY at DESC, number DESC LIMIT ?", [Box::new(page.limit.get() + 1)]);
    query
}

pub(crate) fn sealed(row: &Row<'_>) -> rusqlite::Result<Sealed> {
    let number = row.get("number")?;
    trail::of_entry(number, columns(row, number))
}

fn columns(row: &Row<'_>, number: i64) -> rusqlite::Result<Sealed> {
    let (chain, sequence) = ChainId::of_number(number);
    Ok(Sealed {
        chain,
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
