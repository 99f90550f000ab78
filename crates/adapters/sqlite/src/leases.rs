use async_trait::async_trait;
use infirmary_kernel::{InstanceId, Lease, Leases, StoreError, Timestamp};
use rusqlite::{OptionalExtension, params};

use crate::{
    SqliteStore,
    rows::{OrWriteError, blob, unopposed},
};

#[async_trait]
impl Leases for SqliteStore {
    async fn acquire(
        &self,
        name: &'static str,
        holder: InstanceId,
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let until = Lease::until(now);
        let (over, wrong) = Lease::free_outside(now);
        self.write(move |transaction| {
            let fence = transaction
                .prepare_cached(
                    "INSERT INTO leases (name, holder, fence, until) VALUES (?1, ?2, 1, ?3)
                     ON CONFLICT (name) DO UPDATE SET holder = ?2, fence = fence + 1, until = ?3
                     WHERE until <= ?4 OR until > ?5
                     RETURNING fence",
                )
                .and_then(|mut take| {
                    let values = params![name, blob(holder), until.unix_ms(), over.unix_ms(), wrong.unix_ms()];
                    take.query_row(values, |row| row.get(0)).optional()
                })
                .or_write_error()?;
            Ok(fence.map(|fence| Lease { name, holder, fence, until }))
        })
        .await
        .map_err(unopposed)
    }

    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<Option<Lease>, StoreError> {
        let renewed = Lease { until: Lease::until(now), ..*lease };
        let statement = "UPDATE leases SET until = ? WHERE name = ? AND fence = ? AND until > 0";
        self.write(move |transaction| {
            let values = params![renewed.until.unix_ms(), renewed.name, renewed.fence];
            let rows = transaction.run(statement, values).or_write_error()?;
            Ok((rows == 1).then_some(renewed))
        })
        .await
        .map_err(unopposed)
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let (name, fence) = (lease.name, lease.fence);
        let statement = "UPDATE leases SET until = 0 WHERE name = ? AND fence = ?";
        let released =
            self.write(move |transaction| transaction.run(statement, params![name, fence]).or_write_error()).await;
        released.map(|_| ()).map_err(unopposed)
    }
}
