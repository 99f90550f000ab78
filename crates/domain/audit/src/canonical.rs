//! The bytes that are hashed: JSON in the canonical form of RFC 8785 (JCS). One entry has one form, and one form is of one
//! entry; a stored form can be checked with any SHA-256, without this program.
//!
//! - Keys in order (all are ASCII, so bytes and UTF-16 units give the same), no white space.
//! - Values are text, lists of text, and whole numbers below 2^53; no floats, so the difficult part of JCS does not arise.
//! - Text escapes `"`, `\` and what is below U+0020, with the short escapes where JSON has them; all else is UTF-8 as it is.
//! - What is absent is left out; there is no `null`.
//! - A field that a later version adds is left out where it is absent: what was written before keeps its form.

use std::{borrow::Cow, net::IpAddr};

use infirmary_kernel::{
    AccountId, Action, AuditEntryId, Event, Outcome, PatientId, Purpose, RequestId, Role, Sha256Digest, StoreError,
    Subject, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{ChainHead, ChainId, Entry, Head, Root, SessionHash};

/// Bytes of a typical form, so that its buffer is allocated once.
const TYPICAL_BYTES: usize = 768;

/// serde_json writes members in the order of the fields and text as JCS wants it, so this order is the canonical one. Not
/// `camelCase` by attribute but by name: every key is one word.
#[derive(Serialize, Deserialize)]
struct Form<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    action: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<Cow<'a, str>>,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "is_only")]
    chain: u16,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    fields: Cow<'a, [Cow<'a, str>]>,
    id: AuditEntryId,
    outcome: OutcomeForm,
    previous: Sha256Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purpose: Option<PurposeForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<RequestId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<Cow<'a, str>>,
    sequence: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<SessionHash>,
    subject: SubjectForm<'a>,
}

#[derive(Serialize, Deserialize)]
struct SubjectForm<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<infirmary_kernel::Id<()>>,
    kind: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    patient: Option<PatientId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OutcomeForm {
    Done,
    Refused,
}

#[derive(Serialize, Deserialize)]
enum PurposeForm {
    #[serde(rename = "BTG")]
    BreakTheGlass,
}

/// The chain of a log that has one is not named.
fn is_only(chain: &u16) -> bool {
    *chain == ChainId::ONLY.get()
}

/// The form of `event` as the entry after `previous` in the chain.
pub fn write(chain: ChainId, previous: &Head, event: &Event) -> Vec<u8> {
    let subject = &event.subject;
    to_bytes(&Form {
        account: event.account,
        action: event.action.as_str().into(),
        address: event.address,
        agent: event.agent.as_deref().map(Cow::Borrowed),
        at: event.at,
        chain: chain.get(),
        fields: event.fields.as_slice().into(),
        id: event.id,
        outcome: match event.outcome {
            Outcome::Done => OutcomeForm::Done,
            Outcome::Refused => OutcomeForm::Refused,
        },
        previous: previous.hash,
        purpose: event.purpose.map(|purpose| match purpose {
            Purpose::BreakTheGlass => PurposeForm::BreakTheGlass,
        }),
        request: event.request,
        role: event.role,
        rule: event.rule.as_deref().map(Cow::Borrowed),
        sequence: previous.sequence + 1,
        session: event.session.map(SessionHash::of),
        subject: SubjectForm {
            id: subject.id.map(infirmary_kernel::Id::from_uuid),
            kind: subject.kind.as_ref().into(),
            patient: subject.patient,
            version: subject.version,
        },
    })
}

/// The entry whose form `bytes` are; refuses everything that [`write`] does not write, to the byte.
pub fn parse(bytes: &[u8]) -> Result<Entry, NotCanonical> {
    let form: Form<'_> = serde_json::from_slice(bytes).map_err(|_| NotCanonical)?;
    if to_bytes(&form) != bytes {
        return Err(NotCanonical);
    }
    Ok(Entry {
        chain: ChainId::new(form.chain),
        sequence: form.sequence,
        previous: form.previous,
        hash: Sha256Digest::of(bytes),
        id: form.id,
        at: form.at,
        account: form.account,
        role: form.role,
        session: form.session,
        address: form.address,
        agent: form.agent.map(Cow::into_owned),
        request: form.request,
        action: Action::from_stored(form.action.into_owned()),
        subject: Subject {
            kind: Cow::Owned(form.subject.kind.into_owned()),
            id: form.subject.id.map(|id| id.as_uuid()),
            version: form.subject.version,
            patient: form.subject.patient,
        },
        fields: form.fields.iter().map(|field| Cow::Owned(field.to_string())).collect(),
        outcome: match form.outcome {
            OutcomeForm::Done => Outcome::Done,
            OutcomeForm::Refused => Outcome::Refused,
        },
        rule: form.rule.map(|rule| Cow::Owned(rule.into_owned())),
        purpose: form.purpose.map(|purpose| match purpose {
            PurposeForm::BreakTheGlass => Purpose::BreakTheGlass,
        }),
    })
}

/// A root, in the same canonical form.
#[derive(Serialize, Deserialize)]
struct RootForm {
    at: Timestamp,
    heads: Vec<HeadForm>,
    previous: Sha256Digest,
    sequence: u64,
}

#[derive(Serialize, Deserialize)]
struct HeadForm {
    chain: u16,
    hash: Sha256Digest,
    sequence: u64,
}

/// The form of the root after `previous` that closes chains at these heads.
pub fn write_root(previous: &Head, at: Timestamp, heads: &[ChainHead]) -> Vec<u8> {
    to_bytes(&RootForm {
        at,
        heads: heads
            .iter()
            .map(|&ChainHead { chain, head: Head { sequence, hash } }| HeadForm { chain: chain.get(), hash, sequence })
            .collect(),
        previous: previous.hash,
        sequence: previous.sequence + 1,
    })
}

/// The root whose form `bytes` are; refuses everything that [`write_root`] does not write, to the byte.
pub fn parse_root(bytes: &[u8]) -> Result<Root, NotCanonical> {
    let form: RootForm = serde_json::from_slice(bytes).map_err(|_| NotCanonical)?;
    if to_bytes(&form) != bytes {
        return Err(NotCanonical);
    }
    let heads = form.heads.iter();
    Ok(Root {
        sequence: form.sequence,
        previous: form.previous,
        at: form.at,
        heads: heads
            .map(|&HeadForm { chain, hash, sequence }| ChainHead {
                chain: ChainId::new(chain),
                head: Head { sequence, hash },
            })
            .collect(),
    })
}

fn to_bytes(form: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(TYPICAL_BYTES);
    // Fails only for a failing writer or a map with keys that are not text; here are neither.
    let _ = serde_json::to_writer(&mut bytes, form);
    bytes
}

/// The bytes are not the canonical form of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not the canonical form of an audit entry")]
pub struct NotCanonical;

impl From<NotCanonical> for StoreError {
    fn from(error: NotCanonical) -> Self {
        Self::Corrupt { reason: error.to_string() }
    }
}
