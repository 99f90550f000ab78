use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// One server for all tests of a process, each with a bucket of its own.
pub struct BucketServer {
    pub address: SocketAddr,
    /// The server goes when the input of this is closed: with the process, however that ends.
    _keeper: Child,
}

/// Starts the server and ends it when its own standard input is closed.
const KEEPER: &str = r#""$0" -H 127.0.0.1 -p 0 2>&1 </dev/null & server=$!; cat >/dev/null; kill "$server""#;
const PROGRAM: &str = "moto_server";

impl BucketServer {
    /// `None`, and a line that says why, where there is no such program; a panic where the tests are told to require it.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<BucketServer>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| program().map(Self::start));
        if shared.is_none() {
            let required = std::env::var("INFIRMARY_TEST_REQUIRE").unwrap_or_default();
            let why = "no server of buckets: install the PyPI package moto[server], or name it in \
                       INFIRMARY_TEST_BUCKET_SERVER";
            assert!(!required.split(',').any(|part| part.trim() == "objects"), "{why}");
            eprintln!("skipped: {why}");
        }
        shared.as_ref()
    }

    fn start(program: PathBuf) -> Self {
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(KEEPER).arg(program).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = keeper.spawn().expect("sh");
        let mut lines = BufReader::new(keeper.stdout.take().expect("piped")).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("Running on http://")?;
            rest.trim().parse().ok()
        });
        // It writes a line for each request, and would wait for somebody to read it.
        thread::spawn(move || lines.for_each(drop));
        Self { address: address.expect("a server that tells where it listens"), _keeper: keeper }
    }

    /// A new bucket, by its name. Blocks.
    pub fn bucket(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        // Of letters and digits only: the client of Google writes all others as %2D and the like, which the server does not read.
        let name = format!("bucket{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.put(&name, &[]);
        name
    }

    /// Puts an object there, as another program would; `path` is the bucket and the key, as in an address. Blocks.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let mut stream = TcpStream::connect(self.address).expect("a server that listens");
        let head = format!(
            "PUT /{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            super::line::SIGNED,
            bytes.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes)).expect("sent");
        let answer = BufReader::new(stream).lines().next().expect("an answer").expect("text");
        assert!(answer.contains(" 200 "), "{answer}");
    }
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("INFIRMARY_TEST_BUCKET_SERVER") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(PROGRAM)).find(|program| program.is_file())
}
