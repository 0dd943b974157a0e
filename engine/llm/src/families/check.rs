//! Sizes in range, and fitting each other. Fields are told by their usual names, which whoever read
//! the file has words of its own for; factors are looked at where they are read.
//!
//! Invariant: products of a checked spec's sizes fit 64 bits by far; nothing divides by zero.

use engine_weights::Fault;

use crate::{
    executors::cpu::MAX_ACTIVE,
    spec::{
        Activation, AttentionSpec, DecoderSpec, ExpertsSpec, FeedForwardSpec, LatentSpec,
        QkNormOver,
    },
};

/// Far above any model known, as all limits below.
const MAX_LAYERS: usize = 1 << 10;
const MAX_HEADS: usize = 1 << 11;
const MAX_HEAD_DIM: usize = 1 << 11;
pub(super) const MAX_WIDTH: usize = 1 << 20;
pub(super) const MAX_POSITIONS: usize = 1 << 24;
const MAX_EXPERTS: usize = 1 << 12;
/// Experts, or heads with tensors of their own, of all layers together.
const MAX_PARTS: usize = 1 << 17;

/// Refuses more layers than any model has, before they are listed.
pub(super) fn num_layers(num: usize) -> Result<(), Fault> {
    Fault::check_sizes(&[("num_hidden_layers", num, MAX_LAYERS)])
}

/// Refuses specs that no executor could run, by the usual names of fields.
pub(super) fn check(spec: &DecoderSpec) -> Result<(), Fault> {
    let attention = &spec.attention;
    let window = spec.layers.iter().filter_map(|layer| layer.window).max().unwrap_or(1);
    Fault::check_sizes(&[
        ("vocab_size", spec.vocab_size, 1 << 21),
        ("hidden_size", spec.hidden_size, 1 << 17),
        ("num_attention_heads", attention.num_heads, MAX_HEADS),
        ("num_key_value_heads", attention.num_kv_heads, MAX_HEADS),
        ("intermediate_size", spec.feed_forward.width, MAX_WIDTH),
        ("max_position_embeddings", spec.max_model_len, MAX_POSITIONS),
        ("sliding_window", window, MAX_POSITIONS),
        ("sliding_window", spec.sliding_window().unwrap_or(1), MAX_POSITIONS),
    ])?;
    check_heads(attention, spec.layers.len())?;
    if !(0.0..1.0).contains(&spec.norm.eps) {
        let what = format!("{} is not between 0 and 1", spec.norm.eps);
        return Err(Fault::field("rms_norm_eps", what));
    }
    if let Some(rows) = spec.embedding.learned_positions
        && rows < spec.max_model_len
    {
        let what = format!("{} positions, but there are {rows} embeddings", spec.max_model_len);
        return Err(Fault::field("max_position_embeddings", what));
    }
    check_gate(&spec.feed_forward)?;
    spec.experts.as_ref().map_or(Ok(()), |experts| check_experts(experts, spec.layers.len()))
}

fn check_heads(attention: &AttentionSpec, num_layers: usize) -> Result<(), Fault> {
    let (heads, kv_heads) = (attention.num_heads, attention.num_kv_heads);
    if !heads.is_multiple_of(kv_heads) {
        let what = format!("{kv_heads} does not divide the {heads} query heads");
        return Err(Fault::field("num_key_value_heads", what));
    }
    // The latter are the latent vector beside what is rotated.
    let decides = if attention.latent.is_some() { "kv_lora_rank" } else { "head_dim" };
    if let Some(latent) = &attention.latent {
        check_latent(latent)?;
    }
    let dim = attention.head_dim;
    if !dim.is_multiple_of(2) || !(1..=MAX_HEAD_DIM).contains(&dim) {
        let what = format!("heads of {dim} elements: not an even number up to {MAX_HEAD_DIM}");
        return Err(Fault::field(decides, what));
    }
    let each_head = attention.qk_norm.is_some_and(|norm| norm.over == QkNormOver::EachHead);
    if attention.latent.is_some() || each_head {
        Fault::check_sizes(&[("num_attention_heads", heads, MAX_PARTS / num_layers)])?;
    }
    Ok(())
}

/// Refuses a rotation of so many elements of a head.
pub(super) fn rotated(dim: usize, head_dim: usize) -> Result<(), Fault> {
    if dim == 0 || !dim.is_multiple_of(2) || dim > head_dim {
        let what = format!("rotates {dim} elements of heads of {head_dim}: not an even number");
        return Err(Fault::field("partial_rotary_factor", what));
    }
    Ok(())
}

fn check_gate(spec: &FeedForwardSpec) -> Result<(), Fault> {
    match spec.activation {
        Activation::ClampedSwiglu { .. } if !spec.gated => {
            Err(Fault::tensor("blk.0.ffn_gate_exps.weight", "is missing"))
        }
        _ => Ok(()),
    }
}

fn check_latent(latent: &LatentSpec) -> Result<(), Fault> {
    Fault::check_sizes(&[
        ("q_lora_rank", latent.q_rank.unwrap_or(1), 1 << 17),
        ("kv_lora_rank", latent.kv_rank, MAX_HEAD_DIM),
        ("qk_nope_head_dim", latent.nope_dim, MAX_HEAD_DIM),
        ("qk_rope_head_dim", latent.rope_dim, MAX_HEAD_DIM),
        ("v_head_dim", latent.value_dim, MAX_HEAD_DIM),
    ])
}

fn check_experts(experts: &ExpertsSpec, num_layers: usize) -> Result<(), Fault> {
    let num_experts = experts.num_experts;
    Fault::check_sizes(&[
        ("num_experts", num_experts, MAX_EXPERTS.min(MAX_PARTS / num_layers)),
        ("num_experts_per_tok", experts.num_active, num_experts.min(MAX_ACTIVE)),
        ("moe_intermediate_size", experts.expert.width, MAX_WIDTH),
        ("shared_expert_intermediate_size", experts.shared_width.unwrap_or(1), MAX_WIDTH),
    ])?;
    check_gate(&experts.expert)?;
    let Some(groups) = experts.router.groups else { return Ok(()) };
    Fault::check_sizes(&[
        ("n_group", groups.num_groups, num_experts),
        ("topk_group", groups.num_active, groups.num_groups),
    ])?;
    let per_group = num_experts / groups.num_groups;
    if per_group * groups.num_groups != num_experts || per_group < groups.best {
        let what = format!("{} does not divide the {num_experts} experts", groups.num_groups);
        return Err(Fault::field("n_group", what));
    }
    if per_group * groups.num_active < experts.num_active {
        let what = format!("{} groups of {per_group} are too few", groups.num_active);
        return Err(Fault::field("topk_group", what));
    }
    Ok(())
}
