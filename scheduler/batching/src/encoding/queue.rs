//! Requests whose inputs wait, whose turn it is, and the rows that came so far.
//!
//! Of tenants the one that was served least goes next (see [`Served`]); of a tenant's requests the
//! one of which least was computed, by tokens, so that a single text does not wait for the
//! thousands of another request. A request that newly arrives starts level with the least of its
//! tenant's, so none waits for ever. Within a request inputs go in order.
//!
//! Invariant: a pure data structure without clock or threads. An input is taken at most once, and
//! its row goes to its request alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine_core::{EncodeInput, TenantId};

use super::config::{Amount, EncodingConfig};
use crate::served::Served;

#[cfg(test)]
mod tests;

/// One request; older ones have lower numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobId(u64);

/// A request and what goes with it.
pub(super) struct Job<T> {
    pub(super) tenant: TenantId,
    pub(super) with: T,
    /// The rows of its first inputs.
    pub(super) rows: Vec<Vec<f32>>,
    pub(super) num_tokens: usize,
    inputs: Vec<Arc<EncodeInput>>,
    num_taken: usize,
    /// Tokens taken, from where it started level; the job with the least is next.
    pass: u64,
}

impl<T> Job<T> {
    pub(super) fn has_begun(&self) -> bool {
        self.num_taken > 0
    }

    fn waits(&self) -> &[Arc<EncodeInput>] {
        &self.inputs[self.num_taken..]
    }
}

/// What one tenant has waiting.
#[derive(Default)]
struct Own {
    waiting: Amount,
    /// Jobs with inputs to take, whose turn is next first.
    turns: BTreeSet<(u64, JobId)>,
}

/// What is to be computed together, and whose each input is.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) inputs: Vec<Arc<EncodeInput>>,
    pub(super) owners: Vec<JobId>,
    pub(super) num_tokens: usize,
    /// Jobs of which these are the first inputs.
    pub(super) begun: Vec<JobId>,
}

/// The queue; with each request goes a `T`.
pub(super) struct EncodeQueue<T> {
    config: EncodingConfig,
    jobs: BTreeMap<JobId, Job<T>>,
    /// Tenants with something to take.
    tenants: BTreeMap<TenantId, Own>,
    served: Served,
    waiting: Amount,
    next_job: u64,
}

impl<T> EncodeQueue<T> {
    pub(super) fn new(config: EncodingConfig) -> Self {
        Self {
            config,
            jobs: BTreeMap::new(),
            tenants: BTreeMap::new(),
            served: Served::default(),
            waiting: Amount::default(),
            next_job: 0,
        }
    }

    /// Takes a request of at least one input in; if there is no room, says how many inputs wait.
    pub(super) fn enter(
        &mut self,
        tenant: &TenantId,
        inputs: Vec<Arc<EncodeInput>>,
        with: T,
    ) -> Result<JobId, usize> {
        let num_tokens = inputs.iter().map(|input| input.tokens.len()).sum();
        let more = Amount { inputs: inputs.len(), tokens: num_tokens };
        let own = self.tenants.get(tenant).map(|own| own.waiting).unwrap_or_default();
        let bounds =
            [(self.waiting, self.config.max_waiting), (own, self.config.max_waiting_per_tenant)];
        for (waiting, max) in bounds {
            if waiting.inputs > 0 && !waiting.has_room(more, max) {
                return Err(waiting.inputs);
            }
        }
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.served.begin(tenant);
        let own = self.tenants.entry(tenant.clone()).or_default();
        let pass = own.turns.first().map_or(0, |(pass, _)| *pass);
        own.turns.insert((pass, id));
        for waiting in [&mut own.waiting, &mut self.waiting] {
            waiting.inputs += more.inputs;
            waiting.tokens += more.tokens;
        }
        let rows = Vec::with_capacity(inputs.len());
        let tenant = tenant.clone();
        let job = Job { tenant, with, rows, num_tokens, inputs, num_taken: 0, pass };
        self.jobs.insert(id, job);
        Ok(id)
    }

    /// Takes a request out, whatever of it is done.
    pub(super) fn remove(&mut self, id: JobId) -> Option<Job<T>> {
        let job = self.jobs.remove(&id)?;
        if let Some(own) = self.tenants.get_mut(&job.tenant) {
            own.turns.remove(&(job.pass, id));
            for input in job.waits() {
                own.waiting.take(input.tokens.len());
                self.waiting.take(input.tokens.len());
            }
            if own.turns.is_empty() {
                self.tenants.remove(&job.tenant);
            }
        }
        self.served.end(&job.tenant);
        Some(job)
    }

    /// Takes all requests out.
    pub(super) fn clear(&mut self) -> Vec<Job<T>> {
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// What to compute next, of at most `max_tokens`, if an input is no longer than that.
    pub(super) fn take(&mut self, max_tokens: usize) -> Batch {
        let mut batch = Batch::default();
        // Whose next input has no room left: they are first in the next batch.
        let mut aside = Vec::new();
        while let Some((tenant, id)) = self.next(&aside) {
            let Some(len) = self.next_len(id) else { break };
            if batch.num_tokens + len > max_tokens {
                aside.push(tenant);
            } else {
                self.take_one(&tenant, id, &mut batch);
            }
        }
        batch
    }

    /// Whose turn it is.
    fn next(&self, aside: &[TenantId]) -> Option<(TenantId, JobId)> {
        let candidates = self.tenants.iter().filter(|(tenant, _)| !aside.contains(tenant));
        let first = candidates.filter_map(|(tenant, own)| {
            let (_, id) = own.turns.first()?;
            Some((self.served.of(tenant), *id, tenant))
        });
        first.min().map(|(_, id, tenant)| (tenant.clone(), id))
    }

    fn next_len(&self, id: JobId) -> Option<usize> {
        Some(self.jobs.get(&id)?.waits().first()?.tokens.len())
    }

    fn take_one(&mut self, tenant: &TenantId, id: JobId, batch: &mut Batch) {
        let (Some(job), Some(own)) = (self.jobs.get_mut(&id), self.tenants.get_mut(tenant)) else {
            return;
        };
        let input = Arc::clone(&job.inputs[job.num_taken]);
        let len = input.tokens.len();
        if !job.has_begun() {
            batch.begun.push(id);
        }
        own.turns.remove(&(job.pass, id));
        job.num_taken += 1;
        job.pass += len as u64;
        if !job.waits().is_empty() {
            own.turns.insert((job.pass, id));
        }
        own.waiting.take(len);
        self.waiting.take(len);
        if own.turns.is_empty() {
            self.tenants.remove(tenant);
        }
        self.served.charge(tenant, len);
        batch.inputs.push(input);
        batch.owners.push(id);
        batch.num_tokens += len;
    }

    /// Hands rows to those whose inputs they are of; who has all of them by that, is out.
    pub(super) fn give(&mut self, owners: &[JobId], rows: Vec<Vec<f32>>) -> Vec<Job<T>> {
        let mut done = Vec::new();
        for (id, row) in owners.iter().zip(rows) {
            // Who went away meanwhile gets nothing.
            let Some(job) = self.jobs.get_mut(id) else { continue };
            job.rows.push(row);
            if job.rows.len() == job.inputs.len() {
                done.extend(self.remove(*id));
            }
        }
        done
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Job<T>> {
        self.jobs.get(&id)
    }

    /// Whether there is an input to take.
    pub(super) fn has_waiting(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// Requests that began, and those that did not.
    pub(super) fn num_jobs(&self) -> (usize, usize) {
        let begun = self.jobs.values().filter(|job| job.has_begun()).count();
        (begun, self.jobs.len() - begun)
    }
}
