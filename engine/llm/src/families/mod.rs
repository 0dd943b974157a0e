//! Model families: from a configuration to a [`DecoderSpec`], and from a family's names of
//! tensors to the canonical ones.
//!
//! Invariant: a family is a parser. What it cannot express in a spec it refuses, naming the
//! field; a spec returned from here has sizes in range that fit each other.

mod check;
mod config;
mod llama;
mod rope;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use self::config::Config;
use crate::{
    error::Fault,
    spec::DecoderSpec,
    weights::{Metadata, Tensor, Weights, WeightsError},
};

/// The decoder that a Hugging Face `config.json` describes.
pub(crate) fn from_config(config: &Map<String, Value>) -> Result<DecoderSpec, Fault> {
    const FIELD: &str = "architectures";
    let config = Config(config);
    let architectures: Vec<String> = config.require(FIELD)?;
    let spec = match architectures.as_slice() {
        [one] if one == "LlamaForCausalLM" => llama::from_config(&config, llama::Kind::Llama)?,
        [one] if one == "MistralForCausalLM" => llama::from_config(&config, llama::Kind::Mistral)?,
        _ => {
            let what =
                format!("{architectures:?}; supported are LlamaForCausalLM and MistralForCausalLM");
            return Err(Fault::field(FIELD, what));
        }
    };
    check::check(&spec)?;
    Ok(spec)
}

/// The decoder that GGUF metadata describes; which tensors there are decides on biases, tied
/// embeddings and rotary factors.
pub(crate) fn from_gguf(metadata: &Metadata<'_>, tensors: &[Tensor]) -> Result<DecoderSpec, Fault> {
    const FIELD: &str = "general.architecture";
    let spec = match metadata.require(FIELD)? {
        "llama" => llama::from_gguf(metadata, tensors)?,
        other => {
            return Err(Fault::field(FIELD, format!("{other:?}; supported is \"llama\"")));
        }
    };
    check::check(&spec)?;
    Ok(spec)
}

/// Gives tensors of a Hugging Face folder their canonical names.
pub(crate) fn rename(
    spec: &DecoderSpec,
    tensors: Vec<Tensor>,
) -> Result<Vec<Tensor>, WeightsError> {
    let mut renamed = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let theirs = tensor.name();
        let computed = theirs.ends_with("rotary_emb.inv_freq");
        let copied = spec.tie_word_embeddings && theirs == "lm_head.weight";
        if computed || copied {
            continue;
        }
        match llama::canonical_name(theirs) {
            Some(ours) => renamed.push(tensor.renamed(ours)),
            None => return Err(WeightsError::Unknown { tensor: theirs.into() }),
        }
    }
    Ok(renamed)
}

/// Holds canonically named tensors against the spec: all there, of the right shape, none over.
pub(crate) fn assemble(spec: &DecoderSpec, tensors: Vec<Tensor>) -> Result<Weights, WeightsError> {
    let weights: Weights = tensors.into_iter().collect();
    let wanted = spec.tensor_shapes();
    for (name, shape) in &wanted {
        weights.expect(name, shape)?;
    }
    let mut known: BTreeSet<_> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    known.insert(rope::FACTORS); // read into the spec already
    if let Some(name) = weights.names().find(|name| !known.contains(name)) {
        return Err(WeightsError::Unknown { tensor: name.into() });
    }
    Ok(weights)
}
