use async_trait::async_trait;
use infirmary_diagnosis::{ChangedTask, CreatedTask, Price, Prices, Task, TaskStore};
use infirmary_kernel::{Currency, LongText, Money, ShortText, StoreError, TaskCode, TaskId, WriteError, Written};
use rusqlite::{Connection, Error, OptionalExtension, Row, params, types::Type};

use crate::{
    SqliteStore,
    rows::{OrWriteError, RowExt, blob},
    writer::Transaction,
};

const LAWS: &[(&str, &str)] = &[("tasks.code", Task::ONE_FOR_A_CODE)];

#[async_trait]
impl TaskStore for SqliteStore {
    async fn create(&self, created: CreatedTask) -> Result<Written, WriteError> {
        self.write(move |transaction| {
            if let Some(before) = transaction.repeated(&created.trail)? {
                return Ok(before);
            }
            insert(transaction, &created.task)?;
            transaction.keep(&created.trail)
        })
        .await
    }

    async fn change(&self, changed: ChangedTask) -> Result<(), WriteError> {
        self.write(move |transaction| {
            update(transaction, &changed.task)?;
            transaction.keep(&changed.trail).map(|_| ())
        })
        .await
    }

    async fn find(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        self.read_snapshot(move |connection| {
            connection
                .prepare_cached("SELECT * FROM tasks WHERE id = ?")?
                .query_row([blob(id)], |row| task(connection, row))
                .optional()
        })
        .await
    }

    async fn all(&self) -> Result<Vec<Task>, StoreError> {
        self.read_snapshot(move |connection| {
            connection
                .prepare_cached("SELECT * FROM tasks ORDER BY code /* walks: the catalogue is asked for whole */")?
                .query_map((), |row| task(connection, row))?
                .collect()
        })
        .await
    }

    async fn by_codes(&self, codes: &[TaskCode]) -> Result<Vec<Task>, StoreError> {
        let codes = codes.to_vec();
        self.read_snapshot(move |connection| {
            let mut find = connection.prepare_cached("SELECT * FROM tasks WHERE code = ?")?;
            let found =
                codes.iter().map(|code| find.query_row([code.as_str()], |row| task(connection, row)).optional());
            found.filter_map(Result::transpose).collect()
        })
        .await
    }
}

pub(crate) fn insert(transaction: &Transaction<'_>, new: &Task) -> Result<(), WriteError> {
    transaction
        .prepare_cached(
            "INSERT INTO tasks (id, code, name, description, active, created_at, version) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                blob(new.id),
                new.code.as_str(),
                new.name.as_str(),
                new.description.as_str(),
                new.active,
                new.created_at.unix_ms(),
                new.version,
            ])
        })
        .or_conflict(LAWS)?;
    insert_prices(transaction, new)
}

fn update(transaction: &Transaction<'_>, changed: &Task) -> Result<(), WriteError> {
    let updated = transaction
        .prepare_cached(
            "UPDATE tasks SET name = ?2, description = ?3, active = ?4, version = ?5 WHERE id = ?1 AND version = ?5 - 1",
        )
        .and_then(|mut update| {
            update.execute(params![
                blob(changed.id),
                changed.name.as_str(),
                changed.description.as_str(),
                changed.active,
                changed.version,
            ])
        })
        .or_write_error()?;
    if updated == 0 {
        return Err(WriteError::Stale);
    }
    transaction
        .prepare_cached("DELETE FROM task_prices WHERE task = ?")
        .and_then(|mut delete| delete.execute([blob(changed.id)]))
        .or_write_error()?;
    insert_prices(transaction, changed)
}

fn insert_prices(transaction: &Transaction<'_>, task: &Task) -> Result<(), WriteError> {
    transaction
        .prepare_cached("INSERT INTO task_prices (task, begins_at, ends_at, amount, currency) VALUES (?, ?, ?, ?, ?)")
        .and_then(|mut insert| {
            task.prices.as_slice().iter().try_for_each(|price| {
                insert
                    .execute(params![
                        blob(task.id),
                        price.from.unix_ms(),
                        price.until.map(|until| until.unix_ms()),
                        price.amount.amount_minor(),
                        price.amount.currency().as_str(),
                    ])
                    .map(|_| ())
            })
        })
        .or_write_error()
}

pub(crate) fn task(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Task> {
    let id: TaskId = row.id("id")?;
    let prices = connection
        .prepare_cached("SELECT * FROM task_prices WHERE task = ? ORDER BY begins_at")?
        .query_map([blob(id)], price)?
        .collect::<Result<_, _>>()?;
    Ok(Task {
        id,
        code: row.parsed("code", TaskCode::parse)?,
        name: row.parsed("name", ShortText::parse)?,
        description: row.parsed("description", LongText::parse)?,
        active: row.get("active")?,
        prices: Prices::of(prices)
            .map_err(|invalid| Error::FromSqlConversionFailure(0, Type::Integer, Box::new(invalid)))?,
        created_at: row.time("created_at")?,
        version: row.get("version")?,
    })
}

fn price(row: &Row<'_>) -> rusqlite::Result<Price> {
    let currency = row.parsed("currency", Currency::parse)?;
    Ok(Price {
        amount: Money::new(row.get("amount")?, currency),
        from: row.time("begins_at")?,
        until: row.optional_time("ends_at")?,
    })
}
