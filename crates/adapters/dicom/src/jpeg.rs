//! JPEG (ITU-T T.81): baseline and progressive, and lossless as DICOM uses it.
//!
//! `jpeg-decoder` and not the faster one of `image`: it takes a file that is cut off for an error, decodes at an
//! eighth of the size when nobody wants to see the pixels, and knows the lossless process.

use std::{
    io::{BufRead, Read},
    panic::{AssertUnwindSafe, catch_unwind},
};

use infirmary_imaging::MAX_PIXELS;
use jpeg_decoder::{CodingProcess, ColorTransform, Decoder, Error, ImageInfo, PixelFormat};

/// Each is a walk over the whole image, and a few bytes are enough for one: without a limit a small file keeps a core
/// busy for hours.
const MAX_SCANS: u32 = 100;
/// Sixteen scans, more than encoders make, of the largest image.
const MAX_SCANNED_PIXELS: u64 = 16 * MAX_PIXELS;

/// What the markers say.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    pub scans: u32,
    pub jfif: bool,
    /// Whether Adobe's marker says that colours were transformed.
    pub adobe: Option<bool>,
}

/// Walks the markers of the first image; `None` when they make no sense.
pub fn survey(mut reader: impl BufRead) -> Option<Survey> {
    let mut survey = Survey::default();
    let mut byte = || {
        let mut byte = [0];
        reader.read_exact(&mut byte).ok().map(|()| byte[0])
    };
    (byte()? == 0xff && byte()? == 0xd8).then_some(())?;
    loop {
        // Between segments only fill bytes may stand, and within a scan 0xff is followed by 0 or a restart marker.
        while byte()? != 0xff {}
        let marker = loop {
            match byte()? {
                0xff => {}
                marker => break marker,
            }
        };
        match marker {
            0x00 | 0x01 | 0xd0..=0xd7 => {}
            0xd9 => return Some(survey),
            _ => {
                let length = usize::from(u16::from_be_bytes([byte()?, byte()?])).checked_sub(2)?;
                let mut start = [0; 12];
                for at in 0..length {
                    let byte = byte()?;
                    if let Some(place) = start.get_mut(at) {
                        *place = byte;
                    }
                }
                match marker {
                    0xda => survey.scans += 1,
                    0xe0 => survey.jfif |= start.starts_with(b"JFIF\0"),
                    0xee if start.starts_with(b"Adobe") && length >= 12 => survey.adobe = Some(start[11] != 0),
                    _ => {}
                }
                if survey.scans > MAX_SCANS {
                    return Some(survey);
                }
            }
        }
    }
}

impl Survey {
    pub fn has_too_many_scans(&self, info: &ImageInfo) -> bool {
        let pixels = u64::from(info.width) * u64::from(info.height);
        self.scans > MAX_SCANS || u64::from(self.scans) * pixels > MAX_SCANNED_PIXELS
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Samples {
    /// One of 8 bits.
    Grey,
    /// One of up to 16 bits, in the byte order of the machine.
    Deep,
    Rgb,
    Cmyk,
}

pub struct Decoded {
    pub width: u32,
    pub height: u32,
    pub samples: Samples,
    pub bytes: Vec<u8>,
    pub exif: Option<Vec<u8>>,
}

/// How large a JPEG is decoded: in full, or at the smallest of 1, 1/2, 1/4 and 1/8 that is at least so large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Full,
    AtLeast(u32, u32),
}

pub fn read_info(reader: impl Read) -> Result<ImageInfo, String> {
    let mut decoder = Decoder::new(reader);
    decoder.read_info().map_err(|error| reason(&error))?;
    decoder.info().ok_or_else(|| "it has no frame".to_owned())
}

/// What decoding takes, at most.
pub fn need_bytes(info: &ImageInfo, scale: Scale) -> u64 {
    let pixels = u64::from(info.width) * u64::from(info.height);
    let components = match info.pixel_format {
        PixelFormat::L8 | PixelFormat::L16 => 1,
        PixelFormat::RGB24 => 3,
        PixelFormat::CMYK32 => 4,
    };
    match info.coding_process {
        // Planes of 16 bits, and the samples that are made of them.
        CodingProcess::Lossless => pixels * components * 4,
        // Planes, and the samples; and progressive ones keep every coefficient until the last scan.
        process => {
            let shrunk = match scale {
                Scale::Full => 1,
                Scale::AtLeast(width, height) => {
                    let across = u64::from(info.width) / u64::from(width.max(1));
                    let down = u64::from(info.height) / u64::from(height.max(1));
                    let halvings = across.min(down).clamp(1, 8).ilog2();
                    4_u64.pow(halvings)
                }
            };
            let coefficients = if process == CodingProcess::DctProgressive { pixels * components * 2 } else { 0 };
            coefficients + pixels * components * 2 / shrunk
        }
    }
}

pub fn decode(reader: impl Read, colours: Option<ColorTransform>, scale: Scale) -> Result<Decoded, String> {
    let mut decoder = Decoder::new(reader);
    if let Some(colours) = colours {
        decoder.set_color_transform(colours);
    }
    // A damaged file makes the decoder panic in places. That is the file's fault, and is told as such.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        decoder.read_info()?;
        let lossless = decoder.info().is_some_and(|info| info.coding_process == CodingProcess::Lossless);
        if let Scale::AtLeast(width, height) = scale
            && !lossless
        {
            let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX).max(1);
            decoder.scale(side(width), side(height))?;
        }
        decoder.decode()
    }));
    let bytes = decoded.map_err(|_| damaged())?.map_err(|error| reason(&error))?;
    let info = decoder.info().ok_or_else(damaged)?;
    let samples = match info.pixel_format {
        PixelFormat::L8 => Samples::Grey,
        PixelFormat::L16 => Samples::Deep,
        PixelFormat::RGB24 => Samples::Rgb,
        PixelFormat::CMYK32 => Samples::Cmyk,
    };
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    if bytes.len() != width as usize * height as usize * info.pixel_format.pixel_bytes() {
        return Err(damaged());
    }
    Ok(Decoded { width, height, samples, bytes, exif: decoder.exif_data().map(<[u8]>::to_vec) })
}

fn damaged() -> String {
    "it is damaged".to_owned()
}

fn reason(error: &Error) -> String {
    match error {
        Error::Io(_) => "it is cut off".to_owned(),
        Error::Unsupported(feature) => format!("it uses what is not supported: {feature:?}"),
        Error::Format(_) | Error::Internal(_) => damaged(),
    }
}
