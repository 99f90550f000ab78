//! A copy is held against what was copied, record by record; the laws of the port hold in memory.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::sync::Arc;

use infirmary_audit::testing::MemoryAuditLog;
use infirmary_kernel::{
    Journal,
    testing::{CountingIds, ManualClock, fresh_id, locked},
};
use infirmary_workflows::{
    Conversion, ConversionError, ConversionPart, ConvertHouse, ConvertedStore, HouseCounts, HouseRecord,
    MockInspection, RecordKind, Transfer,
    testing::{
        MemoryTransfer,
        transfer_laws::{Watched, fill},
        whole_house::{at, more_entries, whole_house},
    },
};

async fn store() -> (MemoryTransfer, ()) {
    (MemoryTransfer::default(), ())
}

infirmary_workflows::transfer_laws!(store);

#[derive(Clone, Default)]
struct Side {
    transfer: MemoryTransfer,
    log: MemoryAuditLog,
    patients: u64,
}

impl Side {
    fn store(&self) -> ConvertedStore {
        let (mut inspection, patients) = (MockInspection::new(), self.patients);
        inspection.expect_counts().returning(move || Ok(HouseCounts { patients, ..HouseCounts::default() }));
        ConvertedStore {
            transfer: Arc::new(self.transfer.clone()),
            inspection: Arc::new(inspection),
            log: Arc::new(self.log.clone()),
        }
    }
}

fn conversion(from: &Side, to: &Side) -> ConvertHouse {
    ConvertHouse {
        from: from.store(),
        to: to.store(),
        clock: Arc::new(ManualClock::default()),
        ids: Arc::new(CountingIds::default()),
    }
}

/// A house, copied.
async fn copied() -> (Side, Side) {
    let (from, to) = (Side::default(), Side::default());
    fill(&from.transfer, &whole_house().records).await;
    let conversion = conversion(&from, &to);
    let id = conversion.begin().await.unwrap();
    assert_eq!(conversion.run(id, &mut Watched::default()).await.unwrap().findings, 0);
    (from, to)
}

async fn found(from: &Side, to: &Side) -> Vec<String> {
    let conversion = conversion(from, to);
    let id = conversion.begin().await.unwrap();
    let mut watched = Watched::default();
    let converted = conversion.run(id, &mut watched).await.unwrap();
    assert_eq!(converted.findings, watched.found.len() as u64);
    watched.found
}

fn of_kind(kind: RecordKind) -> impl Fn(&&HouseRecord) -> bool {
    move |record| record.kind() == kind
}

#[tokio::test]
async fn whatever_is_another_in_the_copy_is_told() {
    for record in whole_house().records {
        let (from, to) = copied().await;
        let (place, fades) = (record.place(), record.kind().fades());
        // One of the same house, whose ids are others: of its kind, by its place among them.
        let of_kind: Vec<_> = locked(&to.transfer.records).values().filter(of_kind(place.kind)).cloned().collect();
        let (first, last) = (of_kind.first().unwrap().clone(), of_kind.last().unwrap().clone());
        locked(&to.transfer.records).remove(&first.place());
        let told = found(&from, &to).await;
        let missing = format!("{}: it is not in the copy", first.place());
        assert_eq!(told, if fades { vec![] } else { vec![missing] });

        locked(&to.transfer.records).insert(first.place(), first.clone());
        locked(&from.transfer.records).remove(&first.place());
        let told = found(&from, &to).await;
        let more = format!("{}: it is in the copy only", first.place());
        assert_eq!(told, if fades { vec![] } else { vec![more] });
        locked(&from.transfer.records).insert(first.place(), first.clone());

        if first != last {
            // What the one says under the name of the other.
            locked(&to.transfer.records).insert(first.place(), last);
            let told = found(&from, &to).await;
            assert!(told.iter().all(|text| text.starts_with(place.kind.as_str())) && (fades || !told.is_empty()));
        }
    }
}

#[tokio::test]
async fn a_field_that_differs_is_told() {
    let (from, to) = copied().await;
    let mut told_of = None;
    for record in locked(&to.transfer.records).values_mut() {
        let place = record.place();
        if let HouseRecord::Patient { patient, .. } = record
            && patient.restricted
        {
            patient.restricted = false;
            told_of = Some(format!("{place}: it is not the same in the copy"));
        }
    }
    assert_eq!(found(&from, &to).await, [told_of.unwrap()]);
}

#[tokio::test]
async fn counts_and_heads_are_compared_as_both_sides_tell_them() {
    let (from, mut to) = copied().await;
    to.patients = 1;
    for event in more_entries(1) {
        from.log.append(event).await.unwrap();
    }
    let told = found(&from, &to).await;
    assert!(told[0].starts_with("the counts are ") && told[0].contains("patients: 1"), "{told:?}");
    assert_eq!(told[1..], ["the heads of the audit log are not the same"]);
}

#[tokio::test]
async fn a_target_that_is_begun_anew_takes_the_place_of_the_one_before() {
    let (from, first, second) = (Side::default(), Side::default(), Side::default());
    fill(&from.transfer, &whole_house().records).await;
    let begun = conversion(&from, &first).begin().await.unwrap();
    let anew = conversion(&from, &second).begin().await.unwrap();
    assert_ne!(begun, anew);
    let refused = conversion(&from, &first).begin().await;
    assert!(matches!(refused, Err(ConversionError::TargetOfAnother { .. })), "{refused:?}");

    // Broken off between the two marks, it is begun anew; and after the last one of the source, it is finished.
    let third = Side::default();
    let source = Conversion { id: fresh_id(), begun_at: at(0), part: ConversionPart::Source };
    from.transfer.set_conversion(Some(source)).await.unwrap();
    let id = conversion(&from, &third).begin().await.unwrap();
    let left = Conversion { id, begun_at: at(0), part: ConversionPart::Left };
    from.transfer.set_conversion(Some(left)).await.unwrap();
    assert_eq!(found(&from, &third).await, [] as [&str; 0]);
    conversion(&from, &third).finish().await.unwrap();
    assert_eq!(third.transfer.conversion().await.unwrap(), None);
}
