//! A DICOM file: its attributes, and its first frame as it is looked at.

use std::{
    fs::File,
    io::{Cursor, Read, Seek, SeekFrom},
};

use dicom_dictionary_std::{tags, uids};
use flate2::read::DeflateDecoder;
use image::metadata::Orientation;
use infirmary_imaging::{DicomAttributes, ImageFacts, PreviewState};

use crate::{
    Refusal,
    frame::{Frame, NoFrame},
    header::{self, Header, Malformed, Source},
    picture::Picture,
    pixels::{Meaning, Photometric, Window, aspect, is_too_large, size},
    shrink::{Shrink, fit},
};

/// Of a deflated data set, which has to be inflated to be read: enough for an image, and no more than a small file may
/// cost. What is beyond is not read.
const MAX_INFLATED_BYTES: u64 = 32 * 1024 * 1024;

pub struct DicomFile {
    source: Source,
    header: Header,
    frame: Result<Frame, String>,
    inflated_bytes: u64,
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::unreadable(malformed.0)
    }
}

impl DicomFile {
    /// Reads the header and finds the first frame. Decodes nothing.
    pub fn open(file: File) -> Result<Self, Refusal> {
        let mut source = Source::new(Box::new(file.try_clone()?))?;
        let transfer_syntax = header::read_meta(&mut source)?;
        let mut inflated_bytes = 0;
        let mut whole = true;
        if transfer_syntax == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
            let inflated = inflate(file, source.position())?;
            inflated_bytes = inflated.len() as u64;
            whole = inflated_bytes < MAX_INFLATED_BYTES;
            source = Source::new(Box::new(Cursor::new(inflated)))?;
        }
        let header = header::read_data_set(&mut source, transfer_syntax)?;
        let (width, height, _) = size(&header);
        if is_too_large(width, height) {
            return Err(Refusal::too_many_pixels());
        }
        let frame = match Frame::find(&mut source, &header) {
            Ok(frame) => Ok(frame),
            Err(NoFrame::Unsupported(reason)) => Err(reason),
            Err(NoFrame::Malformed(_)) if !whole => Err("it is too large when it is inflated".into()),
            Err(NoFrame::Malformed(malformed)) => return Err(malformed.into()),
        };
        Ok(Self { source, header, frame, inflated_bytes })
    }

    pub fn need_bytes(&self) -> u64 {
        self.inflated_bytes + self.frame.as_ref().map_or(0, Frame::need_bytes)
    }

    pub fn inspect(mut self) -> Result<ImageFacts, Refusal> {
        let (width, height, frames) = size(&self.header);
        let preview = match &self.frame {
            Err(reason) => PreviewState::Unavailable { reason: reason.clone() },
            Ok(frame) => match self.seen(frame) {
                Err(reason) => PreviewState::Unavailable { reason },
                // That its bytes are there is known, and there is nothing about them that could not be shown.
                Ok(()) if !frame.is_compressed() => PreviewState::Available,
                Ok(()) => match frame.rows(&mut self.source, |_| ()) {
                    Ok(()) => PreviewState::Available,
                    Err(NoFrame::Unsupported(reason)) => PreviewState::Unavailable { reason },
                    Err(NoFrame::Malformed(malformed)) => return Err(malformed.into()),
                },
            },
        };
        Ok(ImageFacts { width, height, frames, dicom: Some(attributes(&self.header)), preview })
    }

    fn seen(&self, frame: &Frame) -> Result<(), String> {
        Meaning::of(&self.header, &frame.layout).map(drop)
    }

    pub fn preview(mut self, side: u32) -> Result<Picture, Refusal> {
        let frame = self.frame.map_err(Refusal::Unreadable)?;
        let layout = frame.layout;
        let mut meaning = Meaning::of(&self.header, &layout).map_err(Refusal::Unreadable)?;
        let target = fit(layout.width, layout.height, aspect(&self.header), side);
        let mut shrink = Shrink::new((layout.width, layout.height), target, meaning.channels());
        let mut pixels = Vec::new();
        frame
            .rows(&mut self.source, |row| {
                meaning.apply(row, &mut pixels);
                shrink.push(&pixels);
            })
            .map_err(|error| match error {
                NoFrame::Malformed(malformed) => malformed.into(),
                NoFrame::Unsupported(reason) => Refusal::Unreadable(reason),
            })?;
        let averaged = shrink.finish();
        let samples = match meaning {
            Meaning::Grey { extremes, .. } => {
                let window = Window::of(&self.header, extremes);
                let inverted = layout.photometric == Photometric::Monochrome { inverted: true };
                averaged.into_iter().map(|value| window.grey(value, inverted)).collect()
            }
            Meaning::Palette(_) | Meaning::Colour { .. } => {
                averaged.into_iter().map(|value| value.round() as u8).collect()
            }
        };
        let channels = if matches!(layout.photometric, Photometric::Monochrome { .. }) { 1 } else { 3 };
        Ok(Picture { width: target.0, height: target.1, channels, samples, orientation: Orientation::NoTransforms })
    }
}

fn inflate(mut file: File, start: u64) -> Result<Vec<u8>, Refusal> {
    file.seek(SeekFrom::Start(start))?;
    let mut inflated = Vec::new();
    DeflateDecoder::new(file)
        .take(MAX_INFLATED_BYTES)
        .read_to_end(&mut inflated)
        .map_err(|_| Refusal::unreadable("it cannot be inflated"))?;
    Ok(inflated)
}

fn attributes(header: &Header) -> DicomAttributes {
    let text = |tag| header.text(tag);
    DicomAttributes {
        patient_id: text(tags::PATIENT_ID).and_then(|text| text.try_into().ok()),
        study_uid: text(tags::STUDY_INSTANCE_UID).and_then(|text| text.parse().ok()),
        series_uid: text(tags::SERIES_INSTANCE_UID).and_then(|text| text.parse().ok()),
        instance_uid: text(tags::SOP_INSTANCE_UID).and_then(|text| text.parse().ok()),
        modality: text(tags::MODALITY).and_then(|text| text.parse().ok()),
        body_part: text(tags::BODY_PART_EXAMINED).and_then(|text| text.try_into().ok()),
        study_date: text(tags::STUDY_DATE).and_then(|text| text.parse().ok()),
    }
}
