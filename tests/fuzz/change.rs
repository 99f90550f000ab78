//! Changes of inputs: those that parsers have stumbled over.

use crate::harness::Target;

/// Draws with xorshift64*: quick, and the same from the same seed.
pub struct Changer(u64);

const ODD_BYTES: &[u8] =
    &[0, 1, 9, 10, 13, 32, b'"', b'\'', b'%', b'-', b'/', b'<', b'\\', 0x7f, 0x80, 0xc0, 0xfe, 0xff];
const ODD_NUMBERS: &[u64] = &[
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];
/// How many changes one input has at most, each with half the chance of the one before.
const MAX_CHANGES: usize = 16;

impl Changer {
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.draw() >> 16) as usize % end
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// One of the inputs, changed.
    pub fn change(&mut self, inputs: &[Vec<u8>], target: &Target) -> Vec<u8> {
        let mut input = inputs[self.below(inputs.len())].clone();
        for _ in 0..MAX_CHANGES {
            self.change_once(&mut input, inputs, target);
            input.truncate(target.max_bytes);
            if self.draw() >> 63 == 0 {
                break;
            }
        }
        input
    }

    /// A place that is near the beginning more often than not: heads are there.
    fn place(&mut self, bytes: usize) -> usize {
        let near = if self.below(2) == 0 { bytes.min(256) } else { bytes };
        self.below(near + 1)
    }

    fn run(&mut self, bytes: usize) -> std::ops::Range<usize> {
        let start = self.place(bytes);
        let most = if self.below(4) == 0 { bytes } else { 16 };
        start..bytes.min(start + 1 + self.below(most + 1))
    }

    fn change_once(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>], target: &Target) {
        let place = self.place(input.len());
        let run = self.run(input.len());
        match self.below(12) {
            0 => {
                if let Some(byte) = input.get_mut(place) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                let odd = ODD_BYTES[self.below(ODD_BYTES.len())];
                if let Some(byte) = input.get_mut(place) {
                    *byte = odd;
                }
            }
            2 => {
                let drawn = self.draw().to_le_bytes();
                input.splice(place..place, drawn[..1 + self.below(8)].iter().copied());
            }
            3 => drop(input.drain(run)),
            4 => {
                let again = input[run].repeat(1 + self.below(3));
                input.splice(place..place, again);
            }
            5 => input.truncate(place),
            6 | 7 if !target.words.is_empty() => {
                let word = self.pick(target.words);
                let over = if self.below(2) == 0 { place..place } else { place..input.len().min(place + word.len()) };
                input.splice(over, word.iter().copied());
            }
            8 => self.number(input, place),
            9 => self.digits(input, place),
            10 => {
                let other = &inputs[self.below(inputs.len())];
                let taken = other[self.run(other.len())].to_vec();
                input.splice(run, taken);
            }
            _ => {
                let other = &inputs[self.below(inputs.len())];
                let from = self.place(other.len());
                input.truncate(place);
                input.extend_from_slice(&other[from..]);
            }
        }
    }

    /// Binary: a length, a count, an offset, in either order of bytes.
    fn number(&mut self, input: &mut [u8], place: usize) {
        let number = ODD_NUMBERS[self.below(ODD_NUMBERS.len())].wrapping_add(self.below(3) as u64).wrapping_sub(1);
        let width = [1, 2, 4, 8][self.below(4)];
        let little = self.below(2) == 0;
        if let Some(there) = input.get_mut(place..place + width) {
            there.copy_from_slice(&number.to_le_bytes()[..width]);
            if !little {
                there.reverse();
            }
        }
    }

    /// Written: the next run of digits becomes another number.
    fn digits(&mut self, input: &mut Vec<u8>, place: usize) {
        let Some(start) = input[place..].iter().position(u8::is_ascii_digit).map(|at| place + at) else { return };
        let end = input[start..].iter().position(|byte| !byte.is_ascii_digit()).map_or(input.len(), |at| start + at);
        let number = ODD_NUMBERS[self.below(ODD_NUMBERS.len())];
        input.splice(start..end, number.to_string().into_bytes());
    }
}
