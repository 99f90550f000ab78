use std::time::Duration;

use async_trait::async_trait;
use infirmary_kernel::{StoreError, WriteError};
use mongodb::bson::{Bson, Document, doc};

use super::flaws::Flaws;
use crate::{
    MongoStore,
    documents::Fields,
    parts::{Part, Parts},
    schema::{CHARGES, Collection, PATIENTS, PAYMENTS, REFUNDS},
    transaction::{Done, PART_TIMEOUT, Transaction, Work, unopposed},
};

/// Sums over the parts: with a patient's balance changes what is outstanding, so that each part is right whenever it is read. In
/// all currencies together: the law that there is one is another law. What a charge says of itself does not count here.
pub(super) async fn find(store: &MongoStore, flaws: &mut Flaws) -> Result<(), StoreError> {
    let (mut balance, mut outstanding) = (0, 0);
    let mut parts = Parts::by(&PATIENTS);
    while let Some(part) = parts.next(store).await? {
        let sums = store.transact(None, &Sums(part)).await.map_err(unopposed)?;
        balance += sums.0;
        outstanding += sums.1;
    }
    if balance != outstanding {
        let what = format!("the balance is {balance}, and {outstanding} is outstanding (minor units)");
        flaws.add_part("house".to_owned(), what);
    }
    Ok(())
}

struct Sums(Part);

#[async_trait]
impl Work for Sums {
    /// The balance, and what is outstanding.
    type Answer = (i64, i64);

    fn timeout(&self) -> Duration {
        PART_TIMEOUT
    }

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, (i64, i64)> {
        let amounts = || (Document::new(), None);
        let parts = || (Document::new(), Some("$allocations"));
        let charged = (doc! { "voided_at": { "$exists": false } }, None);
        let charged = self.sum(transaction, &CHARGES, charged).await?;
        let (paid, allocated) =
            (self.sum(transaction, &PAYMENTS, amounts()).await?, self.sum(transaction, &PAYMENTS, parts()).await?);
        let (refunded, taken_back) =
            (self.sum(transaction, &REFUNDS, amounts()).await?, self.sum(transaction, &REFUNDS, parts()).await?);
        Ok(((charged - paid + refunded, charged - allocated + taken_back), None))
    }
}

impl Sums {
    /// Of the amounts of what the filter takes, or of those in a list of it.
    async fn sum(
        &self,
        transaction: &mut Transaction<'_>,
        collection: &Collection,
        (filter, list): (Document, Option<&str>),
    ) -> Result<i64, WriteError> {
        let mut pipeline = vec![doc! { "$match": self.0.of("patient", filter) }];
        pipeline.extend(list.map(|list| doc! { "$unwind": list }));
        let amount = list.map_or_else(|| "$amount".to_owned(), |list| format!("{list}.amount"));
        pipeline.push(doc! { "$group": { "_id": Bson::Null, "sum": { "$sum": amount } } });
        let found = transaction.aggregate_by(collection, "patient", pipeline).await?;
        Ok(found.first().map_or(Ok(0), |found| found.number("sum"))?)
    }
}
