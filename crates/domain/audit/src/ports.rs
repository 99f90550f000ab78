use async_trait::async_trait;
use infirmary_kernel::{AccountId, Action, Page, PageRequest, PatientId, StoreError, Timestamp};

use crate::{Entry, Head, Sealed};

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

/// The log, to be read. It is written by [`infirmary_kernel::Journal`] and by every write with a trail.
///
/// Laws
/// - Every event that was acknowledged is one entry, found with all that it told, its session as a hash.
/// - Entries are numbered from 1 without gaps and linked, whoever wrote them and at whatever pace.
/// - `find` gives what the filter takes, newest first (time, then place in the chain, both falling); pages are stable under inserts
///   and equal times.
/// - `head` is that of the last entry, [`Head::GENESIS`] of an empty log.
/// - `after` gives the entries that follow a place, in order, at most `limit`, as they are stored: it judges nothing.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait AuditLog: Send + Sync {
    async fn find(&self, filter: &EntryFilter, page: &PageRequest) -> Result<Page<Entry>, StoreError>;
    async fn head(&self) -> Result<Head, StoreError>;
    async fn after(&self, sequence: u64, limit: usize) -> Result<Vec<Sealed>, StoreError>;
}
