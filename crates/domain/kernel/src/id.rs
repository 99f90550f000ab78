use std::{fmt, hash::Hash, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Invalid;

/// The id of a record of kind `T`: a UUIDv7 (RFC 9562 §5.7), so ids sort by the time they were made.
///
/// `T` is a marker only; an `Id<Patient>` cannot be passed where an `Id<Charge>` is meant.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id<T> {
    value: Uuid,
    #[serde(skip)]
    kind: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    pub const fn from_uuid(value: Uuid) -> Self {
        Self { value, kind: PhantomData }
    }

    pub const fn as_uuid(&self) -> Uuid {
        self.value
    }

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl<T> FromStr for Id<T> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // The hyphenated form only: `Uuid::parse_str` also takes braces and URNs, and one record has one name.
        match Uuid::try_parse(text) {
            Ok(value) if text.len() == 36 => Ok(Self::from_uuid(value)),
            _ => Err(Invalid::new("/id", "is not an id; an id is a UUID such as 0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10")),
        }
    }
}

impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.hyphenated().fmt(f)
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}
impl<T> Hash for Id<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

/// What an id can be an id of. The records themselves live in their domain crates, which do not see each other.
pub mod marker {
    pub enum Account {}
    pub enum AuditEntry {}
    pub enum Challenge {}
    pub enum Charge {}
    pub enum Conversion {}
    pub enum Diagnosis {}
    pub enum EmergencyAccess {}
    pub enum Image {}
    pub enum Instance {}
    pub enum Message {}
    pub enum Patient {}
    pub enum Payment {}
    pub enum Refund {}
    pub enum Report {}
    pub enum Request {}
    pub enum Session {}
    pub enum Study {}
    pub enum Task {}
}

pub type AccountId = Id<marker::Account>;
pub type AuditEntryId = Id<marker::AuditEntry>;
pub type ChallengeId = Id<marker::Challenge>;
pub type ChargeId = Id<marker::Charge>;
pub type ConversionId = Id<marker::Conversion>;
pub type DiagnosisId = Id<marker::Diagnosis>;
pub type EmergencyAccessId = Id<marker::EmergencyAccess>;
pub type ImageId = Id<marker::Image>;
/// A process of the server, from its start to its end.
pub type InstanceId = Id<marker::Instance>;
pub type MessageId = Id<marker::Message>;
pub type PatientId = Id<marker::Patient>;
pub type PaymentId = Id<marker::Payment>;
pub type RefundId = Id<marker::Refund>;
pub type ReportId = Id<marker::Report>;
pub type RequestId = Id<marker::Request>;
pub type SessionId = Id<marker::Session>;
pub type StudyId = Id<marker::Study>;
pub type TaskId = Id<marker::Task>;
