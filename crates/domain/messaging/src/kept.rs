use infirmary_kernel::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::Message;

/// A message as an outbox keeps it, with what no listing shows: for another outbox, which is to go on with it.
#[derive(Debug, Clone)]
pub struct KeptMessage {
    pub message: Message,
    /// The digits of a one-time code that may still have to be sent.
    pub code: Option<SecretString>,
    /// Of a pending one: when the next try may begin.
    pub due: Timestamp,
    /// How often a worker has taken it.
    pub takes: u32,
}

impl PartialEq for KeptMessage {
    fn eq(&self, other: &Self) -> bool {
        let code = |kept: &Self| kept.code.as_ref().map(|code| code.expose_secret().to_owned());
        (&self.message, self.due, self.takes) == (&other.message, other.due, other.takes) && code(self) == code(other)
    }
}

impl Eq for KeptMessage {}
