use std::fmt;

use infirmary_kernel::{Invalid, MessageId, Timestamp};

/// How the provider knows a message.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProviderId(String);

impl ProviderId {
    pub const MAX_BYTES: usize = 255;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && (1..=Self::MAX_BYTES).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("/id", "is not the id of a message; give 1 to 255 characters of ASCII"))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Providers put the number of the recipient into it.
impl fmt::Debug for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How far a message has come that the provider took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delivery {
    /// On its way.
    Sent,
    Delivered,
    Read,
}

impl Delivery {
    pub const ALL: [Self; 3] = [Self::Sent, Self::Delivered, Self::Read];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
        }
    }

    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|delivery| delivery.as_str() == text)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    Reached(Delivery),
    /// With the provider's number for it.
    Failed {
        code: Option<u32>,
    },
}

/// What the provider says of a message, some time after it took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    pub provider_id: ProviderId,
    /// Our own id, which it was given with the message: known, too, when its answer was lost.
    pub message: Option<MessageId>,
    pub status: DeliveryStatus,
    /// When it came in here.
    pub at: Timestamp,
}
