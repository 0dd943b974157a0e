//! From a model's files to what it sees with, ready to compute.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use engine_core::{Encoder, ImageReader};
use engine_encoder::{EncoderOptions, Precision};
use engine_text::TextModel;
use engine_vision::{Model, Reader, Tower};

use super::{EngineOptions, named};

/// What a model sees with.
pub(crate) struct LoadedVision {
    pub(crate) reader: Arc<dyn ImageReader>,
    pub(crate) encoder: Box<dyn Encoder>,
}

/// Opens what the model in these files sees with, if it does, and checks that it and the text side
/// belong together.
///
/// # Errors
/// If a file is not what it should be; the message names file and field.
pub(super) fn open_vision(
    files: &BTreeMap<String, PathBuf>,
    text: &TextModel,
) -> Result<Option<Model>> {
    let Some(model) = named(files, engine_vision::open(files))? else { return Ok(None) };
    let reader = Reader::new(&model);
    let mark = &reader.marks().text;
    let tokens = text.encode(mark, false).context("tokenizer.json")?;
    if tokens != [model.image_token] {
        bail!(
            "config.json: field \"image_token_id\": {}, but {mark:?} has the tokens {tokens:?}",
            model.image_token
        );
    }
    Ok(Some(model))
}

/// The same, ready to compute.
pub(super) fn vision(model: &Model, packed: &Path, options: EngineOptions) -> Result<LoadedVision> {
    let options = EncoderOptions {
        threads: options.threads,
        // The tower knows how many it takes.
        max_batch_tokens: 1,
        precision: Precision::Fast,
        packed: Some(packed.with_extension("vision.bin")),
    };
    let tower = Tower::new(model, options)?;
    Ok(LoadedVision { reader: Arc::new(Reader::new(model)), encoder: Box::new(tower) })
}
