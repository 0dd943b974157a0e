//! MPNet (Song et al. 2020): RoBERTa with relative positions beside the learned ones.
//!
//! Source: transformers' `modeling_mpnet.py`.

use engine_weights::{Fault, config::Config, names::Names};

use super::{
    Family,
    base::base,
    roberta::{after_padding, first_row},
};
use crate::spec::{EncoderSpec, RelativeSpec};

pub(super) const FAMILY: Family = Family {
    embedder: &["MPNetModel"],
    classifier: &["MPNetForSequenceClassification"],
    masked: &["MPNetForMaskedLM"],
    from_config: mpnet,
    head: first_row,
    prefix: "mpnet.",
    names: &Names {
        layers: "encoder.layer.",
        top: &[
            ("embeddings.word_embeddings", "token_embd"),
            ("embeddings.position_embeddings", "position_embd"),
            ("embeddings.LayerNorm", "token_embd_norm"),
            ("encoder.relative_attention_bias", "attn_rel_b"),
            ("classifier.dense", "cls"),
            ("classifier.out_proj", "cls.output"),
        ],
        roles: &[&[
            ("attention.attn.q", "attn_q"),
            ("attention.attn.k", "attn_k"),
            ("attention.attn.v", "attn_v"),
            ("attention.attn.o", "attn_output"),
            ("attention.LayerNorm", "attn_output_norm"),
            ("intermediate.dense", "ffn_up"),
            ("output.dense", "ffn_down"),
            ("output.LayerNorm", "layer_output_norm"),
        ]],
        fields: &[],
    },
    ignored: &["pooler.", "lm_head."],
};

fn mpnet(config: &Config<'_>) -> Result<EncoderSpec, Fault> {
    let mut spec = base(config, "mpnet")?;
    after_padding(&mut spec, config)?;
    let buckets = config.get("relative_attention_num_buckets")?.unwrap_or(32);
    // The distance is no field: the model's code has it.
    spec.stack.attention.relative = Some(RelativeSpec { buckets, max_distance: 128 });
    Ok(spec)
}
