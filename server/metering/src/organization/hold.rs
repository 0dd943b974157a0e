//! What a request has taken of its organization.

use std::sync::Arc;

use crate::limits::Room;
use crate::rate::{RateStatuses, Taken};
use crate::sums::Sum;
use crate::{Level, Meter, Path, Picos, Priced};

/// What a request that was let in has taken.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) priced: Option<Arc<Priced>>,
    pub(crate) room: Room,
    pub(crate) hold: Hold,
    pub(crate) statuses: RateStatuses,
}

/// What is held of an account's path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hold {
    /// What may be used and cost yet.
    pub(super) sum: Sum,
    /// What each level's rates gave.
    pub(super) taken: [Taken; Level::ALL.len()],
}

/// Whose work it is, and at which prices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work<'a> {
    pub(crate) path: &'a Path,
    pub(crate) priced: Option<&'a Priced>,
}

impl Hold {
    /// How many units of a meter it can use yet, at most.
    pub(crate) fn units(&self, meter: Meter) -> u64 {
        self.sum.usage.get(meter)
    }

    /// What the request can cost yet, at most.
    pub(crate) fn cost(&self) -> Picos {
        self.sum.cost
    }
}
