//! Rows that stand in place of tokens' embeddings: what an image is to a language model.
//!
//! Invariant: two of one id hold the same rows, so what was computed from one holds for the other;
//! whoever holds them keeps them in memory.

use std::{fmt, ops::Range, sync::Arc};

/// Rows as wide as a model's embeddings; cloning shares them.
#[derive(Clone)]
pub struct InsetRows {
    id: [u8; 32],
    width: usize,
    rows: Arc<Vec<f32>>,
}

impl InsetRows {
    /// `id` names the contents, as a digest does; `rows` are `width` numbers each.
    pub fn new(id: [u8; 32], width: usize, rows: Vec<f32>) -> Self {
        Self { id, width, rows: Arc::new(rows) }
    }

    /// Names the contents.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many there are.
    pub fn num_rows(&self) -> usize {
        self.rows.len().checked_div(self.width).unwrap_or(0)
    }

    /// Bytes that they take.
    pub fn num_bytes(&self) -> usize {
        self.rows.len() * size_of::<f32>()
    }

    /// The numbers of these rows, one after another.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn rows(&self, rows: Range<usize>) -> &[f32] {
        &self.rows[rows.start * self.width..rows.end * self.width]
    }
}

impl PartialEq for InsetRows {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for InsetRows {}

impl fmt::Debug for InsetRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What they show is the client's.
        write!(f, "InsetRows({} of {})", self.num_rows(), self.width)
    }
}

/// A run of positions that has rows in place of embeddings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inset {
    /// Its first position: in the prompt, or, within a step, in the input.
    pub at: u32,
    /// How many positions.
    pub len: u32,
    /// Where the rows are.
    pub rows: InsetRows,
    /// The row of the first position; the others' follow.
    pub first_row: u32,
}

impl Inset {
    /// Its positions.
    pub fn positions(&self) -> Range<usize> {
        let at = self.at as usize;
        at..at + self.len as usize
    }

    /// The numbers of its rows.
    ///
    /// # Panics
    /// If it does not [fit](Self::fits).
    pub fn numbers(&self) -> &[f32] {
        let first = self.first_row as usize;
        self.rows.rows(first..first + self.len as usize)
    }

    /// Whether it has positions, all within `len` ones, and rows for all of them.
    pub fn fits(&self, len: usize) -> bool {
        let rows = self.first_row as usize + self.len as usize;
        self.len > 0 && self.positions().end <= len && rows <= self.rows.num_rows()
    }

    /// What of it is at these positions, counted from their start.
    pub fn within(&self, positions: Range<usize>) -> Option<Self> {
        let own = self.positions();
        let (start, end) = (own.start.max(positions.start), own.end.min(positions.end));
        (start < end).then(|| Self {
            at: (start - positions.start) as u32,
            len: (end - start) as u32,
            rows: self.rows.clone(),
            first_row: self.first_row + (start - own.start) as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_rows_of_their_positions() {
        let rows = InsetRows::new([1; 32], 2, (0..20).map(|x| x as f32).collect());
        let inset = Inset { at: 10, len: 5, rows, first_row: 3 };
        assert!(inset.fits(15) && !inset.fits(14));
        assert_eq!(inset.numbers()[..2], [6.0, 7.0]);
        for (positions, expect) in [
            (0..10, None),
            (15..20, None),
            (0..20, Some((10, 5, 3))),
            (12..13, Some((0, 1, 5))),
            (8..12, Some((2, 2, 3))),
            (14..99, Some((0, 1, 7))),
        ] {
            let part = inset.within(positions.clone());
            let got = part.as_ref().map(|part| (part.at, part.len, part.first_row));
            assert_eq!(got, expect, "{positions:?}");
        }
        let short = Inset { first_row: 6, ..inset.clone() };
        assert!(!short.fits(99), "no rows for its last position");
        assert!(!Inset { len: 0, ..inset }.fits(99));
    }
}
