//! Waiting sequences, fair between tenants.
//!
//! The tenant served least goes next (see [`Served`]).
//!
//! Within a tenant its classes take turns, by strides (Waldspurger and Weihl 1995): of 21 turns
//! that all three could take, 16 go to high, 4 to normal, one to low. So a higher class hardly
//! waits for a lower one, which never starves; between tenants classes count for nothing, so none
//! gains by claiming one. Within a class the oldest sequence goes first, so a preempted one is at
//! the head again.
//! Invariant: a tenant has a queue exactly while it has a live request.

use std::collections::BTreeMap;

use engine_core::{Class, SeqId, TenantId};

use crate::sequence::Sequence;
use crate::served::Served;

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
    served: Served,
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
        self.served.begin(tenant);
        let entry = self.tenants.entry(tenant.clone()).or_default();
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
        if self.served.end(tenant) {
            self.tenants.remove(tenant);
        }
    }

    /// The tenant had this many tokens computed or generated.
    pub(crate) fn charge(&mut self, tenant: &TenantId, num_tokens: usize) {
        self.served.charge(tenant, num_tokens);
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
        let oldest = candidates.filter_map(|(id, tenant)| {
            let seq = tenant.next(aside)?;
            Some((self.served.of(id), seq, tenant))
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
