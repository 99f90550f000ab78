use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use infirmary_kernel::{Clock, Entropy, MessageId, MessageKind, StoreError, Timestamp};

use crate::{Breaker, Failure, FailureReason, MessageSender, Outbox, Passage, Policy, SendError, Settlement, Taken};

/// The worker of a process: sends what is due. Any number of them may work on one outbox.
pub struct DeliverMessages {
    outbox: Arc<dyn Outbox>,
    sender: Arc<dyn MessageSender>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    breaker: Mutex<Breaker>,
}

/// What one round did.
#[derive(Debug, Default)]
pub struct Round {
    pub settled: Vec<Settled>,
    /// How many were over before they were sent.
    pub expired: usize,
    /// The provider is left alone for now.
    pub shut: bool,
}

#[derive(Debug)]
pub struct Settled {
    pub id: MessageId,
    pub kind: MessageKind,
    pub outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Sent,
    /// It is tried again later.
    PutOff(SendError),
    /// With the provider's last word on it, if this process has heard one.
    Failed(Failure, Option<SendError>),
    /// The worker was held up for so long that the message may be another's by now.
    Left,
}

impl Round {
    /// Whether there may be more to do at once.
    pub fn is_full(&self) -> bool {
        self.settled.len() == DeliverMessages::MAX_AT_ONCE
    }
}

impl DeliverMessages {
    /// Sent side by side.
    pub const MAX_AT_ONCE: usize = 16;
    /// For a provider that said that it takes no more, and not for how long.
    const THROTTLED_SECONDS: u64 = 60;
    /// For a provider that takes nothing of ours, until somebody may have mended it.
    const REFUSED_SECONDS: u64 = 60;
    /// A provider's own wait is believed up to here.
    const MAX_RETRY_AFTER_SECONDS: u64 = 60 * 60;

    pub fn new(
        outbox: Arc<dyn Outbox>,
        sender: Arc<dyn MessageSender>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { outbox, sender, clock, entropy, breaker: Mutex::default() }
    }

    /// Sends what is due, once each, and gives up what is over.
    pub async fn run(&self) -> Result<Round, StoreError> {
        let now = self.clock.now();
        let expired = self.outbox.expire(now).await?;
        let passage = self.breaker().passage(now);
        let most = match passage {
            Passage::Open => Self::MAX_AT_ONCE,
            Passage::One => 1,
            Passage::Shut => return Ok(Round { expired, shut: true, ..Round::default() }),
        };
        let taken = self.outbox.take(most, now).await?;
        let settled = join_all(taken.iter().map(|taken| self.send(taken))).await;
        Ok(Round { settled: settled.into_iter().collect::<Result<_, _>>()?, expired, shut: false })
    }

    /// Since when the longest due message waits.
    pub async fn oldest_due(&self) -> Result<Option<Duration>, StoreError> {
        let now = self.clock.now();
        Ok(self.outbox.oldest_due(now).await?.map(|due| now.since(due)))
    }

    async fn send(&self, taken: &Taken) -> Result<Settled, StoreError> {
        let kind = taken.message.content.kind();
        let policy = Policy::of(kind);
        let outcome = if taken.tries > policy.max_tries {
            // Those who tried before have died over it.
            self.settle(taken, Outcome::Failed(FailureReason::Unreachable.with(None), None)).await?
        } else if self.clock.now().plus(policy.timeout()) > taken.until {
            Outcome::Left
        } else {
            match self.sender.send(&taken.message, policy.timeout()).await {
                Ok(provider_id) => {
                    self.breaker().answered();
                    let settlement = Settlement::Sent(provider_id);
                    self.outbox.settle(taken.key(), settlement, self.clock.now()).await?;
                    Outcome::Sent
                }
                Err(error) => self.settle(taken, self.judge(taken, policy, error)).await?,
            }
        };
        Ok(Settled { id: taken.message.id, kind, outcome })
    }

    fn judge(&self, taken: &Taken, policy: Policy, error: SendError) -> Outcome {
        let (now, code) = (self.clock.now(), error.code());
        let mut breaker = self.breaker();
        match &error {
            SendError::Recipient { .. } => {
                breaker.answered();
                return Outcome::Failed(FailureReason::Recipient.with(code), Some(error));
            }
            SendError::Rejected { .. } => {
                breaker.answered();
                return Outcome::Failed(FailureReason::Rejected.with(code), Some(error));
            }
            SendError::RecipientThrottled { .. } => breaker.answered(),
            SendError::Throttled { .. } | SendError::HouseRefused { .. } => {
                breaker.shut(now, wait_of_all(&error));
                return Outcome::PutOff(error);
            }
            SendError::Unavailable { .. } => breaker.failed(now),
        }
        if taken.tries >= policy.max_tries {
            Outcome::Failed(FailureReason::Unreachable.with(code), Some(error))
        } else {
            Outcome::PutOff(error)
        }
    }

    async fn settle(&self, taken: &Taken, outcome: Outcome) -> Result<Outcome, StoreError> {
        let now = self.clock.now();
        let settlement = match &outcome {
            Outcome::Failed(failure, _) => Settlement::Failed(*failure),
            Outcome::PutOff(error) => self.again(taken, error, now),
            Outcome::Sent | Outcome::Left => return Ok(outcome),
        };
        self.outbox.settle(taken.key(), settlement, now).await?;
        Ok(outcome)
    }

    fn again(&self, taken: &Taken, error: &SendError, now: Timestamp) -> Settlement {
        match error {
            SendError::Throttled { .. } | SendError::HouseRefused { .. } => {
                Settlement::Again { due: now.plus(wait_of_all(error)), counts: false }
            }
            _ => {
                let policy = Policy::of(taken.message.content.kind());
                Settlement::Again { due: now.plus(policy.wait(taken.tries, &*self.entropy)), counts: true }
            }
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the provider is to be left alone after an answer that concerns every message.
fn wait_of_all(error: &SendError) -> Duration {
    let longest = Duration::from_secs(DeliverMessages::MAX_RETRY_AFTER_SECONDS);
    match error {
        SendError::Throttled { retry_after: Some(wait), .. } => (*wait).min(longest),
        SendError::HouseRefused { .. } => Duration::from_secs(DeliverMessages::REFUSED_SECONDS),
        _ => Duration::from_secs(DeliverMessages::THROTTLED_SECONDS),
    }
}
