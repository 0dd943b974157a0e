//! Between transformers' names and the canonical ones: of tensors both ways, of fields
//! [as they are called](crate::fields).
//!
//! Invariant: a name that is not in a family's table is not known: nothing is left out silently.

use crate::fields::Called;

/// A family's names.
pub struct Names {
    /// Before the number of a layer.
    pub layers: &'static str,
    /// Whole names, without `.weight` or `.bias`.
    pub top: &'static [(&'static str, &'static str)],
    /// Names within a layer, likewise; `*` stands for a number, which goes to the `*` of ours.
    pub roles: &'static [Roles],
    /// Fields that are not called as usual.
    pub fields: Called,
}

/// Names that several families share, and ours.
pub type Roles = &'static [(&'static str, &'static str)];

/// Canonical roles, and those of the tensors that files may keep them in.
const FUSED: Roles = &[
    ("attn_q", "attn_qkv"),
    ("attn_k", "attn_qkv"),
    ("attn_v", "attn_qkv"),
    ("attn_k_b.*", "attn_kv_b"),
    ("attn_v_b.*", "attn_kv_b"),
    ("ffn_gate", "ffn_gate_up"),
    ("ffn_up", "ffn_gate_up"),
    ("ffn_gate.*", "ffn_gate_exps"),
    ("ffn_gate.*", "ffn_gate_up_exps"),
    ("ffn_up.*", "ffn_up_exps"),
    ("ffn_up.*", "ffn_gate_up_exps"),
    ("ffn_down.*", "ffn_down_exps"),
];

impl Names {
    /// The canonical name of what transformers calls `theirs`.
    pub fn canonical(&self, theirs: &str) -> Option<String> {
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
        let mut roles = self.roles.iter().copied().flatten();
        Some((layer, roles.find_map(|(theirs, ours)| replaced(rest, theirs, ours))?))
    }

    /// What transformers calls the tensor of a canonical name, or the one that it is a part of: the
    /// first of a family's names for it.
    pub fn theirs(&self, ours: &str) -> Option<String> {
        let (stem, suffix) = ours.rsplit_once('.')?;
        if let Some((theirs, _)) = self.top.iter().find(|(_, name)| *name == stem) {
            return Some(format!("{theirs}.{suffix}"));
        }
        let (layer, role) = stem.strip_prefix("blk.")?.split_once('.')?;
        let of = |ours: &str| {
            let mut roles = self.roles.iter().copied().flatten();
            roles.find_map(|(theirs, known)| replaced(ours, known, theirs))
        };
        // Parameters of their own have no suffix.
        let named = |role: &str| {
            let stem = || Some(format!("{}.{suffix}", of(role)?));
            of(&format!("{role}.{suffix}")).or_else(stem)
        };
        let theirs = named(role).or_else(|| wholes(role).find_map(|whole| named(&whole)))?;
        Some(format!("{}{layer}.{theirs}", self.layers))
    }
}

/// Roles of tensors that files may keep a role's in.
fn wholes(role: &str) -> impl Iterator<Item = String> {
    FUSED.iter().filter_map(move |(part, whole)| replaced(role, part, whole))
}

/// What GGUF files call the tensor of a canonical name, which has its experts and heads one by one.
pub fn in_gguf(ours: &str) -> Option<String> {
    let (layer, rest) = ours.strip_prefix("blk.")?.split_once('.')?;
    let (role, suffix) = rest.rsplit_once('.')?;
    let numbered = role.split_once('.').is_some_and(|(_, number)| is_number(number));
    let whole = wholes(role).next().filter(|_| numbered)?;
    Some(format!("blk.{layer}.{whole}.{suffix}"))
}

/// `to` for a name of the form `from`, whose number at a `*` goes to that of `to`.
fn replaced(name: &str, from: &str, to: &str) -> Option<String> {
    match from.split_once('*') {
        None => (from == name).then(|| to.to_owned()),
        Some((before, after)) => {
            let number = name.strip_prefix(before)?.strip_suffix(after)?;
            is_number(number).then(|| to.replace('*', number))
        }
    }
}

/// Whether a part of a name is the number of a layer, an expert or a head.
pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() < 6 && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names {
        layers: "h.",
        top: &[("wte", "token_embd")],
        roles: &[&[
            ("ln", "attn_norm"),
            ("other_ln", "attn_norm"),
            ("attn", "attn_qkv"),
            ("sinks", "attn_sinks.weight"),
            ("experts.*.w1", "ffn_gate.*"),
            ("experts.up_proj", "ffn_up_exps.weight"),
        ]],
        fields: &[],
    };

    #[test]
    fn names_lead_both_ways() {
        for (ours, theirs) in [
            ("token_embd.weight", "wte.weight"),
            ("blk.7.attn_norm.bias", "h.7.ln.bias"),
            ("blk.7.attn_sinks.weight", "h.7.sinks"),
            ("blk.7.ffn_gate.3.weight", "h.7.experts.3.w1.weight"),
        ] {
            assert_eq!(NAMES.theirs(ours).as_deref(), Some(theirs));
            assert_eq!(NAMES.canonical(theirs).as_deref(), Some(ours));
        }
        assert_eq!(NAMES.canonical("h.7.other_ln.bias").as_deref(), Some("blk.7.attn_norm.bias"));
        for (part, whole) in [
            ("blk.7.attn_k.weight", Some("h.7.attn.weight")),
            ("blk.7.ffn_up.3.weight", Some("h.7.experts.up_proj")),
            ("blk.7.ffn_down.weight", None),
            ("output.weight", None),
        ] {
            assert_eq!(NAMES.theirs(part).as_deref(), whole);
        }
    }

    #[test]
    fn gguf_files_have_experts_in_one_tensor() {
        let whole = "blk.7.ffn_gate_exps.weight";
        assert_eq!(in_gguf("blk.7.ffn_gate.3.weight").as_deref(), Some(whole));
        assert_eq!(in_gguf("blk.7.ffn_gate.weight"), None);
        assert_eq!(in_gguf("output.weight"), None);
    }
}
