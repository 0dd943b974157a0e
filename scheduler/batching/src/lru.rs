//! A list of block numbers in order of release, with removal from the middle in O(1).
//!
//! Invariant: a number is in the list at most once; links of absent numbers are not looked at.

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    prev: u32,
    next: u32,
}

/// Least recently released first.
pub(crate) struct Lru {
    links: Vec<Link>,
    first: u32,
    last: u32,
    len: usize,
}

impl Lru {
    /// A list of numbers below `capacity`.
    pub(crate) fn new(capacity: u32) -> Self {
        let links = vec![Link { prev: NONE, next: NONE }; capacity as usize];
        Self { links, first: NONE, last: NONE, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends an absent number.
    pub(crate) fn push_back(&mut self, item: u32) {
        self.links[item as usize] = Link { prev: self.last, next: NONE };
        match self.last {
            NONE => self.first = item,
            last => self.links[last as usize].next = item,
        }
        self.last = item;
        self.len += 1;
    }

    /// Takes a present number out.
    pub(crate) fn remove(&mut self, item: u32) {
        let Link { prev, next } = self.links[item as usize];
        match prev {
            NONE => self.first = next,
            prev => self.links[prev as usize].next = next,
        }
        match next {
            NONE => self.last = prev,
            next => self.links[next as usize].prev = prev,
        }
        self.len -= 1;
    }

    pub(crate) fn pop_front(&mut self) -> Option<u32> {
        (self.first != NONE).then(|| {
            let item = self.first;
            self.remove(item);
            item
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn behaves_like_a_deque(ops in prop::collection::vec((0u8..3, 0u32..8), 0..200)) {
            let (mut lru, mut model) = (Lru::new(8), VecDeque::new());
            for (op, item) in ops {
                match op {
                    0 if !model.contains(&item) => {
                        lru.push_back(item);
                        model.push_back(item);
                    }
                    1 if model.contains(&item) => {
                        lru.remove(item);
                        model.retain(|x| *x != item);
                    }
                    2 => prop_assert_eq!(lru.pop_front(), model.pop_front()),
                    _ => {}
                }
                prop_assert_eq!(lru.len(), model.len());
            }
        }
    }
}
