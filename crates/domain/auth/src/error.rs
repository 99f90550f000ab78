use std::time::Duration;

use infirmary_kernel::{AccessError, Invalid, StoreError, WriteError};

use crate::{HasherError, ports::law};

#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("the account's details were refused")]
    Invalid(#[from] Invalid),
    /// The e-mail is unknown, or the password is wrong, or the account may not sign in: the caller hears no difference.
    #[error("the e-mail or the password is wrong")]
    BadCredentials,
    /// The token is not ours, or over, or its session has ended. Sign in again.
    #[error("the token is not valid")]
    Unauthenticated,
    #[error("there were too many attempts; try again in {} seconds", .retry_after.as_secs())]
    TooManyAttempts { retry_after: Duration },
    /// Too many passwords are waiting to be hashed. Try again in a moment.
    #[error("the house is busy with other sign-ins")]
    Busy,
    /// The code is not an invitation, or was used, or is over. Ask for another.
    #[error("the code is not a valid invitation")]
    BadInvitation,
    #[error("there were too many codes; ask again in {} seconds", .retry_after.as_secs())]
    TooManyCodes { retry_after: Duration },
    /// The code is wrong, or of no challenge, or was used, or is over, or was tried too often: the caller hears no difference.
    #[error("the code is wrong, used or over")]
    BadCode,
    /// No second factor is due that a code to the phone could answer. Show the password again.
    #[error("no second factor by phone is due")]
    BadChallenge,
    /// The proof is not ours, or was used, or is over. Ask for another code.
    #[error("the proof is used or over")]
    BadProof,
    /// Of an authenticator: not of this session, or over. Begin again.
    #[error("the enrolment is not of this session, or over")]
    BadEnrolment,
    /// The phone is the second factor: that has to be taken off first.
    #[error("the phone is the second factor of the account")]
    PhoneIsFactor,
    #[error("the phone is not verified")]
    PhoneNotVerified,
    #[error("the account has no second factor")]
    NoSecondFactor,
    #[error("the account is disabled")]
    Disabled,
    #[error("an account with this e-mail exists")]
    EmailTaken,
    #[error("the last active admin cannot go")]
    LastAdmin,
    #[error("there is no such account or session")]
    NotFound,
    #[error(transparent)]
    Write(WriteError),
}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> Self {
        Self::Access(AccessError::Store(error))
    }
}

impl From<WriteError> for AuthError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Conflict { law: law::EMAIL } => Self::EmailTaken,
            WriteError::Conflict { law: law::LAST_ADMIN } => Self::LastAdmin,
            other => Self::Write(other),
        }
    }
}

impl From<HasherError> for AuthError {
    fn from(error: HasherError) -> Self {
        match error {
            HasherError::Busy => Self::Busy,
            HasherError::Unreadable { reason } => StoreError::Corrupt { reason }.into(),
        }
    }
}
