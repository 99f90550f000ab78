use infirmary_kernel::StoreError;
use mongodb::bson::{Bson, Document, doc};

use super::flaws::Flaws;
use crate::{
    documents::Fields,
    reads::Snapshot,
    schema::{CHARGES, Collection, PAYMENTS, REFUNDS},
};

/// In all currencies together: the law that there is one is another law. What a charge says of itself does not count here.
pub(super) async fn find(snapshot: &mut Snapshot<'_>, flaws: &mut Flaws) -> Result<(), StoreError> {
    let charged = doc! { "$match": { "voided_at": { "$exists": false } } };
    let part = doc! { "$unwind": "$allocations" };
    let charged = sum(snapshot, &CHARGES, vec![charged], "$amount").await?;
    let paid = sum(snapshot, &PAYMENTS, Vec::new(), "$amount").await?;
    let refunded = sum(snapshot, &REFUNDS, Vec::new(), "$amount").await?;
    let allocated = sum(snapshot, &PAYMENTS, vec![part.clone()], "$allocations.amount").await?;
    let taken_back = sum(snapshot, &REFUNDS, vec![part], "$allocations.amount").await?;
    let (balance, outstanding) = (charged - paid + refunded, charged - allocated + taken_back);
    if balance != outstanding {
        let what = format!("the balance is {balance}, and {outstanding} is outstanding (minor units)");
        flaws.add_part("house".to_owned(), what);
    }
    Ok(())
}

async fn sum(
    snapshot: &mut Snapshot<'_>,
    collection: &Collection,
    mut pipeline: Vec<Document>,
    amount: &str,
) -> Result<i64, StoreError> {
    pipeline.push(doc! { "$group": { "_id": Bson::Null, "sum": { "$sum": amount } } });
    match snapshot.walk(collection, "every amount is summed", pipeline).await?.first() {
        Some(sum) => sum.number("sum"),
        None => Ok(0),
    }
}
