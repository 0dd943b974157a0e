//! Decides what an engine computes when: a pure planner, its blocks and prefix cache, and one
//! driver thread per engine that runs the loop plan → execute → commit.
//!
//! Where each step of a request happens: `handle` (submit) → `gate` (bounded queue) → `driver`
//! (the loop) → `planner` (schedule, admit, preempt, commit) → `stream` (events). Encoders, which
//! answer each text at once, have a loop of their own: `encoding`; so have models that write down
//! recordings, a window at a time: `speech`.
//!
//! Invariant: nothing here knows tensors, HTTP or SQL, and the planner takes no clock: the same
//! calls give the same steps.

mod began;
mod blocks;
mod caught;
mod config;
mod desk;
mod driver;
mod encoding;
mod gate;
mod handle;
mod live;
mod lookup;
mod lru;
mod observer;
mod planner;
mod prefix;
mod queue;
mod sequence;
mod served;
mod speculation;
mod speech;
mod stats;
mod stream;
mod table;
mod tracks;

pub use config::{PlannerConfig, SubmitError};
pub use driver::{Driver, spawn, spawn_with};
pub use encoding::{
    Amount, EncodeRefusal, EncoderDriver, EncoderHandle, EncodingConfig, InvalidInput, Rows,
    spawn_encoder,
};
pub use handle::{Handle, Shutdown};
pub use observer::{NoObserver, Observer, Outcome, RequestEnd, StepSize};
pub use planner::Planner;
pub use speech::{
    SpeechConfig, SpeechDriver, SpeechHandle, SpeechRefusal, SpeechStream, spawn_speech,
};
pub use stats::Stats;
pub use stream::EventStream;
