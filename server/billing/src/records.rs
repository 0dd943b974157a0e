//! The subscriptions or invoices of one organization: the newest, and all that are not over.
//!
//! Invariant: there are no more than the limit, and one that was let go is not taken for a new one
//! when a late event tells of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::UnixSeconds;
use crate::versioned::Joined;

/// One of several.
pub(crate) trait Record {
    /// When Stripe made it.
    fn created(&self) -> UnixSeconds;

    /// Whether nothing ever changes it.
    fn is_over(&self) -> bool;
}

/// Some, by their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "K: Serialize + serde::de::DeserializeOwned, \
                 V: Serialize + serde::de::DeserializeOwned")]
pub(crate) struct Records<K: Ord, V, const MAX: usize> {
    all: BTreeMap<K, V>,
    /// What was let go was made no later.
    let_go: Option<UnixSeconds>,
}

impl<K: Ord, V, const MAX: usize> Default for Records<K, V, MAX> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), let_go: None }
    }
}

impl<K: Ord + Clone, V: Record, const MAX: usize> Records<K, V, MAX> {
    pub(crate) fn get(&self, id: &K) -> Option<&V> {
        self.all.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &K) -> Option<&mut V> {
        self.all.get_mut(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.all.iter()
    }

    /// One that is not there, of an event that may be late.
    pub(crate) fn insert(&mut self, id: K, record: V) -> Joined {
        match self.let_go {
            Some(let_go) if record.created() <= let_go => match record.is_over() {
                true => Joined::Unchanged,
                false => Joined::Unknown,
            },
            _ => self.insert_current(id, record),
        }
    }

    /// One that is not there, as Stripe says it is now.
    pub(crate) fn insert_current(&mut self, id: K, record: V) -> Joined {
        if let Some(let_go) = self.let_go
            && record.is_over()
            && record.created() <= let_go
        {
            return Joined::Unchanged;
        }
        if self.all.len() >= MAX {
            let over = self.all.iter().filter(|(_, record)| record.is_over());
            let Some(oldest) = over.min_by_key(|(_, record)| record.created()) else {
                tracing::warn!(MAX, "an organization has too many of one kind at Stripe");
                return Joined::Unchanged;
            };
            let (id, created) = (oldest.0.clone(), oldest.1.created());
            self.all.remove(&id);
            self.let_go = self.let_go.max(Some(created));
        }
        self.all.insert(id, record);
        Joined::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Made(u64, bool);

    impl Record for Made {
        fn created(&self) -> UnixSeconds {
            UnixSeconds(self.0)
        }

        fn is_over(&self) -> bool {
            self.1
        }
    }

    #[test]
    fn the_oldest_that_is_over_goes_and_does_not_come_back_by_a_late_event() {
        let mut records = Records::<u32, Made, 2>::default();
        assert_eq!(records.insert(1, Made(1, true)), Joined::Changed);
        assert_eq!(records.insert(2, Made(2, false)), Joined::Changed);
        assert_eq!(records.insert(3, Made(3, true)), Joined::Changed);
        assert!(records.get(&1).is_none());
        // A late event of when it was not over: only Stripe can say.
        assert_eq!(records.insert(1, Made(1, false)), Joined::Unknown);
        assert_eq!(records.insert_current(1, Made(1, true)), Joined::Unchanged);
        assert_eq!(records.insert(1, Made(1, true)), Joined::Unchanged);
        assert_eq!(records.iter().count(), 2);
        // What is not over stays, and is in the way where all are.
        assert_eq!(records.insert(4, Made(4, false)), Joined::Changed);
        assert_eq!(records.insert(5, Made(5, false)), Joined::Unchanged);
        assert!(records.get(&2).is_some() && records.get(&5).is_none());
    }
}
