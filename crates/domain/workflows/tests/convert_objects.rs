//! Bytes are copied once, and only those that are what their rows say.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::sync::Arc;

use infirmary_kernel::{
    ObjectKey, Sha256Digest, StoredObject,
    testing::{MemoryObjects, fresh_id},
};
use infirmary_workflows::{
    ConvertObjects, CopiedObjects, HouseCounts, MockInspection, NamedObject, ObjectOwner, Stage,
    testing::transfer_laws::Watched,
};

struct House {
    rows: Vec<NamedObject>,
    from: MemoryObjects,
    to: MemoryObjects,
}

impl House {
    /// With so many objects, and beside them what no row names.
    fn new(objects: usize) -> Self {
        let from = MemoryObjects::default();
        let rows = (0..objects).map(|number| {
            let owner = match number % 3 {
                0 => ObjectOwner::Report(fresh_id()),
                _ => ObjectOwner::Image(fresh_id()),
            };
            let bytes = vec![number as u8; number * 10];
            from.put(&owner.key(), bytes.clone());
            let object = StoredObject { key: owner.key(), bytes: bytes.len() as u64, sha256: Sha256Digest::of(&bytes) };
            NamedObject { owner, object }
        });
        let mut rows: Vec<NamedObject> = rows.collect();
        rows.sort_by_key(|named| named.owner);
        from.put(&ObjectKey::preview(fresh_id(), 512), "made again");
        from.put(&ObjectKey::image(fresh_id()), "nobody's");
        Self { rows, from, to: MemoryObjects::default() }
    }

    fn conversion(&self) -> ConvertObjects {
        let (rows, mut inspection) = (self.rows.clone(), MockInspection::new());
        let object_bytes = rows.iter().map(|named| named.object.bytes).sum();
        inspection.expect_counts().returning(move || Ok(HouseCounts { object_bytes, ..HouseCounts::default() }));
        inspection.expect_objects().returning(move |after, _| {
            let rest = rows.iter().filter(|named| after.is_none_or(|after| named.owner > after));
            // Less than was asked for, so that there are several batches.
            Ok(rest.take(5).cloned().collect())
        });
        ConvertObjects {
            inspection: Arc::new(inspection),
            from: Arc::new(self.from.clone()),
            to: Arc::new(self.to.clone()),
        }
    }

    async fn run(&self) -> (CopiedObjects, Watched) {
        let mut watched = Watched::default();
        let copied = self.conversion().run(&mut watched).await.unwrap();
        (copied, watched)
    }
}

#[tokio::test]
async fn what_rows_name_is_copied_once_and_nothing_else() {
    let house = House::new(23);
    assert!(!ConvertObjects::is_half(&house.to).await.unwrap());
    let (copied, watched) = house.run().await;
    let bytes = house.rows.iter().map(|named| named.object.bytes).sum();
    assert_eq!(copied, CopiedObjects { objects: 23, bytes, there: 0, findings: 0 });
    assert_eq!((watched.stages, watched.found), (vec![(Stage::Bytes, bytes, bytes)], vec![]));
    assert!(ConvertObjects::is_half(&house.to).await.unwrap(), "until it is told that it is whole");
    house.conversion().finish().await.unwrap();
    assert!(!ConvertObjects::is_half(&house.to).await.unwrap());
    let mut keys: Vec<ObjectKey> = house.rows.iter().map(|named| named.object.key.clone()).collect();
    keys.sort();
    assert_eq!(house.to.keys(), keys);
    for key in &keys {
        assert_eq!(house.to.get(key), house.from.get(key));
    }
    let (again, _) = house.run().await;
    assert_eq!(again, CopiedObjects { objects: 0, bytes: 0, there: 23, findings: 0 });
}

#[tokio::test]
async fn what_is_there_is_left_alone_and_what_is_wrong_is_told() {
    let house = House::new(9);
    let [there, short, changed, lost] = [1, 3, 4, 5].map(|number: usize| house.rows[number].clone());
    house.to.put(&there.object.key, house.from.get(&there.object.key).unwrap());
    house.to.put(&short.object.key, "x");
    house.from.put(&changed.object.key, vec![255; changed.object.bytes as usize]);
    let kept = house.from.get(&lost.object.key).unwrap();
    let house = House { from: MemoryObjects::default(), ..house };
    for named in house.rows.iter().filter(|named| named.owner != lost.owner) {
        let bytes = match named.owner == changed.owner {
            true => vec![255; named.object.bytes as usize],
            false => vec![(named.object.bytes / 10) as u8; named.object.bytes as usize],
        };
        house.from.put(&named.object.key, bytes);
    }
    let (copied, watched) = house.run().await;
    assert_eq!((copied.objects, copied.there, copied.findings), (5, 1, 3));
    let told = |named: &NamedObject, what: &str| format!("{}: its object {} {what}", named.owner, named.object.key);
    let mut expected = [
        told(&short, &format!("is in the copy with 1 bytes, and not {}", short.object.bytes)),
        told(&changed, "is not what was kept: size or SHA-256 is another"),
        told(&lost, "is not there"),
    ];
    let mut found = watched.found;
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    assert_eq!((house.to.get(&changed.object.key), house.to.get(&lost.object.key)), (None, None));
    house.from.put(&lost.object.key, kept);
    let (copied, _) = house.run().await;
    assert_eq!((copied.objects, copied.findings), (1, 2));
}
