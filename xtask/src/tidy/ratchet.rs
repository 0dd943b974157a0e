//! The list of what is larger than it should be.
//!
//! Invariant: an entry's size only ever shrinks, and goes when the thing keeps its limit.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Finding;

const HEAD: &str = "# What is larger than `cargo xtask tidy` allows, with its size. Sizes may only \
shrink:\n# after making something smaller run `cargo xtask tidy --update`.\n\n[sizes]\n";

/// Present exceptions by key: a file, `file::function` (its lines) or `file::function()` (its
/// parameters).
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Ratchet {
    sizes: BTreeMap<String, usize>,
}

impl Ratchet {
    /// No file is an empty list.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// What is wrong, given the exceptions.
    pub(crate) fn judge(&self, findings: &[Finding]) -> Vec<String> {
        let mut complaints = Vec::new();
        for finding in findings {
            match finding {
                Finding::Wrong(text) => complaints.push(text.clone()),
                Finding::TooLarge { key, what, size, limit } => match self.sizes.get(key) {
                    Some(allowed) if size <= allowed => {}
                    Some(allowed) => complaints
                        .push(format!("{key} grew to {size} {what}; it was {allowed}, shrink it")),
                    None => complaints.push(format!("{key}: {size} {what}, at most {limit}")),
                },
            }
        }
        complaints.extend(self.sizes.iter().filter_map(|(key, allowed)| {
            let size = size_of(key, findings);
            (size < *allowed).then(|| {
                format!("{key} shrank from {allowed}: keep it so by `cargo xtask tidy --update`")
            })
        }));
        complaints
    }

    /// The list after what shrank has been noted. New exceptions enter only into an empty list,
    /// when the ratchet is made.
    pub(crate) fn updated(&self, findings: &[Finding]) -> Result<Self> {
        let mut sizes = BTreeMap::new();
        for finding in findings {
            let Finding::TooLarge { key, what, size, limit } = finding else { continue };
            let allowed = self.sizes.get(key).copied();
            if allowed.is_some_and(|allowed| *size > allowed) {
                bail!("{key} grew to {size} {what}; a ratchet does not turn back");
            }
            if allowed.is_none() && !self.sizes.is_empty() {
                bail!("{key} is new with {size} {what}, at most {limit}: make it smaller instead");
            }
            let noted = sizes.entry(key.clone()).or_insert(0);
            *noted = (*noted).max(*size);
        }
        Ok(Self { sizes })
    }

    pub(crate) fn to_toml(&self) -> String {
        self.sizes
            .iter()
            .fold(HEAD.to_owned(), |text, (key, size)| format!("{text}{key:?} = {size}\n"))
    }
}

fn size_of(wanted: &str, findings: &[Finding]) -> usize {
    let sizes = findings.iter().map(|finding| match finding {
        Finding::TooLarge { key, size, .. } if key == wanted => *size,
        _ => 0,
    });
    sizes.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Finding, Ratchet};

    fn large(key: &str, size: usize) -> Finding {
        Finding::TooLarge { key: key.to_owned(), what: "lines", size, limit: 300 }
    }

    fn ratchet(sizes: &[(&str, usize)]) -> Ratchet {
        Ratchet { sizes: sizes.iter().map(|(key, size)| ((*key).to_owned(), *size)).collect() }
    }

    #[test]
    fn what_is_listed_may_stay_but_not_grow() {
        let ratchet = ratchet(&[("a.rs", 400)]);
        assert_eq!(ratchet.judge(&[large("a.rs", 400)]), Vec::<String>::new());
        assert!(ratchet.judge(&[large("a.rs", 401)])[0].contains("grew to 401"));
        assert!(ratchet.judge(&[large("a.rs", 399)])[0].contains("shrank"));
        assert!(ratchet.judge(&[])[0].contains("shrank"));
        assert_eq!(ratchet.judge(&[large("a.rs", 400), large("b.rs", 301)]).len(), 1);
    }

    #[test]
    fn updating_only_turns_one_way() {
        let old = ratchet(&[("a.rs", 400), ("b.rs", 320)]);
        assert_eq!(old.updated(&[large("a.rs", 350)]).unwrap(), ratchet(&[("a.rs", 350)]));
        assert!(old.updated(&[large("a.rs", 401)]).is_err());
        assert!(old.updated(&[large("c.rs", 301)]).is_err());
        assert_eq!(ratchet(&[]).updated(&[large("c.rs", 301)]).unwrap(), ratchet(&[("c.rs", 301)]));
    }

    #[test]
    fn the_file_reads_back() {
        let list = ratchet(&[("a.rs::f()", 6), ("b/c.rs", 320)]);
        assert_eq!(toml::from_str::<Ratchet>(&list.to_toml()).unwrap(), list);
    }
}
