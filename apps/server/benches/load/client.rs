//! A load generator that costs little, since it shares the cores with the server that it measures: one thread, requests
//! made of bytes that are there already, and of an answer only its status and its end looked for.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Not counted: caches fill, connections open, statements are prepared.
const WARM_UP: Duration = Duration::from_millis(750);

/// A request, over and over again: `head` is its head with a body when that is small, `rest` what comes after.
pub struct Request {
    pub head: Vec<u8>,
    pub rest: Vec<Bytes>,
}

impl From<Vec<u8>> for Request {
    fn from(head: Vec<u8>) -> Self {
        Self { head, rest: Vec::new() }
    }
}

pub struct Load {
    pub connections: usize,
    pub duration: Duration,
    pub status: u16,
    /// What may be answered beside it: that the server is busy. Counted apart.
    pub busy: Option<u16>,
}

#[derive(Default)]
pub struct Measured {
    /// Microseconds, sorted.
    latencies: Vec<u32>,
    pub seconds: f64,
    pub refused: usize,
}

impl Measured {
    pub fn of(mut latencies: Vec<u32>, seconds: f64) -> Self {
        latencies.sort_unstable();
        Self { latencies, seconds, refused: 0 }
    }

    pub fn count(&self) -> usize {
        self.latencies.len()
    }

    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }

    /// Milliseconds that this part of the requests took at most.
    pub fn percentile(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * part).round() as usize).map_or(f64::NAN, |us| f64::from(*us) / 1_000.0)
    }
}

impl Load {
    /// `requests` makes a source of requests for each connection, by its number. A source is called before each request
    /// and changes what has to be another (a key, an id).
    pub async fn run<S>(&self, server: SocketAddr, mut requests: impl FnMut(usize) -> (Request, S)) -> Measured
    where
        S: FnMut(&mut Request) + Send + 'static,
    {
        let begin = Instant::now() + WARM_UP;
        let end = begin + self.duration;
        let mut connections = JoinSet::new();
        for number in 0..self.connections {
            let (mut request, mut next) = requests(number);
            let (status, busy) = (self.status, self.busy);
            connections.spawn(async move {
                let mut connection = Connection::open(server).await;
                let (mut latencies, mut refused) = (Vec::with_capacity(1 << 16), 0);
                loop {
                    next(&mut request);
                    let sent = Instant::now();
                    if sent >= end {
                        return (latencies, refused);
                    }
                    let answer = connection.ask(&request).await;
                    let answered = Instant::now();
                    if busy == Some(answer.status) {
                        refused += 1;
                        continue;
                    }
                    answer.expect(status, &request);
                    if sent >= begin && answered <= end {
                        latencies.push(u32::try_from((answered - sent).as_micros()).unwrap_or(u32::MAX));
                    }
                }
            });
        }
        let (latencies, refused): (Vec<_>, Vec<_>) = connections.join_all().await.into_iter().unzip();
        let refused = refused.into_iter().sum();
        Measured { refused, ..Measured::of(latencies.concat(), self.duration.as_secs_f64()) }
    }
}

/// A keep-alive connection of HTTP/1.1.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::with_capacity(64 * 1024) }
    }

    /// The body of the answer, which has to have this status.
    pub async fn send(&mut self, request: &Request, status: u16) -> &[u8] {
        self.ask(request).await.expect(status, request)
    }

    async fn ask(&mut self, request: &Request) -> Answer<'_> {
        self.stream.write_all(&request.head).await.unwrap();
        for part in &request.rest {
            self.stream.write_all(part).await.unwrap();
        }
        self.buffer.clear();
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await;
        };
        let body = content_length(&self.buffer[..head]);
        while self.buffer.len() < head + body {
            self.more().await;
        }
        let status = &self.buffer[b"HTTP/1.1 ".len()..][..3];
        Answer { status: std::str::from_utf8(status).unwrap().parse().unwrap(), head, bytes: &self.buffer }
    }

    async fn more(&mut self) {
        assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "the server closed the connection");
    }
}

struct Answer<'a> {
    status: u16,
    head: usize,
    bytes: &'a [u8],
}

impl<'a> Answer<'a> {
    fn expect(self, status: u16, request: &Request) -> &'a [u8] {
        let text = String::from_utf8_lossy;
        assert_eq!(self.status, status, "{}\nwas answered\n{}", text(&request.head), text(self.bytes));
        &self.bytes[self.head..]
    }
}

fn find(text: &[u8], sought: &[u8]) -> Option<usize> {
    text.windows(sought.len()).position(|window| window == sought)
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let begin = find(head, NAME).expect("an answer says how long it is") + NAME.len();
    head[begin..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'))
}

pub fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: infirmary\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// `more` are further lines of the head.
pub fn post(path: &str, token: Option<&str>, more: &str, body: &str) -> Vec<u8> {
    let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    format!(
        "POST {path} HTTP/1.1\r\nhost: infirmary\r\n{token}content-type: application/json\r\n{more}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
