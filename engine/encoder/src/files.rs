//! From files to a described encoder: its spec, its tensors in place in a memory map, and what is
//! done to its rows.
//!
//! Invariant: a [`Model`] is complete and consistent: every tensor that the spec needs is there in
//! the right shape, and none is there that computing by it would leave out. Files are not trusted;
//! whatever they contain, the answer is a model or an error, soon.

use engine_core::EncoderOutput;
use engine_weights::{
    Fault, Files, LoadError, Weights,
    config::Config,
    hugging_face::{self, CONFIG},
};
use serde_json::{Map, Value};

use crate::{
    families::{self, Family, Kind},
    gguf, labels,
    modules::{self, MODULES, Modules},
    spec::{EncoderSpec, OutputSpec, Stage},
};

const ARCHITECTURES: &str = "architectures";
/// Where sentence-transformers keeps the length that it cuts inputs to.
const LENGTHS: [&str; 2] = ["sentence_bert_config.json", "sentence_roberta_config.json"];

/// All that is needed to run an encoder.
#[derive(Clone, Debug)]
pub struct Model {
    /// The class of transformers that the files name.
    pub architecture: String,
    /// What to compute.
    pub spec: EncoderSpec,
    /// What to make of it.
    pub output: OutputSpec,
    /// What that is.
    pub meaning: EncoderOutput,
    /// Whether the tokens of an instruction before a text are pooled with it.
    pub include_prompt: bool,
    /// With which numbers.
    pub weights: Weights,
}

/// All that is needed to run a decoder as an embedder.
#[derive(Clone, Debug)]
pub struct DecoderModel {
    /// The decoder, without an output head.
    pub decoder: engine_llm::weights::Model,
    /// What to make of its rows.
    pub output: OutputSpec,
    /// What that is.
    pub meaning: EncoderOutput,
    /// As [`Model::include_prompt`].
    pub include_prompt: bool,
    /// Tokens of the longest input.
    pub max_input_len: usize,
    /// Those of the stages after pooling.
    pub weights: Weights,
}

/// Opens the decoder in a Hugging Face folder whose `modules.json` makes an embedding of its rows.
/// `None` if there is no such file, or the class of transformers is no decoder that is known.
///
/// # Errors
/// As [`open`].
pub fn open_decoder(files: &Files) -> Result<Option<DecoderModel>, LoadError> {
    let is_known = class(files)?.is_some_and(|class| is_decoder(&class));
    if !is_known || !files.contains_key(MODULES) {
        return Ok(None);
    }
    let top = top(files);
    let fields = hugging_face::config(files)?;
    if let Some(path) = files.get(CONFIG) {
        // transformers then lets each position see those after it, which no executor does.
        Config::new(&fields).only("is_causal", true).map_err(|fault| fault.at(path))?;
    }
    let decoder = engine_llm::weights::open_headless(&top)?;
    let hidden = decoder.spec.hidden_size;
    let (modules, meaning) = embedder(files, &fields, hidden)?;
    let mut max_input_len = decoder.spec.max_model_len;
    cut_length(files, &mut max_input_len)?;
    let Modules { output, tensors, include_prompt } = modules;
    let weights = Weights::exactly(tensors, &output.tensor_sizes())?;
    Ok(Some(DecoderModel { decoder, output, meaning, include_prompt, max_input_len, weights }))
}

/// The one class of transformers that the files name.
fn class(files: &Files) -> Result<Option<String>, LoadError> {
    let Some(path) = files.get(CONFIG) else { return Ok(None) };
    let fields = hugging_face::read_object(path)?;
    let classes = Config::new(&fields).get::<Vec<String>>(ARCHITECTURES);
    let mut classes = classes.map_err(|fault| fault.at(path))?.unwrap_or_default();
    Ok(classes.pop().filter(|_| classes.is_empty()))
}

/// Whether a class is a decoder that is known, with or without its output head.
fn is_decoder(class: &str) -> bool {
    let whole = class.strip_suffix("Model").map(|stem| format!("{stem}ForCausalLM"));
    let whole = whole.as_deref().unwrap_or(class);
    engine_llm::known_architectures().any(|(classes, _)| classes.contains(&whole))
}

/// Files that lie in no folder: those of modules do.
fn top(files: &Files) -> Files {
    let top = files.iter().filter(|(name, _)| !name.contains('/'));
    top.map(|(name, path)| (name.clone(), path.clone())).collect()
}

/// Opens the encoder that `files` (path by name, folders with `/`) hold: either one `*.gguf`, or
/// `config.json`, `*.safetensors` and what sentence-transformers puts beside them. `None` if they
/// are not an encoder's: no architecture of one, no modules.
///
/// # Errors
/// [`LoadError`] naming the file and the field or tensor; also for an architecture that is not
/// known where other files say that it is to make embeddings or logits of a whole text.
pub fn open(files: &Files) -> Result<Option<Model>, LoadError> {
    let mut ggufs = files.iter().filter(|(name, _)| name.ends_with(".gguf"));
    if let (Some((_, path)), None) = (ggufs.next(), ggufs.next()) {
        return gguf::open(path);
    }
    let Some(path) = files.get(CONFIG) else { return Ok(None) };
    let fields = hugging_face::read_object(path)?;
    let config = Config::new(&fields);
    let at_config = |fault: Fault| fault.at(path);
    let Some(class) = class(files)?.filter(|class| !is_decoder(class)) else { return Ok(None) };
    let has_modules = files.contains_key(MODULES);
    let found = families::find(&class).filter(|(_, kind)| *kind != Kind::Masked || has_modules);
    let Some((family, kind)) = found else {
        return if has_modules || class.ends_with("ForSequenceClassification") {
            Err(at_config(Fault::Architecture { field: ARCHITECTURES, found: class }))
        } else {
            Ok(None)
        };
    };
    let mut spec = family.spec(&config).map_err(at_config)?;
    cut_length(files, &mut spec.stack.max_input_len)?;
    let (modules, meaning) = match kind {
        Kind::Classifier => classifier(family, &config, &spec).map_err(at_config)?,
        Kind::Embedder | Kind::Masked => embedder(files, &fields, spec.stack.hidden_size)?,
    };
    let weights = weights(files, &fields, (family, kind), (&spec, &modules))?;
    let Modules { output, include_prompt, .. } = modules;
    let architecture = class;
    Ok(Some(Model { architecture, spec, output, meaning, include_prompt, weights }))
}

/// sentence-transformers cuts inputs to a length of its own.
fn cut_length(files: &Files, max_len: &mut usize) -> Result<(), LoadError> {
    const FIELD: &str = "max_seq_length";
    let Some(path) = LENGTHS.iter().find_map(|name| files.get(*name)) else { return Ok(()) };
    let object = hugging_face::read_object(path)?;
    match Config::new(&object).get::<usize>(FIELD).map_err(|fault| fault.at(path))? {
        Some(0) => Err(Fault::field(FIELD, "is 0").at(path)),
        Some(len) => {
            *max_len = len.min(*max_len);
            Ok(())
        }
        None => Ok(()),
    }
}

fn classifier(
    family: &Family,
    config: &Config<'_>,
    spec: &EncoderSpec,
) -> Result<(Modules, EncoderOutput), Fault> {
    let labels = labels::labels(config)?;
    let activation = labels::activation(config, labels.len())?;
    let output = family.head(config, spec, labels.len())?;
    families::check_output(spec.stack.hidden_size, &output)?;
    let meaning = EncoderOutput::Logits { labels, activation };
    Ok((Modules { output, ..Modules::default() }, meaning))
}

fn embedder(
    files: &Files,
    config: &Map<String, Value>,
    hidden: usize,
) -> Result<(Modules, EncoderOutput), LoadError> {
    let modules = modules::read(files)?;
    if let Some(path) = files.get(MODULES) {
        families::check_output(hidden, &modules.output).map_err(|fault| fault.at(path))?;
    }
    let meaning = EncoderOutput::Embedding {
        dim: modules.output.dim(hidden),
        normalized: modules.output.stages.last() == Some(&Stage::Normalize),
        truncatable: truncatable(config),
    };
    Ok((modules, meaning))
}

/// What vLLM reads too.
fn truncatable(config: &Map<String, Value>) -> Option<bool> {
    let dims = config.get("matryoshka_dimensions").and_then(Value::as_array);
    let told = config.get("is_matryoshka").and_then(Value::as_bool);
    told.or(dims.map(|dims| !dims.is_empty()))
}

fn weights(
    files: &Files,
    config: &Map<String, Value>,
    (family, kind): (&Family, Kind),
    (spec, modules): (&EncoderSpec, &Modules),
) -> Result<Weights, LoadError> {
    let tensors = (hugging_face::tensors(&top(files), config)?, modules.tensors.as_slice());
    Ok(family.assemble(&Config::new(config), (spec, &modules.output, kind), tensors)?)
}
