//! What a driver tells about time, to whoever keeps histograms.
//!
//! Invariant: called on the driver's thread between steps, so an observer must be quick; it
//! knows no metrics library.

use std::time::Duration;

use engine_core::Usage;

/// Hears durations of requests and steps. Every method does nothing unless implemented.
pub trait Observer: Send {
    /// A request left the queue after waiting this long.
    fn queued(&mut self, _waited: Duration) {}

    /// The first token of a request came this long after it was submitted.
    fn first_token(&mut self, _after: Duration) {}

    /// A further token of a choice came this long after the one before it.
    fn inter_token(&mut self, _after: Duration) {}

    /// The engine took this long for one step.
    fn step(&mut self, _took: Duration, _size: StepSize) {}

    /// A request ended.
    fn request_ended(&mut self, _end: RequestEnd) {}
}

/// How much a step held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepSize {
    /// Sequences.
    pub num_seqs: usize,
    /// Input tokens over all sequences.
    pub num_tokens: usize,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestEnd {
    /// From submission to end.
    pub took: Duration,
    /// Whether it ran to its end.
    pub outcome: Outcome,
    /// What it used; `None` for a failed one.
    pub usage: Option<Usage>,
}

/// Whether a request ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All its choices ended.
    Finished,
    /// Its stream was dropped.
    Cancelled,
    /// It ended with an error.
    Failed,
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}
