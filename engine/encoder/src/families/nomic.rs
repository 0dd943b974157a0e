//! Nomic's BERT (Nussbaum et al. 2024): rotary positions, gated feed-forward layers, no biases.
//!
//! Sources: transformers' `modeling_nomic_bert.py`, and the fields and names of the published
//! folders, which are older than that.

use engine_weights::{Fault, config::Config, names::Names};

use super::{Family, base::base, head};
use crate::spec::{EncoderSpec, Function, OutputSpec};

pub(super) const FAMILY: Family = Family {
    embedder: &["NomicBertModel"],
    classifier: &["NomicBertForSequenceClassification"],
    masked: &["NomicBertForMaskedLM"],
    from_config: nomic,
    head: pooled,
    prefix: "nomic_bert.",
    names: &Names {
        layers: "encoder.layers.",
        top: &[
            ("embeddings.word_embeddings", "token_embd"),
            ("embeddings.token_type_embeddings", "token_types"),
            ("emb_ln", "token_embd_norm"),
            ("pooler.dense", "cls"),
            ("classifier", "cls.output"),
        ],
        roles: &[&[
            ("attn.Wqkv", "attn_qkv"),
            ("attn.out_proj", "attn_output"),
            ("norm1", "attn_output_norm"),
            ("mlp.fc11", "ffn_up"),
            ("mlp.fc12", "ffn_gate"),
            ("mlp.fc2", "ffn_down"),
            ("norm2", "layer_output_norm"),
        ]],
        // First those of the published folders.
        fields: &[
            ("hidden_size", &["n_embd", "hidden_size"]),
            ("num_hidden_layers", &["n_layer", "num_hidden_layers"]),
            ("num_attention_heads", &["n_head", "num_attention_heads"]),
            ("intermediate_size", &["n_inner", "intermediate_size"]),
            ("max_position_embeddings", &["n_positions", "max_position_embeddings"]),
            ("hidden_act", &["activation_function", "hidden_act"]),
            ("layer_norm_eps", &["layer_norm_epsilon", "layer_norm_eps"]),
        ],
    },
    ignored: &["cls."],
};

fn nomic(config: &Config<'_>) -> Result<EncoderSpec, Fault> {
    let mut spec = base(config, "nomic-bert")?;
    for (field, only) in [
        ("prenorm", false),
        ("parallel_block", false),
        ("use_rms_norm", false),
        ("rotary_emb_interleaved", false),
        ("qkv_proj_bias", false),
        ("mlp_fc1_bias", false),
        ("mlp_fc2_bias", false),
        ("causal", false),
    ] {
        config.only(field, only)?;
    }
    config.only("rotary_emb_fraction", 1.0)?;
    let parameters = config.object("rope_parameters")?;
    let mut theta = config.positive("rotary_emb_base")?;
    if let Some(parameters) = parameters {
        parameters.only("rope_type", "default".to_owned())?;
        theta = parameters.positive("rope_theta")?.or(theta);
    }
    if let Some(head_dim) = config.get::<usize>("head_dim")?
        && head_dim.checked_mul(spec.stack.attention.num_heads) != Some(spec.stack.hidden_size)
    {
        let what = format!("{head_dim}: heads do not make up the hidden size");
        return Err(Fault::field("head_dim", what));
    }
    spec.stack.ropes = vec![theta.unwrap_or(1000.0)];
    spec.stack.layers.iter_mut().for_each(|layer| layer.rope = Some(0));
    spec.embedding.token_types = config.get("type_vocab_size")?.unwrap_or(2);
    spec.stack.attention.bias = false;
    spec.stack.attention.key_bias = false;
    spec.stack.attention.output_bias = false;
    spec.stack.feed_forward.gated = true;
    spec.stack.feed_forward.bias = false;
    Ok(spec)
}

fn pooled(_: &Config<'_>, spec: &EncoderSpec, labels: usize) -> Result<OutputSpec, Fault> {
    Ok(head(spec, Function::Tanh, labels))
}
