use std::{collections::BTreeMap, sync::Arc};

use infirmary_kernel::{Action, Caller, Gate, Permission, StoreError, Subject};

use crate::{AuditError, AuditLog, ChainHead, ChainId, Fault, Flaw, Head, Heads, Place, RootVerifier, Verifier};

/// Entries that are read at once, and checked without a pause: a few milliseconds, so that who shares the thread waits no
/// longer.
const BATCH_ENTRIES: usize = 500;
/// Roots that are read at once. The heads that they name are held until their chains have been read that far.
const BATCH_ROOTS: usize = 500;

/// How far the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The last root up to which everything holds or, of a log with one chain, the last entry.
    pub head: Head,
    /// The first place that does not.
    pub fault: Option<Fault>,
}

/// Reads the whole log, from the first entry of each chain to the one that is the last when it starts, and holds one batch
/// of it. `exported` are heads that were kept elsewhere: the log has to lead through each; `progress` is told the number of
/// entries found good so far.
///
/// A log that has several chains may have had one before: a head of that time is of chain 0, and not of a root. Which one it is
/// is told by the entry at its place; one that is of neither is missed where a root should be.
pub async fn verify_log(
    log: &dyn AuditLog,
    exported: impl IntoIterator<Item = Head>,
    progress: impl FnMut(u64) + Send,
) -> Result<Verification, StoreError> {
    let heads = log.heads().await?;
    let mut walk = Walk { log, verifiers: BTreeMap::new(), good: 0, progress };
    let exported: Vec<Head> = exported.into_iter().collect();
    let (of_chain, of_roots) = match heads.root {
        Some(_) => of_which(log, exported).await?,
        None => (exported, Vec::new()),
    };
    walk.verifiers.insert(ChainId::ONLY, Verifier::new(ChainId::ONLY, of_chain));
    let mut roots = RootVerifier::new(of_roots);
    match walk.whole(&mut roots, &heads).await {
        Ok(()) => Ok(Verification { head: walk.head(&roots, &heads), fault: None }),
        Err(Stop::Fault(fault)) => Ok(Verification { head: walk.head(&roots, &heads), fault: Some(fault) }),
        Err(Stop::Store(error)) => Err(error),
    }
}

/// The heads of chain 0, and those of roots.
async fn of_which(log: &dyn AuditLog, exported: Vec<Head>) -> Result<(Vec<Head>, Vec<Head>), StoreError> {
    let (mut of_chain, mut of_roots) = (Vec::new(), Vec::new());
    for head in exported {
        let entry = log.after(ChainId::ONLY, head.sequence.saturating_sub(1), 1).await?;
        let is_of_chain = entry.first().is_some_and(|entry| entry.head() == head);
        if is_of_chain { of_chain.push(head) } else { of_roots.push(head) }
    }
    Ok((of_chain, of_roots))
}

enum Stop {
    Fault(Fault),
    Store(StoreError),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

struct Walk<'a, F> {
    log: &'a dyn AuditLog,
    verifiers: BTreeMap<ChainId, Verifier>,
    good: u64,
    progress: F,
}

impl<F: FnMut(u64) + Send> Walk<'_, F> {
    /// The roots, each with the chains up to the heads that it names; then what was written since the last one.
    async fn whole(&mut self, roots: &mut RootVerifier, heads: &Heads) -> Result<(), Stop> {
        let end = heads.root.unwrap_or_default().sequence;
        // Up to which root everything holds is told by the one before the batch in which something does not.
        let mut held = roots.clone();
        while held.head().sequence < end {
            let batch = self.log.roots_after(held.head().sequence, BATCH_ROOTS).await?;
            if batch.is_empty() {
                break;
            }
            let mut named = BTreeMap::new();
            for sealed in &batch {
                for ChainHead { chain, head } in held.take(sealed)?.heads {
                    self.verifier(chain).expect(head, sealed.sequence);
                    named.insert(chain, head.sequence);
                }
            }
            for (chain, sequence) in named {
                self.chain_up_to(chain, sequence).await?;
            }
            *roots = held.clone();
        }
        held.finish()?;
        for ChainHead { chain, head } in &heads.chains {
            self.chain_up_to(*chain, head.sequence).await?;
        }
        for verifier in self.verifiers.values() {
            verifier.finish()?;
        }
        Ok(())
    }

    async fn chain_up_to(&mut self, chain: ChainId, sequence: u64) -> Result<(), Stop> {
        while self.verifier(chain).head().sequence < sequence {
            let after = self.verifier(chain).head().sequence;
            let batch = self.log.after(chain, after, BATCH_ENTRIES).await?;
            let verifier = self.verifier(chain);
            if batch.is_empty() {
                verifier.finish()?;
                let place = Place::Entry { chain, sequence: after + 1 };
                return Err(Fault { place, flaw: Flaw::CutOff }.into());
            }
            for sealed in &batch {
                verifier.take(sealed)?;
            }
            self.good += batch.len() as u64;
            (self.progress)(self.good);
        }
        Ok(())
    }

    fn verifier(&mut self, chain: ChainId) -> &mut Verifier {
        self.verifiers.entry(chain).or_insert_with(|| Verifier::new(chain, None))
    }

    fn head(&self, roots: &RootVerifier, heads: &Heads) -> Head {
        match heads.root {
            Some(_) => roots.head(),
            None => self.verifiers.get(&ChainId::ONLY).map(Verifier::head).unwrap_or_default(),
        }
    }
}

/// An admin asks whether the log holds.
pub struct VerifyChain {
    pub gate: Gate,
    pub log: Arc<dyn AuditLog>,
}

impl VerifyChain {
    pub async fn run(&self, caller: &Caller, exported: Option<Head>) -> Result<Verification, AuditError> {
        let subject = Subject::all("audit");
        self.gate.admit(caller, Permission::ReadAudit, subject.clone()).await?;
        self.gate.step_up(caller, subject.clone()).await?;
        let verification = verify_log(self.log.as_ref(), exported, |_| {}).await?;
        self.gate.witness(caller, Action::AUDIT_READ, subject).await?;
        Ok(verification)
    }
}
