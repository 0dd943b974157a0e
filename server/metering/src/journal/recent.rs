//! What was settled last, in memory: the ledger takes it from here, and not out of the files.
//!
//! Invariant: it holds all that was settled after a place, in that order, and there are so many at
//! most. What it does not hold the files have.

use std::collections::VecDeque;

use super::Entry;
use super::read::Cursor;

/// A third of a second at 25,000 requests a second, and a few MiB.
const MAX_ENTRIES: usize = 8_192;

#[derive(Debug)]
pub(super) struct Recent {
    from: Cursor,
    /// With the place after each.
    entries: VecDeque<(Entry, Cursor)>,
}

impl Recent {
    /// Nothing yet of what comes after a place.
    pub(super) fn after(from: Cursor) -> Self {
        Self { from, entries: VecDeque::new() }
    }

    /// What was just written, and the place after it. If it is too much, all of it is left to the
    /// files.
    pub(super) fn push(&mut self, entry: Entry, after: Cursor) {
        if self.entries.len() >= MAX_ENTRIES {
            *self = Self::after(after);
        } else {
            self.entries.push_back((entry, after));
        }
    }

    /// Hands out what was settled after a place, so many at most, and the place after that, if it
    /// has all of it. `end` is that of the journal. What is handed out only the files have then.
    pub(super) fn take(
        &mut self,
        at: Cursor,
        max_entries: usize,
        end: Cursor,
    ) -> Option<(Vec<Entry>, Cursor)> {
        if at < self.from {
            return None;
        }
        while self.entries.front().is_some_and(|(_, after)| *after <= at) {
            self.entries.pop_front();
        }
        let num = self.entries.len().min(max_entries);
        let mut upto = at;
        let mut taken = Vec::with_capacity(num);
        for (entry, after) in self.entries.drain(..num) {
            taken.push(entry);
            upto = after;
        }
        if self.entries.is_empty() {
            upto = end;
        }
        self.from = upto;
        Some((taken, upto))
    }
}
