//! Model families: from a configuration to a [`DecoderSpec`], and from a family's names and forms
//! of tensors to the canonical ones.
//!
//! Invariant: a family is a parser. What it cannot express in a spec it refuses, naming the
//! field; a spec returned from here has sizes in range that fit each other.

mod base;
mod check;
mod deepseek;
mod experts;
mod falcon;
mod gemma;
mod gguf;
mod gpt;
mod idefics;
mod llama;
mod llama4;
mod moe;
mod names;
mod norms;
mod phi;
mod qwen;
mod rope;
mod split;

use serde_json::{Map, Value};

pub(crate) use self::config::Config;
use self::{gguf::Gguf, names::Names};
use engine_weights::{Fault, config, fields::Fields, gguf::Keys, names as tensors};

use crate::{
    spec::DecoderSpec,
    weights::{Metadata, Tensor, Weights, WeightsError},
};

/// One tensor of a file in the forms that the others have: none if nothing is computed with it.
type Reform = fn(&DecoderSpec, Tensor) -> Result<Vec<Tensor>, WeightsError>;

/// How a family's files are read.
pub(crate) struct Family {
    /// Names of its classes in transformers.
    architectures: &'static [&'static str],
    from_config: fn(&Config<'_>) -> Result<DecoderSpec, Fault>,
    names: &'static Names,
    /// After tensors of a Hugging Face folder have got canonical names.
    reform: Reform,
    /// Its architectures in GGUF files.
    gguf: &'static [&'static str],
    /// For tensors of GGUF files.
    gguf_reform: Reform,
    from_gguf: fn(&Gguf<'_>) -> Result<DecoderSpec, Fault>,
}

fn all() -> impl Iterator<Item = &'static Family> {
    let families: [&'static [Family]; 11] = [
        &llama::FAMILIES,
        &idefics::FAMILIES,
        &llama4::FAMILIES,
        &qwen::FAMILIES,
        &gemma::FAMILIES,
        &phi::FAMILIES,
        &gpt::FAMILIES,
        &falcon::FAMILIES,
        &norms::FAMILIES,
        &moe::FAMILIES,
        &deepseek::FAMILIES,
    ];
    families.into_iter().flatten()
}

/// Names of the architectures that are known: in a `config.json`, and in GGUF metadata.
pub fn known() -> impl Iterator<Item = (&'static [&'static str], &'static [&'static str])> {
    all().map(|family| (family.architectures, family.gguf))
}

/// Tensors that are canonical already.
fn unchanged(_: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    Ok(vec![tensor])
}

/// What a Hugging Face `config.json` describes: the architecture's name, the decoder, its family.
pub(crate) fn from_config(
    config: &Map<String, Value>,
) -> Result<(String, DecoderSpec, &'static Family), Fault> {
    const FIELD: &str = "architectures";
    let config = Config::new(config);
    let architectures: Vec<String> = config.require(FIELD)?;
    let known = |family: &&Family| match architectures.as_slice() {
        [one] => family.architectures.contains(&one.as_str()),
        _ => false,
    };
    let Some(family) = all().find(known) else {
        return Err(Fault::Architecture { field: FIELD, found: architectures.join(", ") });
    };
    let spec = (family.from_config)(&config.of_family(family.names.fields))?;
    let fields = names::of_language(family.names, &config);
    check::check(&spec).map_err(|fault| fields.told(fault))?;
    Ok((architectures.concat(), spec, family))
}

/// What GGUF metadata and tensors describe, likewise.
pub(crate) fn from_gguf(
    metadata: &Metadata<'_>,
    tensors: &[Tensor],
) -> Result<(String, DecoderSpec, &'static Family), Fault> {
    const FIELD: &str = "general.architecture";
    let architecture = metadata.require::<&str>(FIELD)?;
    let Some(family) = all().find(|family| family.gguf.contains(&architecture)) else {
        return Err(Fault::Architecture { field: FIELD, found: architecture.to_owned() });
    };
    let keys = Keys { metadata, architecture };
    let spec = (family.from_gguf)(&Gguf { keys, tensors })?;
    check::check(&spec).map_err(|fault| keys.told(fault))?;
    Ok((architecture.into(), spec, family))
}

/// Before the names of all but the output head, in most classes that have one.
const WHOLE: &str = "model.";

/// Gives tensors of a Hugging Face folder their canonical names and forms.
fn adopt(
    spec: &DecoderSpec,
    family: &Family,
    tensors: Vec<Tensor>,
) -> Result<Vec<Tensor>, WeightsError> {
    let mut adopted = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let theirs = tensor.name();
        let computed = theirs.ends_with("rotary_emb.inv_freq");
        // A class without an output head has no word for what is beside it.
        let whole = || family.names.canonical(&format!("{WHOLE}{theirs}"));
        let name = family.names.canonical(theirs).or_else(whole);
        let copied = spec.head.tied && name.as_deref() == Some("output.weight");
        if computed || copied || names::is_other_part(family.names, theirs) {
            continue;
        }
        let Some(name) = name else {
            return Err(WeightsError::unknown(theirs));
        };
        for tensor in (family.reform)(spec, tensor.renamed(name))? {
            adopted.extend(split::split(spec, tensor)?);
        }
    }
    Ok(adopted)
}

/// Gives tensors of a GGUF file their canonical forms.
fn adopt_gguf(
    spec: &DecoderSpec,
    family: &Family,
    tensors: Vec<Tensor>,
) -> Result<Vec<Tensor>, WeightsError> {
    // Read into the spec already.
    let factors = [rope::FACTORS, rope::LONG_FACTORS, rope::SHORT_FACTORS];
    let mut adopted = Vec::with_capacity(tensors.len());
    for tensor in tensors.into_iter().filter(|tensor| !factors.contains(&tensor.name())) {
        for tensor in (family.gguf_reform)(spec, tensor)? {
            adopted.extend(split::split(spec, tensor)?);
        }
    }
    Ok(adopted)
}

/// Gives a matrix of a Hugging Face module, `outputs × rank`, the canonical names and forms that
/// the base's matrix of `outputs × inputs` got; `gguf` says whether the base is a GGUF file.
pub(crate) fn adopt_outputs(
    (spec, family, gguf): (&DecoderSpec, &Family, bool),
    matrix: Tensor,
) -> Result<Vec<Tensor>, WeightsError> {
    let name = matrix.name().to_owned();
    let fused = !spec.tensor_shapes().iter().any(|(known, _)| *known == name);
    let mut parts = vec![matrix];
    if fused {
        let matrix = parts.remove(0);
        let matrix = if family.turns() { matrix.transposed(&name)? } else { matrix };
        for part in (family.reform)(spec, matrix)? {
            parts.extend(split::split(spec, part)?);
        }
    }
    let in_order = |part| if gguf { llama::in_gguf_order(spec, family, part) } else { Ok(part) };
    parts.into_iter().map(in_order).collect()
}

impl Family {
    /// The canonical name of the weights of what transformers calls `module`.
    pub(crate) fn weight_name(&self, module: &str) -> Option<String> {
        self.names.canonical(&format!("{module}.weight"))
    }

    /// Whether its files hold matrices for multiplying from the other side.
    fn turns(&self) -> bool {
        self.architectures.contains(&"GPT2LMHeadModel")
    }
}

/// The tensors of a Hugging Face folder, held against the spec: all there, of the right shape, none
/// over.
pub(crate) fn assemble(
    spec: &DecoderSpec,
    family: &Family,
    tensors: Vec<Tensor>,
    config: &Map<String, Value>,
) -> Result<Weights, WeightsError> {
    // As in `adopt`.
    let has_whole = tensors.iter().any(|tensor| tensor.name().starts_with(WHOLE));
    let theirs = |ours: &str| {
        let name = family.names.theirs(ours)?;
        let stem = name.strip_prefix(WHOLE).filter(|_| !has_whole).map(str::to_owned);
        Some(stem.unwrap_or(name))
    };
    let fields = names::of_language(family.names, &Config::new(config));
    adopt(spec, family, tensors)
        .and_then(|tensors| Weights::exactly(tensors, &spec.tensor_sizes()))
        .map_err(|error| error.told(&fields, theirs))
}

/// The same of a GGUF file.
pub(crate) fn assemble_gguf(
    spec: &DecoderSpec,
    family: &Family,
    tensors: Vec<Tensor>,
    keys: &Keys<'_>,
) -> Result<Weights, WeightsError> {
    adopt_gguf(spec, family, tensors)
        .and_then(|tensors| Weights::exactly(tensors, &spec.tensor_sizes()))
        .map_err(|error| error.told(keys, tensors::in_gguf))
}
