//! The lines: what is asked, of whom, how often at once.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use infirmary_kernel::{Limit, PageRequest, PatientId};
use infirmary_patients::SearchTerms;
use serde_json::json;

use crate::{
    client::{Connection, Load, Measured, Request, get, post},
    files,
    house::{House, People, SIGNING_IN},
    process::Server,
    table::{Row, Target},
};

pub const NAMES: &[&str] = &[
    "floor",
    "me",
    "find",
    "store",
    "diagnoses",
    "statement",
    "studies",
    "dicom",
    "payments",
    "sign-in",
    "start",
    "idle",
];

const MIB: f64 = 1024.0 * 1024.0;

pub async fn run(line: &str, house: &House) {
    match line {
        "floor" => floor(house).await,
        "me" => me(house).await,
        "find" => find(house).await,
        "store" => store(house).await,
        "diagnoses" => diagnoses(house).await,
        "statement" => statement(house).await,
        "studies" => studies(house).await,
        "dicom" => dicom(house).await,
        "payments" => payments(house).await,
        "sign-in" => sign_in(house).await,
        "start" => start(house).await,
        "idle" => idle(house).await,
        _ => unreachable!("{line} is no line"),
    }
}

fn load(connections: usize, seconds: u64, status: u16) -> Load {
    Load { connections, duration: Duration::from_secs(seconds), status, busy: None }
}

/// The same request each time.
fn same(request: Vec<u8>) -> impl FnMut(usize) -> (Request, fn(&mut Request)) {
    move |_| (request.clone().into(), |_| {})
}

/// A rate, with what it costs the server: processor time is what is left to judge by on a machine that others use.
async fn rate<S: FnMut(&mut Request) + Send + 'static>(
    line: &str,
    server: &Server,
    load: Load,
    requests: impl FnMut(usize) -> (Request, S),
    target: Option<Target>,
    replaced: Option<f64>,
) -> Measured {
    let before = cpu_seconds(server);
    let began = Instant::now();
    let measured = load.run(server.address, requests).await;
    // The warm-up is paid for too.
    let requests = measured.per_second() * began.elapsed().as_secs_f64();
    let cost = (cpu_seconds(server) - before) / requests * 1e6;
    Row {
        line,
        unit: "/s",
        figure: measured.per_second(),
        measured: Some(&measured),
        target,
        replaced,
        note: match measured.count() {
            0 => "none was answered".to_owned(),
            _ => format!("{cost:.0} µs of processor a request"),
        },
    }
    .print();
    measured
}

/// What an answer without any work costs: the framework, the edge, the loopback and the load generator.
async fn floor(house: &House) {
    let server = house.start();
    rate("GET /health/live, 16 connections", &server, load(16, 4, 200), same(get("/health/live", "")), None, None)
        .await;
}

async fn me(house: &House) {
    let server = house.start();
    let people = People::sign_in(server.address).await;
    let asked = same(get("/v1/me", &people.doctor));
    let line = "GET /v1/me, 16 connections";
    let measured = rate(line, &server, load(16, 6, 200), asked, Some(Target::AtLeast(25_000.0)), Some(659.0)).await;
    Row {
        line: "its p99",
        unit: "ms",
        figure: measured.percentile(0.99),
        measured: None,
        target: Some(Target::Under(5.0)),
        replaced: Some(46.0),
        note: String::new(),
    }
    .print();
}

/// The first letters of a word, as somebody types them.
fn prefix(word: &str, letters: usize) -> String {
    word.chars().take(letters).collect()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn find(house: &House) {
    let server = house.start();
    let people = People::sign_in(server.address).await;
    for (limit, target, replaced) in [(10, Some(Target::AtLeast(8_000.0)), Some(297.0)), (50, None, None)] {
        let asked: Arc<[Vec<u8>]> = house
            .words
            .iter()
            .map(|word| get(&format!("/v1/patients?q={}&limit={limit}", encoded(&prefix(word, 4))), &people.doctor))
            .collect();
        let requests = |connection: usize| {
            let (asked, mut next) = (asked.clone(), connection * 101);
            let request = move |request: &mut Request| {
                next = (next + 1) % asked.len();
                request.head.clone_from(&asked[next]);
            };
            (Vec::new().into(), request)
        };
        let line = format!("find by 4 letters among {}, {limit} a page, 16 connections", house.size());
        rate(&line, &server, load(16, 6, 200), requests, target, replaced).await;
    }
}

/// The index itself, without HTTP: one after the other, the worst prefixes too.
async fn store(house: &House) {
    let store = house.store().await;
    let words = || house.words.iter().step_by(3);
    let kinds: [(&str, Vec<String>); 4] = [
        ("1 letter", words().map(|word| prefix(word, 1)).collect()),
        ("3 letters", words().map(|word| prefix(word, 3)).collect()),
        ("two words", words().zip(words().skip(7)).map(|(a, b)| format!("{a} {}", prefix(b, 2))).collect()),
        ("a phone", (0..1_000).map(|number| format!("075{number:03}")).collect()),
    ];
    let page = PageRequest { limit: Limit::new(10).unwrap(), after: None };
    for (kind, texts) in kinds {
        let began = Instant::now();
        let mut latencies = Vec::new();
        for text in &texts {
            let Ok(terms) = SearchTerms::parse(text) else { continue };
            let asked = Instant::now();
            store.search(&terms, None, &page).await.unwrap();
            latencies.push(asked.elapsed().as_micros() as u32);
        }
        let measured = Measured::of(latencies, began.elapsed().as_secs_f64());
        Row {
            line: &format!("find in the store by {kind}, one at a time: p99"),
            unit: "ms",
            figure: measured.percentile(0.99),
            measured: Some(&measured),
            target: Some(Target::Under(5.0)),
            replaced: None,
            note: format!("{} searches, the longest {:.2} ms", measured.count(), measured.percentile(1.0)),
        }
        .print();
    }
}

async fn diagnoses(house: &House) {
    const DIAGNOSES: usize = 20;
    let server = house.start();
    let people = People::sign_in(server.address).await;
    let mut connection = Connection::open(server.address).await;
    let image = files::png(20_000);
    for number in 0..DIAGNOSES {
        let request = study(&people.doctor, house.examined, &format!("diagnosis-{number}"), "image/png", &image);
        connection.send(&request, 201).await;
    }
    let asked = same(get(&format!("/v1/diagnoses?patientId={}", house.examined), &people.doctor));
    let line = "20 diagnoses of a patient, with names and images, 16 connections";
    rate(line, &server, load(16, 6, 200), asked, Some(Target::AtLeast(5_000.0)), Some(104.0)).await;
}

async fn statement(house: &House) {
    let server = house.start();
    let people = People::sign_in(server.address).await;
    let asked = same(get(&format!("/v1/patients/{}/statement", house.billed), &people.accountant));
    let line = "a statement of 20 entries, 16 connections";
    rate(line, &server, load(16, 6, 200), asked, Some(Target::AtLeast(5_000.0)), Some(324.0)).await;
}

const KEY: &str = "idempotency-key: ";

/// A multipart upload; the bytes of the image are shared by all.
fn study(token: &str, patient: PatientId, key: &str, media_type: &str, image: &Bytes) -> Request {
    const BOUNDARY: &str = "----infirmary-load";
    let study = json!({"patientId": patient.to_string(), "modality": "CR", "disease": "none seen", "findings": "none"});
    let before = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"study\"\r\ncontent-type: application/json\r\n\r\n\
         {study}\r\n--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"image\"; filename=\"image\"\r\n\
         content-type: {media_type}\r\n\r\n"
    );
    let after = format!("\r\n--{BOUNDARY}--\r\n");
    let head = format!(
        "POST /v1/studies HTTP/1.1\r\nhost: infirmary\r\nauthorization: Bearer {token}\r\n{KEY}{key}\r\n\
         content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {}\r\n\r\n{before}",
        before.len() + image.len() + after.len()
    );
    Request { head: head.into_bytes(), rest: vec![image.clone(), after.into()] }
}

/// Writes a number over the last digits of the key, so that each request is another one.
fn another(request: &mut Request, key: &AtomicUsize) {
    let begin = find_in(&request.head, KEY) + KEY.len();
    let digits = format!("{:012}", key.fetch_add(1, Ordering::Relaxed));
    request.head[begin..begin + digits.len()].copy_from_slice(digits.as_bytes());
}

fn find_in(text: &[u8], sought: &str) -> usize {
    text.windows(sought.len()).position(|window| window == sought.as_bytes()).unwrap()
}

async fn studies(house: &House) {
    for (megabytes, seconds, target, replaced) in [(1, 8, 120.0, 98.0), (10, 10, 25.0, 14.0)] {
        let server = house.start();
        let people = People::sign_in(server.address).await;
        let image = files::png(megabytes * 1_000_000);
        let key = Arc::new(AtomicUsize::new(megabytes * 1_000_000));
        let requests = |connection: usize| {
            let patient = house.payers[connection];
            let request = study(&people.doctor, patient, "000000000000", "image/png", &image);
            let key = key.clone();
            (request, move |request: &mut Request| another(request, &key))
        };
        let line = format!("POST /v1/studies with a PNG of {:.1} MB, 16 connections", image.len() as f64 / 1e6);
        rate(&line, &server, load(16, seconds, 201), requests, Some(Target::AtLeast(target)), Some(replaced)).await;
        Row {
            line: "peak memory meanwhile",
            unit: "MiB",
            figure: memory(&server, "VmHWM:"),
            measured: None,
            target: Some(Target::Under(150.0)),
            replaced: Some(1_244.0),
            note: String::new(),
        }
        .print();
    }
}

async fn dicom(house: &House) {
    const UPLOADS: usize = 8;
    let server = house.start();
    let people = People::sign_in(server.address).await;
    let image = files::dicom(100_000_000);
    // One upload before, so that what is loaded once is not counted.
    let mut connection = Connection::open(server.address).await;
    let small = files::dicom(1_000_000);
    connection.send(&study(&people.doctor, house.payers[0], "dicom-first", "application/dicom", &small), 201).await;
    // 5 resets the peak (proc(5), clear_refs).
    fs::write(format!("/proc/{}/clear_refs", server.process_id()), "5").unwrap();
    let before = memory(&server, "VmRSS:");
    let began = Instant::now();
    let mut uploads = tokio::task::JoinSet::new();
    for number in 0..UPLOADS {
        let key = format!("dicom-{number}");
        let request = study(&people.doctor, house.payers[number], &key, "application/dicom", &image);
        let address = server.address;
        uploads.spawn(async move {
            Connection::open(address).await.send(&request, 201).await;
        });
    }
    uploads.join_all().await;
    let seconds = began.elapsed().as_secs_f64();
    Row {
        line: "memory that 8 DICOM uploads of 100 MB at once take",
        unit: "MiB",
        figure: memory(&server, "VmHWM:") - before,
        measured: None,
        target: Some(Target::Under(32.0)),
        replaced: None,
        note: format!("{seconds:.1} s, {:.0} MB/s", UPLOADS as f64 * image.len() as f64 / 1e6 / seconds),
    }
    .print();
}

async fn payments(house: &House) {
    let server = house.start();
    let people = People::sign_in(server.address).await;
    let key = Arc::new(AtomicUsize::new(0));
    let requests = |_| {
        let (key, payers, token) = (key.clone(), house.payers.clone(), people.accountant.clone());
        let request = move |request: &mut Request| {
            let number = key.fetch_add(1, Ordering::Relaxed);
            let patient = payers[number % payers.len()].to_string();
            let body = json!({"patientId": patient, "amount": {"amount": 100, "currency": "GBP"}, "method": "cash"});
            request.head = post("/v1/payments", Some(&token), &format!("{KEY}pay-{number}\r\n"), &body.to_string());
        };
        (Vec::new().into(), request)
    };
    let line = "payments, each its own transaction, 64 connections";
    rate(line, &server, load(64, 6, 201), requests, Some(Target::AtLeast(2_000.0)), None).await;
}

async fn sign_in(house: &House) {
    let server = house.start();
    let people = People::sign_in(server.address).await.who_sign_in(server.address).await;
    let asked = || same(get("/v1/me", &people.doctor));
    let alone = rate("GET /v1/me, 4 connections, alone", &server, load(4, 4, 200), asked(), None, None).await;
    let sign_ins = |connection: usize| {
        let head = people.sign_ins[connection].clone();
        (head.into(), |_: &mut Request| {})
    };
    let (asking, signing_in) = (load(4, 6, 200), Load { busy: Some(503), ..load(SIGNING_IN, 6, 200) });
    let (measured, signed_in) =
        tokio::join!(asking.run(server.address, asked()), signing_in.run(server.address, sign_ins));
    Row {
        line: "the same while 4 clients sign in without pause",
        unit: "% of it",
        figure: measured.per_second() / alone.per_second() * 100.0,
        measured: Some(&measured),
        target: Some(Target::AtLeast(50.0)),
        replaced: Some(4.0),
        note: format!(
            "{:.0}/s, beside {:.1} sign-ins/s and {} that were told to come again",
            measured.per_second(),
            signed_in.per_second(),
            signed_in.refused
        ),
    }
    .print();
}

async fn start(house: &House) {
    const STARTS: usize = 11;
    let mut latencies = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let server = house.start();
        Connection::open(server.address).await.send(&get("/health/ready", "").into(), 200).await;
        latencies.push(began.elapsed().as_micros() as u32);
    }
    let measured = Measured::of(latencies, 1.0);
    Row {
        line: &format!("start to the first 200, with {} patients", house.size()),
        unit: "ms",
        figure: measured.percentile(0.5),
        measured: Some(&measured),
        target: Some(Target::Under(150.0)),
        replaced: Some(523.0),
        note: format!("the median of {STARTS} starts after a kill"),
    }
    .print();
}

async fn idle(house: &House) {
    let server = house.start();
    Connection::open(server.address).await.send(&get("/health/ready", "").into(), 200).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    Row {
        line: "memory at rest",
        unit: "MiB",
        figure: memory(&server, "VmRSS:"),
        measured: None,
        target: Some(Target::Under(40.0)),
        replaced: Some(84.0),
        note: "of it the binary itself, as far as it was read: the rest of VmRSS is RssAnon".to_owned()
            + &format!(" {:.1} MiB", memory(&server, "RssAnon:")),
    }
    .print();
}

/// Of a line of `/proc/PID/status`, in MiB.
fn memory(server: &Server, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process_id())).unwrap();
    let value = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    let kib: f64 = value.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    kib * 1024.0 / MIB
}

/// Processor time that the server has used, of `/proc/PID/stat`.
fn cpu_seconds(server: &Server) -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.process_id())).unwrap();
    let after_name = stat.rsplit(") ").next().unwrap();
    let ticks: f64 = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks / TICKS_A_SECOND
}
