//! How an executor is set up.

use std::path::PathBuf;

use super::KvDtype;

/// In which numbers products are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Activations in bytes for quantised weights, in 14 bits for floating-point ones, in two
    /// bfloat16s for those in bfloat16 on Intel's matrix unit.
    #[default]
    Fast,
    /// The dequantised mathematics in `f32`: slow, to compare with.
    Exact,
}

/// How to set the executor up.
#[derive(Clone, Debug)]
pub struct CpuOptions {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Bytes for keys and values of all layers; rounded down to whole blocks.
    pub kv_cache_bytes: usize,
    /// How keys and values are stored.
    pub kv_dtype: KvDtype,
    /// The most input tokens of a step.
    pub max_step_tokens: usize,
    /// In which numbers to compute.
    pub precision: Precision,
    /// The greatest rank of adapters; 0 for none.
    pub max_adapter_rank: usize,
    /// Where packed weights are kept from one start to the next, if they are.
    pub packed: Option<PathBuf>,
}
