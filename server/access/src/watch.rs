//! Follows the database: keys, limits and prices as they are now.
//!
//! Invariant: what was read at a moment is confirmed by the moment before it was asked for, so what
//! counts as recent is.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use server_accounts::{Changes, Directory, LimitsData};
use server_metering::{AccountId, KeyId, Meters, OrganizationId, Path, PriceBook, ProjectId};
use server_store::{PriceBooks, Store, StoreError};
use tokio::sync::Notify;
use tokio::sync::watch::{self, Sender};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{AccessError, Gate};

/// How often the database is asked for what is new: a change is in force so long after it.
pub const POLL_EVERY: Duration = Duration::from_millis(100);
/// Between two times that it is asked, however many keys are not known.
const PAUSE: Duration = Duration::from_millis(10);
/// Keys in use are told to the database so often.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// What is known of accounts, kept recent. Dropped, it is no longer, and soon lets nobody in.
#[derive(Debug)]
pub struct Access {
    directory: Directory,
    gate: Gate,
    watching: JoinHandle<()>,
}

impl Access {
    /// Reads all accounts, and follows what changes. Limits and prices go to the meters, where
    /// there are any.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn start(store: Store, meters: Option<Meters>) -> Result<Self, AccessError> {
        let directory = Directory::default();
        let (followed, follows) = watch::channel(());
        let hurry = Arc::new(Notify::new());
        let gate = Gate::new(directory.clone(), Arc::clone(&hurry), follows);
        let own_prices = HashSet::new();
        let known = directory.clone();
        let mut watch = Watch { store, meters, directory: known, revision: None, own_prices };
        watch.follow().await?;
        let watching = tokio::spawn(watch.follow_forever(gate.clone(), hurry, followed));
        Ok(Self { directory, gate, watching })
    }

    /// Who may ask.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// All keys.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// What is followed: a [`Store`].
trait Source: Send + Sync + 'static {
    /// As [`Store::revision`].
    fn revision(&self) -> impl Future<Output = Result<i64, StoreError>> + Send;
    /// As [`Store::price_books`].
    fn price_books(
        &self,
        since: i64,
    ) -> impl Future<Output = Result<Option<PriceBooks>, StoreError>> + Send;
    /// As [`Store::changes`].
    fn changes(&self, since: i64) -> impl Future<Output = Result<Changes, StoreError>> + Send;
}

impl Source for Store {
    async fn revision(&self) -> Result<i64, StoreError> {
        self.revision().await
    }

    async fn price_books(&self, since: i64) -> Result<Option<PriceBooks>, StoreError> {
        self.price_books(since).await
    }

    async fn changes(&self, since: i64) -> Result<Changes, StoreError> {
        self.changes(since).await
    }
}

struct Watch<S> {
    store: S,
    meters: Option<Meters>,
    directory: Directory,
    /// That which is known; nothing is, before the first time.
    revision: Option<i64>,
    /// Organizations with price lists of their own.
    own_prices: HashSet<OrganizationId>,
}

impl Watch<Store> {
    async fn follow_forever(mut self, gate: Gate, hurry: Arc<Notify>, followed: Sender<()>) {
        let mut tick = interval(POLL_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        let mut touched = Instant::now();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                // Whoever tries keys at random makes no load of it.
                () = hurry.notified() => sleep(PAUSE).await,
            }
            match self.follow().await {
                Ok(()) => is_failing = false,
                Err(error) => {
                    // Told once, not ten times a second.
                    if !is_failing {
                        tracing::warn!(%error, "what changed of accounts cannot be read");
                    }
                    is_failing = true;
                }
            }
            // Who waits for nothing is no error.
            let _ = followed.send(());
            if touched.elapsed() >= TOUCH_EVERY {
                touched = Instant::now();
                if let Err(error) = self.store.touch_keys(&gate.take_used()).await {
                    tracing::warn!(%error, "which keys were used cannot be written");
                }
            }
        }
    }
}

impl<S: Source> Watch<S> {
    /// Takes in what is new.
    async fn follow(&mut self) -> Result<(), AccessError> {
        let asked = Instant::now();
        let revision = self.store.revision().await?;
        if self.revision.is_none_or(|known| revision > known) {
            // Prices first: who is new begins with them.
            if let Some(meters) = &self.meters {
                let since = self.revision.unwrap_or(0);
                set_prices(&self.store, meters, since, &mut self.own_prices).await?;
            }
            let changes = self.store.changes(self.revision.unwrap_or(0)).await?;
            if let Some(meters) = &self.meters {
                set_limits(meters, &changes, self.revision.is_none());
            }
            self.directory.apply(changes);
            // What came since is read again: prices, which were read before, may lack it.
            self.revision = Some(revision);
        }
        self.directory.confirm(asked);
        Ok(())
    }
}

/// The price lists, if any changed since a revision; organizations of `own` had lists of their own.
async fn set_prices(
    store: &impl Source,
    meters: &Meters,
    since: i64,
    own: &mut HashSet<OrganizationId>,
) -> Result<(), AccessError> {
    let Some(books) = store.price_books(since).await? else { return Ok(()) };
    meters.set_prices(PriceBook::clone(&books.all));
    for id in own.iter().filter(|id| !books.own.contains_key(*id)) {
        meters.set_own_prices(id, None);
    }
    for (id, book) in &books.own {
        meters.set_own_prices(id, Some(Arc::clone(book)));
    }
    *own = books.own.into_keys().collect();
    Ok(())
}

/// The limits of what changed. At the first time those without need no account yet.
fn set_limits(meters: &Meters, changes: &Changes, is_first: bool) {
    let set = |account: AccountId, data: &LimitsData| {
        if is_first && *data == LimitsData::default() {
            return;
        }
        match data.limits() {
            Ok(limits) => meters.set_limits(&account, limits),
            // They were checked on their way in.
            Err(error) => tracing::error!(?account, %error, "limits cannot be kept to"),
        }
    };
    for it in &changes.organizations {
        if let Ok(id) = OrganizationId::new(&it.id) {
            set(AccountId::Organization(id), &it.limits);
        }
    }
    for it in &changes.projects {
        if let (Ok(organization), Ok(id)) =
            (OrganizationId::new(&it.organization), ProjectId::new(&it.id))
        {
            set(AccountId::Project(organization, id), &it.limits);
        }
    }
    for it in changes.keys.iter().filter(|key| !key.project.is_empty()) {
        let names = (
            OrganizationId::new(&it.organization),
            ProjectId::new(&it.project),
            KeyId::new(&it.id),
        );
        let (Ok(organization), Ok(project), Ok(key)) = names else { continue };
        let account = AccountId::Key(Path { organization, project, key });
        if it.is_revoked {
            meters.forget(&account);
        } else {
            set(account, &it.limits);
        }
    }
}

#[cfg(test)]
mod tests;
