//! Eight DICOM files at once, from the network's chunks to a preview, in a process that does nothing else: the peak of
//! its memory is that of the uploads.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod fixtures;

use std::sync::Arc;

use bytes::Bytes;
use fixtures::{EXPLICIT, image};
use futures_util::future::join_all;
use infirmary_dicom::ImageFileReader;
use infirmary_imaging::{ImageFormat, ImageReader, PreviewSize, PreviewState, ReceiveImage, testing::study_now};
use infirmary_kernel::{
    Objects, Role,
    testing::{TestGate, caller, fresh_id},
};
use infirmary_objects::DiskObjects;

const FILES: usize = 8;
/// The limit holds whatever the size; larger files would only make the test slow.
const FILE_MIB: usize = 5;
const MAX_RISE_KIB: u64 = 16 * 1024;

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_size_of_an_upload() {
    let folder = tempfile::tempdir().unwrap();
    let objects: Arc<dyn Objects> = Arc::new(DiskObjects::open(folder.path()).unwrap());
    let reader: Arc<dyn ImageReader> = Arc::new(ImageFileReader::default());
    let receiving = ReceiveImage { gate: TestGate::default().gate, objects: objects.clone(), reader: reader.clone() };
    let (doctor, study) = (caller(Role::Doctor), study_now(fresh_id(), 0).study);
    let (width, height) = (4_096, FILE_MIB as u16 * 128);
    let head = Bytes::from(image(EXPLICIT, "MONOCHROME2", (width, height), 16, &[]));
    let before = peak_kib();

    let upload = async || {
        let mut intake = receiving.begin(&doctor, Some("application/dicom"), Some("scan.dcm")).await.unwrap();
        intake.write(head.clone()).await.unwrap();
        let pixels = (FILE_MIB * 1024 * 1024) as u32;
        intake.write(Bytes::from([b"\xe0\x7f\x10\x00OW\0\0", &pixels.to_le_bytes()[..]].concat())).await.unwrap();
        let chunk = Bytes::from((0..16_384_u16).flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
        for _ in 0..FILE_MIB * 32 {
            intake.write(chunk.clone()).await.unwrap();
        }
        let received = intake.finish().await.unwrap();
        assert_eq!(received.facts.preview, PreviewState::Available);
        let image = received.keep(fresh_id(), &study, 0).await.unwrap();
        let file = objects.local(&image.object.key).await.unwrap().unwrap();
        reader.preview(file.path(), ImageFormat::Dicom, PreviewSize::LARGEST).await.unwrap()
    };
    join_all((0..FILES).map(|_| upload())).await;

    let rise = peak_kib() - before;
    assert!(rise < MAX_RISE_KIB, "the peak rose by {rise} KiB");
}
