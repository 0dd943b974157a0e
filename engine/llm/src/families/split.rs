//! Tensors that files keep fused or stacked, taken apart into canonical ones.
//!
//! Invariant: a tensor that is none of these comes back as it is; one whose shape is not the
//! spec's is refused by its name in the file.

use engine_weights::Size;

use crate::{
    spec::{DecoderSpec, LatentSpec},
    weights::{Tensor, WeightsError},
};

type Parts = Result<Vec<Tensor>, WeightsError>;

/// Takes `tensor`, which has a canonical name or one of those below, apart.
pub(super) fn split(spec: &DecoderSpec, tensor: Tensor) -> Parts {
    let name = tensor.name().to_owned();
    let Some((layer, role, suffix)) = parse(&name) else { return Ok(vec![tensor]) };
    let to = |role: &str| format!("blk.{layer}.{role}.{suffix}");
    match role {
        "attn_qkv" => qkv(spec, &tensor, &to),
        // Gate and up projection one after the other (Phi-3's GGUF calls both the latter).
        "ffn_gate_up" => halves(spec.feed_forward.width, &tensor, &to),
        "ffn_up" if spec.feed_forward.gated && is_double(spec, &tensor) => {
            halves(spec.feed_forward.width, &tensor, &to)
        }
        "ffn_gate_exps" | "ffn_up_exps" | "ffn_down_exps" => {
            let role = role.trim_end_matches("_exps");
            let num = spec.experts.as_ref().map_or(0, |experts| experts.num_experts);
            let num = Size { num, by: &["num_experts"] };
            stack(num, &tensor, &|i| to(&format!("{role}.{i}")))
        }
        "attn_kv_b" => match &spec.attention.latent {
            Some(latent) => kv_b(spec.attention.num_heads, latent, &tensor, &to),
            None => Ok(vec![tensor]),
        },
        "attn_k_b" | "attn_v_b" if tensor.shape().len() == 3 => {
            let num = Size { num: spec.attention.num_heads, by: &["num_attention_heads"] };
            stack(num, &tensor, &|i| to(&format!("{role}.{i}")))
        }
        "attn_q_norm" | "attn_k_norm" if tensor.shape().len() == 2 => {
            stack(tensor.shape()[0].into(), &tensor, &|i| to(&format!("{role}.{i}")))
        }
        _ => Ok(vec![tensor]),
    }
}

/// Layer, role and suffix of `blk.LAYER.ROLE.SUFFIX`.
pub(super) fn parse(name: &str) -> Option<(&str, &str, &str)> {
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (role, suffix) = rest.rsplit_once('.')?;
    Some((layer, role, suffix))
}

/// Queries, keys and values one after another.
fn qkv(spec: &DecoderSpec, tensor: &Tensor, to: &dyn Fn(&str) -> String) -> Parts {
    let (q, kv) = (spec.attention.q_width(), spec.attention.kv_width());
    let by = &["num_attention_heads", "num_key_value_heads", "head_dim"];
    tensor.check_outer(Size { num: q + 2 * kv, by })?;
    Ok(vec![
        tensor.part(&to("attn_q"), 0, q)?,
        tensor.part(&to("attn_k"), q, kv)?,
        tensor.part(&to("attn_v"), q + kv, kv)?,
    ])
}

fn is_double(spec: &DecoderSpec, tensor: &Tensor) -> bool {
    tensor.shape().first() == Some(&(2 * spec.feed_forward.width))
}

fn halves(width: usize, tensor: &Tensor, to: &dyn Fn(&str) -> String) -> Parts {
    tensor.check_outer(Size { num: 2 * width, by: &["intermediate_size"] })?;
    Ok(vec![tensor.part(&to("ffn_gate"), 0, width)?, tensor.part(&to("ffn_up"), width, width)?])
}

/// One tensor for each of `num`.
fn stack(num: Size, tensor: &Tensor, to: &dyn Fn(usize) -> String) -> Parts {
    if tensor.shape().len() < 2 {
        return Err(tensor.misshapen(&[num, 0.into()]));
    }
    tensor.check_outer(num)?;
    (0..num.num).map(|i| tensor.element(&to(i), i)).collect()
}

/// What heads make of latent vectors: keys, then values, head by head. Those of keys are turned
/// over, as they are applied to queries.
fn kv_b(heads: usize, latent: &LatentSpec, tensor: &Tensor, to: &dyn Fn(&str) -> String) -> Parts {
    let (nope, value) = (latent.nope_dim, latent.value_dim);
    let by = &["num_attention_heads", "qk_nope_head_dim", "v_head_dim"];
    let rank = Size { num: latent.kv_rank, by: &["kv_lora_rank"] };
    tensor.check_shape(&[Size { num: heads * (nope + value), by }, rank])?;
    let mut parts = Vec::with_capacity(2 * heads);
    for head in 0..heads {
        let first = head * (nope + value);
        let key = to(&format!("attn_k_b.{head}"));
        parts.push(tensor.part(&key, first, nope)?.transposed(&key)?);
        parts.push(tensor.part(&to(&format!("attn_v_b.{head}")), first + nope, value)?);
    }
    Ok(parts)
}
