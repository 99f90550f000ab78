//! What may fail on the line to a bucket, for each thing that is asked of it. After each fault the object is wholly there
//! or not at all, the error says what is known, and a retry ends with one object.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod common;

use std::fmt;

use bytes::Bytes;
use common::{House, SERVICES, key};
use futures_util::{StreamExt, TryStreamExt, stream};
use infirmary_kernel::{
    Objects, StoreError, WriteError,
    testing::{keep_object, read_object},
};
use infirmary_objects::{
    BucketObjects, Service,
    testing::{Fault, Operation},
};

/// Houses that are tried at the same time; most of it is waiting.
const AT_ONCE: usize = 16;

const FAULTS: [Fault; 8] = [
    Fault::Status(500),
    Fault::Status(503),
    Fault::Status(429),
    Fault::StatusAfter(502),
    Fault::Reset,
    Fault::LostAnswer,
    Fault::Silence,
    Fault::SilenceAfter,
];

const SMALL: &[u8] = b"a small picture";

fn large() -> Vec<u8> {
    (0..5 * 1024 * 1024 + 17_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

struct Case {
    service: Service,
    operation: Operation,
    fault: Fault,
    times: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {:?} × {}", self.service, self.operation, self.fault, self.times)
    }
}

/// Once, which the adapter's own retries may overcome, and without end.
fn cases(operations: &[Operation], faults: &[Fault]) -> Vec<Case> {
    let mut cases = Vec::new();
    for service in SERVICES {
        for &operation in operations {
            for &fault in faults {
                cases.extend([1, usize::MAX].map(|times| Case { service, operation, fault, times }));
            }
        }
    }
    cases
}

/// Runs each case in a house of its own, and gives how many faults were injected; nothing without a server.
async fn run(cases: Vec<Case>, one: impl AsyncFn(&Case, &House)) -> usize {
    let injected = stream::iter(cases).map(|case| {
        let one = &one;
        async move {
            let house = House::new(case.service).await?;
            one(&case, &house).await;
            assert!(house.line.injected() > 0, "{case}: nothing was injected");
            assert_eq!(house.staged(), 0, "{case}: a staged file was left");
            Some(house.line.injected())
        }
    });
    injected.buffer_unordered(AT_ONCE).filter_map(async |count| count).collect::<Vec<_>>().await.iter().sum()
}

async fn keeping(case: &Case, house: &House, bytes: &[u8]) {
    let (objects, key) = (&house.patient, key("images/1"));
    house.line.fail(case.operation, case.fault, case.times);
    let first = keep_object(&house.objects, &key, bytes).await;
    house.line.heal();
    let there = read_object(objects, &key).await;
    match &first {
        Ok(_) => assert!(there.as_deref() == Some(bytes), "{case}: acknowledged and not there"),
        Err(WriteError::Store(StoreError::OutcomeUnknown { .. })) => {
            assert!(there.as_deref().is_none_or(|there| there == bytes), "{case}: half of it is there");
        }
        Err(WriteError::Store(StoreError::Unavailable { .. })) => {
            assert!(there.is_none(), "{case}: it was said that nothing happened");
        }
        Err(error) => panic!("{case}: {error}"),
    }
    // The house retries under a new key; here under the same one, which has to tell whether the first try came through.
    let second = keep_object(objects, &key, bytes).await;
    let unknown = matches!(first, Err(WriteError::Store(StoreError::OutcomeUnknown { .. })));
    match (there, &second) {
        (None, Ok(_)) => {}
        // What was not known may also have come true in between.
        (there, Err(WriteError::Conflict { law: "one object for a key" })) if there.is_some() || unknown => {}
        _ => panic!("{case}: the retry gave {second:?}"),
    }
    assert!(read_object(objects, &key).await.as_deref() == Some(bytes), "{case}");
    let listed: Vec<_> = objects.list(None).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1, "{case}");
}

#[tokio::test]
async fn an_upload_that_is_disturbed_is_wholly_there_or_not_and_a_retry_ends_with_one() {
    let injected = run(cases(&[Operation::Put], &FAULTS), async |case, house| keeping(case, house, SMALL).await).await;
    println!("{injected} faults injected");
}

#[tokio::test]
async fn an_upload_in_parts_that_is_disturbed_is_wholly_there_or_not_and_a_retry_ends_with_one() {
    let operations = [Operation::Head, Operation::BeginParts, Operation::PutPart, Operation::CompleteParts];
    let faults = [Fault::Status(503), Fault::Reset, Fault::LostAnswer, Fault::SilenceAfter];
    let whole = large();
    let injected = run(cases(&operations, &faults), async |case, house| keeping(case, house, &whole).await).await;
    println!("{injected} faults injected");
}

#[tokio::test]
async fn a_download_that_is_disturbed_gives_what_was_written_or_an_error() {
    let faults = [FAULTS.as_slice(), &[Fault::ShortRead]].concat();
    let injected = run(cases(&[Operation::Get], &faults), async |case, house| {
        let key = key("images/1");
        let whole = &large()[..300_000];
        keep_object(&house.patient, &key, whole).await.unwrap();
        let reads: [Option<std::ops::Range<u64>>; 2] = [None, Some(1_000..200_000)];
        for range in reads {
            house.line.fail(case.operation, case.fault, case.times);
            let read = async |objects: &BucketObjects| -> Result<Vec<u8>, StoreError> {
                let read = objects.read(&key, range.clone()).await?.expect("an object is not gone");
                Ok(read.bytes.try_collect::<Vec<Bytes>>().await?.concat())
            };
            let asked = range.clone().map_or(0..whole.len(), |range| range.start as usize..range.end as usize);
            match read(&house.objects).await {
                Ok(bytes) => assert!(bytes == whole[asked.clone()], "{case}: other bytes"),
                Err(StoreError::Unavailable { .. }) => {}
                Err(error) => panic!("{case}: {error}"),
            }
            house.line.heal();
            assert!(read(&house.patient).await.unwrap() == whole[asked], "{case}");
        }
        house.line.fail(case.operation, case.fault, case.times);
        if let Ok(copy) = house.objects.local(&key).await {
            assert!(std::fs::read(copy.expect("it is there").path()).unwrap() == whole, "{case}");
        }
        house.line.heal();
    })
    .await;
    println!("{injected} faults injected");
}

#[tokio::test]
async fn a_list_a_removal_and_a_check_that_are_disturbed_can_be_asked_again() {
    let operations = [Operation::List, Operation::Delete, Operation::Head];
    let injected = run(cases(&operations, &FAULTS), async |case, house| {
        let (objects, patient) = (&house.objects, &house.patient);
        keep_object(patient, &key("images/1"), SMALL).await.unwrap();
        keep_object(patient, &key("images/2"), SMALL).await.unwrap();
        house.line.fail(case.operation, case.fault, case.times);
        let outcome = match case.operation {
            Operation::List => objects.list(None).try_collect::<Vec<_>>().await.map(|listed| {
                assert_eq!(listed.len(), 2, "{case}: a list without all");
            }),
            Operation::Delete => objects.delete(&key("images/1")).await,
            _ => objects.check().await,
        };
        match outcome {
            Ok(()) | Err(StoreError::Unavailable { .. }) => {}
            Err(StoreError::OutcomeUnknown { .. }) => assert_eq!(case.operation, Operation::Delete, "{case}"),
            Err(error) => panic!("{case}: {error}"),
        }
        house.line.heal();
        patient.check().await.unwrap();
        patient.delete(&key("images/1")).await.unwrap();
        assert_eq!(patient.list(None).try_collect::<Vec<_>>().await.unwrap().len(), 1, "{case}");
    })
    .await;
    println!("{injected} faults injected");
}
