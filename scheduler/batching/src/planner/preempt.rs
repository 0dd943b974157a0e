//! Taking blocks back from a running sequence when they run out.
//!
//! The victim is the newest sequence of the lowest class of the tenant that holds most blocks; its
//! tokens are kept and recomputed later, nothing is reported twice.
//! Invariant: the oldest running sequence is never the victim, so there is always one that comes
//! to its end, and a lone sequence fits (`Request::validate`).

use std::collections::HashMap;

use engine_core::{Class, SeqId, TenantId};

use super::{Planner, release_blocks, schedule::Outline};

/// What a tenant holds, and what it could lose.
#[derive(Default)]
struct Holder {
    num_blocks: usize,
    newest: Option<SeqId>,
    /// The newest of its lowest class.
    least: Option<(Class, SeqId)>,
}

impl Planner {
    /// Preempts one sequence and says which; `None` if only one runs.
    pub(super) fn preempt_one(&mut self, outline: &mut Outline) -> Option<SeqId> {
        let victim = self.victim()?;
        let mut seq = self.running.remove(&victim)?;
        release_blocks(&mut self.pool, &mut seq);
        seq.num_computed = 0;
        seq.is_late = false;
        outline.remove(victim);
        outline.preempted = true;
        self.counts.preemptions += 1;
        self.queue.push(seq);
        Some(victim)
    }

    fn victim(&self) -> Option<SeqId> {
        let oldest = *self.running.first_key_value()?.0;
        let mut tenants: HashMap<&TenantId, Holder> = HashMap::new();
        // In order of age, so the last one seen of a tenant is its newest.
        for seq in self.running.values() {
            let holder = tenants.entry(seq.common.tenant()).or_default();
            holder.num_blocks += seq.table.num_held();
            if seq.id != oldest {
                holder.newest = Some(seq.id);
                holder.least = holder.least.max(Some((seq.common.request.class, seq.id)));
            }
        }
        // Classes do not decide between tenants.
        let most = tenants.into_values().filter(|holder| holder.least.is_some());
        let most = most.max_by_key(|holder| (holder.num_blocks, holder.newest))?;
        most.least.map(|(_, seq)| seq)
    }
}
