//! A permit for one request's work.
//!
//! Invariant: it is settled once, by whoever comes first: its owner, or its drop. What it has
//! charged is what it was told was delivered, however many marks lie between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::{Claim, Ended, Ending, Opened};
use crate::limits::Room;
use crate::meters::Shared;
use crate::organization::{Admitted, Hold, Organization, Work};
use crate::rate::RateStatuses;
use crate::{Level, Meter, Period, Picos, Priced, Usage};

/// How far apart the journal's marks are: what a kill can lose of a request.
pub const MARK_EVERY: Duration = Duration::from_secs(1);

/// What left less room for output than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CappedBy {
    /// A budget: a generation that ends there says so.
    Budget {
        /// Whose.
        level: Level,
        /// Of what.
        period: Period,
    },
    /// A quota of output.
    Quota {
        /// Whose.
        level: Level,
        /// Of what.
        period: Period,
    },
}

/// What was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// All that was delivered.
    pub usage: Usage,
    /// What was charged for it, as [`Entry::cost`] is.
    pub cost: Picos,
    /// Whether the journal has it; if not, it is in memory until the disk takes it.
    pub is_written: bool,
}

/// Leave to work, which holds the most that the work can use. Dropping it settles what was
/// delivered, as [`Ending::Dropped`].
///
/// It is handed on by many, so it lies where it is.
#[derive(Debug)]
pub struct Permit(Box<Running>);

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    organization: Arc<Organization>,
    opened: Opened,
    claim: Claim,
    priced: Option<Arc<Priced>>,
    room: Room,
    statuses: RateStatuses,
    hold: Hold,
    delivered: Usage,
    charged: Usage,
    cost: Picos,
    /// Since when an engine works on it, and the most milliseconds of that.
    computing: Option<Instant>,
    max_compute: u64,
    marked_at: Instant,
    is_settled: bool,
}

impl Permit {
    pub(crate) fn new(
        shared: Arc<Shared>,
        organization: Arc<Organization>,
        (opened, claim): (Opened, Claim),
        admitted: Admitted,
        now: Instant,
    ) -> Self {
        let Admitted { priced, room, hold, statuses } = admitted;
        let max_compute = hold.units(Meter::ComputeMillis);
        Self(Box::new(Running {
            shared,
            organization,
            opened,
            claim,
            priced,
            room,
            statuses,
            hold,
            delivered: Usage::NONE,
            charged: Usage::NONE,
            cost: Picos::ZERO,
            computing: None,
            max_compute,
            marked_at: now,
            is_settled: false,
        }))
    }

    /// The most tokens that may be generated; more would be billed, and could overspend.
    #[must_use]
    pub fn max_output_tokens(&self) -> u64 {
        self.0.room.0
    }

    /// What made that less than was asked for.
    #[must_use]
    pub fn capped_by(&self) -> Option<CappedBy> {
        self.0.room.1
    }

    /// How the rates stood after it was let in.
    #[must_use]
    pub fn rates(&self) -> RateStatuses {
        self.0.statuses
    }

    /// The most that it can cost, as it was held.
    #[must_use]
    pub fn held(&self) -> Picos {
        self.0.opened.held
    }

    /// An engine works on it since then: the time from then to its end is charged, in whole
    /// milliseconds, rounded upwards, and no more of it than was asked for. Where nothing is
    /// delivered, none is.
    pub fn computing(&mut self, since: Instant) {
        self.0.computing.get_or_insert(since);
    }

    /// Tells all that was delivered so far, not only since the last time: a count never falls.
    ///
    /// Costs a look at the clock, and a record of the journal once in [`MARK_EVERY`].
    pub fn delivered(&mut self, usage: Usage) {
        self.0.delivered = self.0.delivered.max(usage);
        let now = self.0.shared.clock.now();
        if now.saturating_duration_since(self.0.marked_at) >= MARK_EVERY {
            self.0.marked_at = now;
            self.0.mark();
        }
    }

    #[cfg(test)]
    pub(crate) fn mark(&mut self) {
        self.0.mark();
    }

    /// The work ended, and this is all that was delivered of it: counts as [`Permit::delivered`]
    /// does. Returns when the journal has it, so that a client may be told.
    ///
    /// In [`Durability::BeforeAck`](crate::Durability::BeforeAck) it waits for the disk.
    pub fn settle(mut self, usage: Usage, ending: Ending) -> Receipt {
        self.0.delivered = self.0.delivered.max(usage);
        self.0.close(ending)
    }
}

impl Running {
    /// Has the journal know what was delivered so far; if it is not written, the next one is.
    fn mark(&mut self) {
        self.charge(false);
        let mut claim = self.claim;
        self.shared.journal.mark(&self.so_far(Ending::Lost), &mut claim);
        self.claim = claim;
    }

    /// Counts the engine's time by now.
    fn count_compute(&mut self) {
        let Some(since) = self.computing.filter(|_| self.delivered != Usage::NONE) else { return };
        let took = self.shared.clock.now().saturating_duration_since(since);
        let millis = u64::try_from(took.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let compute = Usage::NONE.with(Meter::ComputeMillis, millis.min(self.max_compute));
        self.delivered = self.delivered.max(compute);
    }

    /// Charges what was delivered since the last time, and gives back what is held if that was all.
    fn charge(&mut self, is_all: bool) {
        self.count_compute();
        let work = Work { path: &self.opened.path, priced: self.priced.as_deref() };
        let more = self.delivered.saturating_sub(self.charged);
        let utc = self.shared.clock.utc();
        let cost = if is_all {
            let (output, hold) = (self.delivered.get(Meter::OutputTokens), &mut self.hold);
            self.organization.settle(work, (more, output), std::mem::take(hold), utc)
        } else {
            self.organization.charge(work, more, &mut self.hold, utc)
        };
        self.charged = self.delivered;
        self.cost = self.cost.saturating_add(cost);
    }

    /// What was charged, if that is all.
    fn so_far(&self, ending: Ending) -> Ended<'_> {
        let Self { opened, charged: usage, cost, .. } = self;
        let (settled_at, usage, cost) = (self.shared.clock.utc(), *usage, *cost);
        Ended { opened, settled_at, usage, cost, ending }
    }

    fn close(&mut self, ending: Ending) -> Receipt {
        self.is_settled = true;
        self.charge(true);
        // Nobody is told of one that was dropped: it waits for no disk.
        let waits = ending != Ending::Dropped;
        let is_written = self.shared.journal.settle(&self.so_far(ending), self.claim, waits);
        Receipt { usage: self.charged, cost: self.cost, is_written }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.0.is_settled {
            self.0.close(Ending::Dropped);
        }
    }
}
