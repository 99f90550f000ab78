//! A body on its way in: of at most so many bytes, and not slower than a bad line is. The framework has no limit for a
//! slow body of its own, and each one that is waited for holds a connection.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{HttpRequest, dev::Payload, error::PayloadError, http::header, web::Bytes};
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep};

use super::problem::{Kind, Problem};

/// What a sender may be waited for: at the beginning, and at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many bytes give a second of it back: who sends no faster is at its end some time.
const BYTES_FOR_A_SECOND: u64 = 1024;

pub struct Incoming {
    payload: Payload,
    max_bytes: u64,
    received: u64,
    patience: Patience,
    /// Since when it is waited for the next bytes, and until when.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// How a body broke off. What the client hears of it is one of few sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    TooLarge { max_bytes: u64 },
    TooSlow,
    Ended,
}

impl From<Broken> for Problem {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLarge { max_bytes } => {
                Self::new(Kind::TooLarge, format!("the body may have {max_bytes} bytes at most"))
            }
            Broken::TooSlow => Self::new(Kind::TooSlow, "the body came too slowly; send it again"),
            Broken::Ended => Self::new(Kind::Unreadable, "the body ended before its time"),
        }
    }
}

impl Incoming {
    /// One that says that it has more bytes is refused before it is read; one that has more and did not say so, at that
    /// byte.
    pub fn new(request: &HttpRequest, payload: Payload, max_bytes: u64) -> Result<Self, Broken> {
        let declared = request.headers().get(header::CONTENT_LENGTH);
        let declared = declared.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|bytes| bytes > max_bytes) {
            return Err(Broken::TooLarge { max_bytes });
        }
        Ok(Self { payload, max_bytes, received: 0, patience: Patience(PATIENCE), waiting: None })
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let Poll::Ready(next) = Pin::new(&mut self.payload).poll_next(context) else {
            let Self { waiting, patience, .. } = self;
            let (_, end) = waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(patience.0))));
            return end.as_mut().poll(context).map(|()| Some(Err(Broken::TooSlow)));
        };
        if let Some((since, _)) = self.waiting.take() {
            self.patience.spend(since.elapsed());
        }
        Poll::Ready(match next {
            Some(Ok(chunk)) => {
                self.received += chunk.len() as u64;
                self.patience.earn(chunk.len() as u64);
                let max_bytes = self.max_bytes;
                Some(if self.received > max_bytes { Err(Broken::TooLarge { max_bytes }) } else { Ok(chunk) })
            }
            Some(Err(_)) => Some(Err(Broken::Ended)),
            None => None,
        })
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, Broken>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(context)
    }
}

/// For readers that know the framework's errors only.
impl From<Broken> for PayloadError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLarge { .. } => Self::Overflow,
            Broken::TooSlow => Self::Io(std::io::ErrorKind::TimedOut.into()),
            Broken::Ended => Self::Incomplete(None),
        }
    }
}

/// What is left of the time that a sender may be waited for. Only waiting takes from it: where the server is slow, that
/// is not the sender's fault.
struct Patience(Duration);

impl Patience {
    fn spend(&mut self, waited: Duration) {
        self.0 = self.0.saturating_sub(waited);
    }

    fn earn(&mut self, bytes: u64) {
        let earned = Duration::from_secs_f64(bytes as f64 / BYTES_FOR_A_SECOND as f64);
        self.0 = (self.0 + earned).min(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many chunks of that size, each after a wait, a sender brings before it is left; 1,000 is no end.
    fn lasts(chunk_bytes: u64, wait: Duration) -> usize {
        let mut patience = Patience(PATIENCE);
        (0..1_000)
            .find(|_| {
                let left = patience.0 <= wait;
                patience.spend(wait);
                patience.earn(chunk_bytes);
                left
            })
            .unwrap_or(1_000)
    }

    #[test]
    fn who_trickles_is_left_and_who_sends_a_kibibyte_a_second_is_waited_for() {
        let second = Duration::from_secs(1);
        assert_eq!(lasts(1024, second), 1_000);
        assert_eq!(lasts(8 * 1024, 8 * second), 1_000);
        assert_eq!(lasts(512, second), 18);
        assert_eq!(lasts(1, second), 10);
        assert_eq!(lasts(200 * 1024 * 1024, 10 * second), 0, "much at once does not buy a long silence");
    }
}
