use async_trait::async_trait;
use infirmary_diagnosis::{ChangedTask, CreatedTask, MAX_TASKS, Price, Prices, Task, TaskStore};
use infirmary_kernel::{
    Currency, LongText, Money, ShortText, StoreError, TaskCode, TaskId, Trail, WriteError, Written,
};
use mongodb::bson::{Document, RawDocument, doc};

use crate::{
    MongoStore,
    documents::{DocumentExt, Fields, id, number, setting, time},
    reads::Query,
    schema::TASKS,
    transaction::{Transaction, Write, line},
};

#[async_trait]
impl Write for CreatedTask {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        transaction.insert(&TASKS, document(&self.task)).await
    }
}

#[async_trait]
impl Write for ChangedTask {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.task.id))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let due = doc! { "_id": id(self.task.id), "version": number(i64::from(self.task.version) - 1) };
        match transaction.update(&TASKS, due, setting(document(&self.task), &[])).await? {
            true => Ok(()),
            false => Err(WriteError::Stale),
        }
    }
}

#[async_trait]
impl TaskStore for MongoStore {
    async fn create(&self, created: CreatedTask) -> Result<Written, WriteError> {
        self.write(&created).await
    }

    async fn change(&self, changed: ChangedTask) -> Result<(), WriteError> {
        self.write(&changed).await.map(|_| ())
    }

    async fn find(&self, sought: TaskId) -> Result<Option<Task>, StoreError> {
        let found = self.find_one(&TASKS, doc! { "_id": id(sought) }).await?;
        found.map(|found| task(&found)).transpose()
    }

    async fn all(&self) -> Result<Vec<Task>, StoreError> {
        self.tasks(doc! {}).await
    }

    async fn by_codes(&self, codes: &[TaskCode]) -> Result<Vec<Task>, StoreError> {
        if codes.is_empty() {
            return Ok(Vec::new());
        }
        let codes: Vec<&str> = codes.iter().map(TaskCode::as_str).collect();
        self.tasks(doc! { "code": { "$in": codes } }).await
    }
}

impl MongoStore {
    /// In the order of the code.
    async fn tasks(&self, filter: Document) -> Result<Vec<Task>, StoreError> {
        let query = Query { filter, sort: doc! { "code": 1 }, limit: MAX_TASKS, index: "code" };
        self.find(&TASKS, query).await?.iter().map(|found| task(found)).collect()
    }
}

pub(crate) fn document(task: &Task) -> Document {
    let prices: Vec<Document> = task.prices.as_slice().iter().map(price_document).collect();
    doc! {
        "_id": id(task.id),
        "code": task.code.as_str(),
        "name": task.name.as_str(),
        "description": task.description.as_str(),
        "active": task.active,
        "prices": prices,
        "created_at": time(task.created_at),
        "version": number(task.version),
    }
}

fn price_document(price: &Price) -> Document {
    doc! {
        "amount": number(price.amount.amount_minor()),
        "currency": price.amount.currency().as_str(),
        "from": time(price.from),
    }
    .with("until", price.until.map(time))
}

pub(crate) fn task(found: &RawDocument) -> Result<Task, StoreError> {
    let prices = found.documents("prices")?.into_iter().map(price).collect::<Result<_, _>>()?;
    let overlap = |_| StoreError::Corrupt { reason: "the prices of a task overlap".to_owned() };
    Ok(Task {
        id: found.id("_id")?,
        code: found.parsed("code", TaskCode::parse)?,
        name: found.parsed("name", ShortText::parse)?,
        description: found.parsed("description", LongText::parse)?,
        active: found.flag("active")?,
        prices: Prices::of(prices).map_err(overlap)?,
        created_at: found.time("created_at")?,
        version: found.number("version")?,
    })
}

fn price(found: &RawDocument) -> Result<Price, StoreError> {
    let currency = found.parsed("currency", Currency::parse)?;
    Ok(Price {
        amount: Money::new(found.number("amount")?, currency),
        from: found.time("from")?,
        until: found.optional_time("until")?,
    })
}
