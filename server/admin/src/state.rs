//! What the handlers share.

use std::sync::Arc;

use server_accounts::{Directory, KnownKey};
use server_http::Authenticate;
use server_metering::Meters;
use server_store::Store;
use tokio::sync::Semaphore;

use crate::{Inviter, People};

/// Each holds a connection to the database.
const MAX_EXPORTS: usize = 2;

/// The accounts, who may change them, and what they use. A clone is the same.
#[derive(Clone)]
pub struct Admin {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) meters: Option<Meters>,
    pub(crate) inviter: Option<Arc<dyn Inviter>>,
    pub(crate) refresh: Option<Arc<dyn Authenticate>>,
    pub(crate) people: Option<Arc<dyn People>>,
    pub(crate) on_use: Option<OnUse>,
    /// Places of exports that run.
    pub(crate) exports: Arc<Semaphore>,
    /// Whether keys of organizations are let in that may not go on.
    pub(crate) lets_suspended: bool,
}

/// Told of each key that was let in.
type OnUse = Arc<dyn Fn(&KnownKey) + Send + Sync>;

impl Admin {
    /// Over a store, for whoever has an admin key in the directory.
    #[must_use]
    pub fn new(store: Store, directory: Directory) -> Self {
        Self {
            store,
            directory,
            meters: None,
            inviter: None,
            refresh: None,
            people: None,
            on_use: None,
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
            lets_suspended: false,
        }
    }

    /// What says who people are; only keys are let in if not called.
    #[must_use]
    pub fn people(mut self, people: Arc<dyn People>) -> Self {
        self.people = Some(people);
        self
    }

    /// What says what a usage would cost; nothing does if not called.
    #[must_use]
    pub fn meters(mut self, meters: Meters) -> Self {
        self.meters = Some(meters);
        self
    }

    /// What sends invitations; nobody can be invited if not called.
    #[must_use]
    pub fn inviter(mut self, inviter: Arc<dyn Inviter>) -> Self {
        self.inviter = Some(inviter);
        self
    }

    /// What looks for keys that were made just now, before one that is not known is refused.
    #[must_use]
    pub fn refreshed_by(mut self, auth: Arc<dyn Authenticate>) -> Self {
        self.refresh = Some(auth);
        self
    }

    /// What is told of each key that is let in, to remember when it was used.
    #[must_use]
    pub fn on_use(mut self, on_use: impl Fn(&KnownKey) + Send + Sync + 'static) -> Self {
        self.on_use = Some(Arc::new(on_use));
        self
    }

    /// Lets in keys of organizations that may not go on, too: for routes where they can pay.
    #[must_use]
    pub fn even_suspended(mut self) -> Self {
        self.lets_suspended = true;
        self
    }
}
