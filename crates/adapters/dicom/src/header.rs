//! The header of a DICOM file (PS3.5 §7, PS3.10 §7): the few elements that are asked for, and where the pixels begin.
//!
//! Element headers are decoded by `dicom-encoding`; walking them is ours, because a library that builds the data set
//! would hold whatever stands in front of the pixels, and that can be most of a 200 MB file. Here, what is not asked
//! for is skipped by seeking, so memory and time depend on the number of elements and not on their size.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read, Seek, SeekFrom},
};

use dicom_core::{
    Tag, VR,
    header::{DataElementHeader, Header as _, SequenceItemHeader},
};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::{
    Decode,
    decode::{
        explicit_be::ExplicitVRBigEndianDecoder, explicit_le::ExplicitVRLittleEndianDecoder,
        implicit_le::ImplicitVRLittleEndianDecoder,
    },
    text::{SpecificCharacterSet, TextCodec},
};

pub trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// Of one element that is asked for: a palette of 65,536 colours has 128 KiB.
const MAX_VALUE_BYTES: u32 = 128 * 1024;
/// Of all that are walked over: a header of more is made to cost time.
const MAX_ELEMENTS: u32 = 1_000_000;
/// Of sequences in one another.
const MAX_DEPTH: u32 = 32;

/// What is kept of the data set itself.
const WANTED: &[Tag] = &[
    tags::SPECIFIC_CHARACTER_SET,
    tags::SOP_INSTANCE_UID,
    tags::STUDY_DATE,
    tags::MODALITY,
    tags::PATIENT_ID,
    tags::BODY_PART_EXAMINED,
    tags::IMAGER_PIXEL_SPACING,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::PIXEL_SPACING,
    tags::PIXEL_ASPECT_RATIO,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::PIXEL_PADDING_VALUE,
    tags::PIXEL_PADDING_RANGE_LIMIT,
    tags::WINDOW_CENTER,
    tags::WINDOW_WIDTH,
    tags::RESCALE_INTERCEPT,
    tags::RESCALE_SLOPE,
    tags::VOILUT_FUNCTION,
    tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
];

/// What an enhanced multi-frame image says of its frames rather than of itself (PS3.3 C.7.6.16): the first that is
/// found is that of the first frame, or that of all.
const WANTED_OF_FRAMES: &[Tag] = &[
    tags::PIXEL_SPACING,
    tags::WINDOW_CENTER,
    tags::WINDOW_WIDTH,
    tags::RESCALE_INTERCEPT,
    tags::RESCALE_SLOPE,
    tags::VOILUT_FUNCTION,
    tags::BODY_PART_EXAMINED,
];

const OF_FRAMES: [Tag; 2] = [tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE];

/// Why a file is not DICOM that can be read; a clause for people.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl From<io::Error> for Malformed {
    fn from(_: io::Error) -> Self {
        CUT_OFF
    }
}

impl From<dicom_encoding::decode::Error> for Malformed {
    fn from(_: dicom_encoding::decode::Error) -> Self {
        Self("its header is damaged")
    }
}

const CUT_OFF: Malformed = Malformed("it is cut off");

/// Where the pixels of all frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelData {
    Absent,
    Native {
        start: u64,
        bytes: u32,
        /// Of two-byte words, which big endian files swap also where samples have one byte.
        words: bool,
    },
    /// `start` is where the items begin.
    Encapsulated {
        start: u64,
    },
    /// In an element that is not decoded here.
    Other,
}

#[derive(Debug)]
pub struct Header {
    pub transfer_syntax: String,
    pub big_endian: bool,
    pub pixel_data: PixelData,
    values: BTreeMap<Tag, Vec<u8>>,
    charset: SpecificCharacterSet,
}

impl Header {
    pub fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        self.values.get(&tag).map(Vec::as_slice)
    }

    /// The numbers of an element of VR US or SS, as unsigned.
    pub fn shorts(&self, tag: Tag) -> Vec<u16> {
        let short = |pair: &[u8]| {
            let pair = [pair[0], pair[1]];
            if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        self.bytes(tag).unwrap_or_default().chunks_exact(2).map(short).collect()
    }

    pub fn short(&self, tag: Tag) -> Option<u16> {
        self.shorts(tag).first().copied()
    }

    /// The text of an element, without the padding.
    pub fn text(&self, tag: Tag) -> Option<String> {
        let bytes = self.bytes(tag)?;
        let text = self.charset.decode(bytes).ok()?;
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The numbers of an element of VR DS or IS.
    pub fn decimals(&self, tag: Tag) -> Vec<f64> {
        let text = self.text(tag).unwrap_or_default();
        text.split('\\').map_while(|number| number.trim().parse().ok()).filter(|n: &f64| n.is_finite()).collect()
    }

    pub fn decimal(&self, tag: Tag) -> Option<f64> {
        self.decimals(tag).first().copied()
    }
}

/// A file, with the place in it.
pub struct Source {
    reader: BufReader<Box<dyn ReadSeek>>,
    position: u64,
    length: u64,
}

impl Source {
    pub fn new(mut reader: Box<dyn ReadSeek>) -> io::Result<Self> {
        let length = reader.seek(SeekFrom::End(0))?;
        reader.rewind()?;
        Ok(Self { reader: BufReader::with_capacity(16 * 1024, reader), position: 0, length })
    }

    pub const fn length(&self) -> u64 {
        self.length
    }

    pub const fn position(&self) -> u64 {
        self.position
    }

    const fn left(&self) -> u64 {
        self.length - self.position
    }

    pub fn skip(&mut self, bytes: u64) -> Result<(), Malformed> {
        if bytes > self.left() {
            return Err(CUT_OFF);
        }
        self.reader.seek_relative(i64::try_from(bytes).map_err(|_| CUT_OFF)?)?;
        self.position += bytes;
        Ok(())
    }

    pub fn seek(&mut self, position: u64) -> Result<(), Malformed> {
        let distance = i64::try_from(position).ok().zip(i64::try_from(self.position).ok());
        let (to, from) = distance.filter(|_| position <= self.length).ok_or(CUT_OFF)?;
        self.reader.seek_relative(to - from)?;
        self.position = position;
        Ok(())
    }

    fn value(&mut self, bytes: u32) -> Result<Vec<u8>, Malformed> {
        if u64::from(bytes) > self.left() {
            return Err(CUT_OFF);
        }
        let mut value = vec![0; bytes as usize];
        self.read_exact(&mut value)?;
        Ok(value)
    }

    /// The header of an item, and the length of what is in it; `None` for the end of the sequence, or of the file
    /// where an item would begin: some write no delimiter behind the last one.
    pub fn next_fragment(&mut self) -> Result<Option<u64>, Malformed> {
        if self.left() < 8 {
            return Ok(None);
        }
        match ExplicitVRLittleEndianDecoder::default().decode_item_header(self)? {
            SequenceItemHeader::Item { len } => match len.get() {
                Some(bytes) if u64::from(bytes) <= self.left() => Ok(Some(u64::from(bytes))),
                _ => Err(CUT_OFF),
            },
            SequenceItemHeader::SequenceDelimiter | SequenceItemHeader::ItemDelimiter => Ok(None),
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.position += read as u64;
        Ok(read)
    }
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Implicit,
    Explicit,
    ExplicitBig,
}

impl Encoding {
    fn element(self, source: &mut Source) -> Result<DataElementHeader, Malformed> {
        let header = match self {
            Self::Implicit => ImplicitVRLittleEndianDecoder::with_std_dict().decode_header(source)?,
            Self::Explicit => ExplicitVRLittleEndianDecoder::default().decode_header(source)?,
            Self::ExplicitBig => ExplicitVRBigEndianDecoder::default().decode_header(source)?,
        };
        Ok(header.0)
    }

    fn item(self, source: &mut Source) -> Result<SequenceItemHeader, Malformed> {
        Ok(match self {
            Self::Implicit => ImplicitVRLittleEndianDecoder::with_std_dict().decode_item_header(source)?,
            Self::Explicit => ExplicitVRLittleEndianDecoder::default().decode_item_header(source)?,
            Self::ExplicitBig => ExplicitVRBigEndianDecoder::default().decode_item_header(source)?,
        })
    }
}

/// The transfer syntax that the meta information names; the source is then at the data set.
pub fn read_meta(source: &mut Source) -> Result<String, Malformed> {
    let mut start = [0; 132];
    source.read_exact(&mut start)?;
    if infirmary_imaging::sniff(&start) != infirmary_imaging::Sniffed::Dicom {
        return Err(Malformed("it does not begin as DICOM Part 10 does"));
    }
    let mut transfer_syntax = None;
    // By the group of each element: the length that the meta information gives for itself is often missing or wrong.
    while source.left() >= 8 && u16::from_le_bytes(peek(source)?) == 0x0002 {
        let header = Encoding::Explicit.element(source)?;
        let bytes = header.len.get().ok_or(Malformed("its meta information is damaged"))?;
        if header.tag == tags::TRANSFER_SYNTAX_UID && bytes <= 64 {
            transfer_syntax = String::from_utf8(source.value(bytes)?).ok();
        } else {
            source.skip(u64::from(bytes))?;
        }
    }
    let uid = transfer_syntax.ok_or(Malformed("it does not name its transfer syntax"))?;
    Ok(uid.trim_matches(['\0', ' ']).to_owned())
}

fn peek<const N: usize>(source: &mut Source) -> Result<[u8; N], Malformed> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    source.seek(source.position() - N as u64)?;
    Ok(bytes)
}

fn names_its_vr(source: &mut Source) -> Result<bool, Malformed> {
    // An empty data set is as good in one encoding as in the other.
    if source.left() < 8 {
        return Ok(true);
    }
    let [_, _, _, _, first, second] = peek(source)?;
    Ok(VR::from_binary([first, second]).is_some())
}

/// The data set, up to its pixels.
pub fn read_data_set(source: &mut Source, transfer_syntax: String) -> Result<Header, Malformed> {
    let encoding = match transfer_syntax.as_str() {
        #[expect(deprecated, reason = "retired, and still in archives")]
        uids::EXPLICIT_VR_BIG_ENDIAN => Encoding::ExplicitBig,
        // The standard has implicit VR in one transfer syntax only (PS3.5 §A). Devices write it in others, and write
        // explicit VR in that one, so the first element is asked and not the name.
        _ if names_its_vr(source)? => Encoding::Explicit,
        _ => Encoding::Implicit,
    };
    let mut walk = Walk { source, values: BTreeMap::new(), elements: 0 };
    let pixel_data = walk.data_set(encoding)?;
    let values = walk.values;
    Ok(Header {
        transfer_syntax,
        big_endian: matches!(encoding, Encoding::ExplicitBig),
        pixel_data,
        charset: charset(values.get(&tags::SPECIFIC_CHARACTER_SET).map_or(&[], Vec::as_slice)),
        values,
    })
}

/// The first that is not empty. Others, by which ISO 2022 switches within a text, matter for names of persons, and
/// those are not read here.
fn charset(value: &[u8]) -> SpecificCharacterSet {
    let text = String::from_utf8_lossy(value);
    let first = text.split('\\').map(|code| code.trim_matches(['\0', ' '])).find(|code| !code.is_empty());
    first.and_then(SpecificCharacterSet::from_code).unwrap_or_default()
}

struct Walk<'a> {
    source: &'a mut Source,
    values: BTreeMap<Tag, Vec<u8>>,
    elements: u32,
}

impl Walk<'_> {
    fn data_set(&mut self, encoding: Encoding) -> Result<PixelData, Malformed> {
        while self.source.left() >= 8 {
            let header = self.element(encoding)?;
            let tag = header.tag();
            match tag {
                tags::PIXEL_DATA => {
                    let start = self.source.position();
                    return Ok(match header.len.get() {
                        Some(bytes) => PixelData::Native { start, bytes, words: header.vr != VR::OB },
                        None => PixelData::Encapsulated { start },
                    });
                }
                tags::FLOAT_PIXEL_DATA | tags::DOUBLE_FLOAT_PIXEL_DATA => return Ok(PixelData::Other),
                // Where no group is: zeros, or the middle of something.
                Tag(0..=3, _) | Tag(0xfffe..=0xffff, _) => return Err(Malformed("its header is damaged")),
                _ => self.skip_or_keep(encoding, header, WANTED, OF_FRAMES.contains(&tag), 0)?,
            }
        }
        // What has rows has pixels, unless they were cut off; and what is left over was an element.
        if self.source.left() > 0 || self.values.contains_key(&tags::ROWS) {
            return Err(CUT_OFF);
        }
        Ok(PixelData::Absent)
    }

    fn count(&mut self) -> Result<(), Malformed> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS { Err(Malformed("its header has too many elements")) } else { Ok(()) }
    }

    fn element(&mut self, encoding: Encoding) -> Result<DataElementHeader, Malformed> {
        self.count()?;
        encoding.element(self.source)
    }

    fn skip_or_keep(
        &mut self,
        encoding: Encoding,
        header: DataElementHeader,
        wanted: &[Tag],
        of_frames: bool,
        depth: u32,
    ) -> Result<(), Malformed> {
        match header.len.get() {
            Some(bytes) if header.vr == VR::SQ && of_frames => {
                let end = self.source.position() + u64::from(bytes);
                self.sequence(encoding, Some(end), of_frames, depth)
            }
            Some(bytes) if bytes <= MAX_VALUE_BYTES && wanted.contains(&header.tag) => {
                let value = self.source.value(bytes)?;
                self.values.entry(header.tag).or_insert(value);
                Ok(())
            }
            Some(bytes) => self.source.skip(u64::from(bytes)),
            // PS3.5 §6.2.2: a sequence of unknown kind is implicit VR little endian, whatever stands around it.
            None if header.vr == VR::UN => self.sequence(Encoding::Implicit, None, of_frames, depth),
            None => self.sequence(encoding, None, of_frames, depth),
        }
    }

    fn sequence(&mut self, encoding: Encoding, end: Option<u64>, of_frames: bool, depth: u32) -> Result<(), Malformed> {
        if depth == MAX_DEPTH {
            return Err(Malformed("its sequences are nested too deeply"));
        }
        while end.is_none_or(|end| self.source.position() < end) {
            self.count()?;
            match encoding.item(self.source)? {
                SequenceItemHeader::Item { len } if len.is_undefined() => {
                    self.item(encoding, None, of_frames, depth)?
                }
                SequenceItemHeader::Item { len } if of_frames => {
                    let end = self.source.position() + u64::from(len.0);
                    self.item(encoding, Some(end), of_frames, depth)?;
                }
                SequenceItemHeader::Item { len } => self.source.skip(u64::from(len.0))?,
                SequenceItemHeader::SequenceDelimiter => return Ok(()),
                SequenceItemHeader::ItemDelimiter => return Err(Malformed("its header is damaged")),
            }
        }
        Ok(())
    }

    fn item(&mut self, encoding: Encoding, end: Option<u64>, of_frames: bool, depth: u32) -> Result<(), Malformed> {
        while end.is_none_or(|end| self.source.position() < end) {
            let header = self.element(encoding)?;
            if header.tag == Tag(0xfffe, 0xe00d) {
                return Ok(());
            }
            let wanted = if of_frames { WANTED_OF_FRAMES } else { &[] };
            self.skip_or_keep(encoding, header, wanted, of_frames, depth + 1)?;
        }
        Ok(())
    }
}
