//! Where a model on a hub is, and how to ask for it.
//!
//! Invariant: a parsed [`HubSource`] has no segment that could climb out of a path or URL, and a
//! [`HubToken`] is never printed.

mod client;
mod download;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::name::is_plain_name;

pub(crate) use client::{HubClient, RemoteFile, Repository};
pub(crate) use download::{Wanted, download};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
const DEFAULT_REVISION: &str = "main";
const MAX_SEGMENT_BYTES: usize = 96;
const MAX_PATH_BYTES: usize = 256;

/// A model on a hub, written `hf:ORG/REPO`, `hf:ORG/REPO@REV` or `hf:ORG/REPO:FILE.gguf@REV`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSource {
    org: String,
    repo: String,
    file: Option<String>,
    revision: String,
}

/// Why a text is no [`HubSource`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no model on a hub ({reason}): write hf:ORG/REPO[:FILE.gguf][@REVISION]")]
pub struct InvalidSource {
    text: String,
    reason: &'static str,
}

impl HubSource {
    /// `ORG/REPO`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.org, self.repo)
    }

    /// The organization or user.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// The repository's name within the organization.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// The GGUF file asked for, where one was named.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The branch, tag or commit; `main` where none was given.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

impl FromStr for HubSource {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<HubSource, InvalidSource> {
        let wrong = |reason| InvalidSource { text: text.chars().take(300).collect(), reason };
        let rest = text.strip_prefix("hf:").ok_or_else(|| wrong("it does not begin with hf:"))?;
        let (rest, revision) = rest.split_once('@').unwrap_or((rest, DEFAULT_REVISION));
        let (repo, file) = match rest.split_once(':') {
            Some((repo, file)) => (repo, Some(file)),
            None => (rest, None),
        };
        let (org, repo) = repo.split_once('/').ok_or_else(|| wrong("ORG/REPO lacks a '/'"))?;
        if !is_plain_name(org, MAX_SEGMENT_BYTES) || !is_plain_name(repo, MAX_SEGMENT_BYTES) {
            return Err(wrong("ORG and REPO are letters, digits, '.', '_' and '-'"));
        }
        if !is_safe_path(revision) {
            return Err(wrong("the revision is not the name of a branch, tag or commit"));
        }
        if file.is_some_and(|file| !is_safe_path(file) || !file.ends_with(".gguf")) {
            return Err(wrong("FILE is not the path of a .gguf file"));
        }
        Ok(HubSource {
            org: org.to_owned(),
            repo: repo.to_owned(),
            file: file.map(str::to_owned),
            revision: revision.to_owned(),
        })
    }
}

impl fmt::Display for HubSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}/{}", self.org, self.repo)?;
        if let Some(file) = &self.file {
            write!(f, ":{file}")?;
        }
        match self.revision.as_str() {
            DEFAULT_REVISION => Ok(()),
            revision => write!(f, "@{revision}"),
        }
    }
}

/// Segments split by '/', none of them empty or of dots only, of characters that files, branches
/// and tags have.
fn is_safe_path(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "._-+ ()=,".contains(c);
    let segment = |s: &str| !s.trim_matches(['.', ' ']).is_empty() && s.chars().all(plain);
    text.len() <= MAX_PATH_BYTES && text.split('/').all(segment) && !text.contains("..")
}

/// How to reach a hub.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// The hub's address, as in `https://huggingface.co`.
    pub endpoint: String,
    /// Shown to the hub, and to no other host it redirects to.
    pub token: Option<HubToken>,
    /// A connection that brings nothing for so long counts as cut.
    pub stall_timeout: Duration,
    /// Pause after the first failed request; it doubles with each further one.
    pub retry_delay: Duration,
}

impl Default for HubOptions {
    fn default() -> HubOptions {
        HubOptions {
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            token: None,
            stall_timeout: Duration::from_secs(30),
            retry_delay: Duration::from_millis(500),
        }
    }
}

impl HubOptions {
    /// The defaults, with `HF_ENDPOINT` and `HF_TOKEN` from the environment where they are set.
    pub fn from_env() -> HubOptions {
        let set = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let defaults = HubOptions::default();
        HubOptions {
            endpoint: set("HF_ENDPOINT").unwrap_or(defaults.endpoint),
            token: set("HF_TOKEN").map(|token| HubToken::new(token.trim())),
            ..defaults
        }
    }
}

/// An access token of a hub.
#[derive(Clone, PartialEq, Eq)]
pub struct HubToken(String);

impl HubToken {
    /// Takes the token's text.
    pub fn new(token: impl Into<String>) -> HubToken {
        HubToken(token.into())
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HubToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubToken(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sources_that_are_taken_and_refused() {
        let source: HubSource = "hf:a/b.c:q/m-Q4_0.gguf@refs/pr/1".parse().unwrap();
        assert_eq!((source.org(), source.repo(), source.revision()), ("a", "b.c", "refs/pr/1"));
        assert_eq!(source.file(), Some("q/m-Q4_0.gguf"));
        assert_eq!("hf:a/b".parse::<HubSource>().unwrap().revision(), "main");
        for bad in [
            "",
            "a/b",
            "hf:",
            "hf:a",
            "hf:/b",
            "hf:a/",
            "hf:a/b/c",
            "hf:../b",
            "hf:a/b@",
            "hf:a/b@../x",
            "hf:a/b@x//y",
            "hf:a/b:",
            "hf:a/b:x.bin",
            "hf:a/b:../x.gguf",
            "hf:a/b:/x.gguf",
            "hf:a/b?c",
            "hf:a/b@x?y",
            "hf:a/b@x%2f",
            "hf:a/b@x\n",
        ] {
            assert!(bad.parse::<HubSource>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        let token = Some(HubToken::new("hf_secret"));
        let options = HubOptions { token, ..HubOptions::default() };
        assert!(!format!("{options:?}").contains("hf_secret"));
    }

    proptest! {
        #[test]
        fn any_text_is_safe_or_an_error(text in "hf:[a-z./:@%-]{0,30}|hf:\\PC{0,30}|\\PC{0,30}") {
            if let Ok(source) = text.parse::<HubSource>() {
                for part in [source.org(), source.repo(), source.revision()] {
                    prop_assert!(!part.is_empty() && !part.contains(".."));
                    prop_assert!(!part.starts_with('/') && !part.ends_with('/'));
                }
                prop_assert_eq!(source.to_string().parse::<HubSource>().unwrap(), source);
            }
        }

        #[test]
        fn every_source_of_the_grammar_reads_back(
            org in "[A-Za-z0-9][A-Za-z0-9_-]{0,20}",
            repo in "[A-Za-z0-9][A-Za-z0-9_-]{0,20}",
            file in proptest::option::of("[a-z]{1,8}(/[A-Z0-9_]{1,8})?\\.gguf"),
            revision in proptest::option::of("[a-z0-9]{1,40}(/[a-z0-9]{1,8})?"),
        ) {
            let file_part = file.as_ref().map(|f| format!(":{f}")).unwrap_or_default();
            let rev_part = revision.as_ref().map(|r| format!("@{r}")).unwrap_or_default();
            let text = format!("hf:{org}/{repo}{file_part}{rev_part}");
            let source: HubSource = text.parse().unwrap();
            prop_assert_eq!(source.org(), org);
            prop_assert_eq!(source.repo(), repo);
            prop_assert_eq!(source.file(), file.as_deref());
            prop_assert_eq!(source.revision(), revision.as_deref().unwrap_or("main"));
        }
    }
}
