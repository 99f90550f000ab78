//! RLE Lossless (PS3.5 annex G): a segment of PackBits for each byte of a sample, the most significant first.
//!
//! Ours and not the library's: it takes the number of segments and their lengths from the file as they are and
//! allocates by them, and it holds every plane, where a row at a time is enough.

const MAX_SEGMENTS: usize = 15;
const HEADER_BYTES: usize = 64;

/// The segments of one frame.
pub fn segments(frame: &[u8]) -> Option<Vec<PackBits<'_>>> {
    let (header, _) = frame.split_first_chunk::<HEADER_BYTES>()?;
    let number = |at: usize| header[at..at + 4].try_into().ok().map(u32::from_le_bytes);
    let count = number(0)? as usize;
    if !(1..=MAX_SEGMENTS).contains(&count) {
        return None;
    }
    let mut starts = (1..=count).map(|at| number(at * 4).map(|start| start as usize)).collect::<Option<Vec<_>>>()?;
    starts.push(frame.len());
    starts.windows(2).map(|part| Some(PackBits::new(frame.get(part[0]..part[1])?))).collect()
}

/// Bytes, a run at a time.
pub struct PackBits<'a> {
    packed: &'a [u8],
    literals: usize,
    repeats: usize,
    repeated: u8,
}

impl<'a> PackBits<'a> {
    const fn new(packed: &'a [u8]) -> Self {
        Self { packed, literals: 0, repeats: 0, repeated: 0 }
    }

    /// The next bytes; `None` when there are fewer.
    pub fn fill(&mut self, mut out: &mut [u8]) -> Option<()> {
        while !out.is_empty() {
            if self.repeats > 0 {
                let (now, later) = out.split_at_mut(self.repeats.min(out.len()));
                now.fill(self.repeated);
                self.repeats -= now.len();
                out = later;
            } else if self.literals > 0 {
                let count = self.literals.min(out.len());
                let (literals, packed) = self.packed.split_at_checked(count)?;
                let (now, later) = out.split_at_mut(count);
                now.copy_from_slice(literals);
                self.packed = packed;
                self.literals -= count;
                out = later;
            } else {
                let (control, packed) = self.packed.split_first()?;
                self.packed = packed;
                match control.cast_signed() {
                    // Says nothing, by the standard.
                    i8::MIN => {}
                    literals @ 0.. => self.literals = usize::from(literals.unsigned_abs()) + 1,
                    repeats => {
                        let (repeated, packed) = self.packed.split_first()?;
                        (self.repeated, self.packed) = (*repeated, packed);
                        self.repeats = usize::from(repeats.unsigned_abs()) + 1;
                    }
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut header = vec![segments.len() as u32];
        let mut start = HEADER_BYTES;
        for segment in segments {
            header.push(start as u32);
            start += segment.len();
        }
        header.resize(HEADER_BYTES / 4, 0);
        let mut frame: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
        frame.extend(segments.concat());
        frame
    }

    #[test]
    fn runs_and_literals_are_unpacked_across_calls() {
        let packed = frame(&[&[2, 1, 2, 3, 0x80, 0xfe, 9, 0], &[0xff, 7]]);
        let mut segments = segments(&packed).unwrap();
        let mut row = [0; 2];
        for expected in [[1, 2], [3, 9], [9, 9]] {
            segments[0].fill(&mut row).unwrap();
            assert_eq!(row, expected);
        }
        assert!(segments[0].fill(&mut row).is_none());
        segments[1].fill(&mut row).unwrap();
        assert_eq!(row, [7, 7]);
        assert!(segments[1].fill(&mut row).is_none());
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        let mut many = frame(&[&[0, 1]]);
        many[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut beyond = frame(&[&[0, 1]]);
        beyond[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut backwards = frame(&[&[0, 1], &[0, 1]]);
        backwards[8..12].copy_from_slice(&0_u32.to_le_bytes());
        for lying in [&[][..], &[0; 63], &[0; 64], &many, &beyond, &backwards] {
            assert!(segments(lying).is_none());
        }
    }
}
