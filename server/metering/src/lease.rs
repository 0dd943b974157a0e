//! What processes that share a database lend each other of limits.
//!
//! Invariant: what is in the ledger of a period, and what all processes have reserved of it, are
//! never more than its limit together, but for what was lent before a limit was lowered.
//!
//! A process may use what it was granted, and asks for more when a request needs it. What it has
//! reserved is what it may yet bring into the ledger: what is left of the grants, what requests
//! hold, and what was used and is not in the ledger yet. Rates are not reserved: what a process
//! takes out of a shared bucket is its own, and what a killed one had is filled up again in a
//! minute. What depends on free units and steps of prices is reserved at the dearest price until
//! the ledger has it, which knows what it costs.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::{AccountId, Ask, Meter, Meters, ModelSums, OrganizationId, Path, Period, RateKind};

/// What something is lent of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseOf {
    /// A budget, in pico-units.
    Money(Period),
    /// A quota, in the meter's units.
    Units(Meter, Period),
    /// Requests at once.
    Concurrency,
}

/// What is asked of one limit for this process; what is given back, where nothing is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseAsk {
    /// Whose limit it is.
    pub account: AccountId,
    /// Which one.
    pub of: LeaseOf,
    /// Which day or month, as [`Period::number`] has it; 0 of what has none.
    pub number: u64,
    /// The limit.
    pub limit: i128,
    /// What this process has reserved, whatever the database knows of that.
    pub reserved: i128,
    /// What it needs besides.
    pub need: i128,
}

/// What came of a [`LeaseAsk`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseGrant {
    /// What is reserved besides now; it may be more than was needed, or less where no more is left.
    pub more: i128,
    /// What the ledger has of the period, of all processes.
    pub used: i128,
    /// What other processes have reserved.
    pub elsewhere: i128,
    /// What is left for all after that.
    pub left: i128,
}

/// What is asked of one rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateAsk {
    /// Whose rate it is.
    pub account: AccountId,
    /// Of what.
    pub kind: RateKind,
    /// How many a minute.
    pub limit: u64,
    /// What this process puts back; below zero, what it took without having it.
    pub back: i64,
    /// How many it needs then.
    pub need: u64,
}

/// What came of a [`RateAsk`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateGrant {
    /// How many it may take: as many as it needs at least, or none.
    pub more: u64,
    /// How many are left then; below zero where more were taken.
    pub left: i64,
}

/// What is asked for at once, of one organization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseAsks {
    /// Of budgets, quotas and requests at once.
    pub leases: Vec<LeaseAsk>,
    /// Of rates.
    pub rates: Vec<RateAsk>,
}

/// What came of [`LeaseAsks`], in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseGrants {
    /// Of budgets, quotas and requests at once.
    pub leases: Vec<LeaseGrant>,
    /// Of rates.
    pub rates: Vec<RateGrant>,
}

/// Why nothing was lent.
pub type LendError = Box<dyn Error + Send + Sync>;

/// Whoever has limits in common with other processes.
pub trait Lender: fmt::Debug + Send + Sync {
    /// Asks for what [`Meters::wants`] says that a request lacks, and tells it by
    /// [`Meters::lent`]; one ask at a time for a process, so that what is reserved is known.
    fn lend<'a>(
        &'a self,
        meters: &'a Meters,
        path: &'a Path,
        ask: &'a Ask,
    ) -> Pin<Box<dyn Future<Output = Result<(), LendError>> + Send + 'a>>;

    /// Reads what the ledger has of an organization's models.
    fn read<'a>(
        &'a self,
        organization: &'a OrganizationId,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<ModelSums>, LendError>> + Send + 'a>>;
}

impl LeaseOf {
    /// In what it counts.
    #[must_use]
    pub fn period(self) -> Option<Period> {
        match self {
            Self::Money(period) | Self::Units(_, period) => Some(period),
            Self::Concurrency => None,
        }
    }
}

impl LeaseAsks {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty() && self.rates.is_empty()
    }
}
