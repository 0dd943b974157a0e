//! From transformers' names of tensors to the canonical ones.
//!
//! Invariant: a name that is not in a family's table is not known: nothing is left out silently.

/// A family's names.
pub struct Names {
    /// Before the number of a layer.
    pub layers: &'static str,
    /// Whole names, without `.weight` or `.bias`.
    pub top: &'static [(&'static str, &'static str)],
    /// Names within a layer, likewise; `*` stands for a number, which goes to the `*` of ours.
    pub roles: &'static [Roles],
}

/// Names that several families share, and ours.
pub type Roles = &'static [(&'static str, &'static str)];

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
