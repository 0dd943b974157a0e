//! What can be counted, and counts of it.
//!
//! Invariant: a unit is counted by one meter. Input that came out of a cache is counted as that,
//! and not as input too.

use std::fmt;
use std::str::FromStr;

/// What is counted. Its place among all is what the journal writes: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meter {
    /// Tokens of prompts that were computed.
    InputTokens,
    /// Tokens of prompts that a cache had.
    CachedInputTokens,
    /// Tokens that were generated.
    OutputTokens,
    /// Tokens that embeddings, scores or labels were made of.
    EmbeddingTokens,
    /// Images.
    Images,
    /// Milliseconds of recordings.
    AudioMillis,
    /// Milliseconds of an accelerator or machine.
    ComputeMillis,
    /// Bytes kept, times hours.
    StorageByteHours,
    /// Hours for which a model was held ready.
    ProvisionedHours,
}

/// Counts of each meter, in its units.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Usage([u64; Meter::ALL.len()]);

/// There is no such meter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no meter '{0}'; there are {all}", all = Meter::ALL.map(Meter::name).join(", "))]
pub struct UnknownMeter(String);

impl Meter {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::InputTokens,
        Self::CachedInputTokens,
        Self::OutputTokens,
        Self::EmbeddingTokens,
        Self::Images,
        Self::AudioMillis,
        Self::ComputeMillis,
        Self::StorageByteHours,
        Self::ProvisionedHours,
    ];

    /// What configurations and messages call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InputTokens => "input_tokens",
            Self::CachedInputTokens => "cached_input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::EmbeddingTokens => "embedding_tokens",
            Self::Images => "images",
            Self::AudioMillis => "audio_millis",
            Self::ComputeMillis => "compute_millis",
            Self::StorageByteHours => "storage_byte_hours",
            Self::ProvisionedHours => "provisioned_hours",
        }
    }

    /// Its place in [`Meter::ALL`].
    pub(crate) const fn place(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Meter {
    type Err = UnknownMeter;

    fn from_str(name: &str) -> Result<Self, UnknownMeter> {
        let found = Self::ALL.into_iter().find(|meter| meter.name() == name);
        found.ok_or_else(|| UnknownMeter(name.chars().take(40).collect()))
    }
}

impl Usage {
    /// Nothing.
    pub const NONE: Self = Self([0; Meter::ALL.len()]);

    /// The same with another count of a meter.
    #[must_use]
    pub const fn with(mut self, meter: Meter, units: u64) -> Self {
        self.0[meter.place()] = units;
        self
    }

    /// The count of a meter.
    #[must_use]
    pub const fn get(&self, meter: Meter) -> u64 {
        self.0[meter.place()]
    }

    /// The sum, where each count fits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let mut sum = self;
        for (count, more) in sum.0.iter_mut().zip(other.0) {
            *count = count.checked_add(more)?;
        }
        Some(sum)
    }

    /// The counts of meters that counted something.
    pub fn counts(&self) -> impl Iterator<Item = (Meter, u64)> + use<> {
        Meter::ALL.into_iter().zip(self.0).filter(|(_, units)| *units > 0)
    }

    /// The sum; a count that does not fit stays at the largest, which is over every quota.
    #[must_use]
    pub(crate) fn saturating_add(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    /// What is left of each count after taking the other's.
    #[must_use]
    pub(crate) fn saturating_sub(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }

    /// What is left of each count after taking the other's; counts go round.
    #[must_use]
    pub(crate) fn wrapping_sub(self, other: Self) -> Self {
        self.each(other, u64::wrapping_sub)
    }

    /// The larger of each two counts.
    #[must_use]
    pub(crate) fn max(self, other: Self) -> Self {
        self.each(other, u64::max)
    }

    /// The smaller of each two counts.
    #[must_use]
    pub(crate) fn min(self, other: Self) -> Self {
        self.each(other, u64::min)
    }

    fn each(self, other: Self, of: fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|idx| of(self.0[idx], other.0[idx])))
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.counts().map(|(meter, units)| (meter.name(), units))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_meter_has_its_place_and_its_name() {
        for (place, meter) in Meter::ALL.into_iter().enumerate() {
            assert_eq!(meter.place(), place);
            assert_eq!(meter.name().parse(), Ok(meter));
        }
        let message = "tokens".parse::<Meter>().unwrap_err().to_string();
        assert!(message.contains("'tokens'") && message.contains("provisioned_hours"), "{message}");
    }

    #[test]
    fn counts_add_up_by_meter() {
        let one = Usage::NONE.with(Meter::InputTokens, 3).with(Meter::Images, u64::MAX);
        let other = Usage::NONE.with(Meter::InputTokens, 4);
        let sum = one.checked_add(other).unwrap();
        assert_eq!((sum.get(Meter::InputTokens), sum.get(Meter::Images)), (7, u64::MAX));
        assert_eq!(one.checked_add(Usage::NONE.with(Meter::Images, 1)), None);
        let counts: Vec<_> = sum.counts().collect();
        assert_eq!(counts, [(Meter::InputTokens, 7), (Meter::Images, u64::MAX)]);
    }
}
