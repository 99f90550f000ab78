use infirmary_kernel::{MessageContent, OutgoingMessage, WriteError};
use rusqlite::params;
use secrecy::ExposeSecret;

use crate::{
    rows::{OrWriteError, blob},
    writer::Transaction,
};

/// Adds a message to the outbox: of whatever write has it in its trail.
pub(crate) fn insert(transaction: &Transaction<'_>, message: &OutgoingMessage) -> Result<(), WriteError> {
    let (code, report) = match &message.content {
        MessageContent::OneTimeCode { code } => (Some(code.expose_secret()), None),
        MessageContent::ReportReady { report } => (None, Some(blob(*report))),
    };
    transaction
        .run(
            "INSERT INTO messages (id, recipient, kind, code, report, created_at, expires_at, state, changed_at, due_at,
             takes, tries) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'pending', ?6, ?6, 0, 0)",
            params![
                blob(message.id),
                message.recipient.as_str(),
                message.content.kind().as_str(),
                code,
                report,
                message.created.unix_ms(),
                message.expires.unix_ms(),
            ],
        )
        .or_write_error()
        .map(|_| ())
}
