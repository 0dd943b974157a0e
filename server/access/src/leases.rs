//! Limits that servers on one database have in common: what this one asks for, and gives back.
//!
//! Invariant: an organization's asks and what is given back of its leases take turns, so what this
//! server tells that it has reserved is what it has.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use server_metering::{
    Ask, Clock, LendError, Lender, Meters, ModelSums, OrganizationId, Path, SystemClock,
};
use server_store::{Store, StoreError};
use tokio::sync::{Mutex, Notify};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Organizations that ask at once; others wait for them.
const NUM_TURNS: usize = 8;
/// How often what is not needed is given back: others that lack it wait so long.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);
/// Between two times that others are told of what they lack.
const PAUSE: Duration = Duration::from_millis(20);
/// How often it is looked whether other servers are no more, in turns of the above.
const RECLAIM_EVERY: u32 = 3;

/// Asks the database for what other servers leave.
#[derive(Debug)]
pub(crate) struct Leases {
    store: Store,
    turns: [Mutex<()>; NUM_TURNS],
}

impl Leases {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, turns: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Gives back what is not needed, for ever; at once what others may lack.
    pub(crate) async fn keep_small(self: Arc<Self>, meters: Meters, hurry: Arc<Notify>) {
        let mut tick = interval(GIVE_BACK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut is_failing, mut num) = (false, 0_u32);
        loop {
            let of_all = tokio::select! {
                _ = tick.tick() => true,
                () = hurry.notified() => {
                    sleep(PAUSE).await;
                    false
                }
            };
            num = num.wrapping_add(u32::from(of_all));
            let mut done = self.give_back(&meters, of_all).await;
            if of_all && num % RECLAIM_EVERY == 0 {
                done = done.and(self.store.reclaim_leases().await.map(drop));
            }
            if let Err(error) = &done
                && !is_failing
            {
                // Told once, not each second.
                tracing::warn!(%error, "limits are not given back to other servers");
            }
            is_failing = done.is_err();
        }
    }

    async fn give_back(&self, meters: &Meters, of_all: bool) -> Result<(), StoreError> {
        for (number, turn) in self.turns.iter().enumerate() {
            let _turn = turn.lock().await;
            let all = meters.give_up(of_all, |id| turn_of(id) == number);
            if all.is_empty() {
                continue;
            }
            let given = self.store.give_back(self.store.process(), &all).await;
            for (id, asks) in &all {
                meters.given_up(id, asks, given.is_ok());
            }
            given?;
        }
        Ok(())
    }

    async fn ask(&self, meters: &Meters, path: &Path, ask: &Ask) -> Result<(), LendError> {
        let organization = &path.organization;
        let _turn = self.turns[turn_of(organization)].lock().await;
        // Whoever asked before may have got enough for this one too.
        let asks = meters.wants(path, ask);
        if !asks.is_empty() {
            let (process, now) = (self.store.process(), SystemClock.utc());
            let grants = self.store.lend(process, organization, &asks, now).await?;
            meters.lent(organization, &asks, &grants);
        }
        Ok(())
    }
}

impl Lender for Leases {
    fn lend<'a>(
        &'a self,
        meters: &'a Meters,
        path: &'a Path,
        ask: &'a Ask,
    ) -> Pin<Box<dyn Future<Output = Result<(), LendError>> + Send + 'a>> {
        Box::pin(self.ask(meters, path, ask))
    }

    fn read<'a>(
        &'a self,
        organization: &'a OrganizationId,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<ModelSums>, LendError>> + Send + 'a>> {
        Box::pin(async move { Ok(self.store.model_sums(organization, SystemClock.utc()).await?) })
    }
}

fn turn_of(id: &OrganizationId) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    usize::try_from(hasher.finish() % NUM_TURNS as u64).unwrap_or(0)
}
