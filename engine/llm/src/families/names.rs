//! Names of tensors and fields that several families share, and ours.
//!
//! Invariant: a name is in one table only.

use engine_weights::{config::Config, fields::Called};

pub(super) use engine_weights::names::{Names, Roles};

/// What most families call what is outside of layers.
pub(super) const TOP: &[(&str, &str)] =
    &[("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")];

/// Projections of attention, and norms of its queries and keys.
pub(super) const ATTENTION: Roles = &[
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
];

/// Norms before both branches.
pub(super) const PRE_NORMS: Roles =
    &[("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm")];

/// A feed-forward layer with a gate.
pub(super) const GATED: Roles =
    &[("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")];

/// Experts one by one, and what chooses among them.
pub(super) const EXPERTS: Roles = &[
    ("mlp.gate", "ffn_gate_inp"),
    ("mlp.experts.*.gate_proj", "ffn_gate.*"),
    ("mlp.experts.*.up_proj", "ffn_up.*"),
    ("mlp.experts.*.down_proj", "ffn_down.*"),
];

/// What norms add to the variance, which some name after norms of the other kind.
pub(super) const EPS: (&str, &[&str]) = ("rms_norm_eps", &["rms_norm_eps", "layer_norm_eps"]);

/// Fields of most families.
pub(super) const FIELDS: Called = &[EPS];

/// Fields of mixtures that call their experts local.
pub(super) const LOCAL_EXPERTS: Called = &[EPS, ("num_experts", &["num_local_experts"])];

/// Llama's names.
pub(super) const LLAMA: Names = Names {
    layers: "model.layers.",
    top: TOP,
    roles: &[PRE_NORMS, ATTENTION, GATED],
    fields: FIELDS,
};

/// Where a model that sees says what its language model is.
pub(super) const TEXT: &str = "text_config";

/// Parts of models that see, which speaking does without, by what layers are called beside them.
const OTHER_PARTS: [(&str, [&str; 2]); 2] = [
    ("language_model.", ["vision_model.", "multi_modal_projector."]),
    ("model.text_model.", ["model.vision_model.", "model.connector."]),
];

fn other_parts(names: &Names) -> impl Iterator<Item = &'static [&'static str; 2]> {
    let beside = |(beside, _): &&(&str, _)| names.layers.starts_with(beside);
    OTHER_PARTS.iter().filter(beside).map(|(_, parts)| parts)
}

/// Whether this is a tensor of what stands beside the language model.
pub(super) fn is_other_part(names: &Names, theirs: &str) -> bool {
    other_parts(names).flatten().any(|part| theirs.starts_with(part))
}

/// The fields that a family's sizes are read from.
pub(super) fn of_language<'a>(names: &Names, config: &Config<'a>) -> Config<'a> {
    let config = config.of_family(names.fields);
    let text = config.object(TEXT).ok().flatten();
    text.filter(|_| other_parts(names).next().is_some()).unwrap_or(config)
}
