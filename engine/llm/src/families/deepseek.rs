//! DeepSeek V2 and V3 (and R1).
//!
//! Sources: transformers' `modeling_deepseek_v2.py` and `modeling_deepseek_v3.py`; llama.cpp's
//! `convert_hf_to_gguf.py`.

use super::{
    Family,
    base::{Defaults, llama_shaped, sizes},
    check::MAX_WIDTH,
    config::Config,
    experts,
    gguf::{self, Gguf},
    names::{ATTENTION, EPS, EXPERTS, GATED, Names, PRE_NORMS, TOP},
    rope, unchanged,
};
use engine_weights::{Fault, fields::Fields};

use crate::spec::{
    DecoderSpec, GroupsSpec, LatentSpec, RopeScaling, RopeSpec, RopeStyle, RouterScore,
};

const NAMES: Names = Names {
    layers: "model.layers.",
    top: TOP,
    roles: &[
        PRE_NORMS,
        ATTENTION,
        GATED,
        EXPERTS,
        &[
            ("self_attn.q_a_proj", "attn_q_a"),
            ("self_attn.q_a_layernorm", "attn_q_a_norm"),
            ("self_attn.q_b_proj", "attn_q_b"),
            ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
            ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
            ("self_attn.kv_b_proj", "attn_kv_b"),
            ("mlp.gate.e_score_correction_bias", "exp_probs_b.bias"),
            ("mlp.shared_experts.gate_proj", "ffn_gate_shexp"),
            ("mlp.shared_experts.up_proj", "ffn_up_shexp"),
            ("mlp.shared_experts.down_proj", "ffn_down_shexp"),
        ],
    ],
    fields: &[
        EPS,
        // Heads as such have no other width.
        ("head_dim", &["qk_rope_head_dim"]),
        ("num_experts", &["n_routed_experts"]),
        ("shared_expert_intermediate_size", &["n_shared_experts"]),
    ],
};

pub(super) const FAMILIES: [Family; 2] = [
    Family {
        architectures: &["DeepseekV2ForCausalLM"],
        from_config: v2,
        names: &NAMES,
        reform: unchanged,
        gguf: &["deepseek2"],
        gguf_reform: unchanged,
        from_gguf: deepseek2_gguf,
    },
    Family {
        architectures: &["DeepseekV3ForCausalLM"],
        from_config: v3,
        names: &NAMES,
        reform: unchanged,
        gguf: &[],
        gguf_reform: unchanged,
        from_gguf: deepseek2_gguf,
    },
];

/// Sets attention through latent vectors up; heads are those vectors beside a rotated part.
fn set_latent(spec: &mut DecoderSpec, latent: LatentSpec, scale: f32) {
    let attention = &mut spec.attention;
    attention.num_kv_heads = 1;
    attention.head_dim = latent.kv_rank.saturating_add(latent.rope_dim);
    attention.scale = scale;
    attention.latent = Some(latent);
}

fn common(config: &Config<'_>, family: &str) -> Result<DecoderSpec, Fault> {
    let latent = LatentSpec {
        q_rank: config.get("q_lora_rank")?,
        kv_rank: config.require("kv_lora_rank")?,
        nope_dim: config.require("qk_nope_head_dim")?,
        rope_dim: config.require("qk_rope_head_dim")?,
        value_dim: config.require("v_head_dim")?,
    };
    let sizes = sizes(config, &Defaults::LLAMA)?;
    let mut rope = rope::from_config(config, latent.rope_dim, 1.0)?;
    rope.style = RopeStyle::Interleaved;
    let mut scale = 1.0 / (latent.nope_dim.saturating_add(latent.rope_dim) as f32).sqrt();
    let object = config.object("rope_parameters")?.or(config.object("rope_scaling")?);
    if let (RopeScaling::Yarn(yarn), Some(object)) = (&rope.scaling, object) {
        let all = object.get("mscale_all_dim")?.unwrap_or(0.0_f32);
        if all != 0.0 {
            scale *= rope::yarn_magnitude(yarn.factor, all).powi(2);
            object.check_positive("mscale_all_dim", scale)?;
        }
    }
    let mut spec = llama_shaped(config, family, &sizes, Some(rope))?;
    set_latent(&mut spec, latent, scale);
    config.only("hidden_act", "silu".to_owned())?;
    spec.attention.bias = config.get("attention_bias")?.unwrap_or(false);
    spec.attention.output_bias = spec.attention.bias;
    spec.head.tied = config.get("tie_word_embeddings")?.unwrap_or(false);
    let dense = config.get("first_k_dense_replace")?.unwrap_or(0);
    spec.layers.iter_mut().skip(dense).for_each(|layer| layer.experts = true);
    let mut mixture = experts::from_config(config, &spec, RouterScore::Softmax)?;
    mixture.shared_width = shared_width(config, mixture.expert.width)?;
    mixture.router.scale = config.positive("routed_scaling_factor")?.unwrap_or(1.0);
    spec.experts = Some(mixture);
    Ok(spec)
}

/// Shared experts, of this width each, are one.
fn shared_width(config: &Config<'_>, width: usize) -> Result<Option<usize>, Fault> {
    const FIELD: &str = "n_shared_experts";
    let num = config.get::<usize>(FIELD)?.unwrap_or(0);
    match num.checked_mul(width) {
        Some(0) => Ok(None),
        Some(all) if all <= MAX_WIDTH => Ok(Some(all)),
        _ => Err(config.fault(FIELD, format!("{num} of {width} elements: above {MAX_WIDTH}"))),
    }
}

fn groups(config: &Config<'_>, best: usize) -> Result<Option<GroupsSpec>, Fault> {
    let (num_groups, num_active) = (config.get("n_group")?, config.get("topk_group")?);
    Ok(match (num_groups, num_active) {
        (Some(num_groups), Some(num_active)) if num_groups > 1 => {
            Some(GroupsSpec { num_groups, num_active, best })
        }
        _ => None,
    })
}

fn v2(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = common(config, "deepseek2")?;
    const METHOD: &str = "topk_method";
    let groups = match config.get::<String>(METHOD)?.as_deref() {
        None | Some("greedy") => None,
        Some("group_limited_greedy") => groups(config, 1)?,
        Some(other) => return Err(config.fault(METHOD, format!("{other:?} is not supported"))),
    };
    if let Some(experts) = &mut spec.experts {
        experts.router.normalize = config.get("norm_topk_prob")?.unwrap_or(false);
        experts.router.groups = groups;
    }
    Ok(spec)
}

fn v3(config: &Config<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = common(config, "deepseek3")?;
    if !config.get("rope_interleave")?.unwrap_or(true) {
        spec.ropes.iter_mut().for_each(|rope| rope.style = RopeStyle::Half);
    }
    let groups = groups(config, 2)?;
    if let Some(experts) = &mut spec.experts {
        experts.router.score = RouterScore::Sigmoid;
        experts.router.choice_bias = true;
        experts.router.normalize = config.get("norm_topk_prob")?.unwrap_or(true);
        experts.router.groups = groups;
    }
    Ok(spec)
}

fn deepseek2_gguf(file: &Gguf<'_>) -> Result<DecoderSpec, Fault> {
    let mut spec = gguf::from_gguf(file, RopeStyle::Interleaved)?;
    let rope_dim = file.require("qk_rope_head_dim")?;
    let key: usize = file.require("qk_head_dim")?;
    if key <= rope_dim {
        let what = format!("{key} is not above the {rope_dim} elements that are rotated");
        return Err(file.keys.fault("qk_head_dim", what));
    }
    let latent = LatentSpec {
        q_rank: file.get("q_lora_rank")?.filter(|rank| *rank > 0),
        kv_rank: file.require("kv_lora_rank")?,
        nope_dim: key - rope_dim,
        rope_dim,
        value_dim: file.require("v_head_dim")?,
    };
    let mut scale = 1.0 / (key as f32).sqrt();
    if let Some(RopeSpec { scaling: RopeScaling::Yarn(yarn), magnitude, .. }) =
        spec.ropes.first_mut()
    {
        // What the file holds is 0.1 · mscale_all_dim; both magnitudes cancel out.
        const LOG: &str = "rope.scaling.yarn_log_multiplier";
        let log: f32 = file.get(LOG)?.unwrap_or(0.0);
        scale *= rope::yarn_magnitude(yarn.factor, log * 10.0).powi(2);
        file.keys.check_positive(LOG, scale)?;
        *magnitude = 1.0;
    }
    set_latent(&mut spec, latent, scale);
    spec.attention.bias = false;
    if let Some(experts) = &mut spec.experts {
        let default = experts.router.score == RouterScore::Sigmoid;
        experts.router.normalize = file.get("expert_weights_norm")?.unwrap_or(default);
        let counts = (file.get("n_group")?, file.get("topk_group")?);
        if let (Some(num_groups), Some(num_active)) = counts
            && num_groups > 1
        {
            let best = if default { 2 } else { 1 };
            experts.router.groups = Some(GroupsSpec { num_groups, num_active, best });
        }
    }
    Ok(spec)
}
