//! Llama 2 and 3, Mistral, SmolLM2 and 3, Granite, and what is published in their form.
//!
//! Sources: transformers' `modeling_llama.py`, `modeling_mistral.py`, `modeling_smollm3.py`,
//! `modeling_granite.py`; llama.cpp's `convert_hf_to_gguf.py` for names and keys of GGUF files.

use super::{
    Family,
    base::{Defaults, from_config, set_windows},
    config::Config,
    gguf::{self, Gguf},
    names::LLAMA,
    split, unchanged,
};
use engine_weights::{Fault, fields::Fields};

use crate::{
    spec::{DecoderSpec, RopeStyle},
    weights::{Tensor, WeightsError},
};

pub(super) const FAMILIES: [Family; 4] = [
    Family {
        architectures: &["LlamaForCausalLM"],
        from_config: llama,
        names: &LLAMA,
        reform: unchanged,
        gguf: &["llama"],
        gguf_reform: unchanged,
        from_gguf: llama_gguf,
    },
    Family {
        architectures: &["MistralForCausalLM"],
        from_config: mistral,
        names: &LLAMA,
        reform: unchanged,
        gguf: &[],
        gguf_reform: unchanged,
        from_gguf: llama_gguf,
    },
    Family {
        architectures: &["SmolLM3ForCausalLM"],
        from_config: smollm3,
        names: &LLAMA,
        reform: unchanged,
        gguf: &["smollm3"],
        gguf_reform: unchanged,
        from_gguf: smollm3_gguf,
    },
    Family {
        architectures: &["GraniteForCausalLM"],
        from_config: granite,
        names: &LLAMA,
        reform: unchanged,
        gguf: &["granite"],
        gguf_reform: unchanged,
        from_gguf: granite_gguf,
    },
];

pub(super) fn llama(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = from_config(config, "llama", &Defaults::LLAMA)?;
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(false);
    spec.attention.output_bias = spec.attention.bias;
    spec.feed_forward.bias = config.get("mlp_bias")?.unwrap_or(false);
    Ok(spec)
}

fn mistral(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { kv_heads: Some(8), ..Defaults::LLAMA };
    let mut spec = from_config(config, "mistral", &defaults)?;
    // A window that is not mentioned has the default size; `null` means none.
    let window = match config.stands("sliding_window").is_some() {
        true => config.get("sliding_window")?,
        false => Some(4096),
    };
    set_windows(&mut spec, window, |_| true);
    Ok(spec)
}

pub(super) fn llama_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Interleaved)?;
    let window = file.get("sliding_window")?.filter(|size| *size > 0);
    set_windows(&mut spec, window, |_| true);
    Ok(spec)
}

/// Rows of queries and keys as llama.cpp's converter orders them in files of the families here: the
/// two of a rotated pair side by side.
pub(super) fn in_gguf_order(
    spec: &DecoderSpec,
    family: &Family,
    tensor: Tensor,
) -> Result<Tensor, WeightsError> {
    let is_ours = |one: &Family| !one.gguf.is_empty() && one.gguf == family.gguf;
    let ours = FAMILIES.iter().any(is_ours);
    let heads = match split::parse(tensor.name()) {
        Some((_, "attn_q", _)) => spec.attention.num_heads,
        Some((_, "attn_k", _)) => spec.attention.num_kv_heads,
        _ => return Ok(tensor),
    };
    let dim = spec.attention.head_dim;
    if !ours || tensor.shape().first() != Some(&(heads * dim)) {
        return Ok(tensor);
    }
    let name = tensor.name().to_owned();
    let pairs = |head| (0..dim).map(move |i| head * dim + i % 2 * (dim / 2) + i / 2);
    tensor.in_order(&name, (0..heads).flat_map(pairs))
}

/// Every so many layers, one has no positions.
pub(super) fn without_positions(spec: &mut DecoderSpec, every: usize) {
    for layer in spec.layers.iter_mut().skip(every.saturating_sub(1)).step_by(every.max(1)) {
        layer.rope = None;
    }
}

fn smollm3(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let defaults = Defaults { kv_heads: Some(4), tied: true, ..Defaults::LLAMA };
    let mut spec = from_config(config, "smollm3", &defaults)?;
    config.only("use_sliding_window", false)?;
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(false);
    spec.attention.output_bias = spec.attention.bias;
    rotated_layers(config, &mut spec)?;
    Ok(spec)
}

/// Takes the rotation from layers that have no positions: those listed, or one of so many.
pub(super) fn rotated_layers(config: &Config<'_>, spec: &mut DecoderSpec) -> Result<(), Fault> {
    const FIELD: &str = "no_rope_layers";
    // An empty list says nothing (Llama 4).
    match config.get::<Vec<u8>>(FIELD)?.filter(|rotated| !rotated.is_empty()) {
        Some(rotated) if rotated.len() == spec.layers.len() => {
            for (layer, rotated) in spec.layers.iter_mut().zip(rotated) {
                layer.rope = layer.rope.filter(|_| rotated != 0);
            }
        }
        Some(rotated) => {
            let what = format!("{} entries for {} layers", rotated.len(), spec.layers.len());
            return Err(config.fault(FIELD, what));
        }
        None => {
            let every = config.get("no_rope_layer_interval")?.unwrap_or(4);
            without_positions(spec, every);
        }
    }
    Ok(())
}

fn smollm3_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Interleaved)?;
    without_positions(&mut spec, 4);
    Ok(spec)
}

fn granite(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = from_config(config, "granite", &Defaults::LLAMA)?;
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(false);
    spec.attention.output_bias = spec.attention.bias;
    spec.feed_forward.bias = config.get("mlp_bias")?.unwrap_or(false);
    spec.embedding.scale = config.positive("embedding_multiplier")?.unwrap_or(1.0);
    spec.residual_scale = config.positive("residual_multiplier")?.unwrap_or(1.0);
    spec.attention.scale = config.positive("attention_multiplier")?.unwrap_or(1.0);
    spec.head.scale = 1.0 / config.positive("logits_scaling")?.unwrap_or(1.0);
    Ok(spec)
}

fn granite_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Interleaved)?;
    spec.embedding.scale = file.keys.positive("embedding_scale")?.unwrap_or(1.0);
    spec.residual_scale = file.keys.positive("residual_scale")?.unwrap_or(1.0);
    spec.attention.scale = file.keys.positive("attention.scale")?.unwrap_or(spec.attention.scale);
    spec.head.scale = 1.0 / file.keys.positive("logit_scale")?.unwrap_or(1.0);
    Ok(spec)
}
