//! From a model's name to an engine and its text side.

mod encoder;
mod kinds;
mod needs;
mod queues;
mod speech;
mod text;
mod vision;

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, anyhow, bail};
use engine_core::Encoder;
use engine_llm::{
    LlmEngine,
    adapters::{AdapterBase, MAX_RANK},
    executors::cpu::{CpuExecutor, CpuOptions, KvDtype, Precision, fastest_kv_dtype},
    weights::{self, Model},
};
use engine_speech::Transcriber;
use engine_text::{Prompts, TextModel};
use model_registry::{Manifest, ModelName};

pub(crate) use self::{
    encoder::OpenedEncoder,
    kinds::{Opened, OpenedDecoder, expect_decoder, named, open},
    needs::{Fit, Needs},
    queues::{encoding_config, planner_config, seeing_config, speech_config},
    vision::LoadedVision,
};
use self::{
    encoder::encoder,
    speech::speech,
    text::text_model,
    vision::{open_vision, vision},
};
use crate::{cli::EngineArgs, data_dir, size::ByteSize};

/// Input tokens of one step: enough to keep matrix products busy, few enough that running
/// conversations do not stall behind a long prompt.
const MAX_STEP_TOKENS: usize = 256;
/// Sequences of one step.
const MAX_STEP_SEQS: usize = 256;
const DEFAULT_KV_CACHE: ByteSize = ByteSize(1 << 30);
/// Tokenizer and configuration files are read whole; larger ones are refused.
const MAX_TEXT_FILE_BYTES: u64 = 64 << 20;

/// A model in memory.
pub(crate) struct Loaded {
    pub(crate) manifest: Manifest,
    pub(crate) engine: LlmEngine,
    /// What adapters for it are held against.
    pub(crate) base: AdapterBase,
    pub(crate) text: Arc<TextModel>,
    /// What it sees with, if it does.
    pub(crate) vision: Option<LoadedVision>,
}

/// An encoder in memory.
pub(crate) struct LoadedEncoder {
    pub(crate) manifest: Manifest,
    pub(crate) encoder: Box<dyn Encoder>,
    pub(crate) text: Arc<TextModel>,
    pub(crate) prompts: Prompts,
}

/// A transcriber in memory.
pub(crate) struct LoadedSpeech {
    pub(crate) manifest: Manifest,
    pub(crate) transcriber: Transcriber,
    pub(crate) text: Arc<TextModel>,
}

/// A model of whatever kind.
pub(crate) enum ToServe {
    Generator(Box<Loaded>),
    Encoder(Box<LoadedEncoder>),
    Speech(Box<LoadedSpeech>),
}

/// How to run it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineOptions {
    pub(crate) threads: usize,
    kv_cache: ByteSize,
    kv_cache_dtype: KvDtype,
    max_model_len: Option<usize>,
    /// The greatest rank of adapters; 0 for none.
    max_adapter_rank: usize,
}

/// As many threads as this machine runs at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl EngineOptions {
    /// The arguments, with defaults where they are open.
    pub(crate) fn new(args: &EngineArgs) -> Self {
        Self {
            threads: args.threads.unwrap_or_else(cores),
            kv_cache: args.kv_cache.unwrap_or(DEFAULT_KV_CACHE),
            kv_cache_dtype: args.kv_cache_dtype.map_or_else(fastest_kv_dtype, KvDtype::from),
            max_model_len: args.max_model_len,
            max_adapter_rank: 0,
        }
    }

    /// What a decoder's executor is set up with, its packed weights being kept there.
    fn cpu(&self, packed: Option<PathBuf>) -> CpuOptions {
        CpuOptions {
            threads: self.threads,
            kv_cache_bytes: usize::try_from(self.kv_cache.0).unwrap_or(usize::MAX),
            kv_dtype: self.kv_cache_dtype,
            max_step_tokens: MAX_STEP_TOKENS,
            precision: Precision::Fast,
            max_adapter_rank: self.max_adapter_rank,
            packed,
        }
    }

    /// The same, to run adapters too.
    pub(crate) fn with_adapters(self) -> Self {
        Self { max_adapter_rank: MAX_RANK, ..self }
    }
}

/// Loads the model that the registry knows by `name`, as what it is.
///
/// # Errors
/// If there is no such model, or it cannot be loaded.
pub(crate) async fn to_serve(
    data_dir: &Path,
    name: &str,
    options: EngineOptions,
) -> Result<ToServe> {
    let loaded = load_as(data_dir, name, move |manifest, files, packed| {
        let of_model = || format!("model {}", manifest.name);
        if let Some(speech) = speech(&manifest, files, &packed, options).with_context(of_model)? {
            return Ok(ToServe::Speech(Box::new(speech)));
        }
        match encoder(&manifest, files, &packed, options).with_context(of_model)? {
            Some(encoder) => Ok(ToServe::Encoder(Box::new(encoder))),
            None => {
                let loaded = from_files(manifest, files, packed, options)?;
                Ok(ToServe::Generator(Box::new(loaded)))
            }
        }
    });
    loaded.await
}

/// Loads the decoder that the registry knows by `name`.
///
/// # Errors
/// If there is no such model, it is none, or it cannot be loaded.
pub(crate) async fn by_name(data_dir: &Path, name: &str, options: EngineOptions) -> Result<Loaded> {
    load_as(data_dir, name, move |manifest, files, packed| {
        expect_decoder(&manifest, files, "only decoders write text")?;
        from_files(manifest, files, packed, options)
    })
    .await
}

/// Finds the files of the model that the registry knows by `name`, and hands them to `load`.
async fn load_as<T: Send + 'static>(
    data_dir: &Path,
    name: &str,
    load: impl FnOnce(Manifest, &BTreeMap<String, PathBuf>, PathBuf) -> Result<T> + Send + 'static,
) -> Result<T> {
    let name: ModelName = name.parse()?;
    if let Some((base, _)) = name.adapter() {
        bail!("{name} is an adapter: it runs in `agentbase serve`, with its base, {base}");
    }
    let registry = data_dir::registry(data_dir)?;
    let manifest = registry.get(&name).await?;
    let files = registry.files(&manifest).await?;
    // Building a tokenizer and touching weights takes a second: not on a thread that serves.
    // The digest is of the contents, so what is packed fits as long as the name is right.
    let packed = data_dir::packed(data_dir, &manifest.digest);
    tokio::task::spawn_blocking(move || load(manifest, &files, packed)).await?
}

/// Loads a model from local files; maps weights, reads the tokenizer, reserves cache and buffers.
///
/// # Errors
/// If a file is not what it should be; the message names file and field.
fn from_files(
    manifest: Manifest,
    files: &BTreeMap<String, PathBuf>,
    packed: PathBuf,
    options: EngineOptions,
) -> Result<Loaded> {
    let of_model = || format!("model {}", manifest.name);
    let Model { spec, weights, text, base, .. } =
        named(files, weights::open(files)).with_context(of_model)?;
    let (vocab_size, made_for) = (spec.vocab_size, spec.max_model_len);
    let cpu = options.cpu(Some(packed.clone()));
    // The two sides know nothing of each other, and a start waits for both.
    let (text, executor) = std::thread::scope(|scope| {
        let text = scope.spawn(|| named(files, text_model(&text, vocab_size)));
        let executor = CpuExecutor::new(spec, &weights, cpu);
        (text.join(), executor)
    });
    let text = text.map_err(|_| anyhow!("reading the tokenizer panicked")).flatten();
    let (text, executor) = (text.with_context(of_model)?, executor.with_context(of_model)?);
    let seen = open_vision(files, &text).with_context(of_model)?;
    let seen = seen.map(|model| vision(&model, &packed, options)).transpose();
    let vision = seen.with_context(of_model)?;
    let max_model_len = options.max_model_len.map_or(made_for, |len| len.min(made_for));
    let engine = LlmEngine::new(Box::new(executor), vocab_size, max_model_len, MAX_STEP_SEQS);
    Ok(Loaded { manifest, engine, base, text: Arc::new(text), vision })
}

/// Reads a file whole, up to a limit.
///
/// # Errors
/// If it cannot be read, or is over the limit.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_TEXT_FILE_BYTES + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {shown}"))?;
    if bytes.len() as u64 > MAX_TEXT_FILE_BYTES {
        bail!("{shown} is over the {MAX_TEXT_FILE_BYTES} bytes allowed");
    }
    Ok(bytes)
}
