use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use infirmary_audit::{AuditLog, Head, verify_log};
use infirmary_financials::LedgerQueries;
use infirmary_kernel::{Clock, Currency, Objects, Sha256Digest, StoreError};
use sha2::{Digest, Sha256};

use crate::{HouseCounts, Inspection, NamedObject, ObjectOwner, RecordLaw, strays};

/// The parts of a verification, in their order, and before them those of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Every object that a row names is copied. Counted in bytes.
    Bytes,
    /// Counted in records.
    Copy,
    /// Every record is held against its copy. Counted in records.
    Compare,
    /// Counted in laws.
    Books,
    /// Counted in laws.
    Records,
    /// Every object that a row names is read. Counted in bytes.
    Objects,
    /// Every object is looked for among the rows. Counted in objects.
    Strays,
    /// Counted in entries.
    Audit,
}

impl Stage {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Copy => "copy",
            Self::Compare => "compare",
            Self::Books => "books",
            Self::Records => "records",
            Self::Objects => "objects",
            Self::Strays => "strays",
            Self::Audit => "audit",
        }
    }
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub stage: Stage,
    /// For people: which record, and what is wrong with it.
    pub text: String,
}

/// Who is told how a verification goes on.
pub trait Watch: Send {
    /// A part begins, of which there is about so much to do.
    fn begin(&mut self, stage: Stage, total: u64);
    /// So much more of it is done.
    fn advance(&mut self, done: u64);
    fn found(&mut self, finding: Finding);
}

/// What was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    pub counts: HouseCounts,
    /// The last audit entry up to which the chain holds.
    pub head: Head,
    pub findings: u64,
    /// Objects without a row that are younger than what is taken for rubbish: uploads under way, or lately failed.
    pub young_strays: u64,
}

/// Whether a house holds what must never break: money, objects, records, audit. Reads only, also while others write.
pub struct VerifyHouse {
    pub inspection: Arc<dyn Inspection>,
    pub ledger: Arc<dyn LedgerQueries>,
    pub log: Arc<dyn AuditLog>,
    pub objects: Arc<dyn Objects>,
    pub clock: Arc<dyn Clock>,
    pub currency: Currency,
    /// How old an object without a row has to be to be a finding.
    pub stray_age: Duration,
}

/// Findings of one law; where there are more, so many tell enough.
const MAX_FLAWS_OF_A_LAW: usize = 100;
/// Rows that are read at once.
const BATCH_OBJECTS: usize = 500;

impl VerifyHouse {
    /// `exported` are heads of the audit log that were kept elsewhere. Fails only when the store cannot be asked: what it
    /// answers, damage included, is told to `watch`.
    pub async fn run(&self, exported: &[Head], watch: &mut dyn Watch) -> Result<Verified, StoreError> {
        let counts = self.inspection.counts().await?;
        let mut run = Run { watch, stage: Stage::Books, findings: 0 };

        run.begin(Stage::Books, 1);
        let books = self.ledger.discrepancies(self.currency, MAX_FLAWS_OF_A_LAW).await;
        for discrepancy in run.readable(books)?.unwrap_or_default() {
            run.found(format!("{}: it does not hold that {}", discrepancy.record, discrepancy.law.as_str()));
        }
        run.watch.advance(1);

        run.begin(Stage::Records, RecordLaw::ALL.len() as u64);
        for law in RecordLaw::ALL {
            let flaws = self.inspection.flaws(law, MAX_FLAWS_OF_A_LAW).await;
            for flaw in run.readable(flaws)?.unwrap_or_default() {
                run.found(format!("{}: {}", flaw.record, flaw.what));
            }
            run.watch.advance(1);
        }

        run.begin(Stage::Objects, counts.object_bytes);
        self.objects(&mut run).await?;
        run.begin(Stage::Strays, counts.objects());
        let young_strays = self.strays(&mut run).await?;
        run.begin(Stage::Audit, counts.audit_entries);
        let head = self.audit(exported, &mut run).await?;
        Ok(Verified { counts, head, findings: run.findings, young_strays })
    }

    async fn objects(&self, run: &mut Run<'_>) -> Result<(), StoreError> {
        let mut last = None;
        loop {
            let batch = self.inspection.objects(last, BATCH_OBJECTS).await;
            let Some(batch) = run.readable(batch)?.filter(|batch| !batch.is_empty()) else { return Ok(()) };
            last = batch.last().map(|named| named.owner);
            for named in batch {
                if let Some(wrong) = self.object(&named, run).await? {
                    run.found(format!("{}: its object {} {wrong}", named.owner, named.object.key));
                }
            }
        }
    }

    /// What is wrong with an object, if anything.
    async fn object(&self, named: &NamedObject, run: &mut Run<'_>) -> Result<Option<String>, StoreError> {
        let NamedObject { owner, object } = named;
        if object.key != owner.key() {
            return Ok(Some(format!("should be {}", owner.key())));
        }
        let Some(mut read) = self.objects.read(&object.key, None).await? else {
            return Ok(Some("is not there".into()));
        };
        if read.size != object.bytes {
            return Ok(Some(format!("has {} bytes, and not the {} that were kept", read.size, object.bytes)));
        }
        let mut hasher = Sha256::new();
        loop {
            match read.bytes.try_next().await {
                Ok(Some(chunk)) => {
                    hasher.update(&chunk);
                    run.watch.advance(chunk.len() as u64);
                }
                Ok(None) => break,
                // A sector that cannot be read is damage of this object; the others are still to be looked at.
                Err(error) => return Ok(Some(format!("cannot be read: {error}"))),
            }
        }
        let found = Sha256Digest::from_bytes(hasher.finalize().into());
        let wrong = format!("has the SHA-256 {found}, and not the {} that was kept", object.sha256);
        Ok((found != object.sha256).then_some(wrong))
    }

    async fn strays(&self, run: &mut Run<'_>) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let mut young = 0;
        let mut listing = self.objects.list(None);
        while let Some((seen, strays)) = strays::next_strays(&mut listing, self.inspection.as_ref()).await? {
            for stray in strays {
                if !strays::is_old(&stray, now, self.stray_age) {
                    young += 1;
                } else if ObjectOwner::of_key(&stray.key).is_some() {
                    run.found(format!("object {}: no row names it", stray.key));
                } else {
                    run.found(format!("object {}: it is none of this house", stray.key));
                }
            }
            run.watch.advance(seen as u64);
        }
        Ok(young)
    }

    async fn audit(&self, exported: &[Head], run: &mut Run<'_>) -> Result<Head, StoreError> {
        let mut told = 0;
        let watch = &mut *run.watch;
        let verification = verify_log(self.log.as_ref(), exported.iter().copied(), |good| {
            watch.advance(good - told);
            told = good;
        });
        let verification = verification.await;
        let Some(verification) = run.readable(verification)? else { return Ok(Head::GENESIS) };
        if let Some(fault) = verification.fault {
            run.found(fault.to_string());
        }
        Ok(verification.head)
    }
}

struct Run<'a> {
    watch: &'a mut dyn Watch,
    stage: Stage,
    findings: u64,
}

impl Run<'_> {
    fn begin(&mut self, stage: Stage, total: u64) {
        self.stage = stage;
        self.watch.begin(stage, total);
    }

    fn found(&mut self, text: String) {
        self.findings += 1;
        self.watch.found(Finding { stage: self.stage, text });
    }

    /// What the store answered; that it cannot read what is in it is a finding.
    fn readable<T>(&mut self, answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error @ StoreError::Corrupt { .. }) => {
                self.found(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
