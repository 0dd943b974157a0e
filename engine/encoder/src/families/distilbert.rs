//! DistilBERT (Sanh et al. 2019): BERT without token types, and another head.
//!
//! Source: transformers' `modeling_distilbert.py`.

use engine_weights::{Fault, config::Config, names::Names};

use super::{Family, base::base, head};
use crate::spec::{Activation, EncoderSpec, Function, OutputSpec, PositionsSpec};

pub(super) const FAMILY: Family = Family {
    embedder: &["DistilBertModel"],
    classifier: &["DistilBertForSequenceClassification"],
    masked: &["DistilBertForMaskedLM"],
    from_config: distilbert,
    head: first_row,
    prefix: "distilbert.",
    names: &Names {
        layers: "transformer.layer.",
        top: &[
            ("embeddings.word_embeddings", "token_embd"),
            ("embeddings.position_embeddings", "position_embd"),
            ("embeddings.LayerNorm", "token_embd_norm"),
            ("pre_classifier", "cls"),
            ("classifier", "cls.output"),
        ],
        roles: &[&[
            ("attention.q_lin", "attn_q"),
            ("attention.k_lin", "attn_k"),
            ("attention.v_lin", "attn_v"),
            ("attention.out_lin", "attn_output"),
            ("sa_layer_norm", "attn_output_norm"),
            ("ffn.lin1", "ffn_up"),
            ("ffn.lin2", "ffn_down"),
            ("output_layer_norm", "layer_output_norm"),
        ]],
        fields: &[
            ("hidden_size", &["dim"]),
            ("num_hidden_layers", &["n_layers"]),
            ("num_attention_heads", &["n_heads"]),
            ("intermediate_size", &["hidden_dim"]),
            ("hidden_act", &["activation"]),
        ],
    },
    ignored: &["vocab_"],
};

fn distilbert(config: &Config<'_>) -> Result<EncoderSpec, Fault> {
    let mut spec = base(config, "distilbert")?;
    spec.stack.norm.eps = 1e-12;
    spec.embedding.positions = Some(PositionsSpec { rows: spec.stack.max_input_len, pad: None });
    Ok(spec)
}

fn first_row(_: &Config<'_>, spec: &EncoderSpec, labels: usize) -> Result<OutputSpec, Fault> {
    Ok(head(spec, Function::Activation(Activation::Relu), labels))
}
