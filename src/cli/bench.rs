//! The arguments of `agentbase bench`.

use std::{path::PathBuf, str::FromStr};

use clap::Args;

use super::EngineArgs;

/// Texts and tokens of a batch at most.
const MAX_BATCH: usize = 1 << 20;

/// A batch of texts that are equally long: `32x64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchShape {
    pub(crate) num_texts: usize,
    /// Of each text.
    pub(crate) num_tokens: usize,
}

impl FromStr for BatchShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('x').map(|(texts, tokens)| (texts.parse(), tokens.parse()));
        match numbers {
            Some((Ok(num_texts @ 1..=MAX_BATCH), Ok(num_tokens @ 1..=MAX_BATCH)))
                if num_texts.saturating_mul(num_tokens) <= MAX_BATCH =>
            {
                Ok(Self { num_texts, num_tokens })
            }
            _ => Err(format!(
                "`{text}` is no batch of texts; write 32x64 for 32 texts of 64 tokens, \
                 {MAX_BATCH} tokens at most"
            )),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// The model's name
    pub(crate) name: String,

    /// Prompt lengths for prefill; without a value, none
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', num_args = 0..=1,
        default_value = "128,512")]
    pub(crate) prompt: Vec<usize>,

    /// Made-up adapters of rank 16, which decoded sequences take in turn
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) adapters: usize,
    /// Sequences decoded together
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,4,16,32")]
    pub(crate) batch: Vec<usize>,

    /// Tokens already in the cache when decoding begins; without a value, nothing is decoded
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', num_args = 0..=1,
        default_value = "128,1024")]
    pub(crate) depth: Vec<usize>,

    /// Tokens decoded per sequence
    #[arg(long, value_name = "TOKENS", default_value_t = 32)]
    pub(crate) generate: usize,

    /// Requests that run at once through the scheduler, 128 tokens in and 128 out
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) streams: Vec<usize>,

    /// Batches of made-up texts that an encoder reads, each so many texts of so many tokens
    #[arg(
        long,
        value_name = "TEXTSxTOKENS",
        value_delimiter = ',',
        default_value = "1x64,32x64,16x256"
    )]
    pub(crate) inputs: Vec<BatchShape>,

    /// Batches that an encoder reads in place of made-up ones, one after the other: JSON, an array
    /// of batches, which are arrays of texts, which are arrays of token ids. With --json their rows
    /// are printed too
    #[arg(long, value_name = "FILE", conflicts_with = "inputs")]
    pub(crate) tokens: Option<PathBuf>,

    /// Repetitions; medians are reported
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) repeat: usize,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[cfg(test)]
mod tests {
    use super::BatchShape;

    #[test]
    fn batches_are_texts_times_tokens() {
        let shape: BatchShape = "32x64".parse().expect("a batch");
        assert_eq!(shape, BatchShape { num_texts: 32, num_tokens: 64 });
        for wrong in ["", "32", "0x64", "32x", "x", "-1x2", "1048576x2", "18446744073709551615x2"] {
            let error = wrong.parse::<BatchShape>().expect_err(wrong);
            assert!(error.contains("32x64"), "{error}");
        }
    }
}
