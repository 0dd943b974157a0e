//! From a model's files to an encoder, its text side, and what may go before a text.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use engine_core::{Encoder, EncoderOutput};
use engine_encoder::{
    DecoderEmbedder, DecoderModel, EncoderOptions, Model, Precision, TextEncoder,
};
use engine_llm::weights;
use engine_text::{Prompts, TextModel};
use model_registry::Manifest;

use super::{EngineOptions, LoadedEncoder, named, read, text::text_model};

/// Tokens of a batch, and so of the longest text that is read.
const MAX_BATCH_TOKENS: usize = 8192;

/// An encoder that was opened: one that sees both ways, or a decoder that is asked for its states.
pub(crate) enum OpenedEncoder {
    Encoder(Box<Model>),
    Decoder(Box<DecoderModel>),
}

impl OpenedEncoder {
    pub(crate) fn architecture(&self) -> &str {
        match self {
            Self::Encoder(model) => &model.architecture,
            Self::Decoder(model) => &model.decoder.architecture,
        }
    }

    pub(crate) fn meaning(&self) -> &EncoderOutput {
        match self {
            Self::Encoder(model) => &model.meaning,
            Self::Decoder(model) => &model.meaning,
        }
    }

    pub(crate) fn max_input_len(&self) -> usize {
        let made_for = match self {
            Self::Encoder(model) => model.spec.stack.max_input_len,
            Self::Decoder(model) => model.max_input_len,
        };
        made_for.min(MAX_BATCH_TOKENS)
    }

    /// The bytes that its weights take in memory, about.
    pub(super) fn kept_len(&self) -> u64 {
        match self {
            Self::Encoder(model) => weights::kept_len(&model.weights),
            Self::Decoder(model) => {
                weights::kept_len(&model.decoder.weights) + weights::kept_len(&model.weights)
            }
        }
    }

    fn vocab_size(&self) -> usize {
        match self {
            Self::Encoder(model) => model.spec.vocab_size,
            Self::Decoder(model) => model.decoder.spec.vocab_size,
        }
    }
}

/// Opens the encoder in these files with its text side, if they are one's: that hangs on the
/// architecture, and on sentence-transformers' modules.
///
/// # Errors
/// If a file is not what it should be; the message names file and field.
pub(super) fn open_encoder(
    files: &BTreeMap<String, PathBuf>,
) -> Result<Option<(OpenedEncoder, TextModel)>> {
    let opened = match named(files, engine_encoder::open(files))? {
        Some(model) => OpenedEncoder::Encoder(Box::new(model)),
        None => match named(files, engine_encoder::open_decoder(files))? {
            Some(model) => OpenedEncoder::Decoder(Box::new(model)),
            None => return Ok(None),
        },
    };
    let source = named(files, weights::text_source(files, opened.vocab_size()))?;
    let text = named(files, text_model(&source, opened.vocab_size()))?;
    Ok(Some((opened, text)))
}

/// The same, ready to compute.
pub(super) fn encoder(
    manifest: &Manifest,
    files: &BTreeMap<String, PathBuf>,
    packed: &Path,
    options: EngineOptions,
) -> Result<Option<LoadedEncoder>> {
    let Some((opened, text)) = open_encoder(files)? else { return Ok(None) };
    let options = EncoderOptions {
        threads: options.threads,
        max_batch_tokens: MAX_BATCH_TOKENS,
        precision: Precision::Fast,
        packed: Some(packed.to_owned()),
    };
    let encoder: Box<dyn Encoder> = match opened {
        OpenedEncoder::Encoder(model) => Box::new(TextEncoder::new(&model, options)?),
        OpenedEncoder::Decoder(model) => Box::new(DecoderEmbedder::new(*model, options)?),
    };
    let optional = |name: &str| files.get(name).map(|path| read(path)).transpose();
    let config = optional("config_sentence_transformers.json")?;
    let pooling = optional("1_Pooling/config.json")?;
    let prompts = Prompts::from_files(config.as_deref(), pooling.as_deref());
    let (manifest, text) = (manifest.clone(), Arc::new(text));
    Ok(Some(LoadedEncoder { manifest, encoder, text, prompts: named(files, prompts)? }))
}
