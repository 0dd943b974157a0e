//! Finds stop strings in text that arrives in pieces.
//!
//! Invariant: no byte of a match is ever emitted (unless asked for), every byte before it is, and
//! where the text was cut into pieces makes no difference. Each byte is looked at once for each
//! stop string, by the Knuth–Morris–Pratt automaton, so time is linear in the text.

/// What one push gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopStep {
    /// Text that can be sent now.
    pub emit: String,
    /// Index of the stop string that was met, in the order given to [`StopMatcher::new`].
    pub stopped: Option<usize>,
}

/// Holds back text that may be the beginning of a stop string.
///
/// The match that ends first wins; of those that end together the longest.
#[derive(Debug, Clone)]
pub struct StopMatcher {
    stops: Vec<Pattern>,
    include_stop: bool,
    held: String,
    stopped: Option<usize>,
}

impl StopMatcher {
    /// Watches for any of `stops`; empty ones never match. With `include_stop` the matched string
    /// itself is emitted too. The caller bounds number and length (see [`crate::limits`]).
    pub fn new(stops: Vec<String>, include_stop: bool) -> Self {
        let stops = stops.into_iter().map(Pattern::new).collect();
        Self { stops, include_stop, held: String::new(), stopped: None }
    }

    /// Takes the next piece of text. After a match all further text is dropped.
    pub fn push(&mut self, text: &str) -> StopStep {
        if self.stopped.is_some() {
            return StopStep { emit: String::new(), stopped: self.stopped };
        }
        let num_held = self.held.len();
        self.held.push_str(text);
        for (offset, &byte) in text.as_bytes().iter().enumerate() {
            if let Some((which, len)) = self.step(byte) {
                self.stopped = Some(which);
                let end = num_held + offset + 1;
                self.held.truncate(if self.include_stop { end } else { end - len });
                return StopStep { emit: std::mem::take(&mut self.held), stopped: self.stopped };
            }
        }
        let keep = self.stops.iter().map(|stop| stop.matched).max().unwrap_or(0);
        let emit = self.held.drain(..self.held.len() - keep).collect();
        StopStep { emit, stopped: None }
    }

    /// The text ended without a match: what was held back is plain text after all.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Advances every automaton; the longest pattern that `byte` completes, with its length.
    fn step(&mut self, byte: u8) -> Option<(usize, usize)> {
        let mut found: Option<(usize, usize)> = None;
        for (which, stop) in self.stops.iter_mut().enumerate() {
            if stop.step(byte) && found.is_none_or(|(_, len)| stop.text.len() > len) {
                found = Some((which, stop.text.len()));
            }
        }
        found
    }
}

/// One stop string and how much of it the latest text matches.
#[derive(Debug, Clone)]
struct Pattern {
    text: Vec<u8>,
    /// `fallback[n]`: longest proper prefix that is also a suffix of the first `n + 1` bytes.
    fallback: Vec<usize>,
    matched: usize,
}

impl Pattern {
    fn new(text: String) -> Self {
        let text = text.into_bytes();
        let mut fallback = vec![0; text.len()];
        let mut len = 0;
        for idx in 1..text.len() {
            while len > 0 && text[len] != text[idx] {
                len = fallback[len - 1];
            }
            if text[len] == text[idx] {
                len += 1;
            }
            fallback[idx] = len;
        }
        Self { text, fallback, matched: 0 }
    }

    fn step(&mut self, byte: u8) -> bool {
        if self.text.is_empty() {
            return false;
        }
        while self.matched > 0 && self.text[self.matched] != byte {
            self.matched = self.fallback[self.matched - 1];
        }
        if self.text[self.matched] == byte {
            self.matched += 1;
        }
        // The matcher stops at the first whole match, so `matched` never has to wrap round.
        self.matched == self.text.len()
    }
}
