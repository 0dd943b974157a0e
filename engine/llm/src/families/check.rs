//! Sizes in range, and fitting each other.
//!
//! Invariant: products of a checked spec's sizes fit 64 bits by far; nothing divides by zero.

use engine_weights::Fault;
use kernels::attention::BLOCK_SIZE;

use crate::{
    executors::cpu::MAX_ACTIVE,
    spec::{
        Activation, AttentionSpec, DecoderSpec, ExpertsSpec, FeedForwardSpec, LatentSpec,
        QkNormOver, RopeScaling, RopeSpec,
    },
};

/// Far above any model known, as all limits below.
const MAX_LAYERS: usize = 1 << 10;
const MAX_HEADS: usize = 1 << 11;
const MAX_HEAD_DIM: usize = 1 << 11;
const MAX_WIDTH: usize = 1 << 20;
const MAX_POSITIONS: usize = 1 << 24;
const MAX_EXPERTS: usize = 1 << 12;
/// Experts, or heads with tensors of their own, of all layers together.
const MAX_PARTS: usize = 1 << 17;

/// Refuses more layers than any model has, before they are listed.
pub(super) fn num_layers(num: usize) -> Result<(), Fault> {
    Fault::check_sizes(&[("num_layers", num, MAX_LAYERS)])
}

/// Refuses specs that no executor could run.
pub(super) fn check(spec: &DecoderSpec) -> Result<(), Fault> {
    let attention = &spec.attention;
    let window = spec.layers.iter().filter_map(|layer| layer.window).max().unwrap_or(1);
    Fault::check_sizes(&[
        ("vocab_size", spec.vocab_size, 1 << 21),
        ("hidden_size", spec.hidden_size, 1 << 17),
        ("num_heads", attention.num_heads, MAX_HEADS),
        ("num_kv_heads", attention.num_kv_heads, MAX_HEADS),
        ("head_dim", attention.head_dim, MAX_HEAD_DIM),
        ("intermediate_size", spec.feed_forward.width, MAX_WIDTH),
        ("max_model_len", spec.max_model_len, MAX_POSITIONS),
        ("sliding_window", window, MAX_POSITIONS),
        ("sliding_window", spec.sliding_window().unwrap_or(1), MAX_POSITIONS),
    ])?;
    let (heads, kv_heads) = (attention.num_heads, attention.num_kv_heads);
    if !heads.is_multiple_of(kv_heads) {
        let what = format!("{kv_heads} does not divide the {heads} query heads");
        return Err(Fault::field("num_kv_heads", what));
    }
    if !attention.head_dim.is_multiple_of(2) {
        return Err(Fault::field("head_dim", format!("{} is odd", attention.head_dim)));
    }
    check_positions(attention)?;
    if !(0.0..1.0).contains(&spec.norm.eps) {
        let what = format!("{} is not between 0 and 1", spec.norm.eps);
        return Err(Fault::field("norm_eps", what));
    }
    if let Some(rows) = spec.embedding.learned_positions
        && rows < spec.max_model_len
    {
        let what = format!("{} positions, but there are {rows} embeddings", spec.max_model_len);
        return Err(Fault::field("max_model_len", what));
    }
    check_factors(spec)?;
    check_feed_forward(&spec.feed_forward)?;
    if let Some(latent) = &attention.latent {
        check_latent(latent)?;
    }
    let each_head = attention.qk_norm.is_some_and(|norm| norm.over == QkNormOver::EachHead);
    if attention.latent.is_some() || each_head {
        Fault::check_sizes(&[("num_heads", heads, MAX_PARTS / spec.layers.len())])?;
    }
    if let Some(experts) = &spec.experts {
        check_experts(experts, spec.layers.len())?;
    }
    let rotated = attention.latent.as_ref().map_or(attention.head_dim, |latent| latent.rope_dim);
    spec.ropes.iter().try_for_each(|rope| check_rope(rope, rotated))
}

/// What depends on where in the text a position is.
fn check_positions(spec: &AttentionSpec) -> Result<(), Fault> {
    if let Some(chunk) = spec.chunk {
        const FIELD: &str = "attention_chunk_size";
        Fault::check_sizes(&[(FIELD, chunk, MAX_POSITIONS)])?;
        if !chunk.is_multiple_of(BLOCK_SIZE) {
            let what = format!("{chunk} is not a multiple of the cache's {BLOCK_SIZE} positions");
            return Err(Fault::field(FIELD, what));
        }
    }
    let Some(temperature) = spec.temperature else { return Ok(()) };
    Fault::check_sizes(&[("floor_scale", temperature.floor, MAX_POSITIONS)])?;
    positive("attn_scale", temperature.scale)
}

/// What numbers are multiplied with.
fn check_factors(spec: &DecoderSpec) -> Result<(), Fault> {
    let caps = [
        ("attn_logit_softcapping", spec.attention.softcap),
        ("final_logit_softcapping", spec.head.softcap),
    ];
    for (field, factor) in [
        ("embedding scale", spec.embedding.scale),
        ("residual scale", spec.residual_scale),
        ("attention scale", spec.attention.scale),
        ("logit scale", spec.head.scale),
    ] {
        positive(field, factor)?;
    }
    caps.into_iter().try_for_each(|(field, cap)| cap.map_or(Ok(()), |cap| positive(field, cap)))
}

fn check_feed_forward(spec: &FeedForwardSpec) -> Result<(), Fault> {
    match spec.activation {
        Activation::ClampedSwiglu { limit } => {
            positive("swiglu_limit", limit)?;
            if spec.gated { Ok(()) } else { Err(Fault::field("hidden_act", "needs a gate")) }
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
    positive("routed_scaling_factor", experts.router.scale)?;
    check_feed_forward(&experts.expert)?;
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

fn check_rope(rope: &RopeSpec, head_dim: usize) -> Result<(), Fault> {
    let dim = rope.dim;
    if dim == 0 || !dim.is_multiple_of(2) || dim > head_dim {
        let what = format!("{dim} is not an even number up to head_dim, {head_dim}");
        return Err(Fault::field("rope dimension", what));
    }
    positive("rope theta", rope.theta)?;
    positive("rope attention factor", rope.magnitude)?;
    match &rope.scaling {
        RopeScaling::None => Ok(()),
        RopeScaling::Linear { factor } => positive("rope factor", *factor),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_len } => {
            positive("rope factor", *factor)?;
            positive("rope low_freq_factor", *low_freq_factor)?;
            positive("rope high_freq_factor", *high_freq_factor)?;
            if high_freq_factor < low_freq_factor {
                let what = format!("{high_freq_factor} is below low_freq_factor");
                return Err(Fault::field("rope high_freq_factor", what));
            }
            original(*original_max_len)
        }
        RopeScaling::Yarn(yarn) => {
            positive("rope factor", yarn.factor)?;
            positive("rope beta_fast", yarn.beta_fast)?;
            positive("rope beta_slow", yarn.beta_slow)?;
            original(yarn.original_max_len)
        }
        RopeScaling::Factors(factors) => {
            factors.iter().try_for_each(|factor| positive("rope_freqs.weight", *factor))
        }
    }
}

fn original(max_len: usize) -> Result<(), Fault> {
    let field = "rope original_max_position_embeddings";
    if max_len == 0 { Err(Fault::field(field, "0 is not positive")) } else { Ok(()) }
}

fn positive(field: &str, value: f32) -> Result<(), Fault> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Fault::field(field, format!("{value} is not a positive number")))
}
