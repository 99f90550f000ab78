use std::{fmt, time::Duration};

use secrecy::SecretString;

use crate::{MessageId, PhoneNumber, ReportId, Timestamp};

/// Something to be told to somebody who is not in the building. It is part of the write that causes it ([`crate::Trail`]),
/// and leaves when that is durable, never before.
///
/// The id is the key by which it is sent: the same however often it is tried.
#[derive(Debug, Clone)]
pub struct OutgoingMessage {
    pub id: MessageId,
    pub recipient: PhoneNumber,
    pub content: MessageContent,
    pub created: Timestamp,
    /// From then on nobody is helped by it, and it is not sent any more.
    pub expires: Timestamp,
}

/// What is told: facts, not words. The words, in the language of the house, are the sender's.
#[derive(Debug, Clone)]
pub enum MessageContent {
    /// The digits as they are to be typed. No store keeps them longer than it has to: until the message is sent, has failed
    /// or is over.
    OneTimeCode { code: SecretString },
    /// Says that there is a report to be read, and nothing of what is in it or whose it is.
    ReportReady { report: ReportId },
    /// Says that somebody used emergency access to a restricted record, and neither who nor whose.
    EmergencyAccess,
}

impl OutgoingMessage {
    /// A notice that could not be delivered for so long is no news any more.
    pub const NOTICE_TTL_HOURS: u64 = 72;

    pub fn report_ready(id: MessageId, recipient: PhoneNumber, report: ReportId, now: Timestamp) -> Self {
        Self::notice(id, recipient, MessageContent::ReportReady { report }, now)
    }

    pub fn emergency_access(id: MessageId, recipient: PhoneNumber, now: Timestamp) -> Self {
        Self::notice(id, recipient, MessageContent::EmergencyAccess, now)
    }

    fn notice(id: MessageId, recipient: PhoneNumber, content: MessageContent, now: Timestamp) -> Self {
        let expires = now.plus(Duration::from_secs(Self::NOTICE_TTL_HOURS * 60 * 60));
        Self { id, recipient, content, created: now, expires }
    }
}

impl MessageContent {
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::OneTimeCode { .. } => MessageKind::OneTimeCode,
            Self::ReportReady { .. } => MessageKind::ReportReady,
            Self::EmergencyAccess => MessageKind::EmergencyAccess,
        }
    }
}

/// Which content a message has, or had while it was kept; in the order in which they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageKind {
    OneTimeCode,
    EmergencyAccess,
    ReportReady,
}

impl MessageKind {
    pub const ALL: [Self; 3] = [Self::OneTimeCode, Self::EmergencyAccess, Self::ReportReady];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneTimeCode => "oneTimeCode",
            Self::EmergencyAccess => "emergencyAccess",
            Self::ReportReady => "reportReady",
        }
    }

    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
