//! Words and phrases that may not be said.
//!
//! Invariant: a phrase is found as whole words, whatever its case, width, spaces and hidden
//! characters; the longest at a place counts. Time is linear: a place costs at most a phrase.

use std::collections::HashMap;
use std::sync::Arc;

use crate::fold::{fold, is_hidden};
use crate::scan::{Before, Find, Found, Scan, Span};
use crate::words::{is_mark, joins};
use crate::{Action, Guard, MAX_MATCH_BYTES, Watch};

/// The most phrases of a list.
pub const MAX_PHRASES: usize = 10_000;
/// The longest phrase.
pub const MAX_PHRASE_BYTES: usize = 256;
/// The longest file.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// A character with more accents counts as several.
const MAX_CLUSTER_BYTES: usize = 64;
const CATEGORY: &str = "deny_list";
const MASK: &str = "[REMOVED]";

/// Why a list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DenyError {
    /// The whole is too large.
    #[error("it has {0} bytes, the limit is {MAX_FILE_BYTES}")]
    TooLarge(usize),
    /// There are too many.
    #[error("it has more than {MAX_PHRASES} phrases")]
    TooMany,
    /// There are none.
    #[error("it has no phrases: write one to a line")]
    Empty,
    /// One cannot be a phrase.
    #[error("line {line}: {problem}")]
    Phrase {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// A guard against words and phrases.
pub struct DenyList {
    phrases: Arc<Phrases>,
    action: Action,
}

impl DenyList {
    /// The phrases of a text, one to a line; lines that begin with `#` are comments.
    ///
    /// # Errors
    /// If there are too many or none, or a line is no phrase.
    pub fn parse(text: &str, action: Action) -> Result<Self, DenyError> {
        if text.len() > MAX_FILE_BYTES {
            return Err(DenyError::TooLarge(text.len()));
        }
        let mut phrases = Phrases::default();
        let mut num_phrases = 0;
        for (idx, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let phrase = line.trim();
            if phrase.is_empty() || phrase.starts_with('#') {
                continue;
            }
            num_phrases += 1;
            if num_phrases > MAX_PHRASES {
                return Err(DenyError::TooMany);
            }
            let checked = check(phrase);
            checked.map_err(|problem| DenyError::Phrase { line: idx + 1, problem })?;
            phrases.add(phrase);
        }
        if num_phrases == 0 {
            return Err(DenyError::Empty);
        }
        Ok(Self { phrases: Arc::new(phrases), action })
    }
}

impl Guard for DenyList {
    fn name(&self) -> &'static str {
        CATEGORY
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Scan::new(Arc::clone(&self.phrases), self.action))
    }
}

/// Nothing that holds JSON together may be part of a phrase: masks would break it.
fn check(phrase: &str) -> Result<(), &'static str> {
    if phrase.len() > MAX_PHRASE_BYTES {
        return Err("a phrase has at most 256 bytes");
    }
    if !phrase.chars().any(char::is_alphanumeric) {
        return Err("a phrase has at least one letter or digit");
    }
    if phrase.chars().any(|c| "\"\\{}[]".contains(c) || c.is_control()) {
        return Err("a phrase has no quotes, backslashes, brackets or control characters");
    }
    if phrase.starts_with([',', ':']) || phrase.ends_with([',', ':']) {
        return Err("a phrase neither begins nor ends with a comma or a colon");
    }
    Ok(())
}

/// All phrases, folded, as a tree.
#[derive(Default)]
struct Phrases {
    children: HashMap<(u32, char), u32>,
    /// Whether a phrase ends at a node; the root is the first.
    ends: Vec<bool>,
}

impl Phrases {
    fn add(&mut self, phrase: &str) {
        if self.ends.is_empty() {
            self.ends.push(false);
        }
        let (mut node, mut in_space) = (0, false);
        let mut rest = phrase;
        while let Some(cluster) = Cluster::first(rest) {
            rest = &rest[cluster.text.len()..];
            cluster.fold(&mut in_space, |c| {
                let num_nodes = self.ends.len() as u32;
                node = *self.children.entry((node, c)).or_insert(num_nodes);
                if node == num_nodes {
                    self.ends.push(false);
                }
            });
        }
        self.ends[node as usize] = true;
    }
}

impl Find for Phrases {
    fn find(&self, before: Before, rest: &str, is_end: bool) -> Found {
        let (mut node, mut in_space, mut at, mut longest) = (Some(0), false, 0, None);
        while at < MAX_MATCH_BYTES - MAX_CLUSTER_BYTES {
            let Some(cluster) = Cluster::first(&rest[at..]) else { break };
            if at == 0 && (cluster.is_blank() || joins(before.last, Some(cluster.base))) {
                return Found::Nothing;
            }
            let next = rest[at + cluster.text.len()..].chars().next();
            let is_open = next.is_none() && !is_end;
            // More accents would change it, but for what they are put on.
            if is_open && !cluster.text.is_ascii() {
                return Found::Open;
            }
            cluster.fold(&mut in_space, |c| {
                node = node.and_then(|node| self.children.get(&(node, c)).copied());
            });
            let Some(node) = node else { break };
            if is_open {
                return Found::Open;
            }
            at += cluster.text.len();
            let is_whole = !cluster.is_blank() && !joins(Some(cluster.last), next);
            if is_whole && self.ends[node as usize] {
                longest = Some(at);
            }
        }
        let span = |num_bytes| Span { num_bytes, category: CATEGORY, mask: MASK };
        longest.map_or(Found::Nothing, |num_bytes| Found::Match(span(num_bytes)))
    }
}

/// A character with its accents.
struct Cluster<'t> {
    text: &'t str,
    base: char,
    last: char,
}

impl<'t> Cluster<'t> {
    fn first(text: &'t str) -> Option<Self> {
        let base = text.chars().next()?;
        let (mut len, mut last) = (base.len_utf8(), base);
        let marks = text[len..].chars().take_while(|c| is_mark(*c));
        for mark in marks.take(MAX_CLUSTER_BYTES / char::MAX.len_utf8() - 1) {
            len += mark.len_utf8();
            last = mark;
        }
        Some(Self { text: &text[..len], base, last })
    }

    /// Spaces and what does not show: no phrase begins or ends with them.
    fn is_blank(&self) -> bool {
        self.base.is_whitespace() || is_hidden(self.base)
    }

    /// Folds it; of several spaces only the first counts.
    fn fold(&self, in_space: &mut bool, each: impl FnMut(char)) {
        let is_space = self.base.is_whitespace();
        if is_hidden(self.base) || (is_space && *in_space) {
            return;
        }
        *in_space = is_space;
        fold(self.text, each);
    }
}
