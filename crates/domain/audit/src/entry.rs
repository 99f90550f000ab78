use std::{borrow::Cow, net::IpAddr};

use infirmary_kernel::{
    AccountId, Action, AuditEntryId, Cursor, Outcome, Purpose, RequestId, Role, Sha256Digest, Subject, Timestamp,
};

use uuid::Uuid;

use crate::{ChainId, SessionHash};

/// What the log tells of one event: who did what to whose record, when and from where, and its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub chain: ChainId,
    /// 1 for the first of its chain, then without gaps.
    pub sequence: u64,
    /// The hash of the entry before, that of [`crate::Head::GENESIS`] for the first.
    pub previous: Sha256Digest,
    /// SHA-256 over the canonical form ([`crate::canonical`]), which holds `sequence` and `previous` too.
    pub hash: Sha256Digest,
    pub id: AuditEntryId,
    pub at: Timestamp,
    pub account: Option<AccountId>,
    pub role: Option<Role>,
    pub session: Option<SessionHash>,
    pub address: Option<IpAddr>,
    pub agent: Option<String>,
    pub request: Option<RequestId>,
    pub action: Action,
    pub subject: Subject,
    pub fields: Vec<Cow<'static, str>>,
    pub outcome: Outcome,
    pub rule: Option<Cow<'static, str>>,
    pub purpose: Option<Purpose>,
}

impl Entry {
    /// Its place in a list: chain and number stand where other lists have an id.
    pub fn cursor(&self) -> Cursor {
        Cursor::at(self.at, Uuid::from_u64_pair(self.chain.get().into(), self.sequence))
    }
}
