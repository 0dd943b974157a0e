//! How inputs are cut into groups that go through all layers one after another.
//!
//! Invariant: a group has whole inputs, in their order, and fits the lane that it goes to.

use std::ops::Range;

use kernels::attention::BLOCK_SIZE;

/// Rows whose activations stay in a core's cache: of MiniLM's, 128 take under 2 MB in all, and its
/// weights, read again for so many, a twentieth of the time.
pub(super) const GROUP_ROWS: usize = 128;
/// The most rows of a thread on its own.
pub(super) const LANE_ROWS: usize = kernels::attention::MAX_KEYS;

/// One input's share of a batch, or of a group.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) first_row: usize,
    pub(super) num_rows: usize,
}

/// Rows of inputs that lie one after another.
pub(super) fn num_rows(spans: &[Span]) -> usize {
    spans.iter().map(|span| span.num_rows).sum()
}

/// Blocks of keys that inputs take.
pub(super) fn num_blocks(spans: &[Span]) -> usize {
    spans.iter().map(|span| span.num_rows.div_ceil(BLOCK_SIZE)).sum()
}

/// Blocks of keys for so many rows; many short inputs take more than rows fill, and then go in
/// turn: as many inputs as there are rows would take sixteen times the blocks.
pub(super) fn max_blocks(max_rows: usize) -> usize {
    max_rows.div_ceil(BLOCK_SIZE) * 2
}

/// Cuts inputs.
pub(super) struct Groups {
    threads: usize,
    hidden: usize,
    /// Kept for their memory.
    groups: Vec<Range<usize>>,
    ends: Vec<usize>,
}

/// What comes next.
pub(super) struct Cut<'a> {
    /// The inputs of each group.
    pub(super) groups: &'a [Range<usize>],
    /// Where each group's elements end.
    pub(super) ends: &'a [usize],
    /// Whether each thread takes whole groups.
    pub(super) apart: bool,
}

impl Groups {
    /// For so many threads and rows of so many elements.
    pub(super) fn new(threads: usize, hidden: usize) -> Self {
        Self { threads, hidden, groups: Vec::new(), ends: Vec::new() }
    }

    /// Cuts the first of the `spans`, at least one; all threads together have room for
    /// `max_rows`.
    pub(super) fn cut(&mut self, spans: &[Span], max_rows: usize) -> Cut<'_> {
        let short = spans.iter().take_while(|span| span.num_rows <= LANE_ROWS).count();
        let spans = &spans[..short.max(1)];
        let rows = num_rows(spans);
        let num_groups = rows.div_ceil(GROUP_ROWS).next_multiple_of(self.threads);
        self.fill(spans, rows.div_ceil(num_groups));
        let largest = self.groups.iter().map(|group| num_rows(&spans[group.clone()])).max();
        // The last thread to end is to have at most half as much again as its share.
        let even = 2 * largest.unwrap_or(0) * self.threads <= 3 * rows;
        let apart = self.threads > 1 && short > 0 && even;
        let fits = rows <= max_rows && num_blocks(spans) <= max_blocks(max_rows);
        if !apart && self.threads > 1 && fits {
            self.groups.clear();
            self.groups.push(0..spans.len());
        }
        let hidden = self.hidden;
        self.ends.clear();
        self.ends.extend(self.groups.iter().scan(0, |end, group| {
            *end += num_rows(&spans[group.clone()]) * hidden;
            Some(*end)
        }));
        Cut { groups: &self.groups, ends: &self.ends, apart }
    }

    /// Groups of about so many rows.
    fn fill(&mut self, spans: &[Span], target: usize) {
        self.groups.clear();
        let (mut from, mut rows, mut blocks) = (0, 0, 0);
        for (i, span) in spans.iter().enumerate() {
            let more = span.num_rows.div_ceil(BLOCK_SIZE);
            // Without it, the group is nearer to the target.
            let is_full = rows + span.num_rows / 2 > target
                || rows + span.num_rows > LANE_ROWS
                || blocks + more > max_blocks(LANE_ROWS);
            if i > from && is_full {
                self.groups.push(from..i);
                (from, rows, blocks) = (i, 0, 0);
            }
            (rows, blocks) = (rows + span.num_rows, blocks + more);
        }
        self.groups.push(from..spans.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(lens: &[usize]) -> Vec<Span> {
        let first = |i: usize| lens[..i].iter().sum();
        let span = |(i, len): (usize, &usize)| Span { first_row: first(i), num_rows: *len };
        lens.iter().enumerate().map(span).collect()
    }

    /// Where groups end, and whether they go apart, with two threads.
    fn cut(lens: &[usize]) -> (Vec<usize>, bool) {
        let mut groups = Groups::new(2, 1);
        let cut = groups.cut(&spans(lens), 512);
        assert_eq!(cut.ends.len(), cut.groups.len());
        (cut.groups.iter().map(|group| group.end).collect(), cut.apart)
    }

    #[test]
    fn equal_inputs_go_apart_in_groups_that_stay_in_a_cache() {
        assert_eq!(cut(&[64; 8]), (vec![2, 4, 6, 8], true));
        assert_eq!(cut(&[256; 4]), (vec![1, 2, 3, 4], true));
        assert_eq!(cut(&[16, 16]), (vec![1, 2], true));
    }

    #[test]
    fn one_input_and_uneven_ones_are_computed_together() {
        assert_eq!(cut(&[64]), (vec![1], false));
        assert_eq!(cut(&[16, 400]), (vec![2], false));
        // The long one waits for those before it.
        assert_eq!(cut(&[600, 16]), (vec![1], false));
        assert_eq!(cut(&[16, 16, 600]), (vec![1, 2], true));
    }

    #[test]
    fn inputs_of_one_token_take_a_block_each() {
        let mut groups = Groups::new(2, 1);
        let all = spans(&[1; 300]);
        let cut = groups.cut(&all, 512);
        assert!(cut.groups.iter().all(|group| group.len() <= max_blocks(LANE_ROWS)));
        assert_eq!(cut.groups.iter().map(Range::len).sum::<usize>(), 300);
    }

    #[test]
    fn one_thread_takes_one_group_after_another() {
        let mut groups = Groups::new(1, 1);
        let all = spans(&[64; 8]);
        let cut = groups.cut(&all, 512);
        assert_eq!((cut.groups.len(), cut.ends, cut.apart), (4, &[128, 256, 384, 512][..], false));
    }
}
