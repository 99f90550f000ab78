//! A JPEG file.

use std::{
    fs::File,
    io::{BufReader, Seek, SeekFrom},
};

use infirmary_imaging::{ImageFacts, PreviewState};
use jpeg_decoder::ImageInfo;

use crate::{
    Refusal,
    jpeg::{self, Samples, Scale},
    picture::{Picture, orientation},
    pixels::is_too_large,
    shrink::{Shrink, fit},
};

pub struct JpegFile {
    file: File,
    info: ImageInfo,
}

impl JpegFile {
    pub fn open(file: File) -> Result<Self, Refusal> {
        let info = jpeg::read_info(Self::from_start(&file)?).map_err(Refusal::Unreadable)?;
        if is_too_large(info.width.into(), info.height.into()) {
            return Err(Refusal::too_many_pixels());
        }
        Ok(Self { file, info })
    }

    fn from_start(mut file: &File) -> Result<BufReader<&File>, Refusal> {
        file.seek(SeekFrom::Start(0))?;
        Ok(BufReader::with_capacity(64 * 1024, file))
    }

    fn scale(&self, side: Option<u32>) -> Scale {
        // Without a side, to see whether it can be decoded: the entropy-coded data is read to its end at any scale.
        let (width, height) =
            side.map_or((1, 1), |side| fit(self.info.width.into(), self.info.height.into(), 1.0, side));
        Scale::AtLeast(width, height)
    }

    pub fn need_bytes(&self, side: Option<u32>) -> u64 {
        jpeg::need_bytes(&self.info, self.scale(side))
    }

    pub fn inspect(self) -> Result<ImageFacts, Refusal> {
        let survey = jpeg::survey(Self::from_start(&self.file)?).ok_or_else(|| Refusal::unreadable("it is cut off"))?;
        if survey.has_too_many_scans(&self.info) {
            return Err(Refusal::unreadable("it has too many scans"));
        }
        jpeg::decode(Self::from_start(&self.file)?, None, self.scale(None)).map_err(Refusal::Unreadable)?;
        Ok(ImageFacts {
            width: self.info.width.into(),
            height: self.info.height.into(),
            frames: 1,
            dicom: None,
            preview: PreviewState::Available,
        })
    }

    pub fn preview(self, side: u32) -> Result<Picture, Refusal> {
        let target = fit(self.info.width.into(), self.info.height.into(), 1.0, side);
        let decoded =
            jpeg::decode(Self::from_start(&self.file)?, None, self.scale(Some(side))).map_err(Refusal::Unreadable)?;
        let channels = if decoded.samples == Samples::Grey { 1 } else { 3 };
        // A decoder that scales may round a side down by a pixel.
        let target = (target.0.min(decoded.width), target.1.min(decoded.height));
        let mut shrink = Shrink::new((decoded.width, decoded.height), target, channels);
        let mut row = Vec::new();
        let row_bytes = decoded.bytes.len() / decoded.height as usize;
        for bytes in decoded.bytes.chunks_exact(row_bytes) {
            row.clear();
            match decoded.samples {
                Samples::Grey | Samples::Rgb => row.extend(bytes.iter().map(|sample| f32::from(*sample))),
                Samples::Cmyk => row.extend(bytes.chunks_exact(4).flat_map(|ink| {
                    let light = |ink: u8| f32::from(255 - ink);
                    [ink[0], ink[1], ink[2]].map(|colour| light(colour) * light(ink[3]) / 255.0)
                })),
                Samples::Deep => return Err(Refusal::unreadable("its samples are not supported")),
            }
            shrink.push(&row);
        }
        let samples = shrink.finish().into_iter().map(|sample| sample.round() as u8).collect();
        let orientation = orientation(decoded.exif.as_deref());
        Ok(Picture { width: target.0, height: target.1, channels, samples, orientation })
    }
}
