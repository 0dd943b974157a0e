//! Waiting sequences, fair between tenants.
//!
//! Each tenant counts the tokens it was served (the virtual token counter of "Fairness in
//! Serving Large Language Models", Sheng et al. 2024); the tenant served least goes next. One
//! that newly arrives starts level with the least served, so it neither overtakes for long nor
//! waits behind another's backlog; one that comes back still owes what it had more than that, so
//! nobody gains by coming and going.
//!
//! Within a tenant its classes take turns, by strides (Waldspurger and Weihl 1995): of 21 turns
//! that all three could take, 16 go to high, 4 to normal, one to low. So a higher class hardly
//! waits for a lower one, which never starves; between tenants classes count for nothing, so none
//! gains by claiming one. Within a class the oldest sequence goes first, so a preempted one is at
//! the head again.
//! Invariant: a tenant has a queue exactly while it has a live request, and of those without one
//! at most `MAX_REMEMBERED` counts are kept.

use std::collections::BTreeMap;

use engine_core::{Class, SeqId, TenantId};

use crate::sequence::Sequence;

/// Counts of tenants without live requests; of more, the least served is forgotten, which has
/// least to gain by that.
const MAX_REMEMBERED: usize = 4096;

/// The sequences of one class of a tenant.
#[derive(Default)]
struct Line {
    waiting: BTreeMap<SeqId, Sequence>,
    /// What its turns have cost; the line with the least is next.
    pass: u64,
}

#[derive(Default)]
struct Tenant {
    /// By class.
    lines: [Line; 3],
    served_tokens: u64,
    num_live: usize,
    num_unadmitted: usize,
}

impl Tenant {
    /// One that arrives in an empty line has saved no turns up.
    fn push(&mut self, seq: Sequence) {
        let level = self.lines.iter().filter(|line| !line.waiting.is_empty());
        let level = level.map(|line| line.pass).min().unwrap_or(0);
        let line = &mut self.lines[seq.common.request.class as usize];
        if line.waiting.is_empty() {
            line.pass = line.pass.max(level);
        }
        line.waiting.insert(seq.id, seq);
    }

    /// The sequence whose turn it is.
    fn next(&self, aside: &Aside) -> Option<SeqId> {
        let oldest = self.lines.iter().filter_map(|line| {
            let seq = line.waiting.keys().find(|seq| !aside.seqs.contains(seq))?;
            Some((line.pass, *seq))
        });
        // Of equals the first: the higher class.
        oldest.min_by_key(|(pass, _)| *pass).map(|(_, seq)| seq)
    }

    fn remove(&mut self, seq: SeqId) -> Option<Sequence> {
        self.lines.iter_mut().find_map(|line| line.waiting.remove(&seq))
    }
}

/// What one turn costs a class.
fn stride(class: Class) -> u64 {
    match class {
        Class::High => 1,
        Class::Normal => 4,
        Class::Low => 16,
    }
}

/// Who is not to go next, though it would be their turn.
#[derive(Default)]
pub(crate) struct Aside {
    pub(crate) seqs: Vec<SeqId>,
    pub(crate) tenants: Vec<TenantId>,
}

/// The queues of all tenants.
#[derive(Default)]
pub(crate) struct FairQueue {
    tenants: BTreeMap<TenantId, Tenant>,
    /// What tenants were served that have no live request now.
    remembered: BTreeMap<TenantId, u64>,
    /// What the last of them was served: the level when nobody is left.
    last_level: u64,
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
        let level = self.tenants.values().map(|t| t.served_tokens).min();
        let level = level.unwrap_or(self.last_level);
        let entry = self.tenants.entry(tenant.clone()).or_default();
        if entry.num_live == 0 {
            let own = self.remembered.remove(tenant).unwrap_or(0);
            entry.served_tokens = own.max(level);
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
        let Some(entry) = self.tenants.get_mut(tenant) else { return };
        entry.num_live -= 1;
        if entry.num_live == 0 {
            self.last_level = entry.served_tokens;
            self.tenants.remove(tenant);
            self.remember(tenant);
        }
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
        if let Some(entry) = self.tenants.get_mut(tenant) {
            entry.served_tokens += num_tokens as u64;
        }
    }

    /// Puts a sequence into its tenant's queue, in order of age.
    pub(crate) fn push(&mut self, seq: Sequence) {
        if let Some(entry) = self.tenants.get_mut(seq.common.tenant()) {
            entry.push(seq);
        }
    }

    /// Puts a sequence back whose turn it was and stays.
    pub(crate) fn put_back(&mut self, seq: Sequence) {
        if let Some(entry) = self.tenants.get_mut(seq.common.tenant()) {
            entry.lines[seq.common.request.class as usize].waiting.insert(seq.id, seq);
        }
    }

    /// The tenant's class had its turn.
    pub(crate) fn took_turn(&mut self, tenant: &TenantId, class: Class) {
        if let Some(entry) = self.tenants.get_mut(tenant) {
            entry.lines[class as usize].pass += stride(class);
        }
    }

    /// Takes the sequence that goes next out, leaving some aside.
    pub(crate) fn pop(&mut self, aside: &Aside) -> Option<Sequence> {
        let candidates = self.tenants.iter_mut().filter(|(id, _)| !aside.tenants.contains(id));
        let oldest = candidates.filter_map(|(_, tenant)| {
            let seq = tenant.next(aside)?;
            Some((tenant.served_tokens, seq, tenant))
        });
        let (_, seq, tenant) = oldest.min_by_key(|(served, seq, _)| (*served, *seq))?;
        tenant.remove(seq)
    }

    /// Whether anyone waits.
    pub(crate) fn has_waiting(&self) -> bool {
        let mut lines = self.tenants.values().flat_map(|tenant| &tenant.lines);
        lines.any(|line| !line.waiting.is_empty())
    }

    /// Takes a given sequence out, if it waits.
    pub(crate) fn remove(&mut self, tenant: &TenantId, seq: SeqId) -> Option<Sequence> {
        self.tenants.get_mut(tenant)?.remove(seq)
    }
}
