//! Images to upload, made here: no file of a person is in a repository.

use bytes::Bytes;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

/// A grey PNG of about that many bytes, in which 6 of 8 bits of each pixel are noise, as in a radiograph: it has about one
/// pixel a byte.
pub fn png(bytes: usize) -> Bytes {
    let width = (bytes as f64 * 1.2).sqrt() as u32;
    let height = (bytes as f64 / f64::from(width)) as u32;
    let mut noise = 1_u64;
    let pixels: Vec<u8> = (0..width * height)
        .map(|place| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            let slope = place / width * 192 / height;
            slope as u8 + (noise >> 32) as u8 % 64
        })
        .collect();
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(&pixels, width, height, ExtendedColorType::L8).unwrap();
    png.into()
}

/// A DICOM file (PS3.10) of 512 × 512 × 16 bit, uncompressed (Explicit VR Little Endian), with as many frames as make up
/// about that many bytes.
pub fn dicom(bytes: usize) -> Bytes {
    const SIDE: u16 = 512;
    const CT_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
    const INSTANCE: &str = "2.25.1234567890";
    let frame = usize::from(SIDE) * usize::from(SIDE) * 2;
    let frames = bytes / frame;
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    let mut meta = Vec::new();
    long(&mut meta, 0x0002, 0x0001, b"OB", &[0, 1]);
    short(&mut meta, 0x0002, 0x0002, b"UI", CT_IMAGE.as_bytes());
    short(&mut meta, 0x0002, 0x0003, b"UI", INSTANCE.as_bytes());
    short(&mut meta, 0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2.1");
    short(&mut meta, 0x0002, 0x0012, b"UI", b"2.25.1");
    short(&mut file, 0x0002, 0x0000, b"UL", &(meta.len() as u32).to_le_bytes());
    file.extend_from_slice(&meta);
    short(&mut file, 0x0008, 0x0016, b"UI", CT_IMAGE.as_bytes());
    short(&mut file, 0x0008, 0x0018, b"UI", INSTANCE.as_bytes());
    short(&mut file, 0x0008, 0x0020, b"DA", b"20260301");
    short(&mut file, 0x0008, 0x0060, b"CS", b"CT");
    short(&mut file, 0x0010, 0x0010, b"PN", b"Phantom^Wire");
    short(&mut file, 0x0010, 0x0020, b"LO", b"PHANTOM1");
    short(&mut file, 0x0020, 0x000d, b"UI", b"2.25.2");
    short(&mut file, 0x0020, 0x000e, b"UI", b"2.25.3");
    short(&mut file, 0x0028, 0x0002, b"US", &1_u16.to_le_bytes());
    short(&mut file, 0x0028, 0x0004, b"CS", b"MONOCHROME2");
    short(&mut file, 0x0028, 0x0008, b"IS", frames.to_string().as_bytes());
    short(&mut file, 0x0028, 0x0010, b"US", &SIDE.to_le_bytes());
    short(&mut file, 0x0028, 0x0011, b"US", &SIDE.to_le_bytes());
    short(&mut file, 0x0028, 0x0100, b"US", &16_u16.to_le_bytes());
    short(&mut file, 0x0028, 0x0101, b"US", &12_u16.to_le_bytes());
    short(&mut file, 0x0028, 0x0102, b"US", &11_u16.to_le_bytes());
    short(&mut file, 0x0028, 0x0103, b"US", &0_u16.to_le_bytes());
    let pixels: Vec<u8> = (0..frame * frames / 2).flat_map(|place| ((place % 4_096) as u16).to_le_bytes()).collect();
    long(&mut file, 0x7fe0, 0x0010, b"OW", &pixels);
    file.into()
}

/// An element with a length of 16 bits (PS3.5 §7.1.2); values have an even length.
fn short(file: &mut Vec<u8>, group: u16, element: u16, kind: &[u8; 2], value: &[u8]) {
    let padded = value.len() + value.len() % 2;
    tag(file, group, element, kind);
    file.extend_from_slice(&(padded as u16).to_le_bytes());
    pad(file, kind, value);
}

/// And one with a length of 32 bits.
fn long(file: &mut Vec<u8>, group: u16, element: u16, kind: &[u8; 2], value: &[u8]) {
    tag(file, group, element, kind);
    file.extend_from_slice(&[0, 0]);
    file.extend_from_slice(&(value.len() as u32).to_le_bytes());
    file.extend_from_slice(value);
}

fn tag(file: &mut Vec<u8>, group: u16, element: u16, kind: &[u8; 2]) {
    file.extend_from_slice(&group.to_le_bytes());
    file.extend_from_slice(&element.to_le_bytes());
    file.extend_from_slice(kind);
}

fn pad(file: &mut Vec<u8>, kind: &[u8; 2], value: &[u8]) {
    file.extend_from_slice(value);
    if value.len() % 2 == 1 {
        file.push(if kind == b"UI" { 0 } else { b' ' });
    }
}
