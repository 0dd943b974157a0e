//! From a model's files to a transcriber and its text side.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use engine_encoder::Precision;
use engine_llm::weights;
use engine_speech::{DecodingOptions, Executor, Model, SpeechOptions, TextOf, Transcriber};
use engine_text::TextModel;
use model_registry::Manifest;

use super::{EngineOptions, LoadedSpeech, named, text::text_model};

/// Opens the model of speech in these files with its text side, if they are one's: that hangs on
/// the architecture.
///
/// # Errors
/// If a file is not what it should be; the message names file and field.
pub(super) fn open_speech(files: &BTreeMap<String, PathBuf>) -> Result<Option<(Model, TextModel)>> {
    let Some(model) = named(files, engine_speech::open(files))? else { return Ok(None) };
    let source = named(files, weights::text_source(files, model.spec.vocab_size))?;
    let text = named(files, text_model(&source, model.spec.vocab_size))?;
    Ok(Some((model, text)))
}

/// The same, ready to compute.
pub(super) fn speech(
    manifest: &Manifest,
    files: &BTreeMap<String, PathBuf>,
    packed: &Path,
    options: EngineOptions,
) -> Result<Option<LoadedSpeech>> {
    let Some((model, text)) = open_speech(files)? else { return Ok(None) };
    let options = SpeechOptions {
        threads: options.threads,
        precision: Precision::Fast,
        packed: Some([packed.to_owned(), packed.with_extension("decoder.bin")]),
    };
    let executor = Executor::new(&model, &options)?;
    let text = Arc::new(text);
    let text_of: TextOf = {
        let text = Arc::clone(&text);
        Arc::new(move |tokens| text.decode(tokens, true))
    };
    let decoding = DecodingOptions::default();
    let transcriber = Transcriber::new(executor, model.vocabulary, text_of, decoding);
    Ok(Some(LoadedSpeech { manifest: manifest.clone(), transcriber, text }))
}
