//! What GGUF files of all architectures say in the same words.
//!
//! Invariant: which tensors there are decides on biases, tied embeddings, norms of queries and
//! keys, gates and rotary factors; metadata decides on the rest.

use kernels::norm::NormKind;

use super::{
    base::{Sizes, divide_heads, llama_shaped},
    rope,
};
use engine_weights::{Fault, fields::Fields, gguf::Keys};

use crate::{
    spec::{
        Activation, DecoderSpec, ExpertsSpec, FeedForwardSpec, NormSpec, QkNormOver, QkNormSpec,
        RopeStyle, RouterScore, RouterSpec,
    },
    weights::{FromValue, Tensor},
};

/// A file's metadata and tensors.
pub(super) struct Gguf<'a> {
    pub(super) keys: Keys<'a>,
    pub(super) tensors: &'a [Tensor],
}

impl<'a> Gguf<'a> {
    /// The field of the architecture, by its usual name or its own, if it is there.
    pub(super) fn get<T: FromValue<'a>>(&self, name: &str) -> Result<Option<T>, Fault> {
        self.keys.get(name)
    }

    /// The same, which must be there.
    pub(super) fn require<T: FromValue<'a>>(&self, name: &str) -> Result<T, Fault> {
        self.keys.require(name)
    }

    /// The shape of a tensor, if it is there.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.iter().find(|tensor| tensor.name() == name).map(Tensor::shape)
    }

    /// Whether some layer has a tensor of this role.
    pub(super) fn has(&self, role: &str) -> bool {
        self.layer_shape(role).is_some()
    }

    /// The shape of a role's tensor in the first layer that has it.
    pub(super) fn layer_shape(&self, role: &str) -> Option<&[usize]> {
        let is = |tensor: &&Tensor| {
            let rest = tensor.name().strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
            rest.is_some_and(|(_, found)| found == role)
        };
        self.tensors.iter().find(is).map(Tensor::shape)
    }
}

/// A decoder of Llama's form, and what tensors say of it.
pub(super) fn from_gguf(file: &Gguf<'_>, style: RopeStyle) -> Result<DecoderSpec, Fault> {
    if let Some(found) = file.keys.metadata.get::<usize>("split.count")?
        && found > 1
    {
        return Err(Fault::field("split.count", format!("{found} is not supported")));
    }
    let sizes = sizes(file)?;
    let positions = file.shape("position_embd.weight");
    let rope = match positions {
        Some(_) => None,
        None => Some(rope::from_gguf(file, (sizes.head_dim, style))?),
    };
    let mut spec = llama_shaped(&file.keys, file.keys.architecture, &sizes, rope)?;
    spec.embedding.learned_positions = positions.map(|shape| shape[0]);
    spec.norm = norm(file)?;
    spec.attention.bias = file.has("attn_q.bias") || file.has("attn_qkv.bias");
    spec.attention.output_bias = file.has("attn_output.bias");
    spec.attention.sinks = file.has("attn_sinks.weight");
    spec.attention.qk_norm = file.layer_shape("attn_q_norm.weight").map(|shape| QkNormSpec {
        kind: spec.norm.kind,
        over: match shape {
            [_, _] => QkNormOver::EachHead,
            [width] if *width != sizes.head_dim => QkNormOver::All,
            _ => QkNormOver::Head,
        },
        eps: spec.norm.eps,
    });
    let fused =
        file.layer_shape("ffn_up.weight").is_some_and(|s| Some(s[0]) == sizes.width.checked_mul(2));
    if !fused && !["ffn_gate.weight", "ffn_gate_exps.weight"].iter().any(|role| file.has(role)) {
        spec.feed_forward.gated = false;
        spec.feed_forward.activation = Activation::GeluTanh;
    }
    spec.feed_forward.bias = file.has("ffn_up.bias");
    spec.head.tied = file.shape("output.weight").is_none();
    if let Some(num_experts) = file.get::<usize>("num_experts")?.filter(|num| *num > 0) {
        spec.experts = Some(experts(file, num_experts, spec.feed_forward)?);
        let dense = file.get("leading_dense_block_count")?.unwrap_or(0);
        spec.layers.iter_mut().skip(dense).for_each(|layer| layer.experts = true);
    }
    Ok(spec)
}

fn sizes(file: &Gguf<'_>) -> Result<Sizes, Fault> {
    let hidden = file.require("hidden_size")?;
    let heads = file.require("num_attention_heads")?;
    let head_dim = match file.get("head_dim")? {
        Some(head_dim) => head_dim,
        None => divide_heads(&file.keys, hidden, heads)?,
    };
    match file.get::<usize>("attention.value_length")? {
        Some(found) if found != head_dim && !file.has("attn_kv_a_mqa.weight") => {
            let what = format!("{found} is not the {head_dim} of keys");
            return Err(file.keys.fault("attention.value_length", what));
        }
        _ => {}
    }
    let vocab = match file.shape("token_embd.weight") {
        Some([rows, _]) => *rows,
        Some(_) => return Err(Fault::tensor("token_embd.weight", "is not a matrix")),
        None => return Err(Fault::tensor("token_embd.weight", "is missing")),
    };
    Ok(Sizes {
        vocab,
        hidden,
        layers: file.require("num_hidden_layers")?,
        heads,
        kv_heads: file.get("num_key_value_heads")?.unwrap_or(heads),
        head_dim,
        width: file.require("intermediate_size")?,
        max_len: file.require("max_position_embeddings")?,
        eps: 0.0,
    })
}

fn norm(file: &Gguf<'_>) -> Result<NormSpec, Fault> {
    let bias = file.shape("output_norm.bias").is_some();
    Ok(match file.get("attention.layer_norm_epsilon")? {
        Some(eps) => NormSpec { kind: NormKind::Layer, eps, bias },
        None => {
            let eps = file.require("attention.layer_norm_rms_epsilon")?;
            NormSpec { kind: NormKind::Rms, eps, bias }
        }
    })
}

fn experts(
    file: &Gguf<'_>,
    num_experts: usize,
    dense: FeedForwardSpec,
) -> Result<ExpertsSpec, Fault> {
    let score = match file.get::<usize>("expert_gating_func")?.unwrap_or(1) {
        1 => RouterScore::Softmax,
        2 => RouterScore::Sigmoid,
        other => {
            let what = format!("{other} is not supported");
            return Err(file.keys.fault("expert_gating_func", what));
        }
    };
    let width = file.get("moe_intermediate_size")?.unwrap_or(dense.width);
    let shared = file.layer_shape("ffn_up_shexp.weight").map(|shape| shape[0]);
    let bias = file.has("ffn_up_exps.bias");
    const SCALE: &str = "routed_scaling_factor";
    Ok(ExpertsSpec {
        num_experts,
        num_active: file.require("num_experts_per_tok")?,
        expert: FeedForwardSpec { width, bias, ..dense },
        router: RouterSpec {
            score,
            bias: file.has("ffn_gate_inp.bias"),
            choice_bias: file.has("exp_probs_b.bias"),
            groups: None,
            normalize: file.get("expert_weights_norm")?.unwrap_or(true),
            scale: match file.get::<f32>(SCALE)? {
                Some(scale) if scale != 0.0 => file.keys.check_positive(SCALE, scale)?,
                _ => 1.0,
            },
            on_input: false,
        },
        shared_width: shared,
        shared_gate: file.has("ffn_gate_inp_shexp.weight"),
    })
}
