//! Why an executor could not be set up; each message says how much of what there is.

use super::needs::Needs;
use crate::weights::WeightsError;

/// Why an executor could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
    /// The environment asks for instructions that there are none of.
    #[error("{0}")]
    Isa(String),
    /// A tensor is missing or has the wrong shape or type.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Not even one block of each group of layers fits.
    #[error("a KV cache of {wanted} bytes holds nothing: its smallest part takes {needed} bytes")]
    CacheTooSmall {
        /// Bytes asked for.
        wanted: usize,
        /// Bytes of one of each.
        needed: usize,
    },
    /// All of it together is more than there is.
    #[error(
        "there is no memory for this model: its weights take {} bytes, the KV cache {} and \
         buffers {}, together {}, but {available} are available; {}",
        needs.weights, needs.kv_cache, needs.buffers, needs.total(), needs.advice(*available)
    )]
    TooLarge {
        /// What it takes.
        needs: Needs,
        /// Bytes there are.
        available: u64,
    },
    /// The system does not give so much memory.
    #[error("there is no memory for a KV cache of {needed} bytes; ask for less")]
    OutOfMemory {
        /// Bytes asked for.
        needed: usize,
    },
    /// The system does not give memory for the packed weights.
    #[error("there is no memory for the weights: {0}")]
    Packing(std::io::Error),
    /// The worker threads could not be started.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system says.
        source: std::io::Error,
    },
}
