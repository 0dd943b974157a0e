//! What is said: the text of each choice, before it is parted into thoughts, words and calls.
//!
//! Invariant: a token's score goes out only when all of its text has, and not at all where any of
//! its text was rewritten or stopped; where the text begins counts in what the client sees.

use std::collections::VecDeque;
use std::sync::Arc;

use server_guard::{Edit, Guard, Guards, Watch};

use super::OUTPUT;
use crate::choice::Scored;
use crate::generation::Output;
use crate::{AppState, Metrics};

/// What follows the choices of a request.
#[derive(Clone)]
pub(crate) struct OutputGuards {
    guards: Arc<Guards>,
    metrics: Arc<Metrics>,
}

impl OutputGuards {
    pub(crate) fn of(state: &AppState) -> Self {
        Self { guards: Arc::clone(state.guards()), metrics: Arc::clone(state.metrics()) }
    }

    /// Whether anything is checked.
    pub(crate) fn are_any(&self) -> bool {
        !self.guards.output.is_empty()
    }

    /// What follows `n` choices; empty where there is nothing to check by.
    pub(crate) fn follow(&self, n: u32) -> Vec<GuardedText> {
        let num_followed = if self.are_any() { n } else { 0 };
        let stage = |guard: &Arc<dyn Guard>| Stage::new(&**guard);
        let text = |_| GuardedText {
            stages: self.guards.output.iter().map(stage).collect(),
            metrics: Arc::clone(&self.metrics),
            stopped: false,
        };
        (0..num_followed).map(text).collect()
    }
}

/// What may go out of a choice.
#[derive(Debug, Default)]
pub(crate) struct Guarded {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Scored>,
    /// Nothing may after it.
    pub(crate) stopped: bool,
}

impl Guarded {
    /// What clients of choice `index` learn.
    pub(crate) fn outputs(self, index: u32) -> impl Iterator<Item = Output> {
        let Self { text, tokens, stopped } = self;
        let is_empty = text.is_empty() && tokens.is_empty();
        let delta = (!is_empty).then_some(Output::Delta { index, text, tokens });
        let end = Output::End { index, reason: "content_filter", stop_text: None };
        delta.into_iter().chain(stopped.then_some(end))
    }
}

/// Follows the text of one choice through all guards.
pub(crate) struct GuardedText {
    stages: Vec<Stage>,
    metrics: Arc<Metrics>,
    stopped: bool,
}

impl GuardedText {
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Characters of the text that are not decided on. Behind a guard that has rewritten any they
    /// are about as many.
    pub(crate) fn num_withheld(&self) -> usize {
        self.stages.iter().map(|stage| stage.num_in - stage.num_decided).sum()
    }

    pub(crate) fn push(&mut self, text: String, tokens: Vec<Scored>) -> Guarded {
        self.advance(Guarded { text, tokens, stopped: false }, false)
    }

    /// The text ended: gives out what was held back.
    pub(crate) fn finish(&mut self) -> Guarded {
        self.advance(Guarded::default(), true)
    }

    fn advance(&mut self, mut piece: Guarded, is_end: bool) -> Guarded {
        if self.stopped {
            return Guarded::default();
        }
        for stage in &mut self.stages {
            let before = piece.stopped;
            piece = stage.advance(piece, is_end || before, &self.metrics);
            piece.stopped |= before;
        }
        self.stopped = piece.stopped;
        piece
    }
}

/// One guard's watch over a text, and the tokens of the text that it holds.
struct Stage {
    name: &'static str,
    watch: Box<dyn Watch>,
    pending: VecDeque<Scored>,
    /// What was rewritten where tokens are pending.
    edits: VecDeque<Edit>,
    /// Characters taken in, and how many of them were decided on.
    num_in: usize,
    num_decided: usize,
    /// How many characters the text has grown by before the edits.
    grown: isize,
}

impl Stage {
    fn new(guard: &dyn Guard) -> Self {
        Self {
            name: guard.name(),
            watch: guard.watch(),
            pending: VecDeque::new(),
            edits: VecDeque::new(),
            num_in: 0,
            num_decided: 0,
            grown: 0,
        }
    }

    fn advance(&mut self, piece: Guarded, is_end: bool, metrics: &Metrics) -> Guarded {
        self.num_in += piece.text.chars().count();
        self.pending.extend(piece.tokens);
        let mut step = self.watch.push(&piece.text);
        if is_end && step.stop.is_none() {
            step.then(self.watch.finish());
        }
        let (mut removed, mut written) = (0, 0);
        for edit in &step.edits {
            removed += edit.end - edit.start;
            written += edit.new_len;
        }
        self.num_decided += step.text.chars().count() + removed - written;
        if !step.edits.is_empty() {
            metrics.guarded((self.name, OUTPUT, "mask"), step.edits.len());
        }
        let stopped = step.stop.is_some();
        if stopped {
            metrics.guarded((self.name, OUTPUT, "stop"), 1);
        }
        self.edits.extend(step.edits);
        Guarded { tokens: self.tokens(is_end && !stopped), text: step.text, stopped }
    }

    /// The tokens whose text is out, all of it as the model wrote it.
    fn tokens(&mut self, is_end: bool) -> Vec<Scored> {
        let mut out = Vec::new();
        while let Some(token) = self.pending.front() {
            // The last one's text may go on.
            let end = match self.pending.get(1) {
                Some(next) => next.offset,
                None if is_end => self.num_in,
                None => break,
            };
            if end > self.num_decided {
                break;
            }
            let offset = token.offset;
            self.pass_edits(offset);
            // A part of a character has no text of its own, but is where its character is.
            let end = end.max(offset + 1);
            let is_rewritten = self.edits.front().is_some_and(|edit| edit.start < end);
            let token = self.pending.pop_front();
            if !is_rewritten {
                let offset = offset.saturating_add_signed(self.grown);
                out.extend(token.map(|token| Scored { offset, ..token }));
            }
        }
        if self.pending.is_empty() {
            self.pass_edits(self.num_decided);
        }
        out
    }

    /// Forgets what was rewritten before a character.
    fn pass_edits(&mut self, offset: usize) {
        while let Some(edit) = self.edits.pop_front_if(|edit| edit.end <= offset) {
            self.grown += edit.new_len.cast_signed() - (edit.end - edit.start).cast_signed();
        }
    }
}
