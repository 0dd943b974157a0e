//! Llama 4, what it says of language: mixtures between dense layers, chunks, layers without
//! positions.
//!
//! Sources: transformers' `modeling_llama4.py` and `configuration_llama4.py`; llama.cpp's
//! `llama4.cpp` for what its files take for granted.

use serde_json::Value;

use super::{
    Family,
    base::{Defaults, LayerType, from_config, layer_types},
    check::MAX_POSITIONS,
    config::Config,
    experts::{self, Fused},
    gguf::{self, Gguf},
    llama::{rotated_layers, without_positions},
    names::{ATTENTION, EPS, Names, PRE_NORMS, Roles, TEXT, TOP},
    unchanged,
};
use engine_weights::{
    Fault,
    fields::{Called, Fields},
};
use kernels::{attention::BLOCK_SIZE, norm::NormKind};

use crate::{
    spec::{
        DecoderSpec, ExpertsSpec, QkNormOver, QkNormSpec, RopeStyle, RouterScore, TemperatureSpec,
    },
    weights::{Tensor, WeightsError},
};

const FEED_FORWARD: Roles = &[
    ("feed_forward.gate_proj", "ffn_gate"),
    ("feed_forward.up_proj", "ffn_up"),
    ("feed_forward.down_proj", "ffn_down"),
    ("feed_forward.router", "ffn_gate_inp"),
    ("feed_forward.shared_expert.gate_proj", "ffn_gate_shexp"),
    ("feed_forward.shared_expert.up_proj", "ffn_up_shexp"),
    ("feed_forward.shared_expert.down_proj", "ffn_down_shexp"),
    ("feed_forward.experts.gate_up_proj", "ffn_gate_up_exps.weight"),
    ("feed_forward.experts.down_proj", "ffn_down_exps.weight"),
];

/// What is called otherwise is that of layers that are no mixture.
const FIELDS: Called = &[
    EPS,
    ("num_experts", &["num_local_experts"]),
    ("moe_intermediate_size", &["intermediate_size"]),
    ("intermediate_size", &["intermediate_size_mlp"]),
];

pub(super) const FAMILIES: [Family; 2] = [
    Family {
        architectures: &["Llama4ForCausalLM"],
        from_config: llama4,
        names: &Names {
            layers: "model.layers.",
            top: TOP,
            roles: &[PRE_NORMS, ATTENTION, FEED_FORWARD],
            fields: FIELDS,
        },
        reform: halves,
        gguf: &["llama4"],
        gguf_reform: unchanged,
        from_gguf: llama4_gguf,
    },
    Family {
        architectures: &["Llama4ForConditionalGeneration"],
        from_config: multimodal,
        names: &Names {
            layers: "language_model.model.layers.",
            top: &[
                ("language_model.model.embed_tokens", "token_embd"),
                ("language_model.model.norm", "output_norm"),
                ("language_model.lm_head", "output"),
            ],
            roles: &[PRE_NORMS, ATTENTION, FEED_FORWARD],
            fields: FIELDS,
        },
        reform: halves,
        // Its GGUF files call themselves "llama4", and what it sees with lies in another.
        gguf: &[],
        gguf_reform: unchanged,
        from_gguf: llama4_gguf,
    },
];

fn halves(spec: &DecoderSpec, tensor: Tensor) -> Result<Vec<Tensor>, WeightsError> {
    experts::fused(spec, tensor, Fused::Halves)
}

fn multimodal(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    llama4(&config.require_object(TEXT)?)
}

fn llama4(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    // Defaults of its class are not the usual ones; files do not rely on them.
    config.require::<usize>("head_dim")?;
    let defaults = Defaults { kv_heads: Some(8), eps: 1e-5, ..Defaults::LLAMA };
    let mut spec = from_config(config, "llama4", &defaults)?;
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(false);
    spec.attention.output_bias = spec.attention.bias;
    let mixture = experts::from_config(config, &spec, RouterScore::Sigmoid)?;
    spec.experts = Some(ExpertsSpec { shared_width: Some(mixture.expert.width), ..mixture });
    route(&mut spec);
    mixed_layers(config, &mut spec)?;
    let scaling = ["rope_parameters", "rope_scaling"];
    let scaling = scaling.into_iter().find(|field| config.has(field));
    rotate(&mut spec, (config, scaling.unwrap_or_default()))?;
    rotated_layers(config, &mut spec)?;
    let chunk = chunk(config)?;
    let types = layer_types(config, spec.layers.len())?;
    let types = types.map(|types| types.into_iter().map(|kind| kind == LayerType::Chunked));
    set_chunks(&mut spec, chunk, types.map(Iterator::collect));
    if config.get("use_qk_norm")?.unwrap_or(true) {
        norm_heads(&mut spec);
    }
    // A number in some files; none and zero are no.
    let tunes = match config.stands("attn_temperature_tuning") {
        None | Some(Value::Bool(true)) => true,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        _ => false,
    };
    spec.attention.temperature = tunes.then(|| temperature(config)).transpose()?;
    Ok(spec)
}

fn chunk(config: &Config<'_>) -> Result<Option<usize>, Fault> {
    const FIELD: &str = "attention_chunk_size";
    if config.stands(FIELD).is_none() {
        return Ok(Some(CHUNK));
    }
    let Some(chunk) = config.get(FIELD)? else { return Ok(None) };
    if !(1..=MAX_POSITIONS).contains(&chunk) || !chunk.is_multiple_of(BLOCK_SIZE) {
        let what = format!(
            "{chunk} is not a multiple of the cache's {BLOCK_SIZE} positions up to {MAX_POSITIONS}"
        );
        return Err(config.fault(FIELD, what));
    }
    Ok(Some(chunk))
}

fn temperature(config: &Config<'_>) -> Result<TemperatureSpec, Fault> {
    const FIELD: &str = "floor_scale";
    let floor = config.get(FIELD)?.unwrap_or(TEMPERATURE.floor);
    let sizes = [(FIELD, floor, MAX_POSITIONS)];
    Fault::check_sizes(&sizes).map_err(|fault| config.told(fault))?;
    let scale = config.positive("attn_scale")?.unwrap_or(TEMPERATURE.scale);
    Ok(TemperatureSpec { floor, scale })
}

/// What both configurations and llama.cpp take for granted.
const CHUNK: usize = 8192;
const TEMPERATURE: TemperatureSpec = TemperatureSpec { floor: 8192, scale: 0.1 };
/// Every so many layers, one has no positions.
const NO_ROPE: usize = 4;

fn llama4_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Interleaved)?;
    for (field, only) in [("sliding_window", CHUNK), ("attention.sliding_window_pattern", NO_ROPE)]
    {
        if let Some(found) = file.get::<usize>(field)?.filter(|found| *found != only) {
            let what = format!("{found} is not supported, only {only} is");
            return Err(file.keys.fault(field, what));
        }
    }
    route(&mut spec);
    let step = file.require::<usize>("interleave_moe_layer_step")?;
    set_mixed(&mut spec, |i| step > 0 && (i + 1).is_multiple_of(step));
    rotate(&mut spec, (&file.keys, "rope.scaling.type"))?;
    without_positions(&mut spec, NO_ROPE);
    set_chunks(&mut spec, Some(CHUNK), None);
    // Files do not say it, but only one model has none.
    if spec.experts.as_ref().is_none_or(|experts| experts.num_experts != 128) {
        norm_heads(&mut spec);
    }
    spec.attention.temperature = Some(TEMPERATURE);
    Ok(spec)
}

/// A token's experts see it as strongly as each was chosen.
fn route(spec: &mut DecoderSpec) {
    if let Some(experts) = &mut spec.experts {
        experts.router.score = RouterScore::Sigmoid;
        experts.router.normalize = false;
        experts.router.on_input = true;
    }
}

fn set_mixed(spec: &mut DecoderSpec, is_mixed: impl Fn(usize) -> bool) {
    spec.layers.iter_mut().enumerate().for_each(|(i, layer)| layer.experts = is_mixed(i));
}

fn mixed_layers(config: &Config<'_>, spec: &mut DecoderSpec) -> Result<(), Fault> {
    const FIELD: &str = "moe_layers";
    if let Some(mixed) = config.get::<Vec<usize>>(FIELD)? {
        let num = spec.layers.len();
        if let Some(over) = mixed.iter().find(|i| **i >= num) {
            return Err(config.fault(FIELD, format!("layer {over}, but there are {num}")));
        }
        set_mixed(spec, |i| mixed.contains(&i));
        return Ok(());
    }
    const STEP: &str = "interleave_moe_layer_step";
    match config.get::<usize>(STEP)?.unwrap_or(1) {
        0 => Err(config.fault(STEP, "0 is not positive")),
        step => {
            set_mixed(spec, |i| (i + 1).is_multiple_of(step));
            Ok(())
        }
    }
}

/// Pairs lie side by side, and keep their length, whatever the field of scaling says.
fn rotate(spec: &mut DecoderSpec, scaling: (&impl Fields, &str)) -> Result<(), Fault> {
    for rope in &mut spec.ropes {
        rope.style = RopeStyle::Interleaved;
        if rope.magnitude != 1.0 {
            let what = format!("a factor of {} is not supported, only 1 is", rope.magnitude);
            return Err(scaling.0.fault(scaling.1, what));
        }
    }
    Ok(())
}

/// The layers that attend within chunks: those listed, or those that rotate.
fn set_chunks(spec: &mut DecoderSpec, chunk: Option<usize>, listed: Option<Vec<bool>>) {
    spec.attention.chunk = chunk;
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        let chunked = listed.as_ref().map_or(layer.rope.is_some(), |listed| listed[i]);
        layer.chunked = chunk.is_some() && chunked;
    }
}

fn norm_heads(spec: &mut DecoderSpec) {
    let (kind, over) = (NormKind::Rms, QkNormOver::Unweighted);
    spec.attention.qk_norm = Some(QkNormSpec { kind, over, eps: spec.norm.eps });
}
