//! The planner: what the next step holds, and what a computed step means.
//!
//! [`Planner::plan`] makes a step (`schedule`, `admit`, `cached`, `preempt`, `drafts`),
//! [`Planner::commit`] takes its results in (`commit`); this file has what changes the set of
//! requests between steps.
//! Invariants: at most one step is in flight; every request ends with exactly one last event;
//! the oldest running sequence is never preempted, so something always comes to its end.

mod admit;
mod cached;
mod commit;
mod drafts;
mod preempt;
mod schedule;
mod share;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use engine_core::{
    EngineLimits, Event, FinishReason, InvalidRequest, Request, RequestError, RequestId, SeqId,
};

use crate::blocks::BlockPool;
use crate::live::{Choice, Live};
use crate::prefix::PrefixKey;
use crate::queue::FairQueue;
use crate::sequence::{Common, Sequence};
use crate::{PlannerConfig, Stats, SubmitError};

/// Decides what runs when, for one engine. Takes no clock and does no I/O.
pub struct Planner {
    limits: EngineLimits,
    config: PlannerConfig,
    key: PrefixKey,
    pool: BlockPool,
    requests: HashMap<RequestId, Live>,
    queue: FairQueue,
    /// In order of age: a sequence's id says when its request came.
    running: BTreeMap<SeqId, Sequence>,
    /// Cancelled while in the step that is being executed; keep their blocks until its commit.
    leaving: Vec<Sequence>,
    in_flight: bool,
    /// How many sequences the last plan left out, as what they may say is not known yet.
    num_sitting_out: usize,
    next_seq: u64,
    next_step: u64,
    events: Vec<(RequestId, Event)>,
    admitted: Vec<(RequestId, u32)>,
    counts: Stats,
}

impl Planner {
    /// A planner for an engine with these limits.
    pub fn new(limits: EngineLimits, config: PlannerConfig) -> Self {
        Self {
            limits,
            key: PrefixKey::new(config.cache_key),
            config,
            pool: BlockPool::new(limits.num_blocks),
            requests: HashMap::new(),
            queue: FairQueue::default(),
            running: BTreeMap::new(),
            leaving: Vec::new(),
            in_flight: false,
            num_sitting_out: 0,
            next_seq: 0,
            next_step: 0,
            events: Vec::new(),
            admitted: Vec::new(),
            counts: Stats::default(),
        }
    }

    /// Queues a request.
    ///
    /// # Errors
    /// [`SubmitError::Invalid`] if it can never run, [`SubmitError::QueueFull`] if too many wait.
    pub fn submit(&mut self, request: Request) -> Result<(), SubmitError> {
        self.check(&request)?;
        let tenant = &request.scope.tenant;
        let (all, own) = (self.queue.num_unadmitted(), self.queue.num_unadmitted_of(tenant));
        if all >= self.config.max_waiting || own >= self.config.max_waiting_per_tenant {
            let waiting = if all >= self.config.max_waiting { all } else { own };
            let retry_after_s = self.config.retry_after_s;
            return Err(SubmitError::QueueFull { waiting, retry_after_s });
        }
        Ok(self.take(request)?)
    }

    /// Queues a request that someone else has counted in; the driver's gate has the same bounds.
    pub(crate) fn take(&mut self, request: Request) -> Result<(), InvalidRequest> {
        self.check(&request)?;
        let first_seq = SeqId(self.next_seq);
        self.next_seq += u64::from(request.n);
        let id = request.id;
        let common = Arc::new(Common::new(request, &self.key));
        self.queue.request_begins(common.tenant());
        self.requests.insert(id, Live::new(common, first_seq));
        self.release_held(id);
        Ok(())
    }

    fn check(&self, request: &Request) -> Result<(), InvalidRequest> {
        check(request, &self.limits, &self.config)?;
        match self.requests.contains_key(&request.id) {
            true => Err(InvalidRequest::Parameter("the request id is in use")),
            false => Ok(()),
        }
    }

    /// Ends a request early: its open choices end as [`FinishReason::Cancelled`]. Its blocks are
    /// free at once, or at the commit of the step in flight. An unknown id is ignored.
    pub fn cancel(&mut self, id: RequestId) {
        let num_choices = self.requests.get(&id).map_or(0, |live| live.choices.len() as u32);
        // From the last to the first, so that no held choice starts in between.
        for index in (0..num_choices).rev() {
            self.cancel_choice(id, index);
        }
    }

    /// Ends one choice early. An unknown or ended one is ignored.
    pub fn cancel_choice(&mut self, id: RequestId, index: u32) {
        let Some(live) = self.requests.get(&id) else { return };
        if matches!(live.choices.get(index as usize), Some(Choice::Held | Choice::Active)) {
            self.drop_sequence(id, index);
            self.end_choice(id, index, FinishReason::Cancelled);
        }
    }

    /// Ends every request with this error.
    pub fn fail_all(&mut self, error: &RequestError) {
        let mut ids: Vec<_> = self.requests.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.fail(id, error.clone());
        }
    }

    /// Whether there is nothing to do and nothing in flight.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty() && !self.in_flight
    }

    /// Whether there was no step because what sequences may say is not known yet.
    pub fn is_held_up(&self) -> bool {
        self.num_sitting_out > 0
    }

    /// What happened since the last call, in order.
    pub fn drain_events(&mut self) -> std::vec::Drain<'_, (RequestId, Event)> {
        self.events.drain(..)
    }

    /// Requests admitted for the first time since the last call, each with how many tokens of its
    /// prompt were cached.
    pub fn drain_admitted(&mut self) -> std::vec::Drain<'_, (RequestId, u32)> {
        self.admitted.drain(..)
    }

    /// Counts as of now.
    pub fn stats(&self) -> Stats {
        let waiting = self.queue.num_unadmitted();
        Stats {
            running: self.requests.len() - waiting,
            waiting,
            running_seqs: self.running.len(),
            blocks_total: self.pool.num_total(),
            blocks_used: self.pool.num_total() - self.pool.num_available(),
            blocks_cached: self.pool.num_cached(),
            ..self.counts
        }
    }

    /// Checks every invariant of blocks and queues that can be checked from here; for tests.
    ///
    /// # Errors
    /// What is wrong.
    pub fn audit(&self) -> Result<(), String> {
        let holders = self.running.values().chain(&self.leaving);
        self.pool.audit(holders.flat_map(|seq| seq.table.held()))?;
        if !self.in_flight && !self.leaving.is_empty() {
            return Err("a cancelled sequence outlived its step".into());
        }
        let block_size = self.limits.block_size as usize;
        for seq in self.running.values() {
            if seq.table.num_columns() * block_size < seq.num_computed {
                return Err(format!("{:?} computed more than its blocks hold", seq.id));
            }
            if !seq.in_flight && seq.table.num_columns() > seq.len().div_ceil(block_size) {
                return Err(format!("{:?} kept blocks of drafts", seq.id));
            }
        }
        Ok(())
    }

    fn block_size(&self) -> usize {
        self.limits.block_size as usize
    }

    /// Queues the choices of a request that may start now.
    fn release_held(&mut self, id: RequestId) {
        let Some(live) = self.requests.get_mut(&id) else { return };
        for seq in live.release_held() {
            self.queue.push(seq);
        }
    }

    /// Takes a choice's sequence out of wherever it is and gives its blocks back.
    fn drop_sequence(&mut self, id: RequestId, index: u32) {
        let Some(live) = self.requests.get(&id) else { return };
        let seq_id = live.seq_id(index);
        let found = match self.running.remove(&seq_id) {
            None => self.queue.remove(live.common.tenant(), seq_id),
            found => found,
        };
        match found {
            Some(seq) if seq.in_flight => self.leaving.push(seq),
            Some(mut seq) => release_blocks(&mut self.pool, &mut seq),
            None => {}
        }
    }

    /// Marks a choice as ended; its sequence is gone already.
    fn end_choice(&mut self, id: RequestId, index: u32, reason: FinishReason) {
        let Some(live) = self.requests.get_mut(&id) else { return };
        live.choices[index as usize] = Choice::Ended;
        self.events.push((id, Event::ChoiceFinished { index, reason }));
        if live.has_ended() {
            let usage = live.usage;
            self.end_request(id, Event::Finished(usage));
        } else {
            self.release_held(id);
        }
    }

    fn fail(&mut self, id: RequestId, error: RequestError) {
        let num_choices = self.requests.get(&id).map_or(0, |live| live.choices.len() as u32);
        for index in 0..num_choices {
            self.drop_sequence(id, index);
        }
        self.end_request(id, Event::Failed(error));
    }

    fn end_request(&mut self, id: RequestId, last: Event) {
        if let Some(live) = self.requests.remove(&id) {
            self.queue.request_ended(live.common.tenant(), live.admitted);
            self.events.push((id, last));
        }
    }
}

/// What is checked before a request takes any room.
pub(crate) fn check(
    request: &Request,
    limits: &EngineLimits,
    config: &PlannerConfig,
) -> Result<(), InvalidRequest> {
    if request.n > config.max_choices {
        return Err(InvalidRequest::Parameter("n is larger than this server allows"));
    }
    request.validate(limits)
}

/// From the end, so that the ends of chains are evicted first.
fn release_blocks(pool: &mut BlockPool, seq: &mut Sequence) {
    std::mem::take(&mut seq.table).held().rev().for_each(|block| pool.release(block));
}
