//! What a provider says about itself, kept for a while.
//!
//! Invariant: one request at a time fetches it; others wait for that one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::LoginError;

/// One thing that is fetched.
pub(super) struct Cache<T> {
    kept: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Cache<T> {
    pub(super) fn new() -> Self {
        Self { kept: Mutex::new(None) }
    }

    /// What is kept, if it is not older than `max_age`; else what `fetch` brings.
    pub(super) async fn get(
        &self,
        max_age: Duration,
        fetch: impl Future<Output = Result<T, LoginError>>,
    ) -> Result<Arc<T>, LoginError> {
        let mut kept = self.kept.lock().await;
        if let Some((since, value)) = &*kept
            && since.elapsed() < max_age
        {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(fetch.await?);
        *kept = Some((Instant::now(), Arc::clone(&value)));
        Ok(value)
    }

    /// What `fetch` brings, unless somebody else has brought something other than `known` by now.
    pub(super) async fn renew(
        &self,
        known: &Arc<T>,
        fetch: impl Future<Output = Result<T, LoginError>>,
    ) -> Result<Arc<T>, LoginError> {
        {
            let mut kept = self.kept.lock().await;
            if kept.as_ref().is_some_and(|(_, value)| Arc::ptr_eq(value, known)) {
                *kept = None;
            }
        }
        self.get(Duration::MAX, fetch).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::{Cache, LoginError};

    /// Brings 0, then 1, and so on.
    async fn count(fetched: &AtomicU32) -> Result<u32, LoginError> {
        tokio::task::yield_now().await;
        Ok(fetched.fetch_add(1, Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_is_old_is_fetched_anew() {
        let (cache, fetched) = (Cache::new(), AtomicU32::new(0));
        for (max_age, value) in [(Duration::MAX, 0), (Duration::MAX, 0), (Duration::ZERO, 1)] {
            assert_eq!(*cache.get(max_age, count(&fetched)).await.unwrap(), value);
        }
        let failed = cache.get(Duration::ZERO, async { Err(LoginError::State) }).await;
        assert_eq!(failed, Err(LoginError::State));
    }

    #[tokio::test]
    async fn those_who_come_together_share_one_request() {
        let (cache, fetched) = (Cache::new(), AtomicU32::new(0));
        let get = || cache.get(Duration::MAX, count(&fetched));
        let (a, b) = tokio::join!(get(), get());
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(*a == 0 && Arc::ptr_eq(&a, &b));
        let renew = || cache.renew(&a, count(&fetched));
        let (c, d) = tokio::join!(renew(), renew());
        assert_eq!((*c.unwrap(), *d.unwrap()), (1, 1));
        assert_eq!(*cache.renew(&a, count(&fetched)).await.unwrap(), 1, "others renewed it");
    }
}
