use std::{collections::HashSet, time::Duration};

use futures_util::{Stream, StreamExt};
use infirmary_kernel::{ListedObject, StoreError, Timestamp};

use crate::{Inspection, ObjectOwner};

/// How old an object without a row has to be before it is rubbish: its bytes come before its row, and an upload that is
/// under way is none.
pub const STRAY_HOURS: u64 = 24;

/// Keys that are looked up at once.
const BATCH_OBJECTS: usize = 500;

pub(crate) fn is_old(object: &ListedObject, now: Timestamp, age: Duration) -> bool {
    now.since(object.modified) >= age
}

/// Of the next objects of a listing, how many there were and which of them no row names; `None` at its end.
pub(crate) async fn next_strays(
    listing: &mut (impl Stream<Item = Result<ListedObject, StoreError>> + Unpin),
    inspection: &dyn Inspection,
) -> Result<Option<(usize, Vec<ListedObject>)>, StoreError> {
    let mut batch = Vec::new();
    while batch.len() < BATCH_OBJECTS {
        let Some(listed) = listing.next().await else { break };
        batch.push(listed?);
    }
    if batch.is_empty() {
        return Ok(None);
    }
    let seen = batch.len();
    let mut owners: Vec<ObjectOwner> = batch.iter().filter_map(|listed| ObjectOwner::of_key(&listed.key)).collect();
    owners.sort_unstable();
    owners.dedup();
    let known: HashSet<ObjectOwner> = inspection.known(&owners).await?.into_iter().collect();
    batch.retain(|listed| ObjectOwner::of_key(&listed.key).is_none_or(|owner| !known.contains(&owner)));
    Ok(Some((seen, batch)))
}
