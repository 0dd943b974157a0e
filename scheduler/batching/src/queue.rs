//! Waiting sequences, fair between tenants.
//!
//! Each tenant counts the tokens it was served (the virtual token counter of "Fairness in
//! Serving Large Language Models", Sheng et al. 2024); the tenant served least goes next. One
//! that newly arrives starts level with the least served, so it neither overtakes for long nor
//! waits behind another's backlog. Within a tenant the oldest sequence goes first, so a
//! preempted one is at the head again.
//! Invariant: a tenant is known exactly while it has a live request.

use std::collections::BTreeMap;

use engine_core::{SeqId, TenantId};

use crate::sequence::Sequence;

#[derive(Default)]
struct Tenant {
    waiting: BTreeMap<SeqId, Sequence>,
    served_tokens: u64,
    num_live: usize,
    num_unadmitted: usize,
}

/// The queues of all tenants.
#[derive(Default)]
pub(crate) struct FairQueue {
    tenants: BTreeMap<TenantId, Tenant>,
    num_unadmitted: usize,
}

impl FairQueue {
    /// Requests that were never admitted: of all, and of this tenant.
    pub(crate) fn num_unadmitted(&self) -> usize {
        self.num_unadmitted
    }

    pub(crate) fn num_unadmitted_of(&self, tenant: &TenantId) -> usize {
        self.tenants.get(tenant).map_or(0, |t| t.num_unadmitted)
    }

    /// A request begins.
    pub(crate) fn request_begins(&mut self, tenant: &TenantId) {
        let level = self.tenants.values().map(|t| t.served_tokens).min().unwrap_or(0);
        let entry = self.tenants.entry(tenant.clone()).or_default();
        if entry.num_live == 0 {
            entry.served_tokens = level;
        }
        entry.num_live += 1;
        entry.num_unadmitted += 1;
        self.num_unadmitted += 1;
    }

    /// A request no longer waits for its first step.
    pub(crate) fn request_admitted(&mut self, tenant: &TenantId) {
        if let Some(entry) = self.tenants.get_mut(tenant) {
            entry.num_unadmitted -= 1;
            self.num_unadmitted -= 1;
        }
    }

    /// A request ended; its sequences are gone.
    pub(crate) fn request_ended(&mut self, tenant: &TenantId, admitted: bool) {
        if !admitted {
            self.request_admitted(tenant);
        }
        if let Some(entry) = self.tenants.get_mut(tenant) {
            entry.num_live -= 1;
            if entry.num_live == 0 {
                self.tenants.remove(tenant);
            }
        }
    }

    /// The tenant had this many tokens computed or generated.
    pub(crate) fn charge(&mut self, tenant: &TenantId, num_tokens: usize) {
        if let Some(entry) = self.tenants.get_mut(tenant) {
            entry.served_tokens += num_tokens as u64;
        }
    }

    /// Puts a sequence into its tenant's queue, in order of age.
    pub(crate) fn push(&mut self, seq: Sequence) {
        if let Some(entry) = self.tenants.get_mut(seq.common.tenant()) {
            entry.waiting.insert(seq.id, seq);
        }
    }

    /// Takes the sequence that goes next out, leaving these tenants aside.
    pub(crate) fn pop(&mut self, aside: &[TenantId]) -> Option<Sequence> {
        let waiting =
            self.tenants.iter_mut().filter(|(id, t)| !t.waiting.is_empty() && !aside.contains(id));
        let least = waiting.min_by_key(|(_, t)| {
            (t.served_tokens, t.waiting.first_key_value().map(|(seq, _)| *seq))
        });
        least.and_then(|(_, tenant)| tenant.waiting.pop_first()).map(|(_, seq)| seq)
    }

    /// Takes a given sequence out, if it waits.
    pub(crate) fn remove(&mut self, tenant: &TenantId, seq: SeqId) -> Option<Sequence> {
        self.tenants.get_mut(tenant)?.waiting.remove(&seq)
    }
}
