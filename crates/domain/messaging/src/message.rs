use std::str::FromStr;

use infirmary_kernel::{Cursor, Invalid, MessageId, MessageKind, PhoneNumber, ReportId, Timestamp};

use crate::{Delivery, DeliveryReport, DeliveryStatus, ProviderId};

/// What the outbox knows of a message, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: MessageId,
    pub recipient: PhoneNumber,
    pub kind: MessageKind,
    /// Of [`MessageKind::ReportReady`].
    pub report: Option<ReportId>,
    pub created: Timestamp,
    pub expires: Timestamp,
    pub state: MessageState,
    /// Since when it is in that state, or its delivery is what it is.
    pub changed: Timestamp,
    /// How often it was tried since it was last put into the outbox.
    pub tries: u32,
    /// Of one that was sent: how the provider knows it.
    pub provider_id: Option<ProviderId>,
    pub delivery: Option<Delivery>,
    /// Of one that failed.
    pub failure: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// To be sent.
    Pending,
    /// The provider has it.
    Sent,
    /// For good, unless somebody sends it again.
    Failed,
}

impl MessageState {
    pub const ALL: [Self; 3] = [Self::Pending, Self::Sent, Self::Failed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for MessageState {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Invalid::new("/status", "is not a status; give pending, sent or failed"))
    }
}

/// Why a message failed: a word of ours, and the number by which the provider names it. Never the provider's own text, which
/// may repeat whom it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    pub reason: FailureReason,
    pub code: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// It was over before it could be sent.
    Expired,
    /// Every try failed.
    Unreachable,
    /// The recipient cannot be written to: no such account at the provider, say.
    Recipient,
    /// The provider does not take such a message from this house: its template or settings are wrong.
    Rejected,
    /// The provider took it, and could not deliver it.
    Undelivered,
}

impl FailureReason {
    pub const ALL: [Self; 5] = [Self::Expired, Self::Unreachable, Self::Recipient, Self::Rejected, Self::Undelivered];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unreachable => "unreachable",
            Self::Recipient => "recipient",
            Self::Rejected => "rejected",
            Self::Undelivered => "undelivered",
        }
    }

    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

impl FailureReason {
    pub const fn with(self, code: Option<u32>) -> Failure {
        Failure { reason: self, code }
    }
}

impl Message {
    /// How long one that was sent or has failed is kept for.
    pub const KEPT_DAYS: u64 = 30;

    pub fn cursor(&self) -> Cursor {
        Cursor::at(self.created, self.id.as_uuid())
    }

    /// Whether there is still something to be sent: a code is gone with its failure, and who waits for it asks for another.
    pub fn can_be_sent_again(&self) -> bool {
        self.state == MessageState::Failed && self.kind != MessageKind::OneTimeCode
    }

    /// What the report makes of the message; `None` when it says nothing new.
    ///
    /// Reports come late, twice, and in any order, and about a try whose answer was lost, too: whatever says that the message
    /// arrived holds against everything else. One of a failure is about the sending that is known, and about no other.
    pub fn reported(&self, report: &DeliveryReport) -> Option<Self> {
        let arrived = |delivery| {
            let news = self.state != MessageState::Sent || self.delivery < Some(delivery);
            news.then(|| Self {
                state: MessageState::Sent,
                changed: report.at,
                provider_id: self.provider_id.clone().or_else(|| Some(report.provider_id.clone())),
                delivery: Some(delivery),
                failure: None,
                ..self.clone()
            })
        };
        match report.status {
            DeliveryStatus::Reached(delivery) => arrived(delivery),
            DeliveryStatus::Failed { code } => {
                let of_this_sending = self.provider_id.as_ref() == Some(&report.provider_id);
                let open = self.state == MessageState::Sent && self.delivery < Some(Delivery::Delivered);
                (of_this_sending && open).then(|| Self {
                    state: MessageState::Failed,
                    changed: report.at,
                    failure: Some(FailureReason::Undelivered.with(code)),
                    ..self.clone()
                })
            }
        }
    }
}
