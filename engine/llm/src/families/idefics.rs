//! Idefics3 and SmolVLM, what they say of language: a Llama beside a tower of vision.
//!
//! Sources: transformers' `modeling_idefics3.py`, `modeling_smolvlm.py`, and the defaults of
//! `configuration_llama.py`, which published files leave out. What sees is `engine/vision`.

use serde_json::{Map, Value, json};

use super::{
    Family,
    config::Config,
    llama::{llama, llama_gguf},
    names::{ATTENTION, FIELDS, GATED, Names, PRE_NORMS, TEXT},
    unchanged,
};
use engine_weights::Fault;

use crate::spec::DecoderSpec;

pub(super) const FAMILIES: [Family; 1] = [Family {
    architectures: &["Idefics3ForConditionalGeneration", "SmolVLMForConditionalGeneration"],
    from_config: idefics,
    names: &Names {
        layers: "model.text_model.layers.",
        top: &[
            ("model.text_model.embed_tokens", "token_embd"),
            ("model.text_model.norm", "output_norm"),
            ("lm_head", "output"),
        ],
        roles: &[PRE_NORMS, ATTENTION, GATED],
        fields: FIELDS,
    },
    reform: unchanged,
    // Its GGUF files are Llama's, and what it sees with lies in another.
    gguf: &[],
    gguf_reform: unchanged,
    from_gguf: llama_gguf,
}];

/// What a Llama has whose configuration does not say.
fn defaults() -> Map<String, Value> {
    let defaults = [
        ("vocab_size", json!(32000)),
        ("hidden_size", json!(4096)),
        ("intermediate_size", json!(11008)),
        ("num_hidden_layers", json!(32)),
        ("num_attention_heads", json!(32)),
        ("max_position_embeddings", json!(2048)),
    ];
    defaults.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
}

fn idefics(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let given = config.require_object(TEXT)?;
    let mut text = defaults();
    text.extend(given.fields().iter().map(|(field, value)| (field.clone(), value.clone())));
    let text = given.with(&text);
    text.only("model_type", "llama".to_owned())?;
    text.only("qk_layer_norms", false)?;
    text.only("rope_interleaved", false)?;
    let mut spec = llama(&text)?;
    spec.family = "idefics3".into();
    // Whether the head is the embedding is said of the whole.
    spec.head.tied = config.get("tie_word_embeddings")?.unwrap_or(false);
    Ok(spec)
}
