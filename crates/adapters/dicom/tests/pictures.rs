//! PNG and JPEG: whole, turned, cut off, and made to cost.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod fixtures;

use fixtures::{bytes, file};
use image::DynamicImage;
use infirmary_dicom::ImageFileReader;
use infirmary_imaging::{ImageFacts, ImageFormat, ImageReader, PreviewSize, PreviewState, ReadError};

async fn inspect(bytes: &[u8], format: ImageFormat) -> Result<ImageFacts, ReadError> {
    ImageFileReader::default().inspect(file(bytes).path(), format).await
}

async fn preview(bytes: &[u8], format: ImageFormat, size: u32) -> Vec<u8> {
    let size = PreviewSize::at_least(size).unwrap();
    ImageFileReader::default().preview(file(bytes).path(), format, size).await.unwrap().to_vec()
}

fn seen(png: &[u8]) -> DynamicImage {
    image::load_from_memory_with_format(png, image::ImageFormat::Png).unwrap()
}

fn unreadable(result: Result<ImageFacts, ReadError>) -> String {
    match result {
        Err(ReadError::Unreadable { reason }) => reason,
        other => panic!("is read: {other:?}"),
    }
}

/// Of the chunks of a PNG.
fn chunk_names(png: &[u8]) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), &png[8..]);
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        names.push(String::from_utf8(rest[4..8].to_vec()).unwrap());
        rest = &rest[12 + length..];
    }
    names.dedup();
    names
}

/// A PNG by this encoder.
fn png(width: u32, height: u32, colour: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    out
}

#[tokio::test]
async fn pictures_are_what_they_are() {
    for (name, format, size) in [
        ("phantom.png", ImageFormat::Png, (512, 640)),
        ("transparent.png", ImageFormat::Png, (64, 64)),
        ("turned.jpg", ImageFormat::Jpeg, (300, 200)),
        ("progressive.jpg", ImageFormat::Jpeg, (200, 300)),
        ("inks.jpg", ImageFormat::Jpeg, (200, 300)),
    ] {
        let facts = inspect(&bytes(&format!("images/{name}")), format).await.unwrap();
        assert_eq!((facts.width, facts.height, facts.frames), (size.0, size.1, 1), "{name}");
        assert_eq!((facts.dicom, facts.preview), (None, PreviewState::Available), "{name}");
    }
}

#[tokio::test]
async fn a_picture_that_is_cut_off_at_any_byte_is_refused() {
    for (name, format) in [
        ("transparent.png", ImageFormat::Png),
        ("turned.jpg", ImageFormat::Jpeg),
        ("progressive.jpg", ImageFormat::Jpeg),
    ] {
        let whole = bytes(&format!("images/{name}"));
        for length in (0..whole.len() - 1).step_by(if cfg!(debug_assertions) { 13 } else { 1 }) {
            assert!(inspect(&whole[..length], format).await.is_err(), "{name} of {length}");
        }
    }
    let whole = bytes("images/phantom.png");
    assert_eq!(unreadable(inspect(&whole[..whole.len() / 2], ImageFormat::Png).await), "it is cut off");
}

#[tokio::test]
async fn a_png_with_one_wrong_byte_in_its_pixels_is_refused() {
    let mut damaged = bytes("images/phantom.png");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    assert_eq!(unreadable(inspect(&damaged, ImageFormat::Png).await), "it is damaged");
}

#[tokio::test]
async fn a_preview_is_upright_and_says_nothing_but_its_pixels() {
    let turned = bytes("images/turned.jpg");
    assert!(turned.windows(13).any(|bytes| bytes == b"PrivateCamera"));
    let png = preview(&turned, ImageFormat::Jpeg, 1024).await;
    assert_eq!(chunk_names(&png), ["IHDR", "IDAT", "IEND"]);
    let upright = seen(&png).into_rgb8();
    assert_eq!(upright.dimensions(), (200, 300));
    let near = |x, y, colour: [u8; 3]| {
        let pixel = upright.get_pixel(x, y).0;
        assert!(pixel.iter().zip(colour).all(|(seen, wanted)| seen.abs_diff(wanted) < 12), "{x}, {y}: {pixel:?}");
    };
    near(40, 40, [255, 255, 255]);
    near(150, 50, [200, 40, 60]);
    near(100, 280, [30, 40, 200]);
    for name in ["phantom.png", "transparent.png"] {
        assert_eq!(
            chunk_names(&preview(&bytes(&format!("images/{name}")), ImageFormat::Png, 128).await),
            ["IHDR", "IDAT", "IEND"]
        );
    }
}

#[tokio::test]
async fn inks_become_light() {
    let png = preview(&bytes("images/inks.jpg"), ImageFormat::Jpeg, 1024).await;
    let pixel = seen(&png).into_rgb8().get_pixel(150, 50).0;
    assert!(pixel.iter().zip([200, 40, 60]).all(|(seen, wanted): (&u8, u8)| seen.abs_diff(wanted) < 12), "{pixel:?}");
}

#[tokio::test]
async fn a_preview_fits_its_size() {
    for (name, format) in [("phantom.png", ImageFormat::Png), ("turned.jpg", ImageFormat::Jpeg)] {
        for size in [128, 256, 512, 1024] {
            let picture = seen(&preview(&bytes(&format!("images/{name}")), format, size).await);
            let longest = if format == ImageFormat::Png { 640 } else { 300 };
            assert_eq!(picture.width().max(picture.height()), size.min(longest), "{name} in {size}");
        }
    }
}

#[tokio::test]
async fn every_kind_of_png_is_seen() {
    use png::{BitDepth, ColorType};
    for (colour, depth, data, expected) in [
        (ColorType::Grayscale, BitDepth::One, vec![0b0100_0000], [0, 255]),
        (ColorType::Grayscale, BitDepth::Eight, vec![7, 200], [7, 200]),
        (ColorType::Grayscale, BitDepth::Sixteen, vec![7, 99, 200, 99], [7, 200]),
        (ColorType::GrayscaleAlpha, BitDepth::Eight, vec![7, 255, 200, 255], [7, 200]),
        (ColorType::Rgb, BitDepth::Eight, vec![7, 7, 7, 200, 200, 200], [7, 200]),
        (
            ColorType::Rgba,
            BitDepth::Sixteen,
            [7, 0, 7, 0, 7, 0, 255, 255, 200, 0, 200, 0, 200, 0, 255, 255].into(),
            [7, 200],
        ),
    ] {
        let file = png(2, 1, colour, depth, &data);
        inspect(&file, ImageFormat::Png).await.unwrap();
        let picture = seen(&preview(&file, ImageFormat::Png, 128).await).into_luma8();
        assert_eq!(picture.as_raw(), &expected, "{colour:?} {depth:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_seen_has_no_say_in_what_can() {
    // Half of it red, half of it clear green: seen from afar, red that is half clear.
    let pixels: Vec<u8> =
        (0..512 * 512).flat_map(|n| if n % 2 == 0 { [255, 0, 0, 255] } else { [0, 255, 0, 0] }).collect();
    let file = png(512, 512, png::ColorType::Rgba, png::BitDepth::Eight, &pixels);
    let picture = seen(&preview(&file, ImageFormat::Png, 128).await).into_rgba8();
    assert_eq!(picture.get_pixel(64, 64).0, [255, 0, 0, 128]);
}

#[tokio::test]
async fn a_head_that_lies_costs_nothing() {
    // The number of pixels stands in the head, with a checksum that is right.
    for (width, height) in [(16_385, 1), (1, 16_385), (10_001, 10_000), (u32::MAX / 2, u32::MAX / 2)] {
        let mut head = Vec::from(b"IHDR");
        head.extend(width.to_be_bytes());
        head.extend(height.to_be_bytes());
        head.extend([8, 6, 0, 0, 0]);
        let mut file = Vec::from(b"\x89PNG\r\n\x1a\n\0\0\0\x0d");
        file.extend(&head);
        file.extend(crc32(&head).to_be_bytes());
        file.extend([0; 64]);
        assert!(unreadable(inspect(&file, ImageFormat::Png).await).contains("16,384"), "{width}x{height}");
    }
    for name in ["turned.jpg", "progressive.jpg"] {
        let mut file = bytes(&format!("images/{name}"));
        let frame = file.windows(4).position(|bytes| matches!(bytes, [0xff, 0xc0 | 0xc2, 0, 17])).unwrap();
        file[frame + 5..frame + 9].copy_from_slice(&[0x3f, 0xff, 0x3f, 0xff]);
        assert!(unreadable(inspect(&file, ImageFormat::Jpeg).await).contains("100 million"), "{name}");
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[tokio::test]
async fn a_jpeg_of_more_scans_than_anybody_needs_is_refused() {
    let whole = bytes("images/progressive.jpg");
    let scan = whole.windows(2).rposition(|bytes| bytes == [0xff, 0xda]).unwrap();
    let (head, tail) = whole.split_at(scan);
    let scans = tail[..tail.len() - 2].repeat(200);
    let file = [head, &scans, &[0xff, 0xd9]].concat();
    assert_eq!(unreadable(inspect(&file, ImageFormat::Jpeg).await), "it has too many scans");
}

#[tokio::test]
async fn a_file_under_the_name_of_another_is_refused() {
    unreadable(inspect(&bytes("images/phantom.png"), ImageFormat::Jpeg).await);
    unreadable(inspect(&bytes("images/turned.jpg"), ImageFormat::Png).await);
    unreadable(inspect(&bytes("images/turned.jpg"), ImageFormat::Dicom).await);
}
