use std::borrow::Cow;

use crate::{Permission, Role};

/// One value that was refused: where it stands in the request (RFC 6901 pointer) and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    pub pointer: Cow<'static, str>,
    pub detail: Cow<'static, str>,
}

/// Values that were read but refused. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .fields.iter().map(|field| format!("{} {}", field.pointer, field.detail)).collect::<Vec<_>>().join("; "))]
pub struct Invalid {
    pub fields: Vec<FieldError>,
}

impl Invalid {
    pub fn new(pointer: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { fields: vec![FieldError { pointer: pointer.into(), detail: detail.into() }] }
    }

    /// The same refusal, told of another place: a parser does not know which field it parses.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<Cow<'static, str>>) -> Self {
        let pointer = pointer.into();
        for field in &mut self.fields {
            field.pointer = pointer.clone();
        }
        self
    }

    /// The value, or its refusal noted in `refusals`: so that a request hears of all its wrong fields at once.
    pub fn collect<T>(result: Result<T, Self>, pointer: &'static str, refusals: &mut Vec<FieldError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(invalid) => {
                refusals.extend(invalid.at(pointer).fields);
                None
            }
        }
    }
}

/// Why a caller was turned away. Each leaves an audit entry ([`crate::Gate`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The role may not do this at all: 403.
    #[error("the role {} may not {}", .role.as_str(), .permission.as_str())]
    Role { role: Role, permission: Permission },
    /// The role may in general and the caller may know of the record, but this is for somebody else to do: 403. `rule`
    /// says who may, such as "only its author may change a draft".
    #[error("{rule}")]
    NotTheirs { rule: &'static str },
    /// The record is not the caller's, and the caller may not know that it exists: 404, as for an absent one.
    #[error("the record is not the caller's to know")]
    Hidden,
    /// The caller may, but has to prove who they are once more: 401 `insufficient_user_authentication` (RFC 9470).
    #[error("the last authentication is more than {max_age_minutes} minutes old")]
    StepUp { max_age_minutes: u64 },
    /// The record is restricted, and the caller is neither of its care team nor has emergency access to it: 403. A doctor may
    /// break the glass.
    #[error("the record is restricted to its care team")]
    Restricted,
    /// The house asks for a second factor, and the caller has not set one up yet: 403, until they have.
    #[error("a second factor has to be set up first")]
    SecondFactor,
}

/// The store could not do its part. Says nothing of the request.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing happened; the same request can be sent again.
    #[error("the store is unavailable: {reason}")]
    Unavailable { reason: String },
    /// It may have happened. Retry only with the same idempotency key.
    #[error("the outcome of the write is unknown: {reason}")]
    OutcomeUnknown { reason: String },
    /// What was read is not what can have been written: the store was damaged or changed by another hand.
    #[error("the store holds a row that cannot be read: {reason}")]
    Corrupt { reason: String },
}

impl StoreError {
    /// The same of a write that others of the same request went before: what they have done stays, so it is not so that
    /// nothing happened.
    #[must_use]
    pub fn after_others(self) -> Self {
        match self {
            Self::Unavailable { reason } => Self::OutcomeUnknown { reason },
            other => other,
        }
    }
}

/// The gate did not let the caller through, or could not tell.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a write was not made. In every case but [`StoreError::OutcomeUnknown`] nothing of it is visible.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The record has changed since it was read, or is gone. Read it again and decide again.
    #[error("the record has changed since it was read")]
    Stale,
    /// A law of uniqueness stands against it. The name is that of the law, as the port's documentation has it.
    #[error("it stands against the law {law}")]
    Conflict { law: &'static str },
    /// The idempotency key was used by the same account for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error(transparent)]
    Store(#[from] StoreError),
}
