//! From samples to log-mel features.
//!
//! The mathematics of transformers' `WhisperFeatureExtractor`: a Fourier transform of 400 samples
//! every 160, triangles on Slaney's mel scale, the logarithm, cut 8 decades below the loudest.
//! Invariant: a recording has a frame for each 160 whole samples, whatever it holds.

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

/// Samples of a second.
pub(crate) const SAMPLE_RATE: usize = 16_000;
/// Samples of one transform.
pub(crate) const FFT_LEN: usize = 400;
/// Samples from one frame to the next.
pub(crate) const HOP: usize = 160;
/// Frames of a second.
pub(crate) const FRAMES_PER_SECOND: usize = SAMPLE_RATE / HOP;
/// Frequencies of a transform.
const NUM_FREQS: usize = FFT_LEN / 2 + 1;
/// Below this a power counts as this.
const FLOOR: f64 = 1e-10;
/// Decades below the loudest that are kept.
const DECADES: f32 = 8.0;

/// Features of a recording: `num_mels` numbers for each hundredth of a second.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// `[frame][mel]`.
    pub data: Vec<f32>,
    /// Numbers of a frame.
    pub num_mels: usize,
}

impl Features {
    /// Frames.
    pub fn len(&self) -> usize {
        self.data.len() / self.num_mels
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
}

/// One triangle: its first frequency, and the weights from there on.
struct Triangle {
    first: usize,
    weights: Vec<f64>,
}

/// What makes features of samples.
pub struct MelFilters {
    fft: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    triangles: Vec<Triangle>,
}

impl MelFilters {
    /// Filters of `num_mels` bins.
    pub fn new(num_mels: usize) -> Self {
        let angle = |i: usize| std::f64::consts::TAU * i as f64 / FFT_LEN as f64;
        Self {
            fft: RealFftPlanner::new().plan_fft_forward(FFT_LEN),
            window: (0..FFT_LEN).map(|i| 0.5 - 0.5 * angle(i).cos()).collect(),
            triangles: triangles(num_mels),
        }
    }

    /// The features of `samples`, with silence after them up to `min_len` samples.
    pub fn features(&self, samples: &[f32], min_len: usize) -> Features {
        let len = samples.len().max(min_len);
        let num_mels = self.triangles.len();
        let mut data = Vec::with_capacity(len / HOP * num_mels);
        let mut most = f32::NEG_INFINITY;
        let (mut input, mut output) = (self.fft.make_input_vec(), self.fft.make_output_vec());
        let mut scratch = self.fft.make_scratch_vec();
        let mut powers = [0.0; NUM_FREQS];
        for frame in 0..len / HOP {
            for (i, (to, weight)) in input.iter_mut().zip(&self.window).enumerate() {
                *to = weight * sample(samples, len, (frame * HOP + i) as isize);
            }
            let done = self.fft.process_with_scratch(&mut input, &mut output, &mut scratch);
            done.expect("buffers are of the plan's lengths");
            for (power, value) in powers.iter_mut().zip(&output) {
                *power = value.norm_sqr();
            }
            for Triangle { first, weights } in &self.triangles {
                let powers = &powers[*first..*first + weights.len()];
                let sum: f64 = weights.iter().zip(powers).map(|(w, power)| w * power).sum();
                let value = sum.max(FLOOR).log10() as f32;
                most = most.max(value);
                data.push(value);
            }
        }
        for value in &mut data {
            *value = (value.max(most - DECADES) + 4.0) / 4.0;
        }
        Features { data, num_mels }
    }
}

/// The sample at place `at` of what is mirrored at both ends, for half a transform.
fn sample(samples: &[f32], len: usize, at: isize) -> f64 {
    let last = len as isize - 1;
    let at = (at - (FFT_LEN / 2) as isize).abs();
    let at = if at > last { 2 * last - at } else { at };
    // What is shorter than half a transform has no mirror: silence.
    let at = usize::try_from(at).ok();
    at.and_then(|at| samples.get(at)).map_or(0.0, |sample| f64::from(*sample))
}

/// Slaney's mel scale: linear up to 1000 Hz, logarithmic above.
const LINEAR_HZ: f64 = 200.0 / 3.0;
const KNEE_HZ: f64 = 1000.0;
const KNEE_MEL: f64 = KNEE_HZ / LINEAR_HZ;

fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn mel(hz: f64) -> f64 {
    if hz < KNEE_HZ { hz / LINEAR_HZ } else { KNEE_MEL + (hz / KNEE_HZ).ln() / log_step() }
}

fn hz(mel: f64) -> f64 {
    if mel < KNEE_MEL { mel * LINEAR_HZ } else { KNEE_HZ * ((mel - KNEE_MEL) * log_step()).exp() }
}

/// Triangles of equal area between points that are equally far apart in mels.
fn triangles(num_mels: usize) -> Vec<Triangle> {
    let top = SAMPLE_RATE as f64 / 2.0;
    let step = mel(top) / (num_mels + 1) as f64;
    let point = |i: usize| hz(step * i as f64);
    let triangle = |i: usize| {
        let (left, middle, right) = (point(i), point(i + 1), point(i + 2));
        let weight = |freq: usize| {
            let freq = freq as f64 * top / (NUM_FREQS - 1) as f64;
            let (up, down) = ((freq - left) / (middle - left), (right - freq) / (right - middle));
            up.min(down).max(0.0) * 2.0 / (right - left)
        };
        let all: Vec<f64> = (0..NUM_FREQS).map(weight).collect();
        let first = all.iter().position(|weight| *weight > 0.0).unwrap_or(0);
        let end = all.iter().rposition(|weight| *weight > 0.0).map_or(0, |last| last + 1);
        Triangle { first, weights: all[first.min(end)..end].to_vec() }
    };
    (0..num_mels).map(triangle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_goes_there_and_back() {
        for value in [0.0, 440.0, 999.0, 1000.0, 4321.0, 8000.0] {
            assert!((hz(mel(value)) - value).abs() < 1e-9, "{value}");
        }
        assert!((mel(1000.0) - 15.0).abs() < 1e-12);
    }

    #[test]
    fn any_length_has_a_frame_for_each_whole_hop() {
        let filters = MelFilters::new(80);
        for (len, min_len) in [(0, 0), (1, 0), (159, 0), (160, 0), (161, 0), (250, 0), (5, 480)] {
            let features = filters.features(&vec![0.5; len], min_len);
            assert_eq!(features.len(), len.max(min_len) / HOP, "{len} {min_len}");
            assert!(features.data.iter().all(|x| x.is_finite()), "{len} {min_len}");
        }
        // Silence is the same everywhere: the floor, nothing above it.
        let silence = filters.features(&[0.0; 1600], 0);
        assert!(silence.data.iter().all(|x| *x == (-10.0 + 4.0) / 4.0));
    }
}
