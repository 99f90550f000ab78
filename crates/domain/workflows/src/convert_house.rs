use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use futures_util::future::try_join;
use infirmary_audit::{AuditLog, Heads};
use infirmary_kernel::{Clock, ConversionId, IdSource, StoreError, Timestamp, WriteError};

use crate::{
    Conversion, ConversionPart, Finding, HouseRecord, Inspection, RecordKey, RecordKind, RecordPlace, Stage, Transfer,
    Watch,
};

/// A store, as a conversion sees it.
pub struct ConvertedStore {
    pub transfer: Arc<dyn Transfer>,
    pub inspection: Arc<dyn Inspection>,
    pub log: Arc<dyn AuditLog>,
}

/// Copies a house to an empty store, and sees that it is the same there. Broken off at whatever moment and run again, it goes
/// on. Both stores know of it from beginning to end ([`Conversion`]), so that neither is served meanwhile, nor the old one
/// afterwards.
pub struct ConvertHouse {
    pub from: ConvertedStore,
    pub to: ConvertedStore,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
}

/// What a copy has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Converted {
    /// Records of each kind, of those that do not fade.
    pub counts: BTreeMap<RecordKind, u64>,
    pub heads: Heads,
    /// Differences between the two.
    pub findings: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ConversionError {
    #[error("there is no house in the store to copy from")]
    SourceEmpty,
    #[error("the store to copy from is not whole: a conversion into it, begun at {begun_at}, was not finished")]
    SourceNotWhole { begun_at: Timestamp },
    #[error("the house was copied by a conversion that was begun at {begun_at}, and goes on in another store")]
    SourceLeft { begun_at: Timestamp },
    #[error("the store to copy to has a {} already; give an empty one", .kind.as_str())]
    TargetNotEmpty { kind: RecordKind },
    #[error(
        "the store to copy to takes part in another conversion, begun at {begun_at}; empty it, or give another one"
    )]
    TargetOfAnother { begun_at: Timestamp },
    #[error("records cannot be written")]
    Write(#[source] WriteError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records that are read at once, and written in one transaction.
const BATCH_RECORDS: usize = 200;
/// Differences of one kind that are told; where there are more, so many tell enough.
const MAX_FINDINGS_OF_A_KIND: u64 = 100;

impl ConvertHouse {
    /// Marks both stores, or finds that they are the two of a conversion that was broken off.
    pub async fn begin(&self) -> Result<ConversionId, ConversionError> {
        let known = try_join(self.from.transfer.conversion(), self.to.transfer.conversion()).await?;
        match known {
            (Some(Conversion { begun_at, part: ConversionPart::Target { .. }, .. }), _) => {
                Err(ConversionError::SourceNotWhole { begun_at })
            }
            (Some(from), Some(Conversion { id, part: ConversionPart::Target { .. }, .. })) if from.id == id => Ok(id),
            (_, Some(Conversion { begun_at, .. })) => Err(ConversionError::TargetOfAnother { begun_at }),
            (Some(Conversion { begun_at, part: ConversionPart::Left, .. }), None) => {
                Err(ConversionError::SourceLeft { begun_at })
            }
            (_, None) => self.begin_anew().await,
        }
    }

    /// A target that another conversion of this house has begun to fill is none any more: there is one that goes on.
    async fn begin_anew(&self) -> Result<ConversionId, ConversionError> {
        if first_kind(self.from.transfer.as_ref()).await?.is_none() {
            return Err(ConversionError::SourceEmpty);
        }
        if let Some(kind) = first_kind(self.to.transfer.as_ref()).await? {
            return Err(ConversionError::TargetNotEmpty { kind });
        }
        let begun_at = self.clock.now();
        let id = self.ids.mint(begun_at);
        let mark = |part| Some(Conversion { id, begun_at, part });
        self.from.transfer.set_conversion(mark(ConversionPart::Source)).await?;
        self.to.transfer.set_conversion(mark(ConversionPart::Target { filled: None })).await?;
        Ok(id)
    }

    /// Copies what is not there yet, and then compares both, record by record.
    pub async fn run(&self, id: ConversionId, watch: &mut dyn Watch) -> Result<Converted, ConversionError> {
        let mut total = 0;
        for kind in RecordKind::ALL {
            total += self.from.transfer.count(kind).await?;
        }
        watch.begin(Stage::Copy, total);
        self.copy(id, watch).await?;
        watch.begin(Stage::Compare, total);
        self.compare(watch).await
    }

    /// The house goes on in the store that it was copied to.
    pub async fn finish(&self) -> Result<(), StoreError> {
        if let Some(source) = self.from.transfer.conversion().await? {
            self.from.transfer.set_conversion(Some(Conversion { part: ConversionPart::Left, ..source })).await?;
        }
        self.to.transfer.set_conversion(None).await
    }

    async fn copy(&self, id: ConversionId, watch: &mut dyn Watch) -> Result<(), ConversionError> {
        let filled = match self.to.transfer.conversion().await? {
            Some(Conversion { part: ConversionPart::Target { filled }, .. }) => filled,
            _ => None,
        };
        for kind in RecordKind::ALL {
            let mut after = match &filled {
                Some(RecordPlace { kind: last, .. }) if *last > kind => {
                    watch.advance(self.to.transfer.count(kind).await?);
                    continue;
                }
                Some(RecordPlace { kind: last, key }) if *last == kind => {
                    watch.advance(self.to.transfer.count(kind).await?);
                    key.clone()
                }
                _ => RecordKey::default(),
            };
            loop {
                let batch = self.from.transfer.records(kind, &after, BATCH_RECORDS).await?;
                let Some(last) = batch.last() else { break };
                after = last.key();
                let records = batch.len() as u64;
                self.to.transfer.add(id, batch).await.map_err(ConversionError::Write)?;
                watch.advance(records);
            }
        }
        Ok(())
    }

    async fn compare(&self, watch: &mut dyn Watch) -> Result<Converted, ConversionError> {
        let mut comparison = Comparison { watch, told: 0, found: 0 };
        let mut counts = BTreeMap::new();
        for kind in RecordKind::ALL {
            comparison.told = 0;
            let count = self.compare_kind(kind, &mut comparison).await?;
            if !kind.fades() {
                counts.insert(kind, count);
            }
        }
        // What both sides tell by other queries than those that copied.
        let (from, to) = try_join(self.from.inspection.counts(), self.to.inspection.counts()).await?;
        comparison.told = 0;
        if from != to {
            comparison.found(format!("the counts are {from:?} in the store that was copied, and {to:?} in the copy"));
        }
        let (from, to) = try_join(self.from.log.heads(), self.to.log.heads()).await?;
        if (&from.chains, from.root.unwrap_or_default()) != (&to.chains, to.root.unwrap_or_default()) {
            comparison.found("the heads of the audit log are not the same".to_owned());
        }
        Ok(Converted { counts, heads: to, findings: comparison.found })
    }

    /// How many the copy has.
    async fn compare_kind(&self, kind: RecordKind, comparison: &mut Comparison<'_>) -> Result<u64, StoreError> {
        let mut from = Walk::of(self.from.transfer.as_ref(), kind);
        let mut to = Walk::of(self.to.transfer.as_ref(), kind);
        let mut count = 0;
        let (mut original, mut copy) = (from.next().await?, to.next().await?);
        loop {
            let (ours, theirs) = (original.as_ref().map(HouseRecord::key), copy.as_ref().map(HouseRecord::key));
            match (&ours, &theirs) {
                (None, None) => return Ok(count),
                (Some(ours), Some(theirs)) if ours == theirs => {
                    count += 1;
                    if original != copy {
                        comparison.differs(kind, ours, "it is not the same in the copy");
                    }
                    comparison.watch.advance(1);
                    (original, copy) = (from.next().await?, to.next().await?);
                }
                (Some(ours), theirs) if theirs.as_ref().is_none_or(|theirs| ours < theirs) => {
                    if !kind.fades() {
                        comparison.differs(kind, ours, "it is not in the copy");
                    }
                    original = from.next().await?;
                }
                (_, theirs) => {
                    count += 1;
                    if let Some(theirs) = theirs.as_ref().filter(|_| !kind.fades()) {
                        comparison.differs(kind, theirs, "it is in the copy only");
                    }
                    copy = to.next().await?;
                }
            }
        }
    }
}

/// The first kind of which there is a record.
async fn first_kind(store: &dyn Transfer) -> Result<Option<RecordKind>, StoreError> {
    for kind in RecordKind::ALL {
        if !store.records(kind, &RecordKey::default(), 1).await?.is_empty() {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

struct Comparison<'a> {
    watch: &'a mut dyn Watch,
    /// Of this kind.
    told: u64,
    found: u64,
}

impl Comparison<'_> {
    fn differs(&mut self, kind: RecordKind, key: &RecordKey, what: &str) {
        let place = RecordPlace { kind, key: key.clone() };
        self.found(format!("{place}: {what}"));
    }

    fn found(&mut self, text: String) {
        self.found += 1;
        self.told += 1;
        if self.told <= MAX_FINDINGS_OF_A_KIND {
            self.watch.found(Finding { stage: Stage::Compare, text });
        }
    }
}

/// The records of a kind one after the other, of which a batch is held.
struct Walk<'a> {
    store: &'a dyn Transfer,
    kind: RecordKind,
    batch: VecDeque<HouseRecord>,
    last: RecordKey,
}

impl<'a> Walk<'a> {
    fn of(store: &'a dyn Transfer, kind: RecordKind) -> Self {
        Self { store, kind, batch: VecDeque::new(), last: RecordKey::default() }
    }

    async fn next(&mut self) -> Result<Option<HouseRecord>, StoreError> {
        if self.batch.is_empty() {
            self.batch = self.store.records(self.kind, &self.last, BATCH_RECORDS).await?.into();
            if let Some(last) = self.batch.back() {
                self.last = last.key();
            }
        }
        Ok(self.batch.pop_front())
    }
}
