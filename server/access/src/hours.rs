//! What is billed by the clock, while the server runs: hours and months that are over.
//!
//! Invariant: who bills them twice, after a kill or beside another server, adds nothing: the ledger
//! has each line once (`server/store`).

use std::time::Duration;

use server_metering::{Clock, Meters, SystemClock};
use server_store::{Store, StoreError};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked whether another hour is over.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Billing by the clock at work. Dropped, it bills no more; it can be cut off anywhere.
#[derive(Debug)]
pub struct Hours(JoinHandle<()>);

impl Hours {
    /// Bills what is over and was not billed, at once and from now on. The meters are to have all
    /// that the ledger has.
    #[must_use]
    pub fn start(store: Store, meters: Meters) -> Self {
        Self(tokio::spawn(count_forever(store, meters)))
    }
}

impl Drop for Hours {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn count_forever(store: Store, meters: Meters) {
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        tick.tick().await;
        match count(&store, &meters, &SystemClock).await {
            Ok(()) => is_failing = false,
            Err(error) => {
                // Told once, not at each try.
                if !is_failing {
                    tracing::warn!(%error, "hours are not billed yet");
                }
                is_failing = true;
            }
        }
    }
}

/// Bills what is over at a clock's time, hours before months: those go by what hours cost.
async fn count(store: &Store, meters: &Meters, clock: &dyn Clock) -> Result<(), StoreError> {
    let now = clock.utc();
    while let Some(lines) = store.count_hour(now).await? {
        lines.iter().for_each(|line| meters.count(line));
    }
    while let Some(lines) = store.count_month(now).await? {
        lines.iter().for_each(|line| meters.count(line));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
