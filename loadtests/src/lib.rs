//! A crowd of streaming clients for any server that speaks OpenAI's HTTP API.
//!
//! `cargo xtask bench serve` measures with it, `cargo xtask load` checks with it. Invariant: it
//! knows a server only by its address, so ours and a peer's are measured by the same code; and
//! every request opens a connection of its own, since some peers close kept-alive ones, unless an
//! endpoint is asked to keep them.

mod check;
mod crowd;
mod disconnects;
mod endpoint;
mod memory;
mod metrics;
mod paced;
mod post;
mod prompt;
mod sse;
mod stats;
mod stream;

pub use check::{Check, CheckPlan, run_checks};
pub use crowd::{Crowd, run_crowd};
pub use endpoint::Endpoint;
pub use memory::{Memory, read_memory};
pub use metrics::{Metrics, parse_metrics};
pub use paced::{Pace, paced};
pub use post::{Reply, post_crowd};
pub use prompt::{distinct_prompt, distinct_text};
pub use stats::{Summary, median, percentile, summarize};
pub use stream::{Ask, Stop, Timeline, Usage, stream};
