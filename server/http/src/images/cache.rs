//! Rows of images that were seen before.
//!
//! Invariant: all that is kept takes at most so many bytes; what was used longest ago goes first.
//! The tenant is in the key, so that nobody can time what others have shown.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use engine_core::{InsetRows, TenantId};
use tokio::sync::Mutex as Turn;

type Key = (TenantId, [u8; 32]);

/// Bytes that an entry takes beside its rows, about.
const ENTRY_BYTES: usize = 256;

/// The rows of one model's images.
pub(super) struct RowCache {
    max_bytes: usize,
    kept: Mutex<Kept>,
    /// Of images whose rows are being made.
    turns: Mutex<HashMap<Key, Weak<Turn<()>>>>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Key, (InsetRows, u64)>,
    /// By when they were last used.
    order: BTreeMap<u64, Key>,
    num_bytes: usize,
    clock: u64,
}

fn weight(rows: &InsetRows) -> usize {
    rows.num_bytes() + ENTRY_BYTES
}

impl RowCache {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, kept: Mutex::default(), turns: Mutex::default() }
    }

    /// What to hold while an image's rows are made: others who want the same find them then.
    pub(super) fn turn(&self, tenant: &TenantId, id: &[u8; 32]) -> Arc<Turn<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let place = turns.entry((tenant.clone(), *id)).or_default();
        place.upgrade().unwrap_or_else(|| {
            let turn = Arc::default();
            *place = Arc::downgrade(&turn);
            turn
        })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of the tenant's image with these contents.
    pub(super) fn get(&self, tenant: &TenantId, id: &[u8; 32]) -> Option<InsetRows> {
        let mut kept = self.lock();
        let Kept { entries, order, clock, .. } = &mut *kept;
        let key = (tenant.clone(), *id);
        let (rows, used) = entries.get_mut(&key)?;
        *clock += 1;
        order.remove(used);
        *used = *clock;
        order.insert(*clock, key);
        Some(rows.clone())
    }

    /// Keeps rows, unless they are more than all that may be kept.
    pub(super) fn put(&self, tenant: &TenantId, rows: &InsetRows) {
        let weighs = weight(rows);
        if weighs > self.max_bytes {
            return;
        }
        let key = (tenant.clone(), *rows.id());
        let mut kept = self.lock();
        kept.remove(&key);
        while kept.num_bytes + weighs > self.max_bytes {
            let Some((_, oldest)) = kept.order.pop_first() else { break };
            kept.remove(&oldest);
        }
        kept.clock += 1;
        let now = kept.clock;
        kept.num_bytes += weighs;
        kept.order.insert(now, key.clone());
        kept.entries.insert(key, (rows.clone(), now));
    }
}

impl Kept {
    fn remove(&mut self, key: &Key) {
        if let Some((rows, used)) = self.entries.remove(key) {
            self.order.remove(&used);
            self.num_bytes -= weight(&rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_and_tenants_see_their_own() {
        let rows = |id: u8, num: usize| InsetRows::new([id; 32], 1, vec![f32::from(id); num]);
        let [a, b] = ["a", "b"].map(|tenant| TenantId(tenant.into()));
        let cache = RowCache::new(2 * (40 + ENTRY_BYTES));
        let has = |tenant: &TenantId, id: u8| cache.get(tenant, &[id; 32]).is_some();
        cache.put(&a, &rows(1, 10));
        assert!(has(&a, 1) && !has(&b, 1));
        cache.put(&b, &rows(1, 10));
        assert!(has(&b, 1) && has(&a, 1));
        // The other tenant's was used longer ago.
        cache.put(&a, &rows(2, 10));
        assert!(has(&a, 1) && has(&a, 2) && !has(&b, 1));
        // What is there already takes no further room.
        cache.put(&a, &rows(2, 10));
        assert!(has(&a, 1) && has(&a, 2));
        // Too large for all of it: nothing goes.
        cache.put(&b, &rows(3, 1000));
        assert!(has(&a, 1) && has(&a, 2) && !has(&b, 3));
        // As large as all of it: everything goes.
        cache.put(&b, &rows(4, 20 + ENTRY_BYTES / 4));
        assert!(!has(&a, 1) && !has(&a, 2) && has(&b, 4));
        let kept = cache.lock();
        assert_eq!((kept.entries.len(), kept.order.len()), (1, 1));
        assert_eq!(kept.num_bytes, 2 * (40 + ENTRY_BYTES));
    }
}
