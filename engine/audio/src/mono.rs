//! Many channels to one, at the rate that is wanted, as they come.
//!
//! Invariant: beside what comes out, at most a packet and a chunk of the resampler are kept.

use super::SAMPLE_RATE;
use super::error::AudioError;
use super::resample::ToRate;

/// What anything is recorded at.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;
/// Far above any microphone, and all that decoders have places for.
pub(crate) const MAX_CHANNELS: usize = 26;

/// One channel in the making.
pub(crate) struct Mono {
    max_seconds: usize,
    /// Rate and channels, from the first packet on.
    shape: Option<(u32, usize)>,
    to_rate: Option<ToRate>,
    out: Vec<f32>,
    interleaved: Vec<f32>,
    mixed: Vec<f32>,
}

impl Mono {
    pub(crate) fn new(max_seconds: usize) -> Self {
        let (interleaved, mixed) = (Vec::new(), Vec::new());
        Self { max_seconds, shape: None, to_rate: None, out: Vec::new(), interleaved, mixed }
    }

    /// Adds a packet, which `copy` writes with its channels side by side.
    pub(crate) fn add(
        &mut self,
        rate: u32,
        channels: usize,
        copy: impl FnOnce(&mut Vec<f32>),
    ) -> Result<(), AudioError> {
        match self.shape {
            Some(shape) if shape != (rate, channels) => return Err(AudioError::Changes),
            Some(_) => {}
            None => self.begin(rate, channels)?,
        }
        copy(&mut self.interleaved);
        let share = 1.0 / channels as f32;
        self.mixed.clear();
        let frames = self.interleaved.chunks_exact(channels);
        // What is not a number would spoil all that comes after it.
        let finite = |sample: f32| if sample.is_finite() { sample } else { 0.0 };
        self.mixed.extend(frames.map(|frame| finite(frame.iter().sum::<f32>() * share)));
        match &mut self.to_rate {
            Some(to_rate) => to_rate.push(&self.mixed, &mut self.out)?,
            None => self.out.extend_from_slice(&self.mixed),
        }
        let max_seconds = self.max_seconds;
        match self.out.len() > max_seconds.saturating_mul(SAMPLE_RATE as usize) {
            true => Err(AudioError::TooLong { max_seconds }),
            false => Ok(()),
        }
    }

    fn begin(&mut self, rate: u32, channels: usize) -> Result<(), AudioError> {
        if !RATES.contains(&rate) {
            return Err(AudioError::Rate(rate));
        }
        if channels == 0 || channels > MAX_CHANNELS {
            return Err(AudioError::Channels(channels));
        }
        self.shape = Some((rate, channels));
        if rate != SAMPLE_RATE {
            self.to_rate = Some(ToRate::new(rate)?);
        }
        Ok(())
    }

    /// All samples.
    pub(crate) fn finish(mut self) -> Result<Vec<f32>, AudioError> {
        if let Some(to_rate) = self.to_rate.take() {
            to_rate.finish(&mut self.out)?;
        }
        if self.out.is_empty() { Err(AudioError::NoSamples) } else { Ok(self.out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(rate: u32, channels: usize, samples: &[f32]) -> Result<Vec<f32>, AudioError> {
        let mut mono = Mono::new(10);
        mono.add(rate, channels, |to| *to = samples.to_vec())?;
        mono.finish()
    }

    #[test]
    fn channels_are_averaged() {
        assert_eq!(mixed(SAMPLE_RATE, 2, &[1.0, 0.0, -1.0, -0.5]), Ok(vec![0.5, -0.75]));
        assert_eq!(mixed(SAMPLE_RATE, 1, &[f32::NAN, 0.25]), Ok(vec![0.0, 0.25]));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(mixed(999, 1, &[0.0]), Err(AudioError::Rate(999)));
        assert_eq!(mixed(u32::MAX, 1, &[0.0]), Err(AudioError::Rate(u32::MAX)));
        assert_eq!(mixed(SAMPLE_RATE, 0, &[0.0]), Err(AudioError::Channels(0)));
        assert_eq!(mixed(SAMPLE_RATE, 27, &[0.0]), Err(AudioError::Channels(27)));
        assert_eq!(mixed(SAMPLE_RATE, 1, &[]), Err(AudioError::NoSamples));
        let long = vec![0.0; 10 * SAMPLE_RATE as usize + 1];
        assert_eq!(mixed(SAMPLE_RATE, 1, &long), Err(AudioError::TooLong { max_seconds: 10 }));
        let mut mono = Mono::new(10);
        mono.add(8000, 1, |to| to.push(0.0)).unwrap();
        assert_eq!(mono.add(16_000, 1, |to| to.push(0.0)), Err(AudioError::Changes));
    }
}
