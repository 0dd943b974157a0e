//! Grammars that were compiled, or are being compiled, by what they come from.
//!
//! Invariant: those that are done take at most [`MAX_BYTES`] together, and there are at most
//! [`MAX_KEPT`]: clients choose what is compiled, and a large one takes a thousand times what a
//! small one does.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::{CompileError, Compiled};

/// Grammars of a model, of all tenants together.
const MAX_KEPT: usize = 64;
/// What they take.
const MAX_BYTES: usize = 128 << 20;

pub(crate) type Entry = Arc<OnceLock<Result<Arc<Compiled>, CompileError>>>;
/// The hash of tenant and source.
pub(crate) type Key = [u8; 32];

/// The entries, and how often any was asked for.
pub(crate) struct Kept {
    entries: HashMap<Key, Held>,
    clock: u64,
    max_bytes: usize,
}

#[derive(Default)]
struct Held {
    entry: Entry,
    /// When it was last asked for.
    used: u64,
    /// 0 while it is being compiled.
    num_bytes: usize,
}

impl Default for Kept {
    fn default() -> Self {
        Self { entries: HashMap::new(), clock: 0, max_bytes: MAX_BYTES }
    }
}

impl Kept {
    /// The entry of this key, which is new if there was none.
    pub(crate) fn entry(&mut self, key: Key) -> Entry {
        self.clock += 1;
        if self.entries.len() >= MAX_KEPT && !self.entries.contains_key(&key) {
            let used = |(_, held): &(&Key, &Held)| held.used;
            let oldest = self.entries.iter().min_by_key(used).map(|(key, _)| *key);
            oldest.map(|oldest| self.entries.remove(&oldest));
        }
        let held = self.entries.entry(key).or_default();
        held.used = self.clock;
        Arc::clone(&held.entry)
    }

    /// Notes what an entry takes now that it is compiled. If all take too much then, those go that
    /// take most and were not asked for longest; one that is too large alone goes itself.
    pub(crate) fn weigh(&mut self, key: &Key, entry: &Entry, num_bytes: usize) {
        match self.entries.get_mut(key) {
            Some(held) if Arc::ptr_eq(&held.entry, entry) => held.num_bytes = num_bytes,
            // It has gone meanwhile.
            _ => return,
        }
        if num_bytes > self.max_bytes {
            self.entries.remove(key);
        }
        while self.num_bytes() > self.max_bytes {
            let burden = |(_, held): &(&Key, &Held)| {
                let age = self.clock - held.used + 1;
                held.num_bytes as u128 * u128::from(age)
            };
            let others = self.entries.iter().filter(|(other, _)| *other != key);
            let Some(worst) = others.max_by_key(burden).map(|(key, _)| *key) else { return };
            self.entries.remove(&worst);
        }
    }

    fn num_bytes(&self) -> usize {
        self.entries.values().map(|held| held.num_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: u8) -> Key {
        [name; 32]
    }

    fn add(kept: &mut Kept, name: u8, num_bytes: usize) -> Entry {
        let entry = kept.entry(key(name));
        kept.weigh(&key(name), &entry, num_bytes);
        assert!(kept.num_bytes() <= kept.max_bytes && kept.entries.len() <= MAX_KEPT);
        entry
    }

    fn names(kept: &Kept) -> Vec<u8> {
        let mut names: Vec<u8> = kept.entries.keys().map(|key| key[0]).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_large_and_long_not_asked_for_goes_first() {
        let mut kept = Kept { max_bytes: 1000, ..Kept::default() };
        for (name, num_bytes) in [(0, 10), (1, 400), (2, 10), (3, 400)] {
            add(&mut kept, name, num_bytes);
        }
        assert_eq!(names(&kept), [0, 1, 2, 3]);
        // Of equals the older one, and none of the small ones for it.
        add(&mut kept, 4, 400);
        assert_eq!(names(&kept), [0, 2, 3, 4]);
        // One that is asked for stays, though it is older.
        kept.entry(key(3));
        kept.entry(key(3));
        add(&mut kept, 5, 400);
        assert_eq!(names(&kept), [0, 2, 3, 5]);
        // What takes all takes the place of all.
        add(&mut kept, 6, 1000);
        assert_eq!(names(&kept), [6]);
    }

    #[test]
    fn what_is_too_large_alone_is_not_kept_and_takes_no_place() {
        let mut kept = Kept { max_bytes: 1000, ..Kept::default() };
        add(&mut kept, 0, 900);
        add(&mut kept, 1, 1001);
        assert_eq!(names(&kept), [0]);
        // Who waits for it still has it.
        let entry = kept.entry(key(2));
        let waiting = kept.entry(key(2));
        kept.weigh(&key(2), &entry, 1001);
        assert!(Arc::ptr_eq(&entry, &waiting) && names(&kept) == [0]);
    }

    #[test]
    fn an_entry_that_has_gone_while_it_was_compiled_is_not_weighed() {
        let mut kept = Kept { max_bytes: 1000, ..Kept::default() };
        let entry = kept.entry(key(0));
        for name in 1..=MAX_KEPT as u8 {
            add(&mut kept, name, 1);
        }
        assert!(!names(&kept).contains(&0));
        let again = kept.entry(key(0));
        assert!(!Arc::ptr_eq(&entry, &again));
        kept.weigh(&key(0), &entry, 900);
        assert_eq!(kept.num_bytes(), MAX_KEPT - 1);
        kept.weigh(&key(0), &again, 900);
        assert_eq!(kept.num_bytes(), MAX_KEPT - 1 + 900);
    }
}
