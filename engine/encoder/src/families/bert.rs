//! BERT (Devlin et al. 2018), and the many embedders and rerankers of its shape.
//!
//! Source: transformers' `modeling_bert.py`.

use engine_weights::{
    Fault,
    config::Config,
    names::{Names, Roles},
};

use super::{Family, base::base, head};
use crate::spec::{EncoderSpec, Function, OutputSpec, PositionsSpec};

pub(super) const FAMILY: Family = Family {
    embedder: &["BertModel"],
    classifier: &["BertForSequenceClassification"],
    masked: &["BertForMaskedLM", "BertForPreTraining"],
    from_config: bert,
    head: pooled,
    prefix: "bert.",
    names: &Names {
        layers: "encoder.layer.",
        top: &[
            ("embeddings.word_embeddings", "token_embd"),
            ("embeddings.position_embeddings", "position_embd"),
            ("embeddings.token_type_embeddings", "token_types"),
            ("embeddings.LayerNorm", "token_embd_norm"),
            ("pooler.dense", "cls"),
            ("classifier", "cls.output"),
        ],
        roles: &[ROLES],
        fields: &[],
    },
    ignored: &["cls."],
};

/// Names within a layer.
pub(super) const ROLES: Roles = &[
    ("attention.self.query", "attn_q"),
    ("attention.self.key", "attn_k"),
    ("attention.self.value", "attn_v"),
    ("attention.output.dense", "attn_output"),
    ("attention.output.LayerNorm", "attn_output_norm"),
    ("intermediate.dense", "ffn_up"),
    ("output.dense", "ffn_down"),
    ("output.LayerNorm", "layer_output_norm"),
];

fn bert(config: &Config<'_>) -> Result<EncoderSpec, Fault> {
    let mut spec = base(config, "bert")?;
    config.only("position_embedding_type", "absolute".to_owned())?;
    spec.embedding.positions = Some(PositionsSpec { rows: spec.stack.max_input_len, pad: None });
    spec.embedding.token_types = config.get("type_vocab_size")?.unwrap_or(2);
    Ok(spec)
}

fn pooled(_: &Config<'_>, spec: &EncoderSpec, labels: usize) -> Result<OutputSpec, Fault> {
    Ok(head(spec, Function::Tanh, labels))
}
