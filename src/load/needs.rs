//! What a model takes of the memory, known before anything of it is stored.
//!
//! Invariant: of a decoder it is what `run` and `serve` count before they read it; but what is far
//! too large, or restored when it is opened, is told by its size alone, as opening it would take
//! memory. Never is told only of what no setting and no quiet hour would change.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use engine_llm::{
    executors::cpu::CpuExecutor,
    weights::{Stored, kept_len, memory},
};

use super::{
    EngineOptions,
    kinds::{Opened, named, open},
};
use crate::{cli::EngineArgs, size::ByteSize};

/// Bytes of what stays in memory while a model is run, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    weights: u64,
    buffers: u64,
    /// As large as it is where nobody says otherwise.
    kv_cache: u64,
    /// Whether the files were opened to find that, and so are a model that can be run somewhere.
    pub(crate) opened: bool,
}

/// Whether a model can be run on this machine.
#[derive(Debug, PartialEq)]
pub(crate) enum Fit {
    Yes,
    /// Not with what is free now, for this reason.
    NotNow(String),
    /// Never, for this reason.
    Never(String),
}

impl Needs {
    /// What the model in these files will take.
    ///
    /// # Errors
    /// If it cannot be run, whatever there is.
    pub(crate) fn of(files: &BTreeMap<String, PathBuf>) -> Result<Self> {
        let stored = named(files, Stored::of(files))?;
        let is_over = memory::total().is_some_and(|total| stored.least() > total);
        if is_over || stored.restored {
            return Ok(Self { weights: stored.least(), ..Self::default() });
        }
        let opened = |weights| Self { weights, opened: true, ..Self::default() };
        Ok(match open(files)? {
            Opened::Speech(model) => opened(kept_len(&model.encoder) + kept_len(&model.decoder)),
            Opened::Encoder(encoder) => opened(encoder.kept_len()),
            Opened::Decoder(decoder) => {
                let options = EngineOptions::new(&EngineArgs::default()).cpu(None);
                let needs = CpuExecutor::needs(&decoder.spec, &decoder.weights, &options);
                let needs = named(files, needs)?;
                let tower = decoder.vision.map_or(0, |model| kept_len(&model.weights));
                Self {
                    weights: needs.weights + tower,
                    buffers: needs.buffers,
                    kv_cache: needs.kv_cache,
                    opened: true,
                }
            }
        })
    }

    /// Holds that against this machine.
    pub(crate) fn fit(&self) -> Fit {
        self.within(memory::total(), memory::available())
    }

    /// The same of a machine with so much memory in all, and so much of it free.
    fn within(&self, total: Option<u64>, available: Option<u64>) -> Fit {
        let Self { weights, buffers, kv_cache, .. } = *self;
        let least = weights.saturating_add(buffers);
        if let Some(total) = total.filter(|total| least > *total) {
            let [least, weights, buffers, total] = [least, weights, buffers, total].map(ByteSize);
            let at_least = if self.opened { "" } else { "at least " };
            return Fit::Never(format!(
                "it needs {at_least}{least} of memory (weights {weights}, buffers {buffers}), and \
                 this machine has {total}"
            ));
        }
        let usual = least.saturating_add(kv_cache);
        match available {
            // Nothing else than decoders is held against it when it starts.
            Some(available) if kv_cache > 0 && usual > available => {
                let [usual, kv_cache, available] = [usual, kv_cache, available].map(ByteSize);
                Fit::NotNow(format!(
                    "with a KV cache of {kv_cache} it needs {usual} of memory, and {available} \
                     are free now: `run` and `serve` would refuse it (--kv-cache says how large \
                     the cache is)"
                ))
            }
            _ => Fit::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn never_is_what_no_setting_changes() {
        let needs = Needs { weights: 7 * GIB, buffers: GIB, kv_cache: GIB, opened: true };
        let fit = |total: u64, free: u64| needs.within(Some(total), Some(free));
        assert_eq!(fit(16 * GIB, 9 * GIB), Fit::Yes);
        assert_eq!(needs.within(None, None), Fit::Yes);
        let Fit::NotNow(why) = fit(16 * GIB, 9 * GIB - 1) else { panic!("it fits") };
        for number in ["cache of 1.0 GiB", "needs 9.0 GiB", "9.0 GiB are free"] {
            assert!(why.contains(number), "{number}: {why}");
        }
        // All that there is: a smaller cache does.
        assert!(matches!(fit(8 * GIB, 0), Fit::NotNow(_)));
        let Fit::Never(why) = fit(8 * GIB - 1, 0) else { panic!("it fits") };
        for number in ["needs 8.0 GiB", "weights 7.0 GiB", "buffers 1.0 GiB", "machine has 8.0"] {
            assert!(why.contains(number), "{number}: {why}");
        }
        let encoder = Needs { weights: 7 * GIB, ..Needs::default() };
        assert_eq!(encoder.within(Some(8 * GIB), Some(0)), Fit::Yes);
    }
}
