//! Memory that begins with a cache line.
//!
//! A load of a whole line that is not in one takes two, and a tile is sixteen such loads: on an
//! Emerald Rapids products of tiles took 2.4 times as long from memory 16 bytes off.

use std::ops::{Deref, DerefMut};

use crate::simd::LINE;

/// A slice that begins with a cache line, made once.
#[derive(Debug)]
pub struct Lines<T> {
    memory: Vec<T>,
    first: usize,
    len: usize,
}

/// Elements that a slice may have to be moved by.
pub(crate) const fn spare<T>() -> usize {
    LINE / size_of::<T>()
}

/// By how many it is moved where it begins at `p`.
pub(crate) fn first<T>(p: *const T) -> usize {
    // Where that cannot be told, any place will do.
    p.align_offset(LINE).min(spare::<T>())
}

impl<T: Copy + Default> Lines<T> {
    /// So many defaults.
    pub fn new(len: usize) -> Self {
        let memory = vec![T::default(); len + spare::<T>()];
        Self { first: first(memory.as_ptr()), memory, len }
    }
}

impl<T: Copy + Default> Clone for Lines<T> {
    fn clone(&self) -> Self {
        let mut lines = Self::new(self.len);
        lines.copy_from_slice(self);
        lines
    }
}

impl<T> Deref for Lines<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.first..][..self.len]
    }
}

impl<T> DerefMut for Lines<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.first..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_a_line_and_has_all_its_elements() {
        for len in [0, 1, 5, 64, 1000, 1 << 20] {
            let mut lines = Lines::<u16>::new(len);
            assert_eq!((lines.len(), lines.as_ptr().addr() % LINE), (len, 0));
            lines.fill(7);
            assert!(lines.iter().all(|x| *x == 7));
            let copy = lines.clone();
            assert_eq!((&*copy, copy.as_ptr().addr() % LINE), (&*lines, 0));
        }
    }
}
