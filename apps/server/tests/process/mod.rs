//! The real binary, started as an operator starts it: another process, with a folder of its own and a port of the
//! system's choice.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::JoinHandle,
};

/// A server that listens. Dropped, it is killed: nobody waits for its grace.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: Option<JoinHandle<()>>,
}

impl Server {
    /// With settings beside the defaults. Returns when it listens. What it warns of is written to the standard error of this
    /// process.
    pub fn start(data_dir: &Path, settings: &[(&str, String)]) -> Self {
        let mut child = command(data_dir, settings, ["serve"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| match address(&line) {
                None => {
                    eprintln!("{line}");
                    None
                }
                found => found,
            })
            .expect("it says where it listens");
        // Read to its end: a server whose log nobody reads stands still when the pipe is full.
        let log = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok).filter(|line| !line.contains(r#""level":"INFO""#)) {
                eprintln!("{line}");
            }
        });
        Self { child, address, log: Some(log) }
    }

    #[allow(dead_code, reason = "not every target that shares this file asks by address")]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    #[allow(dead_code, reason = "not every target that shares this file looks into /proc")]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    /// SIGKILL: at this instant, whatever it is doing.
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        if let Some(log) = self.log.take() {
            log.join().unwrap();
        }
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    let entry: serde_json::Value = serde_json::from_str(line).ok()?;
    (entry["fields"]["message"] == "serving").then(|| entry["fields"]["address"].as_str().unwrap().parse().unwrap())
}

/// Runs the binary to its end, with a text on its standard input.
pub fn run<'a>(
    data_dir: &Path,
    settings: &[(&str, String)],
    arguments: impl IntoIterator<Item = &'a str>,
    input: &str,
) -> Output {
    let mut child = command(data_dir, settings, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn command<S: AsRef<OsStr>>(
    data_dir: &Path,
    settings: &[(&str, String)],
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infirmary"));
    // Settings of who runs this are not those of the server that is tried.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("INFIRMARY_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .current_dir(data_dir)
        .env("INFIRMARY_DATA_DIR", data_dir.join("data"))
        .env("INFIRMARY_LISTEN", "127.0.0.1:0")
        .env("INFIRMARY_LOG", "info")
        .env("INFIRMARY_LOG_FORMAT", "json")
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    command
}
