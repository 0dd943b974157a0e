//! What this process was granted of an account's limits, where other processes have them too.
//!
//! Invariant: what is reserved in the database is at least what this process may yet bring into the
//! ledger, so what it does not know of (an answer that was lost, what the ledger has taken just
//! now) makes others wait, and never lets them have what is used here.

use std::time::{Duration, Instant};

use crate::lease::{LeaseAsk, LeaseGrant, LeaseOf};
use crate::sums::{Sum, Sums};
use crate::{Period, Picos, UnixMillis, Usage};

/// How long nobody asks again for that of which too little was left.
pub(crate) const DRY: Duration = Duration::from_millis(100);

/// Nothing that is not needed is kept of a limit of which less is left than for so many asks.
const SCARCE: i128 = 16;

/// The leases of an account.
#[derive(Debug, Default)]
pub(crate) struct Lent {
    leases: Vec<Lease>,
    /// What was charged and is not in the ledger yet, which may find that it costs less.
    pending: Sum,
}

/// What an account has used and holds in this process, by which leases are looked at.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) sums: &'a Sums,
    pub(crate) held: &'a Sum,
    pub(crate) in_flight: u64,
    pub(crate) utc: UnixMillis,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    of: LeaseOf,
    number: u64,
    /// What may be used in the period, with what has been, as it was charged.
    granted: i128,
    /// What others, and earlier processes, have in the ledger, less what was charged here too much:
    /// with what was used here it is what the ledger has and will have at the most.
    used_elsewhere: i128,
    /// What others have reserved.
    held_elsewhere: i128,
    /// No more was to be had; is asked for again then.
    dry_until: Option<Instant>,
    /// So little was left that others may lack what is kept here.
    is_scarce: bool,
    /// What the database has as reserved, if that is known.
    known: Option<i128>,
    /// What was used when it was looked at last, and the most that was used and held since.
    used_before: i128,
    peak: i128,
}

impl Own<'_> {
    fn number(&self, of: LeaseOf) -> u64 {
        of.period().map_or(0, |period| period.number(self.utc))
    }

    pub(crate) fn used(&self, of: LeaseOf) -> i128 {
        let sum = |period: Period| self.sums.get(period, self.utc);
        match of {
            LeaseOf::Money(period) => sum(period).cost.get(),
            LeaseOf::Units(meter, period) => sum(period).usage.get(meter).into(),
            LeaseOf::Concurrency => 0,
        }
    }

    pub(crate) fn held(&self, of: LeaseOf) -> i128 {
        match of {
            LeaseOf::Concurrency => self.in_flight.into(),
            of => part(self.held, of),
        }
    }

    fn taken(&self, of: LeaseOf) -> i128 {
        self.used(of) + self.held(of)
    }
}

impl Lease {
    /// One of which nothing is left: what was used and is held is granted.
    fn new(of: LeaseOf, own: &Own<'_>) -> Self {
        Self {
            of,
            number: own.number(of),
            granted: own.taken(of),
            used_elsewhere: 0,
            held_elsewhere: 0,
            dry_until: None,
            is_scarce: false,
            known: None,
            used_before: own.used(of),
            peak: 0,
        }
    }

    fn reserved(&self, own: &Own<'_>, pending: &Sum) -> i128 {
        // More may have been used than was granted: of what was charged beyond its hold.
        self.granted.max(own.taken(self.of)) - own.used(self.of) + part(pending, self.of)
    }

    /// Keeps what requests of the last while needed, where there is plenty, and gives back the
    /// rest.
    fn shrink(&mut self, own: &Own<'_>) {
        let (used, taken) = (own.used(self.of), own.taken(self.of));
        let more = ((used - self.used_before).max(0) * 2).max(self.peak - taken);
        let kept = taken + if self.is_scarce { 0 } else { more };
        (self.used_before, self.peak) = (used, taken);
        self.granted = self.granted.min(kept);
    }
}

impl Lent {
    fn find(&self, of: LeaseOf, own: &Own<'_>) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.of == of && lease.number == own.number(of))
    }

    /// What may be used of a limit, with what has been.
    pub(crate) fn granted(&self, of: LeaseOf, own: &Own<'_>) -> i128 {
        self.find(of, own).map_or_else(|| own.taken(of), |lease| lease.granted)
    }

    /// What other processes used and have reserved of a limit, as far as is known.
    pub(crate) fn elsewhere(&self, of: LeaseOf, own: &Own<'_>) -> (i128, i128) {
        self.find(of, own).map_or((0, 0), |lease| (lease.used_elsewhere, lease.held_elsewhere))
    }

    /// What is to be asked for, so that so much can be taken: of which period, what is reserved,
    /// and how much more is needed.
    pub(crate) fn want(
        &self,
        of: LeaseOf,
        needed: i128,
        own: &Own<'_>,
        now: Instant,
    ) -> Option<(u64, i128, i128)> {
        let unlent = Lease::new(of, own);
        let lease = self.find(of, own).unwrap_or(&unlent);
        let lacks = own.taken(of) + needed - lease.granted;
        let is_dry = lease.dry_until.is_some_and(|until| now < until);
        let reserved = lease.reserved(own, &self.pending);
        (needed > 0 && lacks > 0 && !is_dry).then_some((lease.number, reserved, lacks))
    }

    /// Takes what was lent, if its period is not over.
    pub(crate) fn take(&mut self, ask: &LeaseAsk, grant: &LeaseGrant, own: &Own<'_>, now: Instant) {
        let (of, number) = (ask.of, own.number(ask.of));
        if ask.number != number {
            return;
        }
        let pending = part(&self.pending, of);
        let is_it = |lease: &Lease| (lease.of, lease.number) == (of, number);
        let idx = self.leases.iter().position(is_it).unwrap_or_else(|| {
            self.leases.push(Lease::new(of, own));
            self.leases.len() - 1
        });
        let lease = &mut self.leases[idx];
        lease.granted += grant.more;
        lease.known = Some(ask.reserved + grant.more);
        lease.used_elsewhere = grant.used - (own.used(of) - pending).max(0);
        lease.held_elsewhere = grant.elsewhere;
        lease.dry_until = (grant.more < ask.need).then(|| now + DRY);
        lease.is_scarce = grant.left < SCARCE * ask.need;
    }

    /// Nothing is left of what was granted: limits are others now.
    pub(crate) fn forfeit(&mut self, own: &Own<'_>) {
        for lease in &mut self.leases {
            lease.granted = lease.granted.min(own.taken(lease.of));
            lease.dry_until = None;
        }
    }

    /// A request was let in.
    pub(crate) fn note_peak(&mut self, own: &Own<'_>) {
        for lease in &mut self.leases {
            lease.peak = lease.peak.max(own.taken(lease.of));
        }
    }

    /// What is reserved from now on, where the database knows other numbers: of what, of which
    /// period, and how much; of all, or of what others may lack.
    pub(crate) fn shrink(&mut self, own: &Own<'_>, of_all: bool) -> Vec<(LeaseOf, u64, i128)> {
        let mut changed = self.turn(own);
        for lease in self.leases.iter_mut().filter(|lease| of_all || lease.is_scarce) {
            lease.shrink(own);
            let reserved = lease.reserved(own, &self.pending);
            if lease.known != Some(reserved) {
                // Until it is known to be written.
                lease.known = None;
                changed.push((lease.of, lease.number, reserved));
            }
        }
        changed
    }

    /// Leases of periods that are over become such of those that began: what requests hold is
    /// reserved of these.
    fn turn(&mut self, own: &Own<'_>) -> Vec<(LeaseOf, u64, i128)> {
        let is_over = |lease: &mut Lease| lease.number != own.number(lease.of);
        let over: Vec<_> = self.leases.extract_if(.., is_over).collect();
        for lease in &over {
            if self.find(lease.of, own).is_none() {
                self.leases.push(Lease { is_scarce: true, ..Lease::new(lease.of, own) });
            }
        }
        over.iter().map(|lease| (lease.of, lease.number, 0)).collect()
    }

    /// The database has it.
    pub(crate) fn written(&mut self, of: LeaseOf, number: u64, reserved: i128) {
        let found = self.leases.iter_mut().find(|lease| (lease.of, lease.number) == (of, number));
        if let Some(lease) = found {
            lease.known = Some(reserved);
        }
    }

    /// What was charged and may cost less.
    pub(crate) fn pending(&self, of: LeaseOf) -> i128 {
        if matches!(of, LeaseOf::Money(_)) { self.pending.cost.get() } else { 0 }
    }

    /// Whether others had something of a limit reserved when it was asked for, or what was charged
    /// may cost less.
    pub(crate) fn may_get_more(&self) -> bool {
        self.leases.iter().any(|lease| lease.held_elsewhere > 0 || self.pending(lease.of) > 0)
    }

    /// Whether nothing is reserved any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.leases.iter().all(|lease| lease.known == Some(0))
    }

    pub(crate) fn charge(&mut self, used: &Sum) {
        self.pending.add(used);
    }

    /// The ledger has it. Says whether others may lack what is reserved for it yet.
    pub(crate) fn appended(&mut self, usage: Usage, cost: Picos) -> bool {
        self.pending.take(&Sum { usage, cost });
        self.leases.iter().any(|lease| lease.is_scarce)
    }
}

fn part(sum: &Sum, of: LeaseOf) -> i128 {
    match of {
        LeaseOf::Money(_) => sum.cost.get(),
        LeaseOf::Units(meter, _) => sum.usage.get(meter).into(),
        LeaseOf::Concurrency => 0,
    }
}
