use async_trait::async_trait;
use infirmary_kernel::{AccountId, Action, Page, PageRequest, PatientId, StoreError, Timestamp};

use crate::{ChainHead, ChainId, Entry, Head, Sealed, SealedRoot};

/// Which entries to find; each part that is given has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    pub patient: Option<PatientId>,
    pub account: Option<AccountId>,
    /// Everybody but this account.
    pub except_account: Option<AccountId>,
    pub action: Option<Action>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
}

impl EntryFilter {
    pub fn takes(&self, sealed: &Sealed) -> bool {
        self.patient.is_none_or(|patient| sealed.patient == Some(patient))
            && self.account.is_none_or(|account| sealed.account == Some(account))
            && self.except_account.is_none_or(|account| sealed.account != Some(account))
            && self.action.as_ref().is_none_or(|action| sealed.action == *action)
            && self.from.is_none_or(|from| sealed.at >= from)
            && self.to.is_none_or(|to| sealed.at < to)
    }
}

/// How far a log has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads {
    /// Of each chain that has entries, in the order of their numbers.
    pub chains: Vec<ChainHead>,
    /// The last root; `None` of a log that has one chain, number 0, which needs none.
    pub root: Option<Head>,
}

impl Heads {
    /// What is exported: the last root or, of a log with one chain, the last entry.
    pub fn exported(&self) -> Head {
        self.root.or(self.chains.first().map(|only| only.head)).unwrap_or_default()
    }
}

/// The log, to be read. It is written by [`infirmary_kernel::Journal`] and by every write with a trail.
///
/// Laws
/// - Every event that was acknowledged is one entry, found with all that it told, its session as a hash.
/// - Entries of a chain are numbered from 1 without gaps and linked, whoever wrote them and at whatever pace.
/// - `find` gives what the filter takes, newest first (time, then chain, then place in it, all falling); pages are stable
///   under inserts and equal times.
/// - `heads` are of one moment, or of moments in the order root, chains: no root is of a chain that is not in them.
/// - `after` gives the entries of a chain that follow a place, in order, at most `limit`, as they are stored: it judges
///   nothing. `roots_after` gives roots likewise, and none of a log with one chain.
/// - After `close` the exported head covers every entry that was acknowledged before. Closing when nothing was written since
///   makes no root; of many at once each root is linked to the one before. A log with one chain is closed by every entry.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait AuditLog: Send + Sync {
    async fn find(&self, filter: &EntryFilter, page: &PageRequest) -> Result<Page<Entry>, StoreError>;
    async fn heads(&self) -> Result<Heads, StoreError>;
    async fn after(&self, chain: ChainId, sequence: u64, limit: usize) -> Result<Vec<Sealed>, StoreError>;
    async fn roots_after(&self, sequence: u64, limit: usize) -> Result<Vec<SealedRoot>, StoreError>;
    /// The exported head afterwards.
    async fn close(&self, at: Timestamp) -> Result<Head, StoreError>;
}
