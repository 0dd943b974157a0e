//! The bounded entrance to a driver: counts waiting requests, so that a full queue refuses at
//! once, without waiting for the step that is being executed.
//!
//! Invariant: between a successful `enter` and its one `leave` a request counts as waiting.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine_core::TenantId;

use crate::{PlannerConfig, SubmitError};

#[derive(Default)]
struct Waiting {
    closed: bool,
    total: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// Shared by all handles and the driver.
pub(crate) struct Gate {
    max_waiting: usize,
    max_waiting_per_tenant: usize,
    retry_after_s: u32,
    waiting: Mutex<Waiting>,
}

impl Gate {
    pub(crate) fn new(config: &PlannerConfig) -> Self {
        Self {
            max_waiting: config.max_waiting,
            max_waiting_per_tenant: config.max_waiting_per_tenant,
            retry_after_s: config.retry_after_s,
            waiting: Mutex::default(),
        }
    }

    /// The counts are plain numbers, right after every statement: a panic elsewhere while they
    /// were locked does not spoil them.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more waiting request, or says why not.
    pub(crate) fn enter(&self, tenant: &TenantId) -> Result<(), SubmitError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(SubmitError::ShuttingDown);
        }
        let own = waiting.by_tenant.get(tenant).copied().unwrap_or(0);
        let full = |waiting| SubmitError::QueueFull { waiting, retry_after_s: self.retry_after_s };
        if waiting.total >= self.max_waiting {
            return Err(full(waiting.total));
        }
        if own >= self.max_waiting_per_tenant {
            return Err(full(own));
        }
        waiting.total += 1;
        waiting.by_tenant.insert(tenant.clone(), own + 1);
        Ok(())
    }

    /// A request that entered does not wait any more.
    pub(crate) fn leave(&self, tenant: &TenantId) {
        let mut waiting = self.lock();
        let Some(own) = waiting.by_tenant.get_mut(tenant) else { return };
        *own -= 1;
        if *own == 0 {
            waiting.by_tenant.remove(tenant);
        }
        waiting.total -= 1;
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    pub(crate) fn num_waiting(&self) -> usize {
        self.lock().total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_beyond_either_bound_and_after_closing() {
        let (a, b, c) = (TenantId("a".into()), TenantId("b".into()), TenantId("c".into()));
        let gate = Gate::new(&PlannerConfig {
            max_waiting: 3,
            max_waiting_per_tenant: 2,
            retry_after_s: 5,
            ..PlannerConfig::default()
        });
        let full = |waiting| Err(SubmitError::QueueFull { waiting, retry_after_s: 5 });
        assert_eq!((gate.enter(&a), gate.enter(&a)), (Ok(()), Ok(())));
        assert_eq!(gate.enter(&a), full(2));
        assert_eq!(gate.enter(&b), Ok(()));
        assert_eq!(gate.enter(&c), full(3));
        gate.leave(&a);
        assert_eq!((gate.num_waiting(), gate.enter(&a)), (2, Ok(())));
        gate.close();
        assert_eq!(gate.enter(&b), Err(SubmitError::ShuttingDown));
    }
}
