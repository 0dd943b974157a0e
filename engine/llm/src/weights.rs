//! From files to a described model: its [`DecoderSpec`], its tensors in place in a memory map,
//! and where its text side is described.
//!
//! Invariant: a [`Model`] is complete and consistent: every tensor that the spec needs is there
//! in the right shape, and none is there that computing by the spec would leave out. Files are
//! not trusted; whatever they contain, the answer is a model or an error, soon. Names of tensors
//! are GGUF's, whatever the file's format.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use engine_weights::{
    DType, Progress, Stored, Tensor, Weights, WeightsError, can_quantize,
    gguf::{GgufVocab, TextList},
    kept_len, memory, quantize, quantized_len,
};
use serde_json::{Map, Value};

use engine_weights::{Fault, Files, LoadError, gguf, hugging_face};
pub(crate) use engine_weights::{
    gguf::{FromValue, Metadata},
    mmap,
};

use crate::{adapters::AdapterBase, families, spec::DecoderSpec};

/// All that is needed to run a model.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the files call the architecture: a class of transformers, or GGUF's name.
    pub architecture: String,
    /// What to compute.
    pub spec: DecoderSpec,
    /// With which numbers.
    pub weights: Weights,
    /// Where tokenizer and chat template are.
    pub text: TextSource,
    /// What adapters for it are held against.
    pub base: AdapterBase,
}

/// The description of a model's text side.
#[derive(Clone, Debug)]
pub enum TextSource {
    /// In the GGUF file itself.
    Gguf(Box<GgufVocab>),
    /// In files beside the weights.
    HuggingFace(HuggingFaceText),
}

/// Files of a Hugging Face folder that describe the text side.
#[derive(Clone, Debug)]
pub struct HuggingFaceText {
    /// `tokenizer.json`.
    pub tokenizer_json: PathBuf,
    /// `config.json`: ids of special tokens.
    pub config_json: PathBuf,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<PathBuf>,
    /// `generation_config.json`.
    pub generation_config: Option<PathBuf>,
    /// `special_tokens_map.json`.
    pub special_tokens_map: Option<PathBuf>,
    /// `chat_template.jinja`.
    pub chat_template: Option<PathBuf>,
    /// `chat_template.json`, as processors write it.
    pub chat_template_json: Option<PathBuf>,
}

/// Opens the model that `files` (path by name) hold: either one `*.gguf`, or `config.json`,
/// `tokenizer.json` and `*.safetensors`.
///
/// # Errors
/// [`LoadError`] naming the file and the field or tensor.
pub fn open(files: &BTreeMap<String, PathBuf>) -> Result<Model, LoadError> {
    let mut gguf = files.iter().filter(|(name, _)| name.ends_with(".gguf"));
    match (gguf.next(), gguf.next()) {
        (Some((_, path)), None) => open_gguf(path),
        (Some((first, _)), Some((second, _))) => {
            Err(LoadError::Files(format!("one .gguf file wanted, not both {first} and {second}")))
        }
        (None, _) => open_folder(files, hugging_face::config(files)?),
    }
}

fn open_gguf(path: &Path) -> Result<Model, LoadError> {
    let bytes = mmap::map(path)?;
    let at_path = |fault: Fault| fault.at(path);
    let file = gguf::GgufFile::parse(&bytes).map_err(at_path)?;
    let (architecture, spec, family) =
        families::from_gguf(&file.metadata, &file.tensors).map_err(at_path)?;
    let vocab = gguf::vocab(&file.metadata, spec.vocab_size).map_err(at_path)?;
    let keys = gguf::Keys { metadata: &file.metadata, architecture: &architecture };
    let weights = families::assemble_gguf(&spec, family, file.tensors, &keys)?;
    let base = AdapterBase::new(&spec, family, true);
    Ok(Model { architecture, spec, weights, text: TextSource::Gguf(Box::new(vocab)), base })
}

/// Opens the folder of a decoder that is asked for its last states: as [`open`], but the class may
/// be the one without an output head, and a head that is there is left out.
///
/// # Errors
/// As [`open`].
pub fn open_headless(files: &BTreeMap<String, PathBuf>) -> Result<Model, LoadError> {
    let mut config = hugging_face::config(files)?;
    if let Some(Value::Array(classes)) = config.get_mut("architectures")
        && let [Value::String(class)] = classes.as_mut_slice()
        && let Some(stem) = class.strip_suffix("Model")
    {
        *class = format!("{stem}ForCausalLM");
    }
    config.insert("tie_word_embeddings".into(), true.into());
    open_folder(files, config)
}

fn open_folder(files: &Files, config: Map<String, Value>) -> Result<Model, LoadError> {
    let config_json = hugging_face::require(files, hugging_face::CONFIG)?;
    let (architecture, spec, family) =
        families::from_config(&config).map_err(|fault| fault.at(config_json))?;
    let tensors = hugging_face::tensors(files, &config)?;
    let weights = families::assemble(&spec, family, tensors, &config)?;
    let text = folder_text(files)?;
    let base = AdapterBase::new(&spec, family, false);
    Ok(Model { architecture, spec, weights, text, base })
}

/// The text side of the model that `files` hold, whose embedding has `vocab_size` rows, whatever
/// kind of model it is.
///
/// # Errors
/// As [`open`].
pub fn text_source(
    files: &BTreeMap<String, PathBuf>,
    vocab_size: usize,
) -> Result<TextSource, LoadError> {
    let Some((_, path)) = files.iter().find(|(name, _)| name.ends_with(".gguf")) else {
        return folder_text(files);
    };
    let bytes = mmap::map(path)?;
    let file = gguf::GgufFile::parse(&bytes).map_err(|fault| fault.at(path))?;
    let vocab = gguf::vocab(&file.metadata, vocab_size).map_err(|fault| fault.at(path))?;
    Ok(TextSource::Gguf(Box::new(vocab)))
}

fn folder_text(files: &Files) -> Result<TextSource, LoadError> {
    Ok(TextSource::HuggingFace(HuggingFaceText {
        tokenizer_json: hugging_face::require(files, "tokenizer.json")?.clone(),
        config_json: hugging_face::require(files, hugging_face::CONFIG)?.clone(),
        tokenizer_config: files.get("tokenizer_config.json").cloned(),
        generation_config: files.get("generation_config.json").cloned(),
        special_tokens_map: files.get("special_tokens_map.json").cloned(),
        chat_template: files.get("chat_template.jinja").cloned(),
        chat_template_json: files.get("chat_template.json").cloned(),
    }))
}
