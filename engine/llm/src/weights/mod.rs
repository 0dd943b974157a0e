//! From files to a described model: its [`DecoderSpec`], its tensors in place in a memory map,
//! and where its text side is described.
//!
//! Invariant: a [`Model`] is complete and consistent: every tensor that the spec needs is there
//! in the right shape, and none is there that computing by the spec would leave out. Files are
//! not trusted; whatever they contain, the answer is a model or an error, soon. Names of tensors
//! are GGUF's, whatever the file's format.

mod filled;
mod gguf;
mod hugging_face;
pub(crate) mod mmap;
mod quantization;
mod quantize;
mod reshape;
mod safetensors;
mod tensor;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use kernels::quant::DType;

pub(crate) use self::gguf::{FromValue, Metadata};
pub use self::{
    gguf::{GgufVocab, TextList},
    quantize::{Progress, quantize},
    tensor::{Tensor, Weights, WeightsError},
};
use crate::{error::LoadError, families, spec::DecoderSpec};

/// A model's files: where the file of each name is.
type Files = BTreeMap<String, PathBuf>;

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
        (None, _) => hugging_face::open(files),
    }
}

fn open_gguf(path: &Path) -> Result<Model, LoadError> {
    let bytes = mmap::map(path)?;
    let at_path = |fault: crate::error::Fault| fault.at(path);
    let file = gguf::GgufFile::parse(&bytes).map_err(at_path)?;
    let (architecture, spec, family) =
        families::from_gguf(&file.metadata, &file.tensors).map_err(at_path)?;
    let vocab = gguf::vocab(&file.metadata, spec.vocab_size).map_err(at_path)?;
    let weights = families::assemble(&spec, families::adopt_gguf(&spec, family, file.tensors)?)?;
    Ok(Model { architecture, spec, weights, text: TextSource::Gguf(Box::new(vocab)) })
}
