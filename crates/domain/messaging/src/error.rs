use std::time::Duration;

use infirmary_kernel::{AccessError, Invalid, StoreError, WriteError};

#[derive(Debug, thiserror::Error)]
pub enum MessagingError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("a value was refused")]
    Invalid(#[from] Invalid),
    #[error("there is no such message")]
    NotFound,
    /// It is still to be sent, or was.
    #[error("only a message that has failed is sent again")]
    NotFailed,
    /// A code is not kept when its message has failed.
    #[error("a code is not sent again; its recipient asks for a new one")]
    ContentGone,
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<StoreError> for MessagingError {
    fn from(error: StoreError) -> Self {
        Self::Access(AccessError::Store(error))
    }
}

/// Why the provider did not take a message. `code` is its own number for it; its texts stay with the adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The recipient cannot be written to. Another recipient's message may be taken.
    #[error("the recipient cannot be reached (code {code:?})")]
    Recipient { code: Option<u32> },
    /// Nobody's such message is taken: a template or a setting has to be mended.
    #[error("the provider refused the message (code {code:?})")]
    Rejected { code: Option<u32> },
    /// This recipient had too many; others' are taken.
    #[error("the recipient was sent too many (code {code:?})")]
    RecipientThrottled { code: Option<u32> },
    /// The house has sent too many.
    #[error("the provider takes no more for a while (code {code:?})")]
    Throttled { code: Option<u32>, retry_after: Option<Duration> },
    /// Nothing of the house's is taken any more: its token is over, its account locked or not paid. Somebody has to look.
    #[error("the provider takes nothing of the house's (code {code:?})")]
    HouseRefused { code: Option<u32> },
    /// It did not answer, or said that it could not. The message may have been sent.
    #[error("the provider cannot be reached: {reason}")]
    Unavailable { reason: String, code: Option<u32> },
}

impl SendError {
    pub const fn code(&self) -> Option<u32> {
        match self {
            Self::Recipient { code }
            | Self::Rejected { code }
            | Self::RecipientThrottled { code }
            | Self::Throttled { code, .. }
            | Self::HouseRefused { code }
            | Self::Unavailable { code, .. } => *code,
        }
    }
}

/// A call of the webhook that is not the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefused {
    #[error("the signature is not the provider's")]
    Signature,
    #[error("the body is not what the provider sends")]
    Unreadable,
}
