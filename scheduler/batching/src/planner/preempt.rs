//! Taking blocks back from a running sequence when they run out.
//!
//! The victim is the newest sequence of the tenant that holds most blocks; its tokens are kept
//! and recomputed later, nothing is reported twice.
//! Invariant: the oldest running sequence is never the victim, so there is always one that comes
//! to its end, and a lone sequence fits (`Request::validate`).

use std::collections::HashMap;

use engine_core::{SeqId, TenantId};

use super::{Planner, release_blocks, schedule::Outline};

impl Planner {
    /// Preempts one sequence and says which; `None` if only one runs.
    pub(super) fn preempt_one(&mut self, outline: &mut Outline) -> Option<SeqId> {
        let victim = self.victim()?;
        let mut seq = self.running.remove(&victim)?;
        release_blocks(&mut self.pool, &mut seq);
        seq.num_computed = 0;
        outline.remove(victim);
        outline.preempted = true;
        self.counts.preemptions += 1;
        self.queue.push(seq);
        Some(victim)
    }

    fn victim(&self) -> Option<SeqId> {
        let oldest = *self.running.first_key_value()?.0;
        let mut tenants: HashMap<&TenantId, (usize, Option<SeqId>)> = HashMap::new();
        // In order of age, so the last one seen of a tenant is its newest.
        for seq in self.running.values() {
            let (num_blocks, newest) = tenants.entry(seq.common.tenant()).or_default();
            *num_blocks += seq.blocks.len();
            if seq.id != oldest {
                *newest = Some(seq.id);
            }
        }
        let candidates =
            tenants.values().filter_map(|(blocks, newest)| Some((*blocks, (*newest)?)));
        candidates.max().map(|(_, newest)| newest)
    }
}
