//! Sizes in range, and fitting each other. Fields are told by their usual names, which whoever read
//! the file has words of its own for; factors are looked at where they are read.
//!
//! Invariant: products of a checked spec's sizes fit 64 bits by far; nothing divides by zero.

use engine_weights::Fault;

use crate::spec::{EncoderSpec, OutputSpec, PositionsSpec, RelativeSpec, Stage};

/// Far above any model known, as all limits below.
const MAX_LAYERS: usize = 1 << 10;
const MAX_WIDTH: usize = 1 << 20;
const MAX_POSITIONS: usize = 1 << 24;
/// Elements of the longest head.
const MAX_HEAD_DIM: usize = 1 << 11;
/// Token types are bytes.
const MAX_TOKEN_TYPES: usize = 1 << 8;

/// Refuses more layers than any model has, before they are listed.
pub(crate) fn num_layers(num: usize) -> Result<(), Fault> {
    Fault::check_sizes(&[("num_hidden_layers", num, MAX_LAYERS)])
}

/// Refuses specs that no executor could run.
pub(crate) fn check(spec: &EncoderSpec) -> Result<(), Fault> {
    let (hidden, heads) = (spec.stack.hidden_size, spec.stack.attention.num_heads);
    let windows = spec.stack.layers.iter().filter_map(|layer| layer.window);
    Fault::check_sizes(&[
        ("vocab_size", spec.vocab_size, 1 << 21),
        ("hidden_size", hidden, 1 << 17),
        ("num_attention_heads", heads, 1 << 11),
        ("intermediate_size", spec.stack.feed_forward.width, MAX_WIDTH),
        ("max_position_embeddings", spec.stack.max_input_len, MAX_POSITIONS),
        ("local_attention", windows.max().unwrap_or(1), MAX_POSITIONS),
        ("type_vocab_size", spec.embedding.token_types.max(1), MAX_TOKEN_TYPES),
    ])?;
    if !hidden.is_multiple_of(heads) {
        let what = format!("{heads} does not divide the hidden size, {hidden}");
        return Err(Fault::field("num_attention_heads", what));
    }
    if !spec.stack.head_dim().is_multiple_of(2) || spec.stack.head_dim() > MAX_HEAD_DIM {
        let dim = spec.stack.head_dim();
        let what = format!("heads of {dim} elements: not an even number up to {MAX_HEAD_DIM}");
        return Err(Fault::field("num_attention_heads", what));
    }
    check_eps(spec.stack.norm.eps)?;
    if let Some(positions) = &spec.embedding.positions {
        check_positions(positions, spec.stack.max_input_len)?;
    }
    spec.stack.attention.relative.as_ref().map_or(Ok(()), check_relative)
}

fn check_eps(eps: f32) -> Result<(), Fault> {
    match (0.0..1.0).contains(&eps) {
        true => Ok(()),
        false => Err(Fault::field("layer_norm_eps", format!("{eps} is not between 0 and 1"))),
    }
}

fn check_positions(positions: &PositionsSpec, max_len: usize) -> Result<(), Fault> {
    Fault::check_sizes(&[("max_position_embeddings", positions.rows, MAX_POSITIONS)])?;
    if positions.rows - positions.first().min(positions.rows) < max_len {
        let (rows, first) = (positions.rows, positions.first());
        let what = format!("{rows} rows, the first of {max_len} positions is row {first}");
        return Err(Fault::field("max_position_embeddings", what));
    }
    Ok(())
}

fn check_relative(relative: &RelativeSpec) -> Result<(), Fault> {
    let (buckets, max) = (relative.buckets, relative.max_distance * 4);
    if buckets == 0 || !buckets.is_multiple_of(4) || buckets >= max {
        let what = format!("{buckets} is not a multiple of 4 below {max}");
        return Err(Fault::field("relative_attention_num_buckets", what));
    }
    Ok(())
}

/// Refuses stages that do not fit each other.
pub(crate) fn check_output(hidden: usize, output: &OutputSpec) -> Result<(), Fault> {
    for (width, stage) in output.widths(hidden).zip(&output.stages) {
        match stage {
            Stage::Dense(dense) => {
                Fault::check_sizes(&[("out_features", dense.rows, MAX_WIDTH)])?;
                if dense.cols != width {
                    let what = format!("{} for rows of {width}", dense.cols);
                    return Err(Fault::field("in_features", what));
                }
            }
            Stage::Norm { width: own, norm, .. } => {
                check_eps(norm.eps)?;
                if *own != width {
                    return Err(Fault::field("dimension", format!("{own} for rows of {width}")));
                }
            }
            Stage::Normalize => {}
        }
    }
    Ok(())
}
