//! From a model's files to an encoder, its text side, and what may go before a text.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use engine_core::Encoder;
use engine_encoder::{DecoderEmbedder, EncoderOptions, Precision, TextEncoder};
use engine_llm::weights;
use engine_text::Prompts;
use model_registry::Manifest;

use super::{EngineOptions, LoadedEncoder, named, read, text::text_model};

/// Tokens of a batch, and so of the longest text that is read.
const MAX_BATCH_TOKENS: usize = 8192;

/// The encoder in these files, if they are one's, which hangs on architecture and modules.
pub(super) fn encoder(
    manifest: &Manifest,
    files: &BTreeMap<String, PathBuf>,
    packed: &Path,
    options: EngineOptions,
) -> Result<Option<LoadedEncoder>> {
    let options = EncoderOptions {
        threads: options.threads,
        max_batch_tokens: MAX_BATCH_TOKENS,
        precision: Precision::Fast,
        packed: Some(packed.to_owned()),
    };
    let encoder: Box<dyn Encoder> = match named(files, engine_encoder::open(files))? {
        Some(model) => Box::new(TextEncoder::new(&model, options)?),
        None => match named(files, engine_encoder::open_decoder(files))? {
            Some(model) => Box::new(DecoderEmbedder::new(model, options)?),
            None => return Ok(None),
        },
    };
    let vocab_size = encoder.info().vocab_size;
    let source = named(files, weights::text_source(files, vocab_size))?;
    let text = named(files, text_model(&source, vocab_size))?;
    let optional = |name: &str| files.get(name).map(|path| read(path)).transpose();
    let config = optional("config_sentence_transformers.json")?;
    let pooling = optional("1_Pooling/config.json")?;
    let prompts = Prompts::from_files(config.as_deref(), pooling.as_deref());
    let (manifest, text) = (manifest.clone(), Arc::new(text));
    Ok(Some(LoadedEncoder { manifest, encoder, text, prompts: named(files, prompts)? }))
}
