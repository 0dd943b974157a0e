//! Names that come again and again, each kept once: most of what is read has them in common.

use std::collections::HashSet;
use std::sync::Arc;

/// Those of many keys; with more it begins anew.
const MAX_NAMES: usize = 1 << 16;
/// What a request has of them.
const NUM_PLACES: usize = 7;

/// Names that were read before.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: HashSet<Arc<str>>,
    /// Of the record before, in their places: often the same.
    last: [Option<Arc<str>>; NUM_PLACES],
}

impl Names {
    /// A name, which stands in a place of its record.
    pub(super) fn get(&mut self, place: usize, name: &str) -> Arc<str> {
        match self.last.get(place) {
            Some(Some(last)) if **last == *name => return Arc::clone(last),
            _ => {}
        }
        let name = match self.known.get(name) {
            Some(known) => Arc::clone(known),
            None => {
                if self.known.len() >= MAX_NAMES {
                    self.known.clear();
                }
                let name = Arc::from(name);
                self.known.insert(Arc::clone(&name));
                name
            }
        };
        if let Some(last) = self.last.get_mut(place) {
            *last = Some(Arc::clone(&name));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_so_many_at_most() {
        let mut names = Names::default();
        let one = names.get(0, "one");
        assert!(Arc::ptr_eq(&one, &names.get(1, "one")));
        assert_eq!(&*names.get(0, "two"), "two");
        assert!(Arc::ptr_eq(&one, &names.get(0, "one")));
        for idx in 0..MAX_NAMES + 1 {
            assert_eq!(*names.get(2, &idx.to_string()), *idx.to_string());
        }
        assert!(names.known.len() < MAX_NAMES);
        assert_eq!(&*names.get(NUM_PLACES, "beyond"), "beyond");
    }
}
