//! What each tenant was served, so that the one served least goes next.
//!
//! The virtual token counter of "Fairness in Serving Large Language Models" (Sheng et al. 2024):
//! one that newly arrives starts level with the least served, so it neither overtakes for long
//! nor waits behind another's backlog; one that comes back still owes what it had more than that,
//! so nobody gains by coming and going.
//! Invariant: a tenant is live exactly while it has a live request, and of those without one at
//! most `MAX_REMEMBERED` counts are kept.

use std::collections::BTreeMap;

use engine_core::TenantId;

/// Counts of tenants without live requests; of more, the least served is forgotten, which has
/// least to gain by that.
const MAX_REMEMBERED: usize = 4096;

#[derive(Default)]
struct Live {
    served_tokens: u64,
    num_requests: usize,
}

/// The counts of all tenants.
#[derive(Default)]
pub(crate) struct Served {
    live: BTreeMap<TenantId, Live>,
    /// What tenants were served that have no live request now.
    remembered: BTreeMap<TenantId, u64>,
    /// What the last of them was served: the level when nobody is left.
    last_level: u64,
}

impl Served {
    /// A request begins.
    pub(crate) fn begin(&mut self, tenant: &TenantId) {
        let level = self.live.values().map(|live| live.served_tokens).min();
        let level = level.unwrap_or(self.last_level);
        let live = self.live.entry(tenant.clone()).or_default();
        if live.num_requests == 0 {
            let own = self.remembered.remove(tenant).unwrap_or(0);
            live.served_tokens = own.max(level);
        }
        live.num_requests += 1;
    }

    /// A request ended. Whether it was the tenant's last.
    pub(crate) fn end(&mut self, tenant: &TenantId) -> bool {
        let Some(live) = self.live.get_mut(tenant) else { return false };
        live.num_requests -= 1;
        let is_last = live.num_requests == 0;
        if is_last {
            self.last_level = live.served_tokens;
            self.live.remove(tenant);
            self.remember(tenant);
        }
        is_last
    }

    /// Keeps the count of the tenant that just left.
    fn remember(&mut self, tenant: &TenantId) {
        self.remembered.insert(tenant.clone(), self.last_level);
        if self.remembered.len() > MAX_REMEMBERED {
            let least = self.remembered.iter().min_by_key(|(_, served)| **served);
            if let Some(least) = least.map(|(tenant, _)| tenant.clone()) {
                self.remembered.remove(&least);
            }
        }
    }

    /// The tenant had this many tokens computed or generated.
    pub(crate) fn charge(&mut self, tenant: &TenantId, num_tokens: usize) {
        if let Some(live) = self.live.get_mut(tenant) {
            live.served_tokens += num_tokens as u64;
        }
    }

    /// What the tenant was served, if it is live.
    pub(crate) fn of(&self, tenant: &TenantId) -> u64 {
        self.live.get(tenant).map_or(0, |live| live.served_tokens)
    }
}
