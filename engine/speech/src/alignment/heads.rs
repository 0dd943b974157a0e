//! The heads that look at what is said, as `generation_config.json` names them.
//!
//! Invariant: each is one of the decoder's; there is at least one.

use engine_weights::{Fault, config::Config};

use crate::spec::WhisperSpec;

/// Far above the width that any model has.
const MAX_MEDIAN: usize = 63;
/// openai-whisper's.
const MEDIAN: usize = 7;

/// What times of tokens are found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alignment {
    /// Layers and heads within them.
    pub(crate) heads: Vec<[usize; 2]>,
    /// Positions that a median is of; odd.
    pub(crate) median: usize,
}

impl Alignment {
    /// Reads `generation_config.json`'s `alignment_heads`; without them it is every head of the
    /// layers' last half, as openai-whisper has it.
    pub(crate) fn heads(generation: &Config<'_>, spec: &WhisperSpec) -> Result<Self, Fault> {
        const FIELD: &str = "alignment_heads";
        let (layers, heads) = (spec.decoder_layers, spec.decoder_heads);
        let named: Vec<[usize; 2]> = generation.get(FIELD)?.unwrap_or_default();
        if named.len() > layers * heads {
            let what = format!("{} heads; the decoder has {}", named.len(), layers * heads);
            return Err(Fault::field(FIELD, what));
        }
        if let Some([layer, head]) = named.iter().find(|[l, h]| *l >= layers || *h >= heads) {
            let what = format!("[{layer}, {head}], of {layers} layers with {heads} heads each");
            return Err(Fault::field(FIELD, what));
        }
        let all = (layers / 2..layers).flat_map(|l| (0..heads).map(move |h| [l, h]));
        let heads = if named.is_empty() { all.collect() } else { named };
        Ok(Self { heads, median: MEDIAN })
    }

    /// With `config.json`'s `median_filter_width`.
    pub(crate) fn with_median(self, config: &Config<'_>) -> Result<Self, Fault> {
        const FIELD: &str = "median_filter_width";
        let median = config.get(FIELD)?.unwrap_or(MEDIAN);
        if median > MAX_MEDIAN || median % 2 == 0 {
            let what = format!("{median}; it must be odd, and {MAX_MEDIAN} at most");
            return Err(Fault::field(FIELD, what));
        }
        Ok(Self { median, ..self })
    }
}
