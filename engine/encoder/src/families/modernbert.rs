//! ModernBERT (Warner et al. 2024): norms before branches, rotary positions, gated feed-forward
//! layers, and a window in two of three layers.
//!
//! Source: transformers' `modeling_modernbert.py`.

use engine_weights::{Fault, config::Config, names::Names};

use super::{
    Family, HEAD,
    base::{base, function},
};
use crate::spec::{
    BlockSpec, DenseSpec, EncoderSpec, Function, LayerSpec, NormSpec, OutputSpec, Pooling, Stage,
};

pub(super) const FAMILY: Family = Family {
    embedder: &["ModernBertModel"],
    classifier: &["ModernBertForSequenceClassification"],
    masked: &["ModernBertForMaskedLM"],
    from_config: modernbert,
    head,
    prefix: "model.",
    names: &Names {
        layers: "layers.",
        top: &[
            ("embeddings.tok_embeddings", "token_embd"),
            ("embeddings.norm", "token_embd_norm"),
            ("final_norm", "output_norm"),
            ("head.dense", "cls"),
            ("head.norm", "cls.norm"),
            ("classifier", "cls.output"),
        ],
        roles: &[&[
            ("attn_norm", "attn_norm"),
            ("attn.Wqkv", "attn_qkv"),
            ("attn.Wo", "attn_output"),
            ("mlp_norm", "ffn_norm"),
            // What goes through the function comes first.
            ("mlp.Wi", "ffn_gate_up"),
            ("mlp.Wo", "ffn_down"),
        ]],
        fields: &[("hidden_act", &["hidden_activation"]), ("layer_norm_eps", &["norm_eps"])],
    },
    ignored: &["decoder."],
};

/// Which of the spec's rotary embeddings, and what the configuration calls such layers.
const KINDS: [(&str, &str, f32); 2] = [
    ("full_attention", "global_rope_theta", 160_000.0),
    ("sliding_attention", "local_rope_theta", 10_000.0),
];

fn modernbert(config: &Config<'_>) -> Result<EncoderSpec, Fault> {
    let mut spec = base(config, "modernbert")?;
    spec.stack.block = BlockSpec::PreNorm { first_norm: false };
    spec.stack.norm = norm(config)?;
    spec.stack.attention.bias = config.get("attention_bias")?.unwrap_or(false);
    spec.stack.attention.key_bias = spec.stack.attention.bias;
    spec.stack.attention.output_bias = spec.stack.attention.bias;
    spec.stack.feed_forward.gated = true;
    spec.stack.feed_forward.bias = config.get("mlp_bias")?.unwrap_or(false);
    let parameters = config.object("rope_parameters")?;
    for (kind, field, default) in KINDS {
        let of_kind = match parameters {
            Some(parameters) => parameters.object(kind)?,
            None => None,
        };
        let theta = match of_kind {
            Some(of_kind) => {
                of_kind.only("rope_type", "default".to_owned())?;
                of_kind.positive("rope_theta")?
            }
            None => None,
        };
        spec.stack.ropes.push(theta.or(config.positive(field)?).unwrap_or(default));
    }
    let local = config.get::<usize>("local_attention")?.unwrap_or(128);
    for (layer, is_local) in spec.stack.layers.iter_mut().zip(locals(config)?) {
        // Half of it either way.
        let window = is_local.then_some(local / 2 + 1);
        *layer = LayerSpec { rope: Some(usize::from(is_local)), window };
    }
    Ok(spec)
}

/// Which layers see a window only.
fn locals(config: &Config<'_>) -> Result<Vec<bool>, Fault> {
    const FIELD: &str = "layer_types";
    let num_layers: usize = config.require("num_hidden_layers")?;
    let Some(types) = config.get::<Vec<String>>(FIELD)? else {
        let every = config.get::<usize>("global_attn_every_n_layers")?.unwrap_or(3);
        if every == 0 {
            return Err(Fault::field("global_attn_every_n_layers", "is 0"));
        }
        return Ok((0..num_layers).map(|i| !i.is_multiple_of(every)).collect());
    };
    if types.len() != num_layers {
        let what = format!("{} entries for {num_layers} layers", types.len());
        return Err(Fault::field(FIELD, what));
    }
    let is_local = |kind: String| match KINDS.iter().position(|(name, ..)| *name == kind) {
        Some(i) => Ok(i == 1),
        None => Err(Fault::field(FIELD, format!("{kind:?} is not known"))),
    };
    types.into_iter().map(is_local).collect()
}

fn norm(config: &Config<'_>) -> Result<NormSpec, Fault> {
    let eps = config.get("layer_norm_eps")?.unwrap_or(1e-5);
    Ok(NormSpec { eps, bias: config.get("norm_bias")?.unwrap_or(false) })
}

fn head(config: &Config<'_>, spec: &EncoderSpec, labels: usize) -> Result<OutputSpec, Fault> {
    const POOLING: &str = "classifier_pooling";
    const ACTIVATION: &str = "classifier_activation";
    let hidden = spec.stack.hidden_size;
    let pooling = match config.get::<String>(POOLING)?.as_deref() {
        None | Some("cls") => Pooling::Cls,
        Some("mean") => Pooling::Mean,
        Some(other) => {
            return Err(Fault::field(POOLING, format!("{other:?}; supported are cls and mean")));
        }
    };
    let name = config.get::<String>(ACTIVATION)?;
    let activation = function(config, ACTIVATION, name.as_deref().unwrap_or("gelu"))?;
    let dense = DenseSpec {
        name: HEAD[0].into(),
        rows: hidden,
        cols: hidden,
        bias: config.get("classifier_bias")?.unwrap_or(false),
        function: Function::Activation(activation),
    };
    let last = DenseSpec {
        name: HEAD[2].into(),
        rows: labels,
        cols: hidden,
        bias: true,
        function: Function::Identity,
    };
    let norm = Stage::Norm { name: HEAD[1].into(), width: hidden, norm: norm(config)? };
    Ok(OutputSpec {
        poolings: vec![pooling],
        stages: vec![Stage::Dense(dense), norm, Stage::Dense(last)],
    })
}
