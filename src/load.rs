//! From a model's name to an engine and its text side.

use std::{collections::BTreeMap, fs, path::Path, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use engine_llm::{
    LlmEngine,
    executors::cpu::{CpuExecutor, CpuOptions},
    weights::{self, TextSource},
};
use engine_text::{HuggingFaceFiles, TextModel};
use model_registry::{Manifest, ModelName};

use crate::{cli::EngineArgs, data_dir, size::ByteSize};

/// Input tokens of one step: enough to keep matrix products busy, few enough that running
/// conversations do not stall behind a long prompt.
const MAX_STEP_TOKENS: usize = 512;
/// Sequences of one step.
const MAX_STEP_SEQS: usize = 256;
const DEFAULT_KV_CACHE: ByteSize = ByteSize(1 << 30);
/// Tokenizer and configuration files are read whole; larger ones are refused.
const MAX_TEXT_FILE_BYTES: u64 = 64 << 20;

/// A model in memory.
pub(crate) struct Loaded {
    pub(crate) manifest: Manifest,
    pub(crate) engine: LlmEngine,
    pub(crate) text: Arc<TextModel>,
}

/// How to run it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineOptions {
    pub(crate) threads: usize,
    kv_cache: ByteSize,
    max_model_len: Option<usize>,
}

impl EngineOptions {
    /// The arguments, with defaults where they are open.
    pub(crate) fn new(args: &EngineArgs) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            threads: args.threads.unwrap_or_else(cores),
            kv_cache: args.kv_cache.unwrap_or(DEFAULT_KV_CACHE),
            max_model_len: args.max_model_len,
        }
    }
}

/// Loads the model that the registry knows by `name`.
///
/// # Errors
/// If there is no such model, or it cannot be loaded.
pub(crate) async fn by_name(data_dir: &Path, name: &str, options: EngineOptions) -> Result<Loaded> {
    let name: ModelName = name.parse()?;
    let registry = data_dir::registry(data_dir)?;
    let manifest = registry.get(&name).await?;
    let files = registry.files(&manifest).await?;
    from_files(manifest, &files, options)
}

/// Loads a model from local files; maps weights, reads the tokenizer, reserves cache and buffers.
///
/// # Errors
/// If a file is not what it should be; the message names file and field.
pub(crate) fn from_files(
    manifest: Manifest,
    files: &BTreeMap<String, PathBuf>,
    options: EngineOptions,
) -> Result<Loaded> {
    let (model, text) = open(files).with_context(|| format!("model {}", manifest.name))?;
    let (vocab_size, made_for) = (model.spec.vocab_size, model.spec.max_model_len);
    let cpu = CpuOptions {
        threads: options.threads,
        kv_cache_bytes: usize::try_from(options.kv_cache.0).unwrap_or(usize::MAX),
        max_step_tokens: MAX_STEP_TOKENS,
    };
    let executor = CpuExecutor::new(model.spec, &model.weights, cpu)
        .with_context(|| format!("model {}", manifest.name))?;
    let max_model_len = options.max_model_len.map_or(made_for, |len| len.min(made_for));
    let engine = LlmEngine::new(Box::new(executor), vocab_size, max_model_len, MAX_STEP_SEQS);
    Ok(Loaded { manifest, engine, text: Arc::new(text) })
}

/// Opens weights and text, and checks that they belong together.
///
/// # Errors
/// If a file is not what it should be; the message names file and field.
pub(crate) fn open(files: &BTreeMap<String, PathBuf>) -> Result<(weights::Model, TextModel)> {
    let mut model = weights::open(files)?;
    let text = match std::mem::take(&mut model.text) {
        TextSource::Gguf(vocab) => TextModel::from_gguf(from_gguf(*vocab))?,
        TextSource::HuggingFace => hugging_face_text(files)?,
    };
    text.check_vocab(model.spec.vocab_size)?;
    Ok((model, text))
}

fn hugging_face_text(files: &BTreeMap<String, PathBuf>) -> Result<TextModel> {
    let read = |name: &str| -> Result<Option<Vec<u8>>> {
        let Some(path) = files.get(name) else { return Ok(None) };
        let size = path.metadata().with_context(|| format!("cannot read {name}"))?.len();
        if size > MAX_TEXT_FILE_BYTES {
            bail!("{name}: {size} bytes are more than the {MAX_TEXT_FILE_BYTES} allowed");
        }
        Ok(Some(fs::read(path).with_context(|| format!("cannot read {name}"))?))
    };
    let tokenizer = read("tokenizer.json")?
        .context("the model has no tokenizer.json; put it beside the weights")?;
    let template = read("chat_template.jinja")?
        .map(String::from_utf8)
        .transpose()
        .context("chat_template.jinja is not UTF-8")?;
    Ok(TextModel::from_hugging_face(&HuggingFaceFiles {
        tokenizer_json: &tokenizer,
        tokenizer_config: read("tokenizer_config.json")?.as_deref(),
        generation_config: read("generation_config.json")?.as_deref(),
        special_tokens_map: read("special_tokens_map.json")?.as_deref(),
        chat_template: template.as_deref(),
        config_json: read("config.json")?.as_deref(),
    })?)
}
