//! The latest of what events tell of one thing, whatever order they come in.
//!
//! Invariant: after all events of a history, in any order and any number of times, the value is
//! that of the last one. Where several are of its second, which Stripe does not order, it is what
//! Stripe says now.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::time::UnixSeconds;

/// A value, and when it was so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Versioned<T> {
    at: UnixSeconds,
    value: T,
}

/// What an event did to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It was newer.
    Changed,
    /// It was known, or older.
    Unchanged,
    /// It cannot be said: Stripe has to be asked.
    Unknown,
}

impl<T: PartialEq> Versioned<T> {
    pub(crate) fn new(at: UnixSeconds, value: T) -> Self {
        Self { at, value }
    }

    pub(crate) fn value(&self) -> &T {
        &self.value
    }

    pub(crate) fn join(&mut self, at: UnixSeconds, value: T) -> Joined {
        match at.cmp(&self.at) {
            Ordering::Less => Joined::Unchanged,
            Ordering::Equal if value == self.value => Joined::Unchanged,
            Ordering::Equal => Joined::Unknown,
            Ordering::Greater => {
                *self = Self::new(at, value);
                Joined::Changed
            }
        }
    }

    /// Whether an event of `at` that tells of the thing without saying how it is tells nothing new.
    pub(crate) fn is_after(&self, at: UnixSeconds) -> bool {
        at < self.at
    }

    /// What Stripe said when it was asked because of an event of `at`. An event that is later than
    /// that is taken over it, even one of before it was asked: others follow.
    pub(crate) fn replace(&mut self, at: UnixSeconds, value: T) {
        *self = Self::new(self.at.max(at), value);
    }
}
