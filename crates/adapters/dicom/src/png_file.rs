//! PNG, row by row.

use std::{
    fs::File,
    io::{BufReader, Seek, SeekFrom},
};

use image::metadata::Orientation;
use infirmary_imaging::{ImageFacts, PreviewState};
use png::{ColorType, DecodingError, Limits, Reader, Transformations};

use crate::{
    Refusal,
    picture::{Picture, orientation},
    pixels::is_too_large,
    shrink::{Shrink, fit},
};

/// For what stands beside the pixels.
const MAX_CHUNK_BYTES: usize = 4 * 1024 * 1024;

pub struct PngFile {
    reader: Reader<BufReader<File>>,
    width: u32,
    height: u32,
}

fn refused(error: DecodingError) -> Refusal {
    match error {
        DecodingError::IoError(_) => Refusal::unreadable("it is cut off"),
        DecodingError::LimitsExceeded => Refusal::unreadable("what stands beside its pixels is too large"),
        DecodingError::Format(_) | DecodingError::Parameter(_) => Refusal::unreadable("it is damaged"),
    }
}

impl PngFile {
    pub fn open(mut file: File) -> Result<Self, Refusal> {
        file.seek(SeekFrom::Start(0))?;
        let mut decoder = png::Decoder::new_with_limits(BufReader::new(file), Limits { bytes: MAX_CHUNK_BYTES });
        decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let (width, height) = decoder.read_header_info().map_err(refused)?.size();
        if is_too_large(width, height) {
            return Err(Refusal::too_many_pixels());
        }
        Ok(Self { reader: decoder.read_info().map_err(refused)?, width, height })
    }

    fn channels(&self) -> usize {
        match self.reader.output_color_type().0 {
            ColorType::Grayscale | ColorType::Indexed => 1,
            ColorType::GrayscaleAlpha => 2,
            ColorType::Rgb => 3,
            ColorType::Rgba => 4,
        }
    }

    pub fn need_bytes(&self, preview: bool) -> u64 {
        let beside = MAX_CHUNK_BYTES as u64;
        // Its rows come seven times, each time a few pixels of them.
        let whole = preview && self.reader.info().interlaced;
        if whole { beside + u64::from(self.width) * u64::from(self.height) * self.channels() as u64 } else { beside }
    }

    /// To the last pixel, and to the mark behind it.
    pub fn inspect(mut self) -> Result<ImageFacts, Refusal> {
        while self.reader.next_row().map_err(refused)?.is_some() {}
        self.reader.finish().map_err(refused)?;
        Ok(ImageFacts {
            width: self.width,
            height: self.height,
            frames: 1,
            dicom: None,
            preview: PreviewState::Available,
        })
    }

    pub fn preview(mut self, side: u32) -> Result<Picture, Refusal> {
        let channels = self.channels();
        let turned: Orientation = orientation(self.reader.info().exif_metadata.as_deref());
        let target = fit(self.width, self.height, 1.0, side);
        let mut shrink = Shrink::new((self.width, self.height), target, channels);
        let mut weighted = Vec::new();
        if self.reader.info().interlaced {
            let mut frame = vec![0; self.reader.output_buffer_size().ok_or_else(Refusal::too_many_pixels)?];
            self.reader.next_frame(&mut frame).map_err(refused)?;
            for row in frame.chunks_exact(self.width as usize * channels) {
                weigh(row, channels, &mut weighted);
                shrink.push(&weighted);
            }
        } else {
            while let Some(row) = self.reader.next_row().map_err(refused)? {
                weigh(row.data(), channels, &mut weighted);
                shrink.push(&weighted);
            }
        }
        let samples = unweigh(shrink.finish(), channels);
        Ok(Picture { width: target.0, height: target.1, channels, samples, orientation: turned })
    }
}

/// What cannot be seen has no say in the average of what can.
fn weigh(row: &[u8], channels: usize, weighted: &mut Vec<f32>) {
    weighted.clear();
    if !channels.is_multiple_of(2) {
        weighted.extend(row.iter().map(|sample| f32::from(*sample)));
        return;
    }
    for pixel in row.chunks_exact(channels) {
        let (colours, alpha) = pixel.split_at(channels - 1);
        let alpha = f32::from(alpha[0]);
        weighted.extend(colours.iter().map(|colour| f32::from(*colour) * alpha / 255.0));
        weighted.push(alpha);
    }
}

fn unweigh(mut averaged: Vec<f32>, channels: usize) -> Vec<u8> {
    if channels.is_multiple_of(2) {
        for pixel in averaged.chunks_exact_mut(channels) {
            let (colours, alpha) = pixel.split_at_mut(channels - 1);
            if alpha[0] > 0.0 {
                colours.iter_mut().for_each(|colour| *colour *= 255.0 / alpha[0]);
            }
        }
    }
    averaged.into_iter().map(|sample| sample.round() as u8).collect()
}
