//! The one place where texts are checked: what is asked, before a model reads it, and what each
//! choice says, before anybody else does.
//!
//! Invariant: every surface that generates comes through here, by [`chat`] or [`prompt`] and by
//! [`OutputGuards`], and what encoders read (but for what is to be judged) by [`prompt`]; without
//! guards nothing is copied; what was found shows nowhere, neither in errors nor in metrics, nor in
//! the log.

mod input;
mod output;

pub(crate) use input::{chat, prompt, texts};
pub(crate) use output::{Guarded, GuardedText, OutputGuards};

/// Which texts, for metrics.
const INPUT: &str = "input";
const OUTPUT: &str = "output";
