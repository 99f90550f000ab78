use std::sync::Arc;

use infirmary_kernel::{Action, Caller, Gate, Permission, StoreError, Subject};

use crate::{AuditError, AuditLog, Fault, Flaw, Head, Verifier};

/// Entries that are read at once, and checked without a pause: a few milliseconds, so that who shares the thread waits no
/// longer.
const BATCH_ENTRIES: usize = 500;

/// How far the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The last entry up to which everything holds.
    pub head: Head,
    /// The first one that does not.
    pub fault: Option<Fault>,
}

/// Reads the whole log, from the first entry to the one that is the last when it starts, and holds one batch of it.
/// `exported` is a head that was kept elsewhere; `progress` is told the number of entries found good so far.
pub async fn verify_log(
    log: &dyn AuditLog,
    exported: Option<Head>,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Verification, StoreError> {
    let end = log.head().await?.sequence;
    let mut verifier = Verifier::new(exported);
    let stopped = |head: Head, fault| Ok(Verification { head, fault: Some(fault) });
    while verifier.head().sequence < end {
        let good = verifier.head().sequence;
        let batch = log.after(good, BATCH_ENTRIES).await?;
        if batch.is_empty() {
            return stopped(verifier.head(), Fault { sequence: good + 1, flaw: Flaw::CutOff });
        }
        for sealed in &batch {
            if let Err(fault) = verifier.take(sealed) {
                return stopped(verifier.head(), fault);
            }
        }
        progress(verifier.head().sequence);
    }
    let head = verifier.head();
    match verifier.finish() {
        Ok(head) => Ok(Verification { head, fault: None }),
        Err(fault) => stopped(head, fault),
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
