//! The drivers of a server's models.
//!
//! Invariant: whoever stops them waits until their threads have ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use scheduler_batching::{Driver, Handle, Shutdown};

/// A model's driver and the way to stop it.
pub(super) struct Running {
    pub(super) handle: Handle,
    pub(super) driver: Driver,
}

/// All drivers that were started.
#[derive(Clone, Default)]
pub(super) struct Drivers(Arc<Mutex<Vec<Running>>>);

impl Drivers {
    fn all(&self) -> MutexGuard<'_, Vec<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, running: Running) {
        self.all().push(running);
    }

    /// Ends all and waits for their threads.
    pub(super) async fn stop(&self) -> Result<()> {
        self.all().iter().for_each(|running| running.handle.shutdown(Shutdown::Abort));
        let drivers = std::mem::take(&mut *self.all());
        let join = move || drivers.into_iter().for_each(|running| running.driver.join());
        Ok(tokio::task::spawn_blocking(join).await?)
    }
}
