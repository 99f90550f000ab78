use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use infirmary_auth::law;
use infirmary_kernel::{ConversionId, StoreError, WriteError, testing::locked};

use crate::{Conversion, ConversionPart, HouseRecord, RecordKey, RecordKind, RecordPlace, Transfer};

/// Records in memory. Clones are the same memory; a test may reach in.
#[derive(Clone, Default)]
pub struct MemoryTransfer {
    pub records: Arc<Mutex<BTreeMap<RecordPlace, HouseRecord>>>,
    pub conversion: Arc<Mutex<Option<Conversion>>>,
}

#[async_trait]
impl Transfer for MemoryTransfer {
    async fn records(&self, kind: RecordKind, after: &RecordKey, most: usize) -> Result<Vec<HouseRecord>, StoreError> {
        let records = locked(&self.records);
        let of_kind = records.iter().filter(|(place, _)| place.kind == kind && place.key > *after);
        Ok(of_kind.map(|(_, record)| record.clone()).take(most).collect())
    }

    async fn count(&self, kind: RecordKind) -> Result<u64, StoreError> {
        Ok(locked(&self.records).keys().filter(|place| place.kind == kind).count() as u64)
    }

    async fn add(&self, conversion: ConversionId, records: Vec<HouseRecord>) -> Result<(), WriteError> {
        let mut known = locked(&self.conversion);
        let Some(Conversion { part: ConversionPart::Target { filled }, .. }) =
            known.as_mut().filter(|known| known.id == conversion)
        else {
            return Err(WriteError::Stale);
        };
        let mut kept = locked(&self.records);
        let mut all = kept.clone();
        for record in records.into_iter().filter(|record| filled.as_ref().is_none_or(|last| record.place() > *last)) {
            let email = |record: &HouseRecord| match record {
                HouseRecord::Account { account, .. } => Some(account.email.clone()),
                _ => None,
            };
            if email(&record).is_some_and(|new| all.values().filter_map(email).any(|known| known == new)) {
                return Err(WriteError::Conflict { law: law::EMAIL });
            }
            all.insert(record.place(), record);
        }
        if let Some((last, _)) = all.last_key_value() {
            *filled = Some(last.clone());
        }
        *kept = all;
        Ok(())
    }

    async fn conversion(&self) -> Result<Option<Conversion>, StoreError> {
        Ok(locked(&self.conversion).clone())
    }

    async fn set_conversion(&self, conversion: Option<Conversion>) -> Result<(), StoreError> {
        *locked(&self.conversion) = conversion;
        Ok(())
    }
}
