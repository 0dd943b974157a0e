//! What metering costs: a server with and one without, both up, a second of chats each in turn.
//!
//! Invariant: a pair's halves lie side by side, and which comes first changes: what else the
//! machine does for longer than that, both halves have.

use std::path::Path;

use anyhow::{Result, ensure};

use super::ours::Ours;
use super::wrk::{self, Load};
use super::{OURS, Run};

pub(super) const TURNS: &str = "chats, a second in turn";

/// So many pairs, after one that warms both up.
pub(super) fn measure(binary: &Path, chats: Load, num_pairs: u8) -> Result<Vec<Run>> {
    let load = Load { name: TURNS, seconds: 1, ..chats };
    let [with, without, _] = OURS;
    let mut servers =
        [(with.0, Ours::start(binary, with.1)?), (without.0, Ours::start(binary, without.1)?)];
    let mut runs = Vec::new();
    for turn in 0..=num_pairs {
        servers.reverse();
        for (contender, server) in &servers {
            let seen = wrk::run(&server.endpoint(), &load, &[server.pid()])?;
            ensure!(seen.failed == 0, "{} of {} failed", seen.failed, load.name);
            if let Some(pair_idx) = turn.checked_sub(1) {
                runs.push(Run { contender, pair_idx, seen });
            }
        }
    }
    Ok(runs)
}
