//! Passwords, hashed away from the threads that serve connections.
//!
//! Invariant: at most [`MAX_AT_ONCE`] hashes are computed at a time, each of 19 MiB, and no more
//! than [`MAX_WAITING`] wait; who comes then is told to come back.

use std::sync::Arc;

use server_http::ApiError;
use server_identity::{Password, PasswordError, PasswordHasher};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const MAX_AT_ONCE: usize = 2;
const MAX_WAITING: usize = 32;
const RETRY_S: u32 = 2;

/// Hashes passwords. A clone is the same.
#[derive(Clone)]
pub(crate) struct Hashing {
    hasher: Arc<PasswordHasher>,
    /// Those who wait, and those whose turn it is.
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// Leave to have one password hashed.
pub(crate) struct Place {
    hashing: Hashing,
    _place: OwnedSemaphorePermit,
}

impl Hashing {
    pub(crate) fn new(hasher: PasswordHasher) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let (places, turns) = (semaphore(MAX_AT_ONCE + MAX_WAITING), semaphore(MAX_AT_ONCE));
        Self { hasher: Arc::new(hasher), places, turns }
    }

    /// A place, to be had before an attempt is counted: who gets none has made no attempt.
    ///
    /// # Errors
    /// 429, if all are taken.
    pub(crate) fn place(&self) -> Result<Place, ApiError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = "Too many people are logging in at this moment: try again.";
            ApiError::too_many("too_many_logins", message, RETRY_S)
        })?;
        Ok(Place { hashing: self.clone(), _place: place })
    }

    /// Whether a password that was right is to be hashed anew.
    pub(crate) fn needs_rehash(&self, stored: &str) -> bool {
        self.hasher.needs_rehash(stored)
    }
}

impl Place {
    /// The hash to store.
    pub(crate) async fn hash(self, password: Password) -> Result<String, ApiError> {
        self.run(move |hasher| hasher.hash(&password)).await
    }

    /// Whether a password is the one that is stored; never, after the same time, where none is.
    pub(crate) async fn verify(
        self,
        password: Password,
        stored: Option<String>,
    ) -> Result<bool, ApiError> {
        self.run(move |hasher| hasher.verify(&password, stored.as_deref())).await
    }

    async fn run<R: Send + 'static>(
        self,
        work: impl FnOnce(&PasswordHasher) -> Result<R, PasswordError> + Send + 'static,
    ) -> Result<R, ApiError> {
        let turn = Arc::clone(&self.hashing.turns).acquire_owned().await;
        let turn = turn.map_err(|_| ApiError::internal())?;
        let job = move || {
            // Held by the job: it works on to its end even where its client is gone.
            let (_turn, place) = (turn, self);
            work(&place.hashing.hasher)
        };
        let done = tokio::task::spawn_blocking(job).await.map_err(|_| {
            tracing::error!("hashing a password panicked");
            ApiError::internal()
        })?;
        done.map_err(|error| {
            tracing::error!(%error, "a password could not be checked");
            ApiError::internal()
        })
    }
}

/// A password that may not be chosen.
pub(crate) fn unfit(param: &str, error: &PasswordError) -> ApiError {
    ApiError::invalid(Some(param), format!("Invalid '{param}': {error}."))
}

#[cfg(test)]
mod tests {
    use server_identity::{Password, PasswordHasher};

    use super::{Hashing, MAX_AT_ONCE, MAX_WAITING};

    #[tokio::test]
    async fn who_finds_no_place_is_told_to_come_back() {
        let hashing = Hashing::new(PasswordHasher::weak_for_tests().unwrap());
        let mut places: Vec<_> =
            (0..MAX_AT_ONCE + MAX_WAITING).map(|_| hashing.place().unwrap()).collect();
        let error = hashing.place().err().unwrap();
        assert!(error.to_string().starts_with("429"), "{error}");
        let typed = || Password::typed("correct horse").unwrap();
        let hash = places.pop().unwrap().hash(typed()).await.unwrap();
        // Its place is free again.
        assert!(hashing.place().unwrap().verify(typed(), Some(hash)).await.unwrap());
        assert!(!places.pop().unwrap().verify(typed(), None).await.unwrap());
    }
}
