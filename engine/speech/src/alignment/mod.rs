//! When each token of a window is said: by where the decoder's heads look in the recording.
//!
//! Where each step happens: `heads` (which heads to go by, from the files) → `executor/queries`
//! (what they look for, and among what) → `weights` (where they look, smoothed) → `warp` (the way
//! through tokens and positions).
//!
//! The mathematics of transformers' `_extract_token_timestamps`, which is openai-whisper's
//! `find_alignment` with the marks of time left among the tokens.
//! Invariant: positions are among those that were recorded, and do not go back.

mod heads;
mod warp;
mod weights;

pub(crate) use self::{
    heads::Alignment,
    warp::warp,
    weights::{Head, Weights},
};
