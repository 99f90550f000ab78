//! What is looked at: few pixels of eight bits, in the order in which they are seen, as a PNG without anything else.

use std::io::Cursor;

use image::{
    DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage,
    codecs::png::{CompressionType, FilterType, PngEncoder},
    metadata::Orientation,
};

use crate::Refusal;

pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// Grey, grey and alpha, RGB or RGBA.
    pub channels: usize,
    pub samples: Vec<u8>,
    pub orientation: Orientation,
}

impl Picture {
    pub fn into_png(self) -> Result<Vec<u8>, Refusal> {
        let Self { width, height, channels, samples, orientation } = self;
        let image = match channels {
            1 => GrayImage::from_raw(width, height, samples).map(DynamicImage::ImageLuma8),
            2 => GrayAlphaImage::from_raw(width, height, samples).map(DynamicImage::ImageLumaA8),
            3 => RgbImage::from_raw(width, height, samples).map(DynamicImage::ImageRgb8),
            _ => RgbaImage::from_raw(width, height, samples).map(DynamicImage::ImageRgba8),
        };
        // Rows that are missing were refused where they were read.
        let mut image = image.ok_or_else(|| Refusal::unreadable("it is cut off"))?;
        image.apply_orientation(orientation);
        let mut png = Cursor::new(Vec::new());
        let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive);
        image.write_with_encoder(encoder).map_err(|_| Refusal::unreadable("its preview could not be written"))?;
        Ok(png.into_inner())
    }
}

/// From EXIF, as it stands in a JPEG or PNG; what cannot be read turns nothing.
pub fn orientation(exif: Option<&[u8]>) -> Orientation {
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}
