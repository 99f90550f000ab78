//! The laws of [`Transfer`]: `infirmary_workflows::transfer_laws!(make_store)`, as `registry_laws!`; and where the store is that
//! of a whole house, `infirmary_workflows::conversion_laws!(make_store)`.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use infirmary_audit::{AuditLog, EntryFilter, verify_log};
use infirmary_auth::{Account, Credential, SessionStore, law};
use infirmary_kernel::{
    Action, Confidentiality, ConversionId, Journal, Limit, PageRequest, Receipts, Standing, StoreError, WriteError,
    testing::{CountingIds, ManualClock, fresh_id},
};
use infirmary_messaging::Outbox;
use infirmary_patients::{Mrn, SearchTerms};

pub use infirmary_kernel::testing::made;

use super::{
    Hospital,
    whole_house::{WholeHouse, at, more_entries, whole_house},
};
use crate::{
    Conversion, ConversionError, ConversionPart, ConvertHouse, ConvertedStore, Finding, HouseRecord, Inspection,
    RecordKey, RecordKind, RecordLaw, Stage, Transfer, Watch,
};

#[macro_export]
macro_rules! transfer_laws {
    ($make:path) => {
        $crate::transfer_laws!(@each $make:
            what_is_added_comes_back_with_every_field
            the_same_records_again_add_nothing
            a_record_that_is_refused_takes_the_others_with_it
            only_the_target_of_that_conversion_is_filled
            a_conversion_is_known_until_it_is_set_otherwise);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((store, _keep)) = $crate::testing::transfer_laws::made($make().await) else { return };
            $crate::testing::transfer_laws::$law(&store).await;
        })*
    };
}

#[macro_export]
macro_rules! conversion_laws {
    ($make:path) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_house_that_was_filled_is_found_by_every_port_and_goes_on() {
            let Some((store, _keep)) = $crate::testing::transfer_laws::made($make().await) else { return };
            $crate::testing::transfer_laws::a_house_that_was_filled_is_found_by_every_port_and_goes_on(&store).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_house_is_copied_whole_wherever_it_is_broken_off() {
            let Some((from, _keep)) = $crate::testing::transfer_laws::made($make().await) else { return };
            let Some((to, _keep)) = $crate::testing::transfer_laws::made($make().await) else { return };
            $crate::testing::transfer_laws::a_house_is_copied_whole_wherever_it_is_broken_off(from, to).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_house_goes_to_an_empty_store_alone_and_from_one_that_did_not_leave() {
            let Some((from, _keep)) = $crate::testing::transfer_laws::made($make().await) else { return };
            let Some((to, _keep)) = $crate::testing::transfer_laws::made($make().await) else { return };
            let stores = (from, to);
            $crate::testing::transfer_laws::a_house_goes_to_an_empty_store_alone_and_from_one_that_did_not_leave(
                stores,
            )
            .await;
        }
    };
}

/// Records of a batch, in the tests: so that none of the kinds is in one batch alone.
const FEW: usize = 7;

fn target(id: ConversionId) -> Conversion {
    Conversion { id, begun_at: at(0), part: ConversionPart::Target { filled: None } }
}

/// Makes the store hold these records, as the target of a conversion.
pub async fn fill(store: &impl Transfer, records: &[HouseRecord]) {
    let id = fresh_id();
    store.set_conversion(Some(target(id))).await.unwrap();
    for batch in records.chunks(FEW) {
        store.add(id, batch.to_vec()).await.unwrap();
    }
    store.set_conversion(None).await.unwrap();
}

/// All records of the store, read so many at a time.
pub async fn all(store: &dyn Transfer, most: usize) -> Vec<HouseRecord> {
    let mut records = Vec::new();
    for kind in RecordKind::ALL {
        let mut after = RecordKey::default();
        loop {
            let batch = store.records(kind, &after, most).await.unwrap();
            assert!(batch.len() <= most && batch.iter().all(|record| record.kind() == kind));
            let Some(last) = batch.last() else { break };
            after = last.key();
            records.extend(batch);
        }
    }
    records
}

#[track_caller]
fn assert_same(found: &[HouseRecord], expected: &[HouseRecord]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    let places = |records: &[HouseRecord]| records.iter().map(HouseRecord::place).collect::<Vec<_>>();
    assert_eq!(places(found), places(expected));
}

pub async fn what_is_added_comes_back_with_every_field(store: &impl Transfer) {
    assert_same(&all(store, 3).await, &[]);
    let records = whole_house().records;
    fill(store, &records).await;
    for most in [1, 3, 1_000] {
        assert_same(&all(store, most).await, &records);
    }
    let mut counts: HashMap<RecordKind, u64> = HashMap::new();
    for record in &records {
        *counts.entry(record.kind()).or_default() += 1;
    }
    for kind in RecordKind::ALL {
        assert!(counts.contains_key(&kind), "the house of the tests has no {}", kind.as_str());
        assert_eq!(store.count(kind).await.unwrap(), counts[&kind], "{kind:?}");
    }
}

pub async fn the_same_records_again_add_nothing(store: &impl Transfer) {
    let records = whole_house().records;
    let id = fresh_id();
    store.set_conversion(Some(target(id))).await.unwrap();
    for end in (0..records.len()).step_by(FEW) {
        // From the beginning each time: what was there, and a few more.
        store.add(id, records[..end].to_vec()).await.unwrap();
    }
    store.add(id, records.clone()).await.unwrap();
    store.add(id, records.clone()).await.unwrap();
    store.add(id, Vec::new()).await.unwrap();
    assert_same(&all(store, 1_000).await, &records);
    let known = store.conversion().await.unwrap().unwrap();
    let filled = records.last().map(HouseRecord::place);
    assert_eq!(known, Conversion { part: ConversionPart::Target { filled }, ..target(id) });
}

pub async fn a_record_that_is_refused_takes_the_others_with_it(store: &impl Transfer) {
    let records = whole_house().records;
    let is_account = |record: &&HouseRecord| record.kind() == RecordKind::Account;
    let accounts: Vec<HouseRecord> = records.iter().filter(is_account).cloned().collect();
    let HouseRecord::Account { account, password, factors } = accounts[0].clone() else { panic!("an account") };
    let twin = HouseRecord::Account { account: Account { id: fresh_id(), ..account }, password, factors };
    let id = fresh_id();
    store.set_conversion(Some(target(id))).await.unwrap();
    store.add(id, accounts[..1].to_vec()).await.unwrap();
    let before = store.conversion().await.unwrap();
    let refused = store.add(id, vec![accounts[1].clone(), accounts[2].clone(), twin]).await;
    assert!(matches!(refused, Err(WriteError::Conflict { law: law::EMAIL })), "{refused:?}");
    assert_same(&all(store, 10).await, &accounts[..1]);
    assert_eq!(store.conversion().await.unwrap(), before);
    store.add(id, accounts.clone()).await.unwrap();
    assert_same(&all(store, 10).await, &accounts);
}

pub async fn only_the_target_of_that_conversion_is_filled(store: &impl Transfer) {
    let records = whole_house().records;
    let id = fresh_id();
    let of = |id, part| Some(Conversion { id, begun_at: at(0), part });
    let strangers = [None, of(id, ConversionPart::Source), of(id, ConversionPart::Left), Some(target(fresh_id()))];
    for known in strangers {
        store.set_conversion(known.clone()).await.unwrap();
        let refused = store.add(id, records.clone()).await;
        assert!(matches!(refused, Err(WriteError::Stale)), "{known:?}: {refused:?}");
        assert_eq!(store.conversion().await.unwrap(), known);
    }
    assert_same(&all(store, 10).await, &[]);
}

pub async fn a_conversion_is_known_until_it_is_set_otherwise(store: &impl Transfer) {
    assert_eq!(store.conversion().await.unwrap(), None);
    let id = fresh_id();
    let places =
        whole_house().records.into_iter().map(|record| ConversionPart::Target { filled: Some(record.place()) });
    let parts = [ConversionPart::Source, ConversionPart::Left, ConversionPart::Target { filled: None }];
    for part in parts.into_iter().chain(places) {
        let conversion = Some(Conversion { id, begun_at: at(-1), part });
        store.set_conversion(conversion.clone()).await.unwrap();
        assert_eq!(store.conversion().await.unwrap(), conversion);
    }
    store.set_conversion(None).await.unwrap();
    assert_eq!(store.conversion().await.unwrap(), None);
}

/// The store of a house.
pub trait HouseStore:
    Hospital + Transfer + Inspection + Journal + Receipts + SessionStore + Confidentiality + Outbox
{
}
impl<S> HouseStore for S where
    S: Hospital + Transfer + Inspection + Journal + Receipts + SessionStore + Confidentiality + Outbox
{
}

pub async fn a_house_that_was_filled_is_found_by_every_port_and_goes_on(store: &impl HouseStore) {
    let house = whole_house();
    fill(store, &house.records).await;
    let WholeHouse { ada, doctor, .. } = &house;

    let credential = Credential { account: doctor.clone(), password: Some(house.doctors_password.clone()) };
    assert_eq!(store.credential(&doctor.email).await.unwrap(), Some(credential));
    assert_eq!(SessionStore::of_account(store, doctor.id).await.unwrap().len(), 1);
    let words = SearchTerms::parse("lovelace ئازاد").unwrap();
    let found = store.search(&words, None, &PageRequest::default()).await.unwrap();
    assert_eq!(found.items, std::slice::from_ref(ada));
    assert_eq!(store.by_mrn(ada.mrn).await.unwrap().as_ref(), Some(ada));
    assert_eq!(store.next_mrn().await.unwrap(), Mrn::from_serial(house.last_mrn.serial() + 1));

    let emergency = &house.emergency;
    let standing = async |account, session, at| store.standing(ada.id, account, session, at).await.unwrap();
    assert_eq!(standing(doctor.id, fresh_id(), at(41)).await, Standing::CareTeam);
    assert_eq!(standing(emergency.account, emergency.session, at(41)).await, Standing::EmergencyAccess);
    assert_eq!(standing(emergency.account, fresh_id(), at(41)).await, Standing::Outside);
    assert_eq!(standing(emergency.account, emergency.session, emergency.ends_at).await, Standing::Outside);

    let claim = Receipts::find(store, house.claim.account, &house.claim.key).await.unwrap();
    assert_eq!(claim.as_ref(), Some(&house.claim));
    let paid_again = &store.charges(&[house.paid_again.id]).await.unwrap()[0];
    assert_eq!(paid_again.charge, house.paid_again);
    let minor = [paid_again.paid, paid_again.refunded, paid_again.outstanding()].map(|money| money.amount_minor());
    assert_eq!(minor, [1_000, 500, 0]);
    let report = store.by_code(&house.report.code).await.unwrap().unwrap();
    assert_eq!(report.report, house.report);
    let taken = store.take(10, at(95)).await.unwrap();
    assert_eq!(taken.iter().map(|taken| taken.message.id).collect::<Vec<_>>(), [house.code.message.id]);

    let heads = store.heads().await.unwrap();
    assert_eq!((&heads.chains, heads.root), (&house.heads, Some(house.root)));
    for event in more_entries(9) {
        store.append(event).await.unwrap();
    }
    let root = store.close(at(200)).await.unwrap();
    assert_eq!(root.sequence, house.root.sequence + 1);
    let heads_of_before = house.heads.iter().filter(|head| head.chain == infirmary_audit::ChainId::ONLY);
    let exported: Vec<_> = heads_of_before.map(|head| head.head).chain([house.root, root]).collect();
    let verified = verify_log(store, exported, |_| {}).await.unwrap();
    assert_eq!((verified.head, verified.fault), (root, None));
    assert_eq!(store.close(at(201)).await.unwrap(), root, "nothing was written since");
    let filter = EntryFilter { patient: Some(ada.id), action: Some(Action::PATIENT_READ), ..EntryFilter::default() };
    let mut page = PageRequest { limit: Limit::new(1).unwrap(), after: None };
    let mut entries = Vec::new();
    loop {
        let found = AuditLog::find(store, &filter, &page).await.unwrap();
        entries.extend(found.items.iter().map(|entry| (entry.chain.get(), entry.sequence)));
        match found.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(entries, [(7, 1), (0, 1)], "newest first, of every chain");
    for law in [RecordLaw::Storage, RecordLaw::Shape, RecordLaw::Histories, RecordLaw::House] {
        assert_eq!(store.flaws(law, 10).await.unwrap(), [], "{law:?}");
    }
}

/// Says where a conversion is; a test looks at what was found.
#[derive(Default)]
pub struct Watched {
    pub stages: Vec<(Stage, u64, u64)>,
    pub found: Vec<String>,
}

impl Watch for Watched {
    fn begin(&mut self, stage: Stage, total: u64) {
        self.stages.push((stage, total, 0));
    }

    fn advance(&mut self, done: u64) {
        self.stages.last_mut().unwrap().2 += done;
    }

    fn found(&mut self, finding: Finding) {
        self.found.push(finding.text);
    }
}

/// A store whose writes break off after so many: before they are made, or after.
struct Breaking {
    store: Arc<dyn Transfer>,
    left: AtomicUsize,
    after: bool,
}

#[async_trait]
impl Transfer for Breaking {
    async fn records(&self, kind: RecordKind, after: &RecordKey, most: usize) -> Result<Vec<HouseRecord>, StoreError> {
        self.store.records(kind, after, most).await
    }
    async fn count(&self, kind: RecordKind) -> Result<u64, StoreError> {
        self.store.count(kind).await
    }
    async fn add(&self, conversion: ConversionId, records: Vec<HouseRecord>) -> Result<(), WriteError> {
        let broken = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err();
        if !broken || self.after {
            self.store.add(conversion, records).await?;
        }
        if broken { Err(StoreError::OutcomeUnknown { reason: "broken off".to_owned() }.into()) } else { Ok(()) }
    }
    async fn conversion(&self) -> Result<Option<Conversion>, StoreError> {
        self.store.conversion().await
    }
    async fn set_conversion(&self, conversion: Option<Conversion>) -> Result<(), StoreError> {
        self.store.set_conversion(conversion).await
    }
}

fn side<S: HouseStore + Clone + 'static>(store: &S) -> ConvertedStore {
    let store = Arc::new(store.clone());
    ConvertedStore { transfer: store.clone(), inspection: store.clone(), log: store }
}

pub fn conversion<F, T>(from: &F, to: &T) -> ConvertHouse
where
    F: HouseStore + Clone + 'static,
    T: HouseStore + Clone + 'static,
{
    let clock = ManualClock::default();
    clock.set(at(1_000));
    ConvertHouse { from: side(from), to: side(to), clock: Arc::new(clock), ids: Arc::new(CountingIds::default()) }
}

/// Whoever runs a conversion runs it again when it is broken off.
pub async fn a_house_is_copied_whole_wherever_it_is_broken_off<F, T>(from: F, to: T)
where
    F: HouseStore + Clone + 'static,
    T: HouseStore + Clone + 'static,
{
    let house = whole_house();
    fill(&from, &house.records).await;
    // More than one batch of a kind.
    for event in more_entries(450) {
        from.append(event).await.unwrap();
    }
    let records = all(&from, 1_000).await;
    let mut runs = 0;
    let converted = loop {
        let mut conversion = conversion(&from, &to);
        let (left, after) = (AtomicUsize::new(runs % 4), runs % 2 == 0);
        conversion.to.transfer = Arc::new(Breaking { store: conversion.to.transfer, left, after });
        runs += 1;
        let id = conversion.begin().await.unwrap();
        let mut watched = Watched::default();
        match conversion.run(id, &mut watched).await {
            Ok(converted) => {
                assert_eq!(watched.found, [] as [&str; 0]);
                let stages: Vec<_> =
                    watched.stages.iter().map(|(stage, total, done)| (*stage, total == done)).collect();
                assert_eq!(stages, [(Stage::Copy, true), (Stage::Compare, true)], "{:?}", watched.stages);
                break converted;
            }
            Err(ConversionError::Write(WriteError::Store(StoreError::OutcomeUnknown { .. }))) => {}
            Err(error) => panic!("{error:?}"),
        }
        assert!(runs < 100, "it comes to an end");
        // Half a house on one side, and one that must not change on the other.
        let part = async |store: &dyn Transfer| store.conversion().await.unwrap().unwrap().part;
        assert_eq!(part(&from).await, ConversionPart::Source);
        assert!(matches!(part(&to).await, ConversionPart::Target { .. }));
    };
    assert!(runs > 3, "{runs}");
    assert_eq!(converted.findings, 0);
    assert_same(&all(&to, 1_000).await, &records);
    let entries = converted.counts[&RecordKind::AuditEntry];
    assert_eq!((entries, converted.counts.get(&RecordKind::Session)), (455, None));
    let heads = async |store: &dyn AuditLog| store.heads().await.unwrap();
    assert_eq!(heads(&to).await.chains, heads(&from).await.chains);

    let conversion = conversion(&from, &to);
    conversion.finish().await.unwrap();
    assert_eq!(Transfer::conversion(&to).await.unwrap(), None);
    assert_eq!(Transfer::conversion(&from).await.unwrap().unwrap().part, ConversionPart::Left);
    let again = conversion.begin().await;
    assert!(matches!(again, Err(ConversionError::SourceLeft { .. })), "{again:?}");
}

pub async fn a_house_goes_to_an_empty_store_alone_and_from_one_that_did_not_leave<S>((from, to): (S, S))
where
    S: HouseStore + Clone + 'static,
{
    let refused = conversion(&from, &to).begin().await;
    assert!(matches!(refused, Err(ConversionError::SourceEmpty)), "{refused:?}");
    let house = whole_house();
    fill(&from, &house.records).await;
    to.next_mrn().await.unwrap();
    let refused = conversion(&from, &to).begin().await;
    let not_empty = ConversionError::TargetNotEmpty { kind: RecordKind::MrnCounter };
    assert_eq!(refused.unwrap_err().to_string(), not_empty.to_string());
    assert_eq!(Transfer::conversion(&from).await.unwrap(), None);
    let itself = conversion(&from, &from).begin().await;
    assert!(matches!(itself, Err(ConversionError::TargetNotEmpty { .. })), "{itself:?}");

    // The target of another conversion; and half a house is no source.
    to.set_conversion(Some(target(fresh_id()))).await.unwrap();
    let refused = conversion(&from, &to).begin().await;
    assert!(matches!(refused, Err(ConversionError::TargetOfAnother { .. })), "{refused:?}");
    let refused = conversion(&to, &from).begin().await;
    assert!(matches!(refused, Err(ConversionError::SourceNotWhole { .. })), "{refused:?}");
}
