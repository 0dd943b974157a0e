//! Personal data and secrets, by their forms.
//!
//! Invariant: one automaton goes through a place once, whatever is looked for, and dies within
//! [`MAX_MATCH_BYTES`]; what it finds counts only where its check digits and surroundings fit.

mod checks;
mod iban;
mod patterns;

use std::sync::Arc;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::{primitives::StateID, start, syntax};
use regex_automata::{Anchored, MatchKind};

use crate::scan::{Before, Find, Found, Scan, Span};
use crate::words::{is_word, joins};
use crate::{Action, Guard, MAX_MATCH_BYTES, Watch};
use checks::Around;

/// A kind of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PiiKind {
    /// An address such as `ann@example.com`.
    Email,
    /// With a country's code, or in North American or European groups.
    Phone,
    /// With the right check digit (Luhn) and an issuer's first digits.
    CreditCard,
    /// With its country's length and the right check digits (mod 97).
    Iban,
    /// A number of the US Social Security, in groups.
    UsSsn,
    /// IPv4 or IPv6.
    IpAddress,
    /// A key or token that says by its form what it is.
    Secret,
}

impl PiiKind {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Email,
        Self::Phone,
        Self::CreditCard,
        Self::Iban,
        Self::UsSsn,
        Self::IpAddress,
        Self::Secret,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::CreditCard => "credit_card",
            Self::Iban => "iban",
            Self::UsSsn => "us_ssn",
            Self::IpAddress => "ip_address",
            Self::Secret => "secret",
        }
    }

    /// Plain letters: they break no JSON, and no family marks its calls and thoughts so.
    fn mask(self) -> &'static str {
        match self {
            Self::Email => "[EMAIL]",
            Self::Phone => "[PHONE]",
            Self::CreditCard => "[CREDIT_CARD]",
            Self::Iban => "[IBAN]",
            Self::UsSsn => "[US_SSN]",
            Self::IpAddress => "[IP_ADDRESS]",
            Self::Secret => "[SECRET]",
        }
    }
}

/// A guard against personal data and secrets.
pub struct Pii {
    forms: Arc<Forms>,
    action: Action,
}

impl Pii {
    /// Looks for these kinds.
    ///
    /// # Panics
    /// Never: the patterns are fixed, and a test compiles them all.
    #[must_use]
    pub fn new(kinds: &[PiiKind], action: Action) -> Self {
        let all = patterns::ALL.iter().filter(|(kind, _)| kinds.contains(kind));
        let (kinds, patterns): (Vec<_>, Vec<_>) = all.copied().unzip();
        let dfa = dense::Builder::new()
            .configure(
                dense::Config::new().match_kind(MatchKind::All).start_kind(StartKind::Anchored),
            )
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .thompson(thompson::Config::new().utf8(false))
            .build_many(&patterns)
            .expect("the patterns are well-formed");
        let start = dfa
            .start_state(&start::Config::new().anchored(Anchored::Yes))
            .expect("it begins where it is put");
        Self { forms: Arc::new(Forms { kinds, dfa, start }), action }
    }
}

impl Guard for Pii {
    fn name(&self) -> &'static str {
        "pii"
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Scan::new(Arc::clone(&self.forms), self.action))
    }
}

/// All patterns in one automaton, and what each finds.
struct Forms {
    kinds: Vec<PiiKind>,
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
}

/// Where matches may end, and of which pattern.
type Ends = Vec<(usize, usize)>;

impl Forms {
    /// All ends of matches that begin with `window`; `None` if what follows may add some.
    fn ends(&self, window: &str, is_whole: bool) -> Option<Ends> {
        let mut ends = Ends::new();
        let mut state = self.start;
        let mut rest = window.char_indices();
        while let Some((at, c)) = rest.next() {
            if !c.is_ascii() && !is_word(c) {
                // No pattern has it.
                self.collect(self.dfa.next_eoi_state(state), at, &mut ends);
                return Some(ends);
            }
            for idx in at..rest.offset() {
                state = self.dfa.next_state(state, window.as_bytes()[idx]);
                if self.dfa.is_dead_state(state) {
                    return Some(ends);
                }
                // A match is known one byte after it.
                if idx == at {
                    self.collect(state, at, &mut ends);
                }
            }
        }
        if !is_whole {
            return None;
        }
        self.collect(self.dfa.next_eoi_state(state), window.len(), &mut ends);
        Some(ends)
    }

    fn collect(&self, state: StateID, at: usize, ends: &mut Ends) {
        if self.dfa.is_match_state(state) {
            let patterns = 0..self.dfa.match_len(state);
            let patterns = patterns.map(|idx| self.dfa.match_pattern(state, idx).as_usize());
            ends.extend(patterns.map(|pattern| (at, pattern)));
        }
    }
}

impl Find for Forms {
    fn find(&self, before: Before, rest: &str, is_end: bool) -> Found {
        if joins(before.last, rest.chars().next()) {
            return Found::Nothing;
        }
        let window = &rest[..rest.floor_char_boundary(MAX_MATCH_BYTES)];
        let Some(ends) = self.ends(window, is_end || window.len() < rest.len()) else {
            return Found::Open;
        };
        let Some((longest, _)) = ends.last() else { return Found::Nothing };
        let mut after = rest[*longest..].chars();
        if !is_end && (after.next().is_none() || after.next().is_none()) {
            return Found::Open;
        }
        let found = ends.iter().rev().find_map(|&(end, pattern)| {
            let kind = self.kinds[pattern];
            let around = Around::new(before, &rest[end..]);
            let span = Span { num_bytes: end, category: kind.name(), mask: kind.mask() };
            checks::holds(kind, &rest[..end], &around).then_some(Found::Match(span))
        });
        found.unwrap_or(Found::Nothing)
    }
}
