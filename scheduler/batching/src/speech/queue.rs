//! Recordings in the making, and whose turn it is.
//!
//! Of tenants the one that was served least goes next (see [`Served`]); of a tenant's recordings
//! the one of which least was computed, so that a short one does not wait for the end of a long
//! one. One that newly arrives starts level with the least of its tenant's.
//!
//! Invariant: a pure data structure without clock or threads.

use std::collections::BTreeMap;

use engine_core::TenantId;

use super::config::SpeechConfig;
use crate::served::Served;

/// One request; older ones have lower numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobId(u64);

/// A request and what goes with it.
pub(super) struct Job<T> {
    pub(super) with: T,
    tenant: TenantId,
    num_samples: usize,
    /// What was computed of it, from where it started level.
    pass: u64,
    pub(super) has_begun: bool,
}

/// The queue; with each request goes a `T`.
pub(super) struct SpeechQueue<T> {
    config: SpeechConfig,
    jobs: BTreeMap<JobId, Job<T>>,
    served: Served,
    num_samples: usize,
    next_job: u64,
}

impl<T> SpeechQueue<T> {
    pub(super) fn new(config: SpeechConfig) -> Self {
        let served = Served::default();
        Self { config, jobs: BTreeMap::new(), served, num_samples: 0, next_job: 0 }
    }

    /// Takes a request in; if there is no room, says how many are there.
    pub(super) fn enter(
        &mut self,
        tenant: &TenantId,
        num_samples: usize,
        with: T,
    ) -> Result<JobId, usize> {
        let (num, own) = (self.jobs.len(), self.of(tenant).count());
        if own >= self.config.max_requests_per_tenant {
            return Err(own);
        }
        let samples = self.num_samples.saturating_add(num_samples);
        if num >= self.config.max_requests || (num > 0 && samples > self.config.max_samples) {
            return Err(num);
        }
        let pass = self.of(tenant).map(|(_, job)| job.pass).min().unwrap_or(0);
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.num_samples = samples;
        self.served.begin(tenant);
        let tenant = tenant.clone();
        self.jobs.insert(id, Job { with, tenant, num_samples, pass, has_begun: false });
        Ok(id)
    }

    fn of<'a>(&'a self, tenant: &'a TenantId) -> impl Iterator<Item = (&'a JobId, &'a Job<T>)> {
        self.jobs.iter().filter(move |(_, job)| job.tenant == *tenant)
    }

    /// Whose turn it is.
    pub(super) fn next(&self) -> Option<JobId> {
        let turn = |(id, job): (&JobId, &Job<T>)| (self.served.of(&job.tenant), job.pass, *id);
        self.jobs.iter().map(turn).min().map(|(.., id)| id)
    }

    /// So much of it was computed.
    pub(super) fn charge(&mut self, id: JobId, amount: usize) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.pass += amount as u64;
        self.served.charge(&job.tenant, amount);
    }

    /// Takes a request out, whatever of it is done.
    pub(super) fn remove(&mut self, id: JobId) -> Option<Job<T>> {
        let job = self.jobs.remove(&id)?;
        self.num_samples -= job.num_samples;
        self.served.end(&job.tenant);
        Some(job)
    }

    /// Takes all requests out.
    pub(super) fn clear(&mut self) -> Vec<Job<T>> {
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    pub(super) fn get_mut(&mut self, id: JobId) -> Option<&mut Job<T>> {
        self.jobs.get_mut(&id)
    }

    pub(super) fn contains(&self, id: JobId) -> bool {
        self.jobs.contains_key(&id)
    }

    /// Requests that began, and those that did not.
    pub(super) fn num_jobs(&self) -> (usize, usize) {
        let begun = self.jobs.values().filter(|job| job.has_begun).count();
        (begun, self.jobs.len() - begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId(name.into())
    }

    /// The next few turns, of ten each.
    fn turns(queue: &mut SpeechQueue<&'static str>, num: usize) -> Vec<&'static str> {
        let mut turn = || {
            let id = queue.next().expect("something waits");
            queue.charge(id, 10);
            queue.get_mut(id).expect("it is there").with
        };
        (0..num).map(|_| turn()).collect()
    }

    #[test]
    fn tenants_and_their_recordings_take_turns() {
        let mut queue = SpeechQueue::new(SpeechConfig::default());
        let (a, b) = (tenant("a"), tenant("b"));
        let first = queue.enter(&a, 1, "a1").unwrap();
        assert_eq!(turns(&mut queue, 2), ["a1", "a1"]);
        queue.enter(&b, 1, "b1").unwrap();
        queue.enter(&a, 1, "a2").unwrap();
        // b starts level with a, a2 with a1.
        assert_eq!(turns(&mut queue, 6), ["b1", "a1", "b1", "a2", "b1", "a1"]);
        queue.remove(first);
        assert_eq!(turns(&mut queue, 3), ["b1", "a2", "b1"]);
    }

    #[test]
    fn what_waits_is_bounded_in_requests_and_samples() {
        let config = SpeechConfig {
            max_requests: 3,
            max_requests_per_tenant: 2,
            max_samples: 100,
            retry_after_s: 1,
        };
        let mut queue = SpeechQueue::new(config);
        let (a, b) = (tenant("a"), tenant("b"));
        // Alone, whatever its size.
        let large = queue.enter(&a, 1000, ()).unwrap();
        assert_eq!(queue.enter(&b, 1, ()), Err(1));
        queue.remove(large);
        queue.enter(&a, 60, ()).unwrap();
        assert_eq!(queue.enter(&a, 41, ()), Err(1));
        queue.enter(&a, 40, ()).unwrap();
        assert_eq!(queue.enter(&a, 0, ()), Err(2));
        queue.enter(&b, 0, ()).unwrap();
        assert_eq!(queue.enter(&b, 0, ()), Err(3));
        assert_eq!(queue.clear().len(), 3);
        assert_eq!((queue.num_samples, queue.num_jobs()), (0, (0, 0)));
    }
}
