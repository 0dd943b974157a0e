//! RoBERTa (Liu et al. 2019), XLM-RoBERTa and CamemBERT: BERT with positions that begin after the
//! padding token's, and another head.
//!
//! Source: transformers' `modeling_roberta.py`.

use engine_weights::{Fault, config::Config, names::Names};

use super::{Family, base::base, bert, head};
use crate::spec::{EncoderSpec, Function, OutputSpec, PositionsSpec};

pub(super) const FAMILY: Family = Family {
    embedder: &["RobertaModel", "XLMRobertaModel", "CamembertModel"],
    classifier: &[
        "RobertaForSequenceClassification",
        "XLMRobertaForSequenceClassification",
        "CamembertForSequenceClassification",
    ],
    masked: &["RobertaForMaskedLM", "XLMRobertaForMaskedLM", "CamembertForMaskedLM"],
    from_config: roberta,
    head: first_row,
    prefix: "roberta.",
    names: &Names {
        layers: "encoder.layer.",
        top: &[
            ("embeddings.word_embeddings", "token_embd"),
            ("embeddings.position_embeddings", "position_embd"),
            ("embeddings.token_type_embeddings", "token_types"),
            ("embeddings.LayerNorm", "token_embd_norm"),
            ("classifier.dense", "cls"),
            ("classifier.out_proj", "cls.output"),
        ],
        roles: &[bert::ROLES],
        fields: &[],
    },
    ignored: &["pooler.", "lm_head."],
};

fn roberta(config: &Config<'_>) -> Result<EncoderSpec, Fault> {
    let mut spec = base(config, "roberta")?;
    config.only("position_embedding_type", "absolute".to_owned())?;
    after_padding(&mut spec, config)?;
    spec.embedding.token_types = config.get("type_vocab_size")?.unwrap_or(2);
    Ok(spec)
}

/// Positions begin after the padding token's row.
pub(super) fn after_padding(spec: &mut EncoderSpec, config: &Config<'_>) -> Result<(), Fault> {
    let pad = config.get("pad_token_id")?.unwrap_or(1);
    let positions = PositionsSpec { rows: spec.stack.max_input_len, pad: Some(pad) };
    // `check` refuses none at all.
    spec.stack.max_input_len = positions.rows.saturating_sub(positions.first());
    spec.embedding.positions = Some(positions);
    Ok(())
}

/// A dense layer and the last one, of the first token's row.
pub(super) fn first_row(
    _: &Config<'_>,
    spec: &EncoderSpec,
    labels: usize,
) -> Result<OutputSpec, Fault> {
    Ok(head(spec, Function::Tanh, labels))
}
