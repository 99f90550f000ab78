use async_trait::async_trait;
use infirmary_kernel::{InstanceId, Lease, Leases, StoreError, Timestamp};
use mongodb::bson::{Bson, doc};

use crate::{
    MongoStore,
    documents::{Fields, id, number, time},
    schema::LEASES,
};

/// In the place of when a lease is over, of one that was released.
fn released() -> Bson {
    time(Timestamp::from_unix_ms(0))
}

#[async_trait]
impl Leases for MongoStore {
    async fn acquire(
        &self,
        name: &'static str,
        holder: InstanceId,
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let until = Lease::until(now);
        let (over, wrong) = Lease::free_outside(now);
        let free = [doc! { "until": { "$lte": time(over) } }, doc! { "until": { "$gt": time(wrong) } }];
        let free = doc! { "_id": name, "$or": free.to_vec() };
        let taken = doc! { "$set": { "holder": id(holder), "until": time(until) }, "$inc": { "fence": number(1) } };
        let found = self.change_or_make(&LEASES, free, taken).await?;
        found.map(|found| Ok(Lease { name, holder, fence: found.number("fence")?, until })).transpose()
    }

    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<Option<Lease>, StoreError> {
        let renewed = Lease { until: Lease::until(now), ..*lease };
        let held = doc! { "_id": lease.name, "fence": fence(lease), "until": { "$gt": released() } };
        let renewal = doc! { "$set": { "until": time(renewed.until) } };
        Ok(self.update_one(&LEASES, held, renewal).await?.then_some(renewed))
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let held = doc! { "_id": lease.name, "fence": fence(lease) };
        self.update_one(&LEASES, held, doc! { "$set": { "until": released() } }).await.map(|_| ())
    }
}

fn fence(lease: &Lease) -> Bson {
    number(i64::try_from(lease.fence).unwrap_or(i64::MAX))
}
