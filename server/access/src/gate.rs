//! Who may ask, by the keys in memory.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use server_accounts::{Directory, KeyError, KeyKind, KnownKey, StorePrompts};
use server_http::{AuthError, Authenticate, Caller, Signer, unix_time};
use server_metering::{KeyId, OrganizationId};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// For a database that does not answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Keys whose use is remembered at once.
const MAX_USED: usize = 1 << 17;

/// Lets keys in. A clone is the same.
#[derive(Clone, Debug)]
pub struct Gate {
    directory: Directory,
    /// By organization and key, the second it was last used in.
    used: Arc<Mutex<HashMap<(OrganizationId, KeyId), i64>>>,
    /// Asks for what is new in the database, at once.
    hurry: Arc<Notify>,
    /// Changes whenever that was read.
    follows: watch::Receiver<()>,
    /// Of projects that have not said.
    store_prompts: StorePrompts,
}

impl Gate {
    pub(crate) fn new(
        directory: Directory,
        hurry: Arc<Notify>,
        follows: watch::Receiver<()>,
    ) -> Self {
        let store_prompts = StorePrompts::default();
        Self { directory, used: Arc::default(), hurry, follows, store_prompts }
    }

    /// Whether prompts of projects that have not said are stored; not, if not called.
    #[must_use]
    pub fn store_prompts(mut self, store_prompts: StorePrompts) -> Self {
        self.store_prompts = store_prompts;
        self
    }

    fn caller(&self, known: &KnownKey) -> Result<Caller, AuthError> {
        match known.kind {
            KeyKind::Project => {
                let keeping = self.directory.privacy(&known.path).keeping(self.store_prompts);
                let caller = Caller::new(known.path.clone(), Arc::clone(&known.scopes));
                Ok(Caller { keeping, ..caller })
            }
            KeyKind::Admin => Err(AuthError::Forbidden(
                "This is an admin key, which uses no models: send a key of a project.".to_owned(),
            )),
        }
    }

    /// Remembers that a key was used now, which was let in elsewhere.
    pub fn note_use(&self, known: &KnownKey) {
        self.note(known, now().1);
    }

    /// Remembers that a key was used, at a Unix time in seconds.
    pub fn note(&self, known: &KnownKey, unix: i64) {
        let name = (known.path.organization.clone(), known.path.key.clone());
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() < MAX_USED || used.contains_key(&name) {
            used.insert(name, unix);
        }
    }

    /// Which keys were used since the last time, and when: organization, key, Unix seconds.
    pub(crate) fn take_used(&self) -> Vec<(String, String, i64)> {
        let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        let told = |((organization, key), at): ((OrganizationId, KeyId), i64)| {
            (organization.as_str().to_owned(), key.as_str().to_owned(), at)
        };
        used.into_iter().map(told).collect()
    }
}

impl Authenticate for Gate {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        let now = now();
        let known = self.directory.check(bearer.ok_or(AuthError::Missing)?, now);
        let known = known.map_err(AuthError::from)?;
        self.note(&known, now.1);
        self.caller(&known)
    }

    fn signer(&self, id: &str) -> Result<Signer, AuthError> {
        let now = now();
        let (known, secrets) = self.directory.signer(id, now).map_err(|error| match error {
            KeyError::Unknown => AuthError::UnknownAccessKey,
            error => error.into(),
        })?;
        self.note(&known, now.1);
        Ok(Signer { caller: self.caller(&known)?, secrets })
    }

    /// By when the database last answered, which whoever follows it has noted.
    fn can_check(&self) -> bool {
        self.directory.is_recent(Instant::now())
    }

    /// Until the database was asked once more, from its beginning to its end.
    fn refresh(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut follows = self.follows.clone();
        Box::pin(async move {
            // The first to end may have begun before.
            for _ in 0..2 {
                follows.borrow_and_update();
                self.hurry.notify_one();
                if !matches!(timeout(PATIENCE, follows.changed()).await, Ok(Ok(()))) {
                    return;
                }
            }
        })
    }
}

/// By the clock for ages, and in Unix seconds.
fn now() -> (Instant, i64) {
    (Instant::now(), unix_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_can_be_checked_once_the_database_has_answered() {
        let directory = Directory::default();
        let gate = Gate::new(directory.clone(), Arc::default(), watch::channel(()).1);
        assert!(!gate.can_check());
        directory.confirm(Instant::now());
        assert!(gate.can_check());
    }
}
