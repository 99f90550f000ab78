//! PNG and JPEG: what it is told for by its first bytes, its head, and its pixels up to the preview.

use bytes::Bytes;
use infirmary_dicom::ImageFileReader;
use infirmary_imaging::{ImageFormat, ImageReader, PreviewSize, PreviewState, ReadError, Sniffed, recognise, sniff};

use super::{RUNTIME, file, plain};
use crate::{corpus::fixtures, harness::Target};

const MAX_BYTES: usize = 16 * 1024;

pub const TARGET: Target = Target {
    name: "image",
    run,
    seeds: || [fixtures("images", "png", MAX_BYTES), fixtures("images", "jpg", MAX_BYTES)].concat(),
    words: &[
        b"\x89PNG\r\n\x1a\n",
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"PLTE",
        b"tRNS",
        b"eXIf",
        b"acTL",
        b"fcTL",
        b"\xff\xd8\xff",
        b"\xff\xc0\0\x11\x08",
        b"\xff\xc2",
        b"\xff\xc4",
        b"\xff\xda",
        b"\xff\xdd\0\x04\0\x01",
        b"\xff\xe1\0\x10Exif\0\0",
        b"\xff\xd9",
        b"\x40\0",
        b"\x3f\xff",
    ],
    max_bytes: MAX_BYTES,
    // An interlaced PNG of 100 megapixels alone, as it waits until it is.
    max_mib: 512,
    changes: 250,
};

fn run(input: &[u8]) -> String {
    let format = match sniff(input) {
        Sniffed::Png => ImageFormat::Png,
        Sniffed::Jpeg => ImageFormat::Jpeg,
        other => {
            assert!(other == Sniffed::Dicom || recognise(input, None, None).is_err());
            return format!("{other:?}");
        }
    };
    assert_eq!(recognise(input, None, None).unwrap(), format);
    assert!(recognise(input, Some("text/html"), None).is_err() && recognise(input, None, Some("a.html")).is_err());
    read(input, format)
}

/// What the server reads of an uploaded image, and the smallest preview of it.
pub fn read(input: &[u8], format: ImageFormat) -> String {
    let (reader, path) = (ImageFileReader::default(), file(input));
    let facts = match RUNTIME.block_on(reader.inspect(&path, format)) {
        Ok(facts) => facts,
        Err(ReadError::Unreadable { reason }) => {
            return format!("{format:?}: {}", plain(&reason));
        }
        Err(ReadError::Store(error)) => panic!("a file that is there is not to be had: {error}"),
    };
    assert!(facts.width <= 16_384 && facts.height <= 16_384, "{facts:?}");
    assert!(u64::from(facts.width) * u64::from(facts.height) <= 100_000_000, "{facts:?}");
    let size = PreviewSize::ALL[0];
    let preview = RUNTIME.block_on(reader.preview(&path, format, size));
    let shown = match (&facts.preview, preview) {
        (PreviewState::Available, Ok(png)) => {
            check(&png, size);
            "has a preview".to_owned()
        }
        (PreviewState::Available, Err(error)) => panic!("was said to have a preview: {error:?}"),
        (PreviewState::Unavailable { reason }, _) => plain(reason),
    };
    let dicom =
        facts.dicom.map(|dicom| (dicom.study_uid.is_some(), dicom.modality.is_some(), dicom.patient_id.is_some()));
    format!("{format:?}: {shown}, {} frames, {dicom:?}", facts.frames.min(3))
}

/// That it is as small as was asked for, and has pixels in it and nothing else.
fn check(png: &Bytes, size: PreviewSize) {
    let mut rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n").expect("a preview is a PNG");
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().unwrap();
        let (kind, after) = after.split_first_chunk::<4>().unwrap();
        let (content, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        assert!(matches!(kind, b"IHDR" | b"IDAT" | b"IEND"), "{kind:?}");
        if kind == b"IHDR" {
            for side in content[..8].as_chunks::<4>().0 {
                assert!((1..=size.pixels()).contains(&u32::from_be_bytes(*side)));
            }
        }
        rest = &after[4..];
    }
}
