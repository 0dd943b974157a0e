//! From any sample rate to the one that models read.
//!
//! Invariant: the output begins with the input, without the filter's delay, and has the input's
//! length in seconds, to a sample.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

use super::SAMPLE_RATE;
use super::error::AudioError;

/// About: filters of some tens of milliseconds.
const CHUNKS_PER_SECOND: u32 = 40;

/// A stream of samples on its way to another rate.
pub(crate) struct ToRate {
    resampler: Fft<f32>,
    rate: u64,
    pending: Vec<f32>,
    num_in: u64,
    num_out: u64,
    /// Of what comes out, the filter's delay is left out.
    to_skip: usize,
}

impl ToRate {
    /// From `rate`, which is that of audio.
    pub(crate) fn new(rate: u32) -> Result<Self, AudioError> {
        let (from, to, window) =
            (rate as usize, SAMPLE_RATE as usize, WindowFunction::BlackmanHarris2);
        // Of an odd number of frames the filter's middle would lie between two of them.
        let step = 2 * from / gcd(from, to);
        let chunk = (from / CHUNKS_PER_SECOND as usize).next_multiple_of(step).max(step);
        let resampler = Fft::new_custom(from, to, chunk, 1, 1, window, FixedSync::Both);
        let resampler = resampler.map_err(|_| AudioError::Rate(rate))?;
        let to_skip = resampler.output_delay();
        let rate = rate.into();
        Ok(Self { resampler, rate, pending: Vec::new(), num_in: 0, num_out: 0, to_skip })
    }

    /// Takes samples in, and adds what is ready to `out`.
    pub(crate) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), AudioError> {
        self.num_in += samples.len() as u64;
        self.pending.extend_from_slice(samples);
        let mut at = 0;
        loop {
            let len = self.resampler.input_frames_next();
            if self.pending.len() - at < len {
                break;
            }
            self.chunk(at, len, out)?;
            at += len;
        }
        self.pending.drain(..at);
        Ok(())
    }

    /// The rest: silence goes in until all has come out.
    pub(crate) fn finish(mut self, out: &mut Vec<f32>) -> Result<(), AudioError> {
        let want = self.num_in * u64::from(SAMPLE_RATE) / self.rate;
        while self.num_out < want {
            let len = self.resampler.input_frames_next();
            self.pending.resize(len, 0.0);
            self.chunk(0, len, out)?;
            self.pending.clear();
        }
        let too_many = usize::try_from(self.num_out - want).unwrap_or(0);
        out.truncate(out.len() - too_many.min(out.len()));
        Ok(())
    }

    fn chunk(&mut self, at: usize, len: usize, out: &mut Vec<f32>) -> Result<(), AudioError> {
        let failed = || AudioError::Damaged("it cannot be resampled".to_owned());
        let chunk = &self.pending[at..at + len];
        let chunk = SequentialSlice::new(chunk, 1, len).map_err(|_| failed())?;
        let resampled = self.resampler.process(&chunk, None).map_err(|_| failed())?;
        let resampled = resampled.take_data();
        let skipped = self.to_skip.min(resampled.len());
        self.to_skip -= skipped;
        out.extend_from_slice(&resampled[skipped..]);
        self.num_out += (resampled.len() - skipped) as u64;
        Ok(())
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone, and the same tone after the change of rate, which is the same tone.
    #[test]
    fn a_tone_stays_what_and_where_it_was() {
        for rate in [8_000, 11_025, 22_050, 44_100, 48_000, 44_099, 192_000] {
            let tone = |rate: u32, i: usize| {
                (i as f64 / f64::from(rate) * 440.0 * std::f64::consts::TAU).sin() as f32
            };
            let samples: Vec<f32> = (0..rate as usize).map(|i| tone(rate, i)).collect();
            let mut to_rate = ToRate::new(rate).unwrap();
            let mut out = Vec::new();
            for piece in samples.chunks(1000) {
                to_rate.push(piece, &mut out).unwrap();
            }
            to_rate.finish(&mut out).unwrap();
            assert_eq!(out.len(), SAMPLE_RATE as usize, "{rate}");
            // Not at the ends, which are cut out of the tone.
            let off = |i: usize| (out[i] - tone(SAMPLE_RATE, i)).abs();
            let worst = (2000..14_000).map(off).fold(0.0, f32::max);
            assert!(worst < 2e-3, "{rate}: off by {worst}");
        }
    }

    #[test]
    fn what_would_fold_back_is_gone() {
        let rate = 48_000;
        let high = |i: usize| (i as f64 / 48_000.0 * 12_000.0 * std::f64::consts::TAU).sin();
        let samples: Vec<f32> = (0..rate).map(|i| high(i) as f32).collect();
        let (mut to_rate, mut out) = (ToRate::new(48_000).unwrap(), Vec::new());
        to_rate.push(&samples, &mut out).unwrap();
        to_rate.finish(&mut out).unwrap();
        let loudest = out[2000..14_000].iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        assert!(loudest < 1e-3, "{loudest}");
    }

    #[test]
    fn one_sample_is_not_too_few() {
        let (mut to_rate, mut out) = (ToRate::new(8_000).unwrap(), Vec::new());
        to_rate.push(&[0.5], &mut out).unwrap();
        to_rate.finish(&mut out).unwrap();
        assert_eq!(out.len(), 2);
    }
}
