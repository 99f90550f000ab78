use infirmary_kernel::{MessageContent, OutgoingMessage, WriteError};
use mongodb::bson::{Document, doc};
use secrecy::ExposeSecret;

use crate::{
    documents::{DocumentExt, id, number, time},
    schema::MESSAGES,
    transaction::Transaction,
};

impl Transaction<'_> {
    /// Adds messages to the outbox: of whatever write has them in its trail.
    pub(crate) async fn tell(&mut self, messages: &[OutgoingMessage]) -> Result<(), WriteError> {
        self.insert_all(&MESSAGES, messages.iter().map(document).collect()).await
    }
}

fn document(message: &OutgoingMessage) -> Document {
    let (code, report) = match &message.content {
        MessageContent::OneTimeCode { code } => (Some(code.expose_secret()), None),
        MessageContent::ReportReady { report } => (None, Some(id(*report))),
    };
    doc! {
        "_id": id(message.id),
        "recipient": message.recipient.as_str(),
        "kind": message.content.kind().as_str(),
        "created_at": time(message.created),
        "expires_at": time(message.expires),
        "state": "pending",
        "changed_at": time(message.created),
        "due_at": time(message.created),
        "takes": number(0),
        "tries": number(0),
    }
    .with("code", code)
    .with("report", report)
}
