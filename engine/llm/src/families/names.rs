//! From transformers' names of tensors to the canonical ones.
//!
//! Invariant: a name that is not in a family's table is not known: nothing is left out silently.

/// A family's names.
pub(super) struct Names {
    /// Before the number of a layer.
    pub(super) layers: &'static str,
    /// Whole names, without `.weight` or `.bias`.
    pub(super) top: &'static [(&'static str, &'static str)],
    /// Names within a layer, likewise; `*` stands for a number, which goes to the `*` of ours.
    pub(super) roles: &'static [Roles],
}

/// Names that several families share, and ours.
pub(super) type Roles = &'static [(&'static str, &'static str)];

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

/// Llama's names.
pub(super) const LLAMA: Names =
    Names { layers: "model.layers.", top: TOP, roles: &[PRE_NORMS, ATTENTION, GATED] };

/// Parts of models that see, which speaking does without.
const OTHER_PARTS: [&str; 2] = ["vision_model.", "multi_modal_projector."];

impl Names {
    /// Whether this is a tensor of what stands beside the language model.
    pub(super) fn is_other_part(&self, theirs: &str) -> bool {
        let has_others = self.layers.starts_with("language_model.");
        has_others && OTHER_PARTS.iter().any(|part| theirs.starts_with(part))
    }

    /// The canonical name of what transformers calls `theirs`.
    pub(super) fn canonical(&self, theirs: &str) -> Option<String> {
        let (stem, suffix) = theirs.rsplit_once('.')?;
        if !matches!(suffix, "weight" | "bias") {
            // Some names are parameters of their own, as gpt-oss's sinks and experts.
            return self.role(theirs).map(|(layer, role)| format!("blk.{layer}.{role}"));
        }
        if let Some((_, ours)) = self.top.iter().find(|(name, _)| *name == stem) {
            return Some(format!("{ours}.{suffix}"));
        }
        let (layer, role) = self.role(stem)?;
        Some(format!("blk.{layer}.{role}.{suffix}"))
    }

    fn role<'a>(&self, name: &'a str) -> Option<(&'a str, String)> {
        let (layer, rest) = name.strip_prefix(self.layers)?.split_once('.')?;
        if !is_number(layer) {
            return None;
        }
        let found = self.roles.iter().copied().flatten().find_map(|(theirs, ours)| {
            match theirs.split_once('*') {
                None => (*theirs == rest).then(|| (*ours).to_owned()),
                Some((before, after)) => {
                    let number = rest.strip_prefix(before)?.strip_suffix(after)?;
                    is_number(number).then(|| ours.replace('*', number))
                }
            }
        });
        Some((layer, found?))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() < 6 && text.bytes().all(|b| b.is_ascii_digit())
}
