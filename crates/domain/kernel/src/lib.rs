//! What every part of the hospital shares: typed ids, money, time, names, phones, pages; who is calling and what they
//! may do; the trail that each write leaves.
//!
//! Invariants
//! - A value of a type here is valid: it was parsed at the edge, its fields are private, its form is normalised.
//! - Nothing here reads a clock or draws a random number; [`Clock`], [`IdSource`] and [`Entropy`] are asked.
//! - Personal data does not appear in `Debug`.
//! - The table of permissions is data ([`policy`]); who is not in it may not.
//! - To a restricted record come its care team and who broke the glass ([`Confidentiality`]); the gate sees to it for all.

mod access;
mod confidentiality;
mod contact;
mod digest;
mod error;
mod gate;
mod id;
mod idempotency;
mod key_check;
mod lease;
mod link;
mod message;
mod money;
mod objects;
mod page;
pub mod policy;
mod ports;
mod sheet;
mod text;
mod time;
mod trail;

#[cfg(feature = "test-support")]
pub mod testing;

pub use access::{BrokenGlass, Caller, Origin, Role};
#[cfg(feature = "test-support")]
pub use confidentiality::MockConfidentiality;
pub use confidentiality::{Confidentiality, Standing};
pub use contact::{EmailAddress, PhoneNumber};
pub use digest::Sha256Digest;
pub use error::{AccessError, FieldError, Invalid, Refused, StoreError, WriteError};
pub use gate::Gate;
pub use id::{
    AccountId, AuditEntryId, ChallengeId, ChargeId, DiagnosisId, EmergencyAccessId, Id, ImageId, InstanceId, MessageId,
    PatientId, PaymentId, RefundId, ReportId, RequestId, SessionId, StudyId, TaskId, marker,
};
pub use idempotency::{Claim, Done, Fingerprint, Idempotency, IdempotencyKey, Receipt, Written};
#[cfg(feature = "test-support")]
pub use key_check::MockKeyCheck;
pub use key_check::{KeyCheck, KeyCheckValue};
#[cfg(feature = "test-support")]
pub use lease::MockLeases;
pub use lease::{Lease, Leases};
pub use link::{Link, LinkTarget, SignedLink};
pub use message::{MessageContent, MessageKind, OutgoingMessage};
pub use money::{Currency, Money, MoneyError};
#[cfg(feature = "test-support")]
pub use objects::MockObjects;
pub use objects::{
    ListedObject, LocalFile, ObjectKey, ObjectRead, Objects, SIGNED_URL_SECONDS, ServedAs, Staged, Staging,
    StoredObject,
};
pub use page::{Cursor, DEFAULT_PAGE_ITEMS, Limit, MAX_PAGE_ITEMS, Page, PageRequest};
pub use policy::{Permission, Reach};
pub use ports::{Clock, Entropy, IdSource, Journal, Readiness, Receipts, Signer, Sweep, Swept};
pub use sheet::{House, SheetPatient, TypesetError};
pub use text::{FileName, LongText, NamePart, PersonName, PostalAddress, ShortText, TaskCode, fold, search_words};
pub use time::{BirthDate, Timestamp};
pub use trail::{Action, Event, Outcome, Purpose, Subject, Trail};
