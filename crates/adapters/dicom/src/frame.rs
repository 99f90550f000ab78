//! The first frame of a DICOM file, row by row.

use std::io::{self, Read};

use dicom_dictionary_std::uids;
use jpeg_decoder::ColorTransform;

use crate::{
    header::{Header, Malformed, PixelData, Source},
    jpeg::{self, Decoded, Samples, Scale},
    pixels::{Layout, Photometric, Reason, shown},
    rle,
};

/// Of a compressed frame that has to be in memory to be decoded.
const MAX_PACKED_BYTES: u64 = 64 * 1024 * 1024;

/// Why there is no frame.
#[derive(Debug, PartialEq, Eq)]
pub enum NoFrame {
    /// The file is not whole.
    Malformed(Malformed),
    /// The file is, and its frame is not one that is decoded here.
    Unsupported(Reason),
}

impl From<Malformed> for NoFrame {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

fn unsupported(reason: impl Into<Reason>) -> NoFrame {
    NoFrame::Unsupported(reason.into())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Rle,
    Jpeg,
}

fn compression(transfer_syntax: &str) -> Result<Option<Compression>, Reason> {
    match transfer_syntax {
        #[expect(deprecated, reason = "retired, and still in archives")]
        uids::IMPLICIT_VR_LITTLE_ENDIAN
        | uids::EXPLICIT_VR_LITTLE_ENDIAN
        | uids::EXPLICIT_VR_BIG_ENDIAN
        | uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => Ok(None),
        uids::RLE_LOSSLESS => Ok(Some(Compression::Rle)),
        uids::JPEG_BASELINE8_BIT | uids::JPEG_EXTENDED12_BIT | uids::JPEG_LOSSLESS | uids::JPEG_LOSSLESS_SV1 => {
            Ok(Some(Compression::Jpeg))
        }
        other => Err(format!("its transfer syntax is not supported: {}", name(other))),
    }
}

fn name(uid: &str) -> String {
    let known = match uid {
        uids::JPEG2000_LOSSLESS | uids::JPEG2000 => "JPEG 2000",
        uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => "JPEG-LS",
        uids::HTJ2K_LOSSLESS | uids::HTJ2K_LOSSLESS_RPCL | uids::HTJ2K => "High-Throughput JPEG 2000",
        _ if uid.starts_with("1.2.840.10008.1.2.4.10") => "video",
        other => return shown(other),
    };
    known.to_owned()
}

/// A frame that was found in the file, and can be decoded.
pub struct Frame {
    pub layout: Layout,
    place: Place,
}

enum Place {
    Native { start: u64, swapped: bool, big_endian: bool },
    Rle(Vec<(u64, u64)>),
    Jpeg { fragments: Vec<(u64, u64)>, colours: Option<ColorTransform>, need_bytes: u64 },
}

impl Frame {
    /// Finds the first frame, and sees to it that the pixels of all are there. Decodes nothing.
    pub fn find(source: &mut Source, header: &Header) -> Result<Self, NoFrame> {
        let encapsulated = match header.pixel_data {
            PixelData::Absent => return Err(unsupported("the file holds no pixels")),
            PixelData::Other => return Err(unsupported("its pixels are not of whole numbers")),
            PixelData::Native { start, bytes, .. } if start + u64::from(bytes) > source.length() => {
                return Err(Malformed("it is cut off").into());
            }
            PixelData::Native { .. } => None,
            PixelData::Encapsulated { start } => Some(Fragments::find(source, start)?),
        };
        let compression = compression(&header.transfer_syntax).map_err(NoFrame::Unsupported)?;
        let mut layout = Layout::of(header).map_err(NoFrame::Unsupported)?;
        let place = match (encapsulated, compression) {
            (None, None) => native(header, &mut layout)?,
            (Some(fragments), Some(Compression::Rle)) if matches!(layout.bits_allocated, 8 | 16 | 32) => {
                if layout.photometric == Photometric::YbrFull422 {
                    layout.photometric = Photometric::YbrFull;
                }
                Place::Rle(fragments.of_first_frame(source, layout.frames, Compression::Rle)?)
            }
            (Some(fragments), Some(Compression::Jpeg)) => {
                let fragments = fragments.of_first_frame(source, layout.frames, Compression::Jpeg)?;
                jpeg(source, fragments, &mut layout)?
            }
            _ => return Err(unsupported("its pixels do not go with its transfer syntax")),
        };
        Ok(Self { layout, place })
    }

    pub const fn is_compressed(&self) -> bool {
        !matches!(self.place, Place::Native { .. })
    }

    /// What reading it takes, beside rows.
    pub fn need_bytes(&self) -> u64 {
        match &self.place {
            Place::Native { .. } => 0,
            Place::Rle(fragments) => fragments.iter().map(|(_, bytes)| bytes).sum(),
            Place::Jpeg { need_bytes, .. } => *need_bytes,
        }
    }

    /// Gives each row as stored values, interleaved.
    pub fn rows(&self, source: &mut Source, row: impl FnMut(&[i64])) -> Result<(), NoFrame> {
        match &self.place {
            Place::Native { start, swapped, big_endian } => {
                native_rows(source, &self.layout, *start, *swapped, *big_endian, row)
            }
            Place::Rle(fragments) => rle_rows(source, &self.layout, fragments, row),
            Place::Jpeg { fragments, colours, .. } => jpeg_rows(source, &self.layout, fragments, *colours, row),
        }
    }
}

// Stored values (PS3.5 §8.1.1): some bits of what is allocated, maybe with a sign.
#[derive(Clone, Copy)]
struct Unpack {
    shift: u32,
    unused: u32,
    signed: bool,
}

impl Unpack {
    const fn of(layout: &Layout) -> Self {
        let unused = 64 - layout.bits_stored;
        Self { shift: layout.high_bit + 1 - layout.bits_stored, unused, signed: layout.signed }
    }

    const fn value(self, raw: u32) -> i64 {
        let stored = ((raw >> self.shift) as u64) << self.unused;
        if self.signed { stored.cast_signed() >> self.unused } else { (stored >> self.unused).cast_signed() }
    }
}

fn native(header: &Header, layout: &mut Layout) -> Result<Place, NoFrame> {
    let PixelData::Native { start, bytes, words } = header.pixel_data else {
        return Err(unsupported("its pixels do not go with its transfer syntax"));
    };
    if layout.photometric == Photometric::YbrFull422 {
        // Said of what was a JPEG before somebody unpacked it, and did not thin out the colours again.
        let full = Layout { photometric: Photometric::YbrFull, ..*layout };
        if u64::from(bytes) >= full.frame_bytes() * u64::from(layout.frames) {
            *layout = full;
        } else if !layout.width.is_multiple_of(2) || layout.planar || layout.bits_allocated != 8 {
            return Err(unsupported("its colours are not supported: YBR_FULL_422 of an odd kind"));
        }
    }
    if u64::from(bytes) < layout.frame_bytes() {
        return Err(Malformed("it has fewer pixels than it says").into());
    }
    let swapped = header.big_endian && words && layout.bits_allocated == 8;
    Ok(Place::Native { start, swapped, big_endian: header.big_endian })
}

/// Bytes of the frame, from and to an offset in it.
fn read_native(
    source: &mut Source,
    start: u64,
    swapped: bool,
    (from, to): (u64, u64),
    bytes: &mut Vec<u8>,
) -> Result<(), NoFrame> {
    let (first, last) = if swapped { (from & !1, (to + 1) & !1) } else { (from, to) };
    let last = last.min(source.length() - start);
    bytes.resize(usize::try_from(last - first).unwrap_or(0), 0);
    source.seek(start + first)?;
    source.read_exact(bytes).map_err(Malformed::from)?;
    if swapped {
        bytes.chunks_exact_mut(2).for_each(|word| word.swap(0, 1));
        bytes.drain(..usize::from(first < from));
        bytes.truncate((to - from) as usize);
    }
    Ok(())
}

fn native_rows(
    source: &mut Source,
    layout: &Layout,
    start: u64,
    swapped: bool,
    big_endian: bool,
    mut row: impl FnMut(&[i64]),
) -> Result<(), NoFrame> {
    let unpack = Unpack::of(layout);
    let (width, height, samples) = (u64::from(layout.width), u64::from(layout.height), u64::from(layout.samples()));
    let sample_bytes = u64::from(layout.bits_allocated / 8);
    let mut bytes = Vec::new();
    let mut values = Vec::new();
    for y in 0..height {
        values.clear();
        if layout.bits_allocated == 1 {
            // The bits of a frame run on from row to row, the lowest first.
            let (first, last) = (y * width, (y + 1) * width);
            read_native(source, start, swapped, (first / 8, last.div_ceil(8)), &mut bytes)?;
            values.extend(
                (first % 8..first % 8 + width).map(|bit| i64::from(bytes[(bit / 8) as usize] >> (bit % 8) & 1)),
            );
        } else if layout.photometric == Photometric::YbrFull422 {
            read_native(source, start, swapped, (y * width * 2, (y + 1) * width * 2), &mut bytes)?;
            values.extend(
                bytes.chunks_exact(4).flat_map(|two| [two[0], two[2], two[3], two[1], two[2], two[3]].map(i64::from)),
            );
        } else if layout.planar {
            let (row_bytes, plane) = (width * sample_bytes, width * height * sample_bytes);
            values.resize((width * samples) as usize, 0);
            for sample in 0..samples {
                let from = sample * plane + y * row_bytes;
                read_native(source, start, swapped, (from, from + row_bytes), &mut bytes)?;
                let places = values.iter_mut().skip(sample as usize).step_by(samples as usize);
                places
                    .zip(raw_samples(&bytes, sample_bytes, big_endian))
                    .for_each(|(place, raw)| *place = unpack.value(raw));
            }
        } else {
            let row_bytes = width * samples * sample_bytes;
            read_native(source, start, swapped, (y * row_bytes, (y + 1) * row_bytes), &mut bytes)?;
            values.extend(raw_samples(&bytes, sample_bytes, big_endian).map(|raw| unpack.value(raw)));
        }
        row(&values);
    }
    Ok(())
}

fn raw_samples(bytes: &[u8], sample_bytes: u64, big_endian: bool) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(sample_bytes as usize).map(move |sample| {
        let append = |raw: u32, byte: &u8| raw << 8 | u32::from(*byte);
        if big_endian { sample.iter().fold(0, append) } else { sample.iter().rev().fold(0, append) }
    })
}

/// Where the fragments of an encapsulated file are (PS3.5 §A.4): from the basic offset table on.
struct Fragments {
    offsets: Vec<u32>,
    all: Vec<(u64, u64)>,
}

impl Fragments {
    const MAX_FRAGMENTS: usize = 1_000_000;

    /// Walks over all of them, so that a file that is cut off is noticed.
    fn find(source: &mut Source, start: u64) -> Result<Self, Malformed> {
        source.seek(start)?;
        let table = source.next_fragment()?.unwrap_or(0);
        if table > 4 * Self::MAX_FRAGMENTS as u64 {
            return Err(Malformed("it has too many frames"));
        }
        let mut bytes = vec![0; table as usize];
        source.read_exact(&mut bytes)?;
        let offsets =
            bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
        let mut all = Vec::new();
        while let Some(bytes) = source.next_fragment()? {
            if all.len() == Self::MAX_FRAGMENTS {
                return Err(Malformed("it has too many fragments"));
            }
            all.push((source.position(), bytes));
            source.skip(bytes)?;
        }
        Ok(Self { offsets, all })
    }

    fn of_first_frame(
        self,
        source: &mut Source,
        frames: u32,
        compression: Compression,
    ) -> Result<Vec<(u64, u64)>, NoFrame> {
        let Self { offsets, mut all } = self;
        let Some((first, _)) = all.first().copied() else { return Err(Malformed("it has no pixels").into()) };
        if frames <= 1 {
            return Ok(all);
        }
        let end = match offsets[..] {
            // Of the item of the second frame, counted from that of the first.
            [_, second, ..] if second > 0 => first + u64::from(second),
            _ if compression == Compression::Rle || all.len() == frames as usize => all[0].0 + 1,
            // No table, and not one fragment for each frame: the image ends where a fragment ends with its mark.
            _ => end_of_jpeg(source, &all)?,
        };
        all.retain(|(start, _)| *start < end);
        Ok(all)
    }
}

fn end_of_jpeg(source: &mut Source, fragments: &[(u64, u64)]) -> Result<u64, NoFrame> {
    for (start, bytes) in fragments {
        let tail = (*bytes).min(3);
        let mut end = vec![0; tail as usize];
        source.seek(start + bytes - tail)?;
        source.read_exact(&mut end).map_err(Malformed::from)?;
        if end.ends_with(&[0xff, 0xd9]) || end.ends_with(&[0xff, 0xd9, 0]) {
            return Ok(start + 1);
        }
    }
    Ok(u64::MAX)
}

/// The bytes of several fragments as one.
struct Joined<'a> {
    source: &'a mut Source,
    fragments: std::slice::Iter<'a, (u64, u64)>,
    left: u64,
}

impl<'a> Joined<'a> {
    fn new(source: &'a mut Source, fragments: &'a [(u64, u64)]) -> Self {
        Self { source, fragments: fragments.iter(), left: 0 }
    }
}

impl Read for Joined<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some((start, bytes)) = self.fragments.next() else { return Ok(0) };
            self.source.seek(*start).map_err(|_| io::ErrorKind::UnexpectedEof)?;
            self.left = *bytes;
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.source.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

fn rle_rows(
    source: &mut Source,
    layout: &Layout,
    fragments: &[(u64, u64)],
    mut row: impl FnMut(&[i64]),
) -> Result<(), NoFrame> {
    if fragments.iter().map(|(_, bytes)| bytes).sum::<u64>() > MAX_PACKED_BYTES {
        return Err(unsupported("its compressed frame is too large"));
    }
    let damaged = || unsupported("its compressed frame is damaged");
    let mut packed = Vec::new();
    Joined::new(source, fragments).read_to_end(&mut packed).map_err(Malformed::from)?;
    let mut segments = rle::segments(&packed).ok_or_else(damaged)?;
    let (samples, sample_bytes) = (layout.samples() as usize, layout.bits_allocated as usize / 8);
    if segments.len() != samples * sample_bytes {
        return Err(damaged());
    }
    let unpack = Unpack::of(layout);
    let mut plane = vec![0; layout.width as usize];
    let mut raw = vec![0_u32; layout.width as usize * samples];
    let mut values = Vec::with_capacity(raw.len());
    for _ in 0..layout.height {
        raw.fill(0);
        for (at, segment) in segments.iter_mut().enumerate() {
            segment.fill(&mut plane).ok_or_else(damaged)?;
            let places = raw.iter_mut().skip(at / sample_bytes).step_by(samples);
            places.zip(&plane).for_each(|(raw, byte)| *raw = *raw << 8 | u32::from(*byte));
        }
        values.clear();
        values.extend(raw.iter().map(|raw| unpack.value(*raw)));
        row(&values);
    }
    Ok(())
}

/// Looks at the head of the image in the frame, and at what colours it has.
fn jpeg(source: &mut Source, fragments: Vec<(u64, u64)>, layout: &mut Layout) -> Result<Place, NoFrame> {
    let survey = jpeg::survey(io::BufReader::new(Joined::new(source, &fragments)))
        .ok_or_else(|| unsupported("its compressed frame is damaged"))?;
    let info = jpeg::read_info(Joined::new(source, &fragments))
        .map_err(|reason| unsupported(format!("of its compressed frame: {reason}")))?;
    if survey.has_too_many_scans(&info) {
        return Err(unsupported("its compressed frame has too many scans"));
    }
    if (u32::from(info.width), u32::from(info.height)) != (layout.width, layout.height) {
        return Err(unsupported("its compressed frame has another size than it says"));
    }
    let colours = match layout.photometric {
        Photometric::Monochrome { .. } | Photometric::Palette => None,
        // What the image says of its colours is worth more than what DICOM says of them, which is often left over from
        // before it was compressed; where it says nothing, DICOM does.
        Photometric::Rgb if survey.adobe.is_none() && !survey.jfif => Some(ColorTransform::RGB),
        Photometric::Rgb if survey.adobe == Some(false) => Some(ColorTransform::RGB),
        Photometric::Rgb | Photometric::YbrFull | Photometric::YbrFull422 => match info.coding_process {
            jpeg_decoder::CodingProcess::Lossless if layout.photometric == Photometric::Rgb => {
                Some(ColorTransform::RGB)
            }
            _ => Some(ColorTransform::YCbCr),
        },
    };
    let need_bytes = jpeg::need_bytes(&info, Scale::Full);
    if layout.samples() == 3 {
        // What comes out of the decoder.
        layout.photometric = Photometric::Rgb;
    }
    Ok(Place::Jpeg { fragments, colours, need_bytes })
}

fn jpeg_rows(
    source: &mut Source,
    layout: &Layout,
    fragments: &[(u64, u64)],
    colours: Option<ColorTransform>,
    mut row: impl FnMut(&[i64]),
) -> Result<(), NoFrame> {
    let Decoded { samples, bytes, width, height, .. } =
        jpeg::decode(Joined::new(source, fragments), colours, Scale::Full)
            .map_err(|reason| unsupported(format!("of its compressed frame: {reason}")))?;
    let of_one = layout.samples() == 1;
    if (width, height) != (layout.width, layout.height)
        || !matches!((samples, of_one), (Samples::Grey | Samples::Deep, true) | (Samples::Rgb, false))
    {
        return Err(unsupported("its compressed frame has other samples than it says"));
    }
    let unpack = Unpack::of(layout);
    let mut values = Vec::new();
    for bytes in bytes.chunks_exact(bytes.len() / height as usize) {
        values.clear();
        match samples {
            Samples::Deep => values.extend(
                bytes.chunks_exact(2).map(|sample| unpack.value(u32::from(u16::from_ne_bytes([sample[0], sample[1]])))),
            ),
            Samples::Grey => values.extend(bytes.iter().map(|sample| unpack.value(u32::from(*sample)))),
            // The decoder has made eight bits of them.
            Samples::Rgb | Samples::Cmyk => values.extend(bytes.iter().map(|sample| i64::from(*sample))),
        }
        row(&values);
    }
    Ok(())
}
