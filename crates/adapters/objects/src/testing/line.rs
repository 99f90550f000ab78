use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::BucketServer;

/// A line to the server of buckets that can fail in the ways that lines and services do. Goes when it is dropped.
///
/// It also is what the server lacks: it translates from Google's spelling of the interface, turns strangers away from the
/// list of a bucket, and lets one object be written after the other, since the server looks whether a key is free and
/// takes it in two steps.
pub struct Line {
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    server: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    injected: AtomicUsize,
    requests: AtomicUsize,
    writing: tokio::sync::Mutex<()>,
    /// As if somebody had opened the bucket to the world.
    open: AtomicBool,
}

struct Rule {
    operation: Operation,
    fault: Fault,
    times: usize,
}

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An answer with this status, and nothing happened.
    Status(u16),
    /// It happened, and the answer has this status.
    StatusAfter(u16),
    /// The connection is reset, and nothing happened.
    Reset,
    /// It happened, and the connection is closed without an answer.
    LostAnswer,
    /// No answer, and nothing happened.
    Silence,
    /// It happened, and there is no answer.
    SilenceAfter,
    /// The answer breaks off in the middle of its body.
    ShortRead,
    /// A bit of the body is another.
    Altered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Any,
    Put,
    BeginParts,
    PutPart,
    CompleteParts,
    Abort,
    Get,
    Head,
    List,
    Delete,
}

/// What the server takes for a signed request: it looks at the form, not at the signature.
pub(super) const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIAINFIRMARY/20260101/us-east-1/s3/aws4_request, \
                                 SignedHeaders=host, Signature=0";
const FORBIDDEN: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

impl Line {
    pub async fn to(server: &BucketServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State {
            server: server.address,
            rules: Mutex::default(),
            injected: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            writing: tokio::sync::Mutex::default(),
            open: AtomicBool::new(false),
        });
        let shared = state.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                // A client that went away is no matter of the test's.
                tokio::spawn(async move { state.serve(stream).await.ok() });
            }
        });
        Self { address, state, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests of that kind fail, so many of them.
    pub fn fail(&self, operation: Operation, fault: Fault, times: usize) {
        self.state.rules().push(Rule { operation, fault, times });
    }

    pub fn heal(&self) {
        self.state.rules().clear();
    }

    /// How many faults were injected.
    pub fn injected(&self) -> usize {
        self.state.injected.load(Ordering::Relaxed)
    }

    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// Whether what is written from now on can be read and listed by everybody.
    pub fn open_to_strangers(&self, open: bool) {
        self.state.open.store(open, Ordering::Relaxed);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl State {
    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn fault_for(&self, operation: Operation) -> Option<Fault> {
        let mut rules = self.rules();
        let rule = rules
            .iter_mut()
            .find(|rule| rule.times > 0 && (rule.operation == Operation::Any || rule.operation == operation))?;
        rule.times -= 1;
        self.injected.fetch_add(1, Ordering::Relaxed);
        Some(rule.fault)
    }

    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut request = Message::read(&mut client).await?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let operation = request.operation();
        let fault = self.fault_for(operation);
        match fault {
            Some(Fault::Status(status)) => return client.write_all(&answer(status)).await,
            Some(Fault::Reset) => return reset(client),
            Some(Fault::Silence) => return silence(client).await,
            _ => {}
        }
        let google = request.speaks_google();
        let open = self.open.load(Ordering::Relaxed);
        if operation == Operation::List && request.is_a_strangers() && !open {
            return client.write_all(FORBIDDEN).await;
        }
        request.speak_amazon(open && operation == Operation::Put);
        let writing = if operation == Operation::Put { Some(self.writing.lock().await) } else { None };
        let mut server = TcpStream::connect(self.server).await?;
        server.write_all(&request.bytes()).await?;
        let mut response = Message::read_to_the_end(&mut server).await?;
        drop(writing);
        if google {
            response.speak_google();
        }
        match fault {
            Some(Fault::StatusAfter(status)) => client.write_all(&answer(status)).await,
            Some(Fault::LostAnswer) => Ok(()),
            Some(Fault::SilenceAfter) => silence(client).await,
            Some(Fault::ShortRead) => {
                let whole = response.bytes();
                let missing = response.body.len().div_ceil(2);
                client.write_all(&whole[..whole.len() - missing]).await
            }
            Some(Fault::Altered) => {
                if let Some(byte) = response.body.last_mut() {
                    *byte ^= 1;
                }
                client.write_all(&response.bytes()).await
            }
            _ => client.write_all(&response.bytes()).await,
        }
    }
}

fn answer(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} Injected\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

fn reset(client: TcpStream) -> io::Result<()> {
    client.set_zero_linger()
}

/// Until the client has had enough.
async fn silence(mut client: TcpStream) -> io::Result<()> {
    let mut nothing = [0; 64];
    while client.read(&mut nothing).await? > 0 {}
    Ok(())
}

/// A request or an answer of HTTP/1.1, as far as clients of buckets and this server use it.
struct Message {
    first: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Message {
    async fn head(stream: &mut TcpStream) -> io::Result<(Self, Vec<u8>)> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let rest = bytes.split_off(end + 4);
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok((Self { first, headers, body: Vec::new() }, rest))
    }

    async fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let (mut message, mut body) = Self::head(stream).await?;
        let length = message.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        while body.len() < length {
            if stream.read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        message.body = body;
        Ok(message)
    }

    async fn read_to_the_end(stream: &mut TcpStream) -> io::Result<Self> {
        let (mut message, mut body) = Self::head(stream).await?;
        stream.read_to_end(&mut body).await?;
        message.body = body;
        Ok(message)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.first).into_bytes();
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "connection") {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"connection: close\r\n\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn operation(&self) -> Operation {
        let mut words = self.first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let of_an_object = path.trim_matches('/').contains('/') || path.contains("%2F");
        match method {
            "PUT" if query.contains("partNumber") => Operation::PutPart,
            "PUT" => Operation::Put,
            "POST" if query.contains("uploads") => Operation::BeginParts,
            "POST" if query.contains("uploadId") => Operation::CompleteParts,
            "DELETE" if query.contains("uploadId") => Operation::Abort,
            "DELETE" => Operation::Delete,
            "POST" if query.contains("delete") => Operation::Delete,
            "HEAD" => Operation::Head,
            "GET" if of_an_object => Operation::Get,
            _ => Operation::List,
        }
    }

    fn is_a_strangers(&self) -> bool {
        self.header("authorization").is_none() && !self.first.to_ascii_lowercase().contains("signature=")
    }

    fn speaks_google(&self) -> bool {
        self.header("authorization").is_some_and(|value| value.starts_with("Bearer"))
    }

    fn speak_amazon(&mut self, readable_by_all: bool) {
        for (name, value) in &mut self.headers {
            if name == "authorization" && value.starts_with("Bearer") {
                *value = SIGNED.to_owned();
            } else if name == "x-goog-if-generation-match" && value == "0" {
                (*name, *value) = ("if-none-match".to_owned(), "*".to_owned());
            } else if let Some(rest) = name.strip_prefix("x-goog-") {
                *name = format!("x-amz-{rest}");
            }
        }
        if readable_by_all {
            self.headers.push(("x-amz-acl".to_owned(), "public-read".to_owned()));
        }
    }

    fn speak_google(&mut self) {
        for (name, _) in &mut self.headers {
            if let Some(rest) = name.strip_prefix("x-amz-meta-") {
                *name = format!("x-goog-meta-{rest}");
            }
        }
    }
}
