//! Sizes in range, and fitting each other.
//!
//! Invariant: products of a checked spec's sizes fit 64 bits by far; nothing divides by zero.

use crate::{
    error::Fault,
    spec::{DecoderSpec, RopeScaling, RopeSpec},
};

/// Refuses specs that no executor could run.
pub(super) fn check(spec: &DecoderSpec) -> Result<(), Fault> {
    // Limits far above any model known.
    let sizes = [
        ("vocab_size", spec.vocab_size, 1 << 21),
        ("hidden_size", spec.hidden_size, 1 << 17),
        ("num_layers", spec.num_layers, 1 << 10),
        ("num_heads", spec.num_heads, 1 << 11),
        ("num_kv_heads", spec.num_kv_heads, 1 << 11),
        ("head_dim", spec.head_dim, 1 << 11),
        ("intermediate_size", spec.intermediate_size, 1 << 20),
        ("max_model_len", spec.max_model_len, 1 << 24),
        ("sliding_window", spec.sliding_window.unwrap_or(1), 1 << 24),
    ];
    for (field, size, max) in sizes {
        if !(1..=max).contains(&size) {
            return Err(Fault::field(field, format!("{size} is not between 1 and {max}")));
        }
    }
    let (heads, kv_heads) = (spec.num_heads, spec.num_kv_heads);
    if !heads.is_multiple_of(kv_heads) {
        let what = format!("{kv_heads} does not divide the {heads} query heads");
        return Err(Fault::field("num_kv_heads", what));
    }
    if !spec.head_dim.is_multiple_of(2) {
        return Err(Fault::field("head_dim", format!("{} is odd", spec.head_dim)));
    }
    if !(0.0..1.0).contains(&spec.norm_eps) {
        let what = format!("{} is not between 0 and 1", spec.norm_eps);
        return Err(Fault::field("norm_eps", what));
    }
    check_rope(&spec.rope, spec.head_dim)
}

fn check_rope(rope: &RopeSpec, head_dim: usize) -> Result<(), Fault> {
    let dim = rope.dim;
    if dim == 0 || !dim.is_multiple_of(2) || dim > head_dim {
        let what = format!("{dim} is not an even number up to head_dim, {head_dim}");
        return Err(Fault::field("rope dimension", what));
    }
    positive("rope theta", rope.theta)?;
    match &rope.scaling {
        RopeScaling::None => Ok(()),
        RopeScaling::Linear { factor } => positive("rope factor", *factor),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_len } => {
            positive("rope factor", *factor)?;
            positive("rope low_freq_factor", *low_freq_factor)?;
            positive("rope high_freq_factor", *high_freq_factor)?;
            if high_freq_factor <= low_freq_factor {
                let what = format!("{high_freq_factor} is not above low_freq_factor");
                return Err(Fault::field("rope high_freq_factor", what));
            }
            if *original_max_len == 0 {
                let field = "rope original_max_position_embeddings";
                return Err(Fault::field(field, "0 is not positive"));
            }
            Ok(())
        }
        RopeScaling::Factors(factors) => {
            factors.iter().try_for_each(|factor| positive("rope_freqs.weight", *factor))
        }
    }
}

fn positive(field: &str, value: f32) -> Result<(), Fault> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Fault::field(field, format!("{value} is not a positive number")))
}
