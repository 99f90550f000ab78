//! Memory does not grow with the size of an upload. In a process of its own, which nothing else allocates in.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{convert::Infallible, fs, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use infirmary_tests::{PASSWORD, TestApp, User, dart::Dart};
use reqwest::{
    Body, Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::json;
use tokio::sync::Mutex;

const UPLOADS_AT_ONCE: usize = 8;
const FRAMES: usize = 200;
const LEGACY_UPLOADS_AT_ONCE: usize = 16;
const LEGACY_FRAMES: usize = 70;
const SIDE_PIXELS: u16 = 512;
const MAX_RISE_KIB: u64 = 32 * 1024;

/// What is measured is of the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// An element in explicit little endian (PS3.5 §7.1.2).
fn element(tag: [u16; 2], vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let mut bytes = [tag[0].to_le_bytes(), tag[1].to_le_bytes()].concat();
    bytes.extend(vr);
    if matches!(vr, b"OW" | b"OB") {
        bytes.extend([0, 0]);
        bytes.extend((value.len() as u32).to_le_bytes());
    } else {
        bytes.extend((value.len() as u16).to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

/// All of a DICOM file of many frames but its pixels.
fn head(frames: usize) -> Vec<u8> {
    let short = u16::to_le_bytes;
    let meta = [
        element([2, 0x02], b"UI", b"1.2.840.10008.5.1.4.1.1.7.3\0"),
        element([2, 0x03], b"UI", b"1.2.3.4.5\0"),
        element([2, 0x10], b"UI", b"1.2.840.10008.1.2.1\0"),
    ]
    .concat();
    let pixels_bytes = frames as u32 * u32::from(SIDE_PIXELS) * u32::from(SIDE_PIXELS) * 2;
    let mut pixels = element([0x7fe0, 0x10], b"OW", b"");
    pixels.truncate(8);
    pixels.extend(pixels_bytes.to_le_bytes());
    [
        vec![0; 128],
        b"DICM".to_vec(),
        element([2, 0x00], b"UL", &(meta.len() as u32).to_le_bytes()),
        meta,
        element([0x08, 0x60], b"CS", b"CT"),
        element([0x20, 0x0d], b"UI", b"1.2.3.4\0"),
        element([0x28, 0x02], b"US", &short(1)),
        element([0x28, 0x04], b"CS", b"MONOCHROME2 "),
        element([0x28, 0x08], b"IS", format!("{frames:<4}").as_bytes()),
        element([0x28, 0x10], b"US", &short(SIDE_PIXELS)),
        element([0x28, 0x11], b"US", &short(SIDE_PIXELS)),
        element([0x28, 0x100], b"US", &short(16)),
        element([0x28, 0x101], b"US", &short(16)),
        element([0x28, 0x102], b"US", &short(15)),
        element([0x28, 0x103], b"US", &short(0)),
        pixels,
    ]
    .concat()
}

fn chunks(frames: usize) -> impl Iterator<Item = Vec<u8>> {
    const CHUNK: &[u8] = &[7; 64 * 1024];
    let chunks = frames * usize::from(SIDE_PIXELS) * usize::from(SIDE_PIXELS) * 2 / CHUNK.len();
    std::iter::once(head(frames)).chain(std::iter::repeat_n(CHUNK, chunks).map(<[u8]>::to_vec))
}

fn streamed(chunks: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Body {
    Body::wrap_stream(futures_util::stream::iter(chunks.map(Ok::<_, Infallible>)))
}

/// A file of 100 MiB that is never anywhere whole.
fn dicom() -> Body {
    streamed(chunks(FRAMES))
}

/// The same file of as many frames as a body of 50 MiB holds in base64, as the replaced system's clients send it.
async fn legacy_upload(app: &TestApp, doctor: &Dart, patient: &str) {
    let mut left = Vec::new();
    let text = chunks(LEGACY_FRAMES).chain(std::iter::once(Vec::new())).map(move |chunk| {
        left.extend_from_slice(&chunk);
        let whole = if chunk.is_empty() { left.len() } else { left.len() / 3 * 3 };
        let text = STANDARD.encode(&left[..whole]).into_bytes();
        left.drain(..whole);
        text
    });
    let rest = json!({"imgName": "scan.dcm", "patientID": patient, "doctorID": doctor.uid, "classification": "CT-Scan",
        "disease": "Pneumonia", "diagnosis": "None", "conditions": "None"});
    let body = std::iter::once(b"{\"image\":\"".to_vec())
        .chain(text)
        .chain(std::iter::once(format!("\",{}", &rest.to_string()[1..]).into_bytes()));
    let nobody = app.nobody();
    let answer = app.send(&nobody, Method::POST, "/api/doctor/uploadIMG", |request| {
        request.header("x-access-token", &doctor.token).header("uid", &doctor.uid).body(streamed(body))
    });
    let answer = answer.await;
    assert_eq!((answer.status, answer.bytes.as_slice()), (StatusCode::OK, b"items added".as_slice()));
}

async fn upload(app: &TestApp, doctor: &User, patient: &str) {
    let study = json!({"patientId": patient, "modality": "CT", "disease": "Pneumonia", "findings": "None"});
    let form = Form::new().text("study", study.to_string()).part("image", Part::stream(dicom()).file_name("a.dcm"));
    let answer = app.send(doctor, Method::POST, "/v1/studies", |request| request.multipart(form)).await;
    let study = answer.expect(StatusCode::CREATED);
    assert_eq!((&study["images"][0]["frames"], &study["images"][0]["hasPreview"]), (&json!(FRAMES), &json!(true)));
    assert!(study["images"][0]["bytes"].as_u64().is_some_and(|bytes| bytes > 100 * 1024 * 1024));
}

/// From `/proc/self/status`.
fn kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_uploads_of_100_mib_at_once_take_less_than_32_mib_of_memory() {
    let _alone = ALONE.lock().await;
    let app = Arc::new(TestApp::start().await);
    let doctor = app.as_doctor().await;
    let patient = app.register_patient("Ada").await["id"].as_str().unwrap().to_owned();
    // One, so that what is loaded once is loaded.
    upload(&app, &doctor, &patient).await;
    let uploads = (0..UPLOADS_AT_ONCE).map(|_| upload(&app, &doctor, &patient));
    measure(futures_util::future::join_all(uploads)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_uploads_of_47_mib_of_base64_at_once_take_less_than_32_mib_of_memory() {
    let _alone = ALONE.lock().await;
    let app = Arc::new(TestApp::start().await);
    let doctor = Dart::new(app.address).sign_in(&app.as_doctor().await.email, PASSWORD).await;
    let patient = app.register_patient("Ada").await["id"].as_str().unwrap().to_owned();
    legacy_upload(&app, &doctor, &patient).await;
    let uploads = (0..LEGACY_UPLOADS_AT_ONCE).map(|_| legacy_upload(&app, &doctor, &patient));
    measure(futures_util::future::join_all(uploads)).await;
}

async fn measure<T>(uploads: impl Future<Output = T>) {
    let before = kib("VmRSS");
    // Forgets the peak there was; see proc_pid_clear_refs(5).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    uploads.await;
    let rise = kib("VmHWM").saturating_sub(before);
    println!("memory rose by {rise} KiB, client and server together");
    assert!(rise < MAX_RISE_KIB, "memory rose by {rise} KiB");
}
