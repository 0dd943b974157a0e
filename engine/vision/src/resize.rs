//! Scaling of images as PIL does it: Lanczos' filter over three of its lobes, in integers, across
//! and then down.
//!
//! Source: `Resample.c` of Pillow 12 (`ImagingResampleInner`, 8 bits a channel). Pillow 13 goes
//! down first at times, which rounds otherwise: by one here and there.
//!
//! Invariant: results are Pillow 12's, bit for bit; an image of the size asked for stays as it is.

use std::f64::consts::PI;

/// An image of red, green and blue, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rgb {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
}

/// Lobes of the filter to each side.
const LOBES: f64 = 3.0;
/// Binary places of weights: with 8 of a channel and 2 to spare they fill 32.
const PLACES: u32 = 32 - 8 - 2;

/// The pixels that one pixel is made of, and their weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

impl Rgb {
    /// The image at another size; neither side may be 0.
    pub(crate) fn resized(&self, width: usize, height: usize) -> Self {
        let across = (width != self.width).then(|| self.across(width));
        let image = across.as_ref().unwrap_or(self);
        if height != image.height { image.down(height) } else { image.clone() }
    }

    fn across(&self, width: usize) -> Self {
        let taps = taps(self.width, width);
        let mut pixels = Vec::with_capacity(3 * width * self.height);
        for row in self.pixels.chunks_exact(3 * self.width) {
            for Taps { first, weights } in &taps {
                let mut sums = [half(); 3];
                for (pixel, weight) in row[3 * first..].chunks_exact(3).zip(weights) {
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(*value) * weight;
                    }
                }
                pixels.extend(sums.map(rounded));
            }
        }
        Self { width, height: self.height, pixels }
    }

    fn down(&self, height: usize) -> Self {
        let len = 3 * self.width;
        let mut pixels = Vec::with_capacity(len * height);
        let mut sums = vec![0; len];
        for Taps { first, weights } in taps(self.height, height) {
            sums.fill(half());
            for (row, weight) in self.pixels[first * len..].chunks_exact(len).zip(&weights) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += i32::from(*value) * weight;
                }
            }
            pixels.extend(sums.iter().map(|sum| rounded(*sum)));
        }
        Self { width: self.width, height, pixels }
    }

    /// The part of this size from this pixel on, which must be within, appended.
    pub(crate) fn crop(&self, (x, y): (usize, usize), side: usize, to: &mut Vec<u8>) {
        for row in y..y + side {
            let start = 3 * (row * self.width + x);
            to.extend_from_slice(&self.pixels[start..start + 3 * side]);
        }
    }
}

fn half() -> i32 {
    1 << (PLACES - 1)
}

fn rounded(sum: i32) -> u8 {
    (sum >> PLACES).clamp(0, 255) as u8
}

/// What each of `to` pixels of a line is made of, of a line of `from`.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let shrink = 1.0 / stretch;
    let support = LOBES * stretch;
    let tap = |i: usize| {
        let center = (i as f64 + 0.5) * scale;
        // Casts cut towards zero, and below at zero, as the reference does.
        let first = (center - support + 0.5) as usize;
        let end = ((center + support + 0.5) as usize).min(from);
        let weight = |x: usize| lanczos((x as f64 - center + 0.5) * shrink);
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let whole = f64::from(1 << PLACES);
        let weights = weights.iter().map(|weight| (weight / sum * whole).round() as i32);
        Taps { first, weights: weights.collect() }
    };
    (0..to).map(tap).collect()
}

fn lanczos(x: f64) -> f64 {
    if (-LOBES..LOBES).contains(&x) { sinc(x) * sinc(x / LOBES) } else { 0.0 }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: usize, height: usize, value: u8) -> Rgb {
        Rgb { width, height, pixels: vec![value; 3 * width * height] }
    }

    #[test]
    fn one_colour_stays_one_colour_at_any_size() {
        for value in [0, 1, 127, 255] {
            for (from, to) in [((1, 1), (7, 5)), ((40, 3), (2, 90)), ((9, 9), (9, 8))] {
                let scaled = gray(from.0, from.1, value).resized(to.0, to.1);
                assert_eq!(scaled, gray(to.0, to.1, value), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_part_is_what_lies_there() {
        let pixels = (0..3 * 4 * 3).collect();
        let image = Rgb { width: 4, height: 3, pixels };
        let mut part = Vec::new();
        image.crop((1, 1), 2, &mut part);
        assert_eq!(part, [15, 16, 17, 18, 19, 20, 27, 28, 29, 30, 31, 32]);
    }
}
