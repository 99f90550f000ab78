//! Makes pixels fewer by averaging boxes of them, row by row: neither the image nor its frame is ever held.

/// What was averaged to nothing: every pixel in its box was left out.
pub const NOTHING: f32 = f32::NAN;

/// Width and height of what fits in a square, in the proportions of `width * aspect` to `height`, and no side of it
/// longer than it was.
pub fn fit(width: u32, height: u32, aspect: f64, side: u32) -> (u32, u32) {
    let (wide, high) = (f64::from(width) * aspect, f64::from(height));
    let scale = (f64::from(side) / wide.max(high)).min(1.0 / aspect).min(1.0);
    let side = |length: f64, most: u32| ((length * scale).round() as u32).clamp(1, most);
    (side(wide, width), side(high, height))
}

/// Takes rows of interleaved samples; a sample that is NaN is left out.
pub struct Shrink {
    source: (u32, u32),
    target: (u32, u32),
    channels: usize,
    /// Of the target row that is being gathered.
    sums: Vec<f64>,
    counts: Vec<u32>,
    next_row: u32,
    out: Vec<f32>,
}

impl Shrink {
    /// No side of the target may be longer than that of the source.
    pub fn new(source: (u32, u32), target: (u32, u32), channels: usize) -> Self {
        let row = target.0 as usize * channels;
        let out = Vec::with_capacity(row * target.1 as usize);
        Self { source, target, channels, sums: vec![0.0; row], counts: vec![0; row], next_row: 0, out }
    }

    pub fn push(&mut self, row: &[f32]) {
        let (width, height) = (u64::from(self.source.0), u64::from(self.source.1));
        let (across, down) = (u64::from(self.target.0), u64::from(self.target.1));
        if across == width && down == height {
            self.out.extend_from_slice(row);
            self.next_row += 1;
            return;
        }
        for bin in 0..across {
            // The pixels x for which x * across / width is this bin.
            let pixels = (bin * width).div_ceil(across) as usize..((bin + 1) * width).div_ceil(across) as usize;
            let at = bin as usize * self.channels;
            for pixel in row[pixels.start * self.channels..pixels.end * self.channels].chunks_exact(self.channels) {
                for (channel, sample) in pixel.iter().enumerate() {
                    if !sample.is_nan() {
                        self.sums[at + channel] += f64::from(*sample);
                        self.counts[at + channel] += 1;
                    }
                }
            }
        }
        let bin = u64::from(self.next_row) * down / height;
        self.next_row += 1;
        if self.next_row == self.source.1 || u64::from(self.next_row) * down / height != bin {
            for (sum, count) in self.sums.iter_mut().zip(&mut self.counts) {
                self.out.push(if *count == 0 { NOTHING } else { (*sum / f64::from(*count)) as f32 });
                (*sum, *count) = (0.0, 0);
            }
        }
    }

    /// All target rows, when all source rows were pushed.
    pub fn finish(self) -> Vec<f32> {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_keeps_its_proportions_and_is_never_larger() {
        for (width, height, aspect, side, fitted) in [
            (2048, 1024, 1.0, 512, (512, 256)),
            (1024, 2048, 1.0, 512, (256, 512)),
            (100, 50, 1.0, 512, (100, 50)),
            (16_384, 1, 1.0, 128, (128, 1)),
            (1, 16_384, 1.0, 1024, (1, 1024)),
            // Pixels twice as wide as high, and the other way.
            (100, 100, 2.0, 512, (100, 50)),
            (100, 100, 0.5, 512, (50, 100)),
            (1000, 1000, 2.0, 128, (128, 64)),
        ] {
            assert_eq!(fit(width, height, aspect, side), fitted, "{width}x{height} by {aspect} in {side}");
        }
    }

    #[test]
    fn boxes_are_averaged_and_what_is_nothing_is_left_out() {
        let mut shrink = Shrink::new((4, 2), (2, 1), 1);
        shrink.push(&[1.0, 3.0, NOTHING, 10.0]);
        shrink.push(&[5.0, 7.0, NOTHING, 20.0]);
        assert_eq!(shrink.finish(), [4.0, 15.0]);

        let mut shrink = Shrink::new((2, 1), (1, 1), 2);
        shrink.push(&[NOTHING, 1.0, NOTHING, 2.0]);
        let averaged = shrink.finish();
        assert!(averaged[0].is_nan() && (averaged[1] - 1.5).abs() < f32::EPSILON);
    }

    #[test]
    fn every_size_gives_every_row_and_keeps_the_mean_of_an_even_image() {
        for (source, target) in [((7, 5), (3, 2)), ((16, 9), (16, 9)), ((100, 3), (1, 3)), ((3, 100), (3, 99))] {
            let mut shrink = Shrink::new(source, target, 1);
            for _ in 0..source.1 {
                shrink.push(&vec![42.0; source.0 as usize]);
            }
            assert_eq!(shrink.finish(), vec![42.0; (target.0 * target.1) as usize], "{source:?} to {target:?}");
        }
    }
}
