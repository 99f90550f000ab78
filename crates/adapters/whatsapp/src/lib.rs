//! Messages by the WhatsApp Cloud API of Meta: the way out, and the webhook by which it tells what became of them.
//!
//! Invariants
//! - Whether a message may be tried again is decided by the number of the error, as Meta asks for; its texts, which can
//!   repeat the recipient's number, are read by nobody.
//! - An answer is read to a limit, within the time given, and redirects are not followed: the token goes to one place.
//! - A body of the webhook counts only under Meta's signature over its very bytes, compared in constant time.
//! - The token is never in a log, an error or `Debug`.

mod answers;
mod sender;
mod token;
mod webhook;

pub use sender::{Settings, WhatsAppSender};
pub use token::{Token, TokenError};
pub use webhook::WhatsAppWebhook;
