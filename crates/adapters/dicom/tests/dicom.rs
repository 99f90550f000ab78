//! Real DICOM files, damaged ones, and ones made for one rule of the standard each. Values are those that pydicom 3.0
//! gives for the same files.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod fixtures;

use dicom_core::Tag;
use fixtures::{EXPLICIT, RLE, bytes, element, file, fixture, fragments, image, meta, pixels, short, text};
use image::RgbImage;
use infirmary_dicom::ImageFileReader;
use infirmary_imaging::{ImageFacts, ImageFormat, ImageReader, PreviewSize, PreviewState, ReadError};

async fn inspect(bytes: &[u8]) -> Result<ImageFacts, ReadError> {
    ImageFileReader::default().inspect(file(bytes).path(), ImageFormat::Dicom).await
}

async fn preview_at(bytes: &[u8], size: u32) -> RgbImage {
    let size = PreviewSize::at_least(size).unwrap();
    let png = ImageFileReader::default().preview(file(bytes).path(), ImageFormat::Dicom, size).await.unwrap();
    image::load_from_memory(&png).unwrap().into_rgb8()
}

async fn preview(bytes: &[u8]) -> RgbImage {
    preview_at(bytes, 1024).await
}

/// The grey of each pixel.
async fn greys(bytes: &[u8]) -> Vec<u8> {
    preview(bytes).await.pixels().map(|pixel| pixel.0[0]).collect()
}

fn unreadable(result: Result<ImageFacts, ReadError>) -> String {
    match result {
        Err(ReadError::Unreadable { reason }) => reason,
        other => panic!("is read: {other:?}"),
    }
}

fn unavailable(facts: ImageFacts) -> String {
    match facts.preview {
        PreviewState::Unavailable { reason } => reason,
        PreviewState::Available => panic!("has a preview"),
    }
}

#[tokio::test]
async fn real_files_are_what_they_are() {
    let files = [
        ("CT_small", (128, 128, 1), ""),
        ("CT_small_jpeg_lossless", (128, 128, 1), ""),
        ("MR_small", (64, 64, 1), ""),
        ("MR_small_RLE", (64, 64, 1), ""),
        ("MR_small_bigendian", (64, 64, 1), ""),
        ("MR_small_implicit", (64, 64, 1), ""),
        ("MR_small_jp2klossless", (64, 64, 1), "its transfer syntax is not supported: JPEG 2000"),
        ("JPGExtended", (256, 1024, 1), "of its compressed frame: it uses what is not supported: SamplePrecision(12)"),
        ("SC_rgb_jpeg_dcmtk", (100, 100, 1), ""),
        ("SC_rgb_jpeg_no_marker", (100, 100, 1), ""),
        ("SC_rgb_jpeg", (256, 256, 1), ""),
        ("SC_rgb_jpeg_gdcm", (100, 100, 1), ""),
        ("SC_rgb_rle_16bit_2frame", (100, 100, 2), ""),
        ("SC_rgb_small_odd_big_endian", (3, 3, 1), ""),
        ("ExplVR_BigEnd", (80, 60, 1), ""),
        ("SC_ybr_full_422_uncompressed", (100, 100, 1), ""),
        ("image_dfl", (512, 512, 1), ""),
        ("examples_palette", (800, 350, 1), ""),
        ("examples_ybr_color", (320, 240, 30), ""),
        ("liver_1frame", (512, 512, 1), ""),
        ("rtdose_rle", (10, 10, 15), ""),
        ("UN_sequence", (0, 0, 1), "the file holds no pixels"),
        ("test-SR", (0, 0, 1), "the file holds no pixels"),
    ];
    for (name, size, why_no_preview) in files {
        let facts = inspect(&bytes(&format!("dicom/{name}.dcm"))).await.unwrap();
        assert_eq!((facts.width, facts.height, facts.frames), size, "{name}");
        let reason = match facts.preview {
            PreviewState::Available => String::new(),
            PreviewState::Unavailable { reason } => reason,
        };
        assert_eq!(reason, why_no_preview, "{name}");
    }
}

#[tokio::test]
async fn a_file_says_whose_it_is() {
    let dicom = inspect(&bytes("dicom/CT_small.dcm")).await.unwrap().dicom.unwrap();
    assert_eq!(dicom.patient_id.unwrap().as_str(), "1CT1");
    assert_eq!(dicom.study_uid.unwrap().as_str(), "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322");
    assert_eq!(dicom.series_uid.unwrap().as_str(), "1.3.6.1.4.1.5962.1.3.1.1.20040119072730.12322");
    assert_eq!(dicom.instance_uid.unwrap().as_str(), "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322");
    assert_eq!(dicom.modality.unwrap().as_str(), "CT");
    assert_eq!(dicom.study_date.unwrap().to_string(), "2004-01-19");
    assert_eq!(dicom.body_part, None);

    let dicom = inspect(&bytes("dicom/JPGExtended.dcm")).await.unwrap().dicom.unwrap();
    assert_eq!(dicom.body_part.unwrap().as_str(), "WHOLE BODY");
    let dicom = inspect(&bytes("dicom/ExplVR_BigEnd.dcm")).await.unwrap().dicom.unwrap();
    assert_eq!(dicom.study_date.unwrap().to_string(), "1997-04-24");
}

#[tokio::test]
async fn text_is_in_the_character_set_that_the_file_names() {
    let mut file = meta(EXPLICIT);
    file.extend(text(Tag(0x0008, 0x0005), "CS", "ISO_IR 127"));
    file.extend(element(Tag(0x0010, 0x0020), "LO", b"\xd9\xe4\xea 1"));
    let dicom = inspect(&file).await.unwrap().dicom.unwrap();
    assert_eq!(dicom.patient_id.unwrap().as_str(), "علي 1");
}

#[tokio::test]
async fn pixels_are_windowed_as_the_standard_has_it() {
    let mr = preview(&bytes("dicom/MR_small.dcm")).await;
    for ((x, y), grey) in [((0, 0), 176), ((20, 10), 82), ((40, 30), 244), ((63, 63), 169), ((60, 5), 66)] {
        assert_eq!(mr.get_pixel(x, y).0, [grey; 3], "MR at {x}, {y}");
    }
    // Without a window: from the least to the most, in Hounsfield units.
    let ct = preview(&bytes("dicom/CT_small.dcm")).await;
    for ((x, y), grey) in [((0, 0), 6), ((64, 64), 222), ((20, 100), 113), ((70, 30), 139), ((127, 127), 97)] {
        assert_eq!(ct.get_pixel(x, y).0, [grey; 3], "CT at {x}, {y}");
    }
}

#[tokio::test]
async fn an_image_looks_the_same_in_every_transfer_syntax() {
    let mr = preview(&bytes("dicom/MR_small.dcm")).await;
    for name in ["MR_small_implicit", "MR_small_bigendian", "MR_small_RLE"] {
        assert!(preview(&bytes(&format!("dicom/{name}.dcm"))).await == mr, "{name}");
    }
    let ct = preview(&bytes("dicom/CT_small.dcm")).await;
    assert!(preview(&bytes("dicom/CT_small_jpeg_lossless.dcm")).await == ct);
}

#[tokio::test]
async fn colours_are_right_however_they_are_written() {
    for name in [
        "SC_rgb_jpeg_dcmtk",
        "SC_rgb_jpeg_no_marker",
        "SC_rgb_jpeg_gdcm",
        "SC_rgb_rle_16bit_2frame",
        "SC_ybr_full_422_uncompressed",
    ] {
        let seen = preview(&bytes(&format!("dicom/{name}.dcm"))).await;
        for ((x, y), colour) in
            [((50, 5), [255, 0, 0]), ((50, 25), [0, 255, 0]), ((50, 45), [0, 0, 255]), ((20, 15), [255, 128, 128])]
        {
            let near =
                seen.get_pixel(x, y).0.iter().zip(colour).all(|(seen, wanted): (&u8, u8)| seen.abs_diff(wanted) <= 5);
            assert!(near, "{name} at {x}, {y}: {:?}", seen.get_pixel(x, y));
        }
    }
    assert_eq!(preview(&bytes("dicom/ExplVR_BigEnd.dcm")).await.get_pixel(50, 25).0, [255, 255, 0]);
    assert!(preview(&bytes("dicom/SC_rgb_jpeg.dcm")).await.get_pixel(128, 128).0.iter().all(|sample| *sample > 200));
}

#[tokio::test]
async fn a_preview_fits_its_size_and_keeps_the_proportions() {
    let palette = bytes("dicom/examples_palette.dcm");
    for (size, fitted) in [(128, (128, 56)), (256, (256, 112)), (512, (512, 224)), (1024, (800, 350))] {
        assert_eq!(preview_at(&palette, size).await.dimensions(), fitted);
    }
    // Pixels twice as high as wide (row spacing first).
    let mut tall = image(EXPLICIT, "MONOCHROME2", (100, 100), 8, &[]);
    tall.extend(pixels(&[0; 10_000]));
    assert_eq!(preview(&tall).await.dimensions(), (100, 100));
    let spacing = text(Tag(0x0028, 0x0030), "DS", "0.8\\0.4");
    let mut tall = image(EXPLICIT, "MONOCHROME2", (100, 100), 8, &[spacing]);
    tall.extend(pixels(&[0; 10_000]));
    assert_eq!(preview(&tall).await.dimensions(), (50, 100));
}

#[tokio::test]
async fn the_values_of_old_and_rare_layouts_are_right() {
    let grey = |photometric, bits, more: &[Vec<u8>], data: &[u8]| {
        let mut file = image(EXPLICIT, photometric, (4, 1), bits, more);
        file.extend(pixels(data));
        file
    };
    let window = |centre: &str, width: &str| {
        [text(Tag(0x0028, 0x1050), "DS", centre), text(Tag(0x0028, 0x1051), "DS", width)].concat()
    };
    let signed = || short(Tag(0x0028, 0x0103), 1);
    let words = |values: [i16; 4]| values.map(i16::to_le_bytes).concat();

    let plain = grey("MONOCHROME2", 8, &[], &[0, 51, 102, 255]);
    assert_eq!(greys(&plain).await, [0, 51, 102, 255]);
    let inverted = grey("MONOCHROME1", 8, &[], &[0, 51, 102, 255]);
    assert_eq!(greys(&inverted).await, [255, 204, 153, 0]);
    let below_zero = grey("MONOCHROME2", 16, &[signed()], &words([-100, -49, 2, 155]));
    assert_eq!(greys(&below_zero).await, [0, 51, 102, 255]);

    // 12 bits of 16, the uppermost four used for something else.
    let stored = || [short(Tag(0x0028, 0x0101), 12), short(Tag(0x0028, 0x0102), 11)].concat();
    let overlaid = grey("MONOCHROME2", 16, &[stored(), window("2048", "4096")], &words([0, 0x7000, 0x0fff, -1]));
    assert_eq!(greys(&overlaid).await, [0, 0, 255, 255]);
    let signed_12 =
        grey("MONOCHROME2", 16, &[stored(), signed(), window("0.5", "256")], &words([0x0f80, 0, 0x7f, 0x7ff]));
    assert_eq!(greys(&signed_12).await, [0, 128, 255, 255]);

    let rescale = [text(Tag(0x0028, 0x1052), "DS", "-1024"), text(Tag(0x0028, 0x1053), "DS", "2")].concat();
    let rescaled = grey("MONOCHROME2", 16, &[window("40", "400"), rescale], &words([432, 482, 532, 632]));
    assert_eq!(greys(&rescaled).await, [0, 64, 128, 255]);

    // Padding says nothing about the window, and is black.
    let padding = [short(Tag(0x0028, 0x0120), 255), short(Tag(0x0028, 0x0121), 250)].concat();
    let padded = grey("MONOCHROME2", 8, &[padding], &[10, 20, 253, 15]);
    assert_eq!(greys(&padded).await, [0, 255, 0, 128]);

    // The values of the first frame, in an enhanced image.
    let voi = element(Tag(0x0028, 0x9132), "SQ", &element_item(&window("100.5", "201")));
    let groups = element(Tag(0x5200, 0x9229), "SQ", &element_item(&voi));
    let enhanced = grey("MONOCHROME2", 8, &[groups], &[0, 100, 200, 255]);
    assert_eq!(greys(&enhanced).await, [0, 128, 255, 255]);

    let flat = grey("MONOCHROME2", 8, &[], &[7; 4]);
    assert_eq!(greys(&flat).await, [0; 4]);
}

fn element_item(content: &[u8]) -> Vec<u8> {
    [&[0xfe, 0xff, 0x00, 0xe0][..], &(content.len() as u32).to_le_bytes(), content].concat()
}

#[tokio::test]
async fn a_file_that_is_cut_off_anywhere_is_refused() {
    assert_eq!(unreadable(inspect(&bytes("dicom/MR_truncated.dcm")).await), "it is cut off");
    // Behind the pixels: other elements, or the mark of the end, which some leave out.
    for (name, behind) in [("MR_small", 138), ("MR_small_RLE", 146), ("SC_rgb_jpeg_dcmtk", 8)] {
        let whole = bytes(&format!("dicom/{name}.dcm"));
        // Where the rows are named, it is known to be an image; in front of them, a file may end after any element.
        let rows = whole.windows(6).position(|bytes| bytes == b"\x28\x00\x10\x00US").unwrap();
        let pixels = whole.windows(4).rposition(|bytes| bytes == b"\xe0\x7f\x10\x00").unwrap();
        let end = whole.len() - behind;
        for length in (rows + 10..end).step_by(if cfg!(debug_assertions) { 97 } else { 7 }).chain([pixels, end - 1]) {
            unreadable(inspect(&whole[..length]).await);
        }
    }
    let whole = bytes("dicom/MR_small.dcm");
    for length in [0, 1, 127, 131, 132, 133, 139, 150] {
        unreadable(inspect(&whole[..length]).await);
    }
}

#[tokio::test]
async fn a_preamble_of_another_file_is_refused() {
    let mut disguised = bytes("dicom/MR_small.dcm");
    disguised[..2].copy_from_slice(b"MZ");
    assert_eq!(unreadable(inspect(&disguised).await), "it does not begin as DICOM Part 10 does");
}

#[tokio::test]
async fn a_header_that_lies_costs_nothing() {
    let mut wide = image(EXPLICIT, "MONOCHROME2", (65_535, 65_535), 16, &[]);
    wide.extend(pixels(&[0; 8]));
    assert!(unreadable(inspect(&wide).await).contains("16,384"));
    let mut large = image(EXPLICIT, "MONOCHROME2", (16_384, 16_384), 8, &[]);
    large.extend(pixels(&[0; 8]));
    assert!(unreadable(inspect(&large).await).contains("100 million"));
    let mut few = image(EXPLICIT, "MONOCHROME2", (1_000, 1_000), 16, &[]);
    few.extend(pixels(&[0; 8]));
    assert_eq!(unreadable(inspect(&few).await), "it has fewer pixels than it says");

    let mut long = meta(EXPLICIT);
    long.extend(b"\x09\x00\x01\x10UN\0\0\xfe\xff\xff\xff");
    assert_eq!(unreadable(inspect(&long).await), "it is cut off");

    // A sequence in a sequence in a sequence.
    let mut deep = meta(EXPLICIT);
    for _ in 0..100_000 {
        deep.extend(b"\x09\x00\x01\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff");
    }
    assert_eq!(unreadable(inspect(&deep).await), "its sequences are nested too deeply");

    let mut many = meta(EXPLICIT);
    many.extend(short(Tag(0x0009, 0x1001), 0).repeat(1_000_001));
    assert_eq!(unreadable(inspect(&many).await), "its header has too many elements");

    assert_eq!(unreadable(inspect(&[meta(EXPLICIT), vec![0; 1_000]].concat()).await), "its header is damaged");
}

#[tokio::test]
async fn a_frame_that_is_damaged_leaves_the_file_and_no_preview() {
    let mut lying = image(RLE, "MONOCHROME2", (64, 64), 8, &[]);
    lying.extend(fragments(&[&[0xff; 100]]));
    assert_eq!(unavailable(inspect(&lying).await.unwrap()), "its compressed frame is damaged");

    let mut short_of_rows = image(RLE, "MONOCHROME2", (64, 64), 8, &[]);
    let segment = [&1_u32.to_le_bytes()[..], &64_u32.to_le_bytes(), &[0; 56], &[0x81, 7, 0x81, 7]].concat();
    short_of_rows.extend(fragments(&[&segment]));
    assert_eq!(unavailable(inspect(&short_of_rows).await.unwrap()), "its compressed frame is damaged");

    // Every byte of a JPEG in turn: whatever the decoder does, the server goes on.
    let whole = bytes("dicom/SC_rgb_jpeg_dcmtk.dcm");
    let start = whole.windows(3).position(|bytes| bytes == b"\xff\xd8\xff").unwrap();
    for place in (start..whole.len() - 8).step_by(if cfg!(debug_assertions) { 61 } else { 3 }) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0xff;
        inspect(&damaged).await.unwrap();
    }
}

#[tokio::test]
async fn a_jpeg_of_another_size_than_the_header_says_has_no_preview() {
    let mut jpeg = bytes("images/progressive.jpg");
    if jpeg.len() % 2 == 1 {
        jpeg.push(0);
    }
    let baseline = "1.2.840.10008.1.2.4.50";
    let mut wrong = image(baseline, "RGB", (64, 64), 8, &[]);
    wrong.extend(fragments(&[&jpeg]));
    assert!(unavailable(inspect(&wrong).await.unwrap()).contains("another size"));
    // In two fragments, which the image does not care about.
    let mut right = image(baseline, "YBR_FULL_422", (200, 300), 8, &[]);
    right.extend(fragments(&[&jpeg[..500], &jpeg[500..]]));
    assert_eq!(inspect(&right).await.unwrap().preview, PreviewState::Available);
    let seen = preview(&right).await;
    assert!(seen.get_pixel(100, 50).0[0] > 180 && seen.get_pixel(100, 250).0[2] > 180);
}

#[tokio::test]
async fn what_stands_in_front_of_the_pixels_is_skipped_and_not_read() {
    let private = element(Tag(0x0029, 0x1001), "OB", &vec![0x55; 5_000_000]);
    let mut file = image(EXPLICIT, "MONOCHROME2", (2, 1), 8, &[private]);
    file.extend(pixels(&[0, 255]));
    assert_eq!(greys(&file).await, [0, 255]);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_the_clients_fault() {
    let absent = ImageFileReader::default().inspect(&fixture("absent.dcm"), ImageFormat::Dicom).await;
    assert!(matches!(absent, Err(ReadError::Store(_))));
}
