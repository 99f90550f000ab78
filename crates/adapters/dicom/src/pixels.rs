//! What the samples of a DICOM frame are (PS3.3 C.7.6.3), and what they look like (PS3.3 C.7.6.1, C.11.1, C.11.2).

use dicom_dictionary_std::tags;
use infirmary_imaging::{MAX_PIXELS, MAX_SIDE_PIXELS};

use crate::{header::Header, shrink::NOTHING};

/// Why there is nothing to look at; a clause for people.
pub type Reason = String;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Photometric {
    Monochrome { inverted: bool },
    Palette,
    Rgb,
    YbrFull,
    YbrFull422,
}

/// How samples are laid out in a frame.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub width: u32,
    pub height: u32,
    pub frames: u32,
    pub photometric: Photometric,
    /// One sample after the other's plane, instead of one pixel after the other.
    pub planar: bool,
    pub bits_allocated: u32,
    pub bits_stored: u32,
    pub high_bit: u32,
    pub signed: bool,
}

/// Width, height and frames, as far as the header has them.
pub fn size(header: &Header) -> (u32, u32, u32) {
    let side = |tag| u32::from(header.short(tag).unwrap_or(0));
    let frames = header.text(tags::NUMBER_OF_FRAMES).and_then(|text| text.parse().ok()).unwrap_or(1);
    (side(tags::COLUMNS), side(tags::ROWS), std::cmp::max(frames, 1))
}

pub fn is_too_large(width: u32, height: u32) -> bool {
    width > MAX_SIDE_PIXELS || height > MAX_SIDE_PIXELS || u64::from(width) * u64::from(height) > MAX_PIXELS
}

impl Layout {
    pub fn of(header: &Header) -> Result<Self, Reason> {
        let (width, height, frames) = size(header);
        if width == 0 || height == 0 {
            return Err("it has no rows and columns".into());
        }
        let samples = u32::from(header.short(tags::SAMPLES_PER_PIXEL).unwrap_or(1));
        let named = header.text(tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
        let photometric = match (named.as_str(), samples) {
            ("MONOCHROME1", 1) => Photometric::Monochrome { inverted: true },
            // Old files name none; with one sample there is little else that it can be.
            ("MONOCHROME2" | "", 1) => Photometric::Monochrome { inverted: false },
            ("PALETTE COLOR", 1) => Photometric::Palette,
            ("RGB", 3) => Photometric::Rgb,
            ("YBR_FULL", 3) => Photometric::YbrFull,
            ("YBR_FULL_422", 3) => Photometric::YbrFull422,
            _ => return Err(format!("its colours are not supported: {} of {samples} samples", shown(&named))),
        };
        let bits_allocated = u32::from(header.short(tags::BITS_ALLOCATED).unwrap_or(0));
        let bits_stored = header.short(tags::BITS_STORED).map_or(bits_allocated, u32::from);
        let high_bit = header.short(tags::HIGH_BIT).map_or(bits_stored.saturating_sub(1), u32::from);
        let monochrome = matches!(photometric, Photometric::Monochrome { .. });
        let known = matches!(bits_allocated, 8 | 16) || (monochrome && matches!(bits_allocated, 1 | 32));
        if !known
            || !(1..=bits_allocated).contains(&bits_stored)
            || high_bit >= bits_allocated
            || high_bit + 1 < bits_stored
        {
            return Err(format!("its samples are not supported: {bits_stored} of {bits_allocated} bits"));
        }
        let planar = samples > 1 && header.short(tags::PLANAR_CONFIGURATION) == Some(1);
        let signed = header.short(tags::PIXEL_REPRESENTATION) == Some(1);
        Ok(Self { width, height, frames, photometric, planar, bits_allocated, bits_stored, high_bit, signed })
    }

    pub const fn samples(&self) -> u32 {
        match self.photometric {
            Photometric::Monochrome { .. } | Photometric::Palette => 1,
            Photometric::Rgb | Photometric::YbrFull | Photometric::YbrFull422 => 3,
        }
    }

    /// Of one frame that is not compressed.
    pub const fn frame_bytes(&self) -> u64 {
        let pixels = self.width as u64 * self.height as u64;
        match self.photometric {
            // Two pixels share their colour (PS3.3 C.7.6.3.1.2).
            Photometric::YbrFull422 => pixels * 2 * (self.bits_allocated as u64 / 8),
            _ => (pixels * self.samples() as u64 * self.bits_allocated as u64).div_ceil(8),
        }
    }
}

/// What of a header's text an explanation may repeat.
pub fn shown(text: &str) -> String {
    let shown: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || " ._".contains(*c)).take(64).collect();
    if shown.is_empty() { "unnamed".to_owned() } else { shown }
}

/// From the samples of a frame to what is averaged: grey in the units of the modality, or colour from 0 to 255.
pub enum Meaning {
    Grey {
        slope: f64,
        intercept: f64,
        padding: Option<(i64, i64)>,
        extremes: (f32, f32),
    },
    Palette(Palette),
    /// The factor takes a sample to 0 to 255.
    Colour {
        ybr: bool,
        factor: f32,
    },
}

impl Meaning {
    pub fn of(header: &Header, layout: &Layout) -> Result<Self, Reason> {
        let factor = 255.0 / ((1_u64 << layout.bits_stored) - 1) as f32;
        Ok(match layout.photometric {
            Photometric::Monochrome { .. } => {
                let padding = header.short(tags::PIXEL_PADDING_VALUE).map(|from| {
                    let to = header.short(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(from);
                    let value = |raw: u16| if layout.signed { i64::from(raw.cast_signed()) } else { i64::from(raw) };
                    (value(from).min(value(to)), value(from).max(value(to)))
                });
                let slope = header.decimal(tags::RESCALE_SLOPE).filter(|slope| *slope != 0.0).unwrap_or(1.0);
                let intercept = header.decimal(tags::RESCALE_INTERCEPT).unwrap_or(0.0);
                Self::Grey { slope, intercept, padding, extremes: (f32::INFINITY, f32::NEG_INFINITY) }
            }
            Photometric::Palette => Self::Palette(Palette::of(header, layout)?),
            Photometric::Rgb => Self::Colour { ybr: false, factor },
            Photometric::YbrFull | Photometric::YbrFull422 => Self::Colour { ybr: true, factor },
        })
    }

    pub const fn channels(&self) -> usize {
        match self {
            Self::Grey { .. } => 1,
            Self::Palette(_) | Self::Colour { .. } => 3,
        }
    }

    /// `samples` are stored values, interleaved.
    pub fn apply(&mut self, samples: &[i64], row: &mut Vec<f32>) {
        row.clear();
        match self {
            Self::Grey { slope, intercept, padding, extremes } => row.extend(samples.iter().map(|sample| {
                if padding.is_some_and(|(from, to)| (from..=to).contains(sample)) {
                    return NOTHING;
                }
                let value = (*sample as f64 * *slope + *intercept) as f32;
                *extremes = (extremes.0.min(value), extremes.1.max(value));
                value
            })),
            Self::Palette(palette) => row.extend(samples.iter().flat_map(|sample| palette.colour(*sample))),
            Self::Colour { ybr: false, factor } => row.extend(samples.iter().map(|sample| *sample as f32 * *factor)),
            Self::Colour { ybr: true, factor } => row.extend(samples.chunks_exact(3).flat_map(|pixel| {
                // PS3.3 C.7.6.3.1.2
                let [y, blue, red] = [pixel[0], pixel[1], pixel[2]].map(|sample| sample as f32 * *factor);
                let (blue, red) = (blue - 128.0, red - 128.0);
                [y + 1.402 * red, y - 0.344_136 * blue - 0.714_136 * red, y + 1.772 * blue]
                    .map(|colour| colour.clamp(0.0, 255.0))
            })),
        }
    }
}

/// PS3.3 C.7.6.3.1.5
pub struct Palette {
    first: i64,
    colours: Vec<[f32; 3]>,
}

impl Palette {
    fn of(header: &Header, layout: &Layout) -> Result<Self, Reason> {
        let refusal = || "its palette is not supported".to_owned();
        let channel = |descriptor, data| {
            let descriptor = header.shorts(descriptor);
            let [entries, first, _] = descriptor[..] else { return Err(refusal()) };
            let entries = if entries == 0 { 65_536 } else { usize::from(entries) };
            let bytes = header.bytes(data).unwrap_or_default();
            // The third number of the descriptor says 8 or 16 bits, and is not to be trusted: the length is.
            let values: Vec<u16> = if bytes.len() >= entries * 2 {
                header.shorts(data)
            } else {
                bytes.iter().map(|byte| u16::from(*byte)).collect()
            };
            if values.len() < entries {
                return Err(refusal());
            }
            Ok((first, values[..entries].to_vec()))
        };
        let (first, red) =
            channel(tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA)?;
        let (_, green) =
            channel(tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA)?;
        let (_, blue) =
            channel(tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA)?;
        if red.len() != green.len() || red.len() != blue.len() {
            return Err(refusal());
        }
        // Some write values of eight bits in words and do not move them up.
        let wide = [&red, &green, &blue].into_iter().flatten().any(|value| *value > 255);
        let shift = if wide { 8 } else { 0 };
        let colour =
            |((red, green), blue): ((&u16, &u16), &u16)| [red, green, blue].map(|value| f32::from(value >> shift));
        let first = if layout.signed { i64::from(first.cast_signed()) } else { i64::from(first) };
        Ok(Self { first, colours: red.iter().zip(&green).zip(&blue).map(colour).collect() })
    }

    /// Below the first it is the first, above the last the last.
    fn colour(&self, sample: i64) -> [f32; 3] {
        let at = usize::try_from(sample - self.first).unwrap_or(0).min(self.colours.len() - 1);
        self.colours[at]
    }
}

/// From the units of the modality to grey (PS3.3 C.11.2.1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Window {
    Linear { centre: f32, width: f32 },
    LinearExact { centre: f32, width: f32 },
    Sigmoid { centre: f32, width: f32 },
}

impl Window {
    /// The first that the file names: it is the one that its makers meant to be seen first. Without one, all that is
    /// there.
    pub fn of(header: &Header, extremes: (f32, f32)) -> Self {
        let named = header.decimal(tags::WINDOW_CENTER).zip(header.decimal(tags::WINDOW_WIDTH));
        let function = header.text(tags::VOILUT_FUNCTION);
        match (named.map(|(centre, width)| (centre as f32, width as f32)), function.as_deref()) {
            (Some((centre, width)), Some("SIGMOID")) if width > 0.0 => Self::Sigmoid { centre, width },
            (Some((centre, width)), Some("LINEAR_EXACT")) if width > 0.0 => Self::LinearExact { centre, width },
            (Some((centre, width)), _) if width >= 1.0 => Self::Linear { centre, width },
            _ => {
                let (least, most) = if extremes.0 <= extremes.1 { extremes } else { (0.0, 0.0) };
                let width = if most > least { most - least } else { 1.0 };
                Self::LinearExact { centre: least + width / 2.0, width }
            }
        }
    }

    /// What is left out is black, as the standard has padding, whether or not the rest is inverted.
    pub fn grey(self, value: f32, inverted: bool) -> u8 {
        if value.is_nan() {
            return 0;
        }
        let shade = match self {
            Self::Linear { width, centre } if width <= 1.0 => f32::from(value > centre - 0.5),
            Self::Linear { centre, width } => (value - (centre - 0.5)) / (width - 1.0) + 0.5,
            Self::LinearExact { centre, width } => (value - centre) / width + 0.5,
            Self::Sigmoid { centre, width } => 1.0 / (1.0 + (-4.0 * (value - centre) / width).exp()),
        };
        let shade = (shade.clamp(0.0, 1.0) * 255.0).round() as u8;
        if inverted { 255 - shade } else { shade }
    }
}

/// How much wider than high a pixel is, where it is taken for (PS3.3 C.7.6.3.1.7, C.10.7.1.3).
pub fn aspect(header: &Header) -> f64 {
    let pair = |tag| match header.decimals(tag)[..] {
        // Spacing of rows first: how high a pixel is.
        [high, wide, ..] if high > 0.0 && wide > 0.0 => Some(wide / high),
        _ => None,
    };
    let aspect = pair(tags::PIXEL_SPACING).or_else(|| pair(tags::IMAGER_PIXEL_SPACING));
    // The aspect ratio is vertical to horizontal as well.
    let aspect = aspect.or_else(|| pair(tags::PIXEL_ASPECT_RATIO)).unwrap_or(1.0);
    if (0.1..=10.0).contains(&aspect) && (aspect - 1.0).abs() > 0.01 { aspect } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_window_is_as_the_standard_has_it() {
        // The example of C.11.2.1.2.1: centre 2048 and width 4096 take 0 to 4095 to the whole range.
        let window = Window::Linear { centre: 2048.0, width: 4096.0 };
        for (value, grey) in [(-5.0, 0), (0.0, 0), (4095.0, 255), (9999.0, 255), (2047.0, 127), (2048.0, 128)] {
            assert_eq!(window.grey(value, false), grey, "{value}");
            assert_eq!(window.grey(value, true), 255 - grey, "{value}");
        }
        let step = Window::Linear { centre: 100.0, width: 1.0 };
        assert_eq!((step.grey(99.5, false), step.grey(99.6, false)), (0, 255));
        assert_eq!(Window::LinearExact { centre: 0.0, width: 2.0 }.grey(0.0, false), 128);
        assert_eq!(Window::Sigmoid { centre: 10.0, width: 5.0 }.grey(10.0, false), 128);
    }

    #[test]
    fn what_is_left_out_is_black_in_any_window() {
        let window = Window::LinearExact { centre: 0.0, width: 2.0 };
        assert_eq!((window.grey(NOTHING, false), window.grey(NOTHING, true)), (0, 0));
    }
}
