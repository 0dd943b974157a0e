//! Which pieces of an image a model sees: its size after scaling, and how it is cut.
//!
//! Source: transformers' `image_processing_idefics3.py`, whose sizes are computed in `f64` and cut
//! to integers.
//!
//! Invariant: all pieces are squares of one size; there are at most as many as the preprocessing's
//! bounds allow, whatever the image's shape.

use crate::{preprocessing::Preprocessing, resize::Rgb};

/// The most pixels of a side after scaling, as the reference has it.
pub(crate) const MAX_SCALED: usize = 4096;

/// How an image is scaled and cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// First to this size, ...
    scaled: (usize, usize),
    /// ... and then to this one, of whole pieces.
    whole: (usize, usize),
    /// Pieces down and across; none if the whole image is the only one.
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    side: usize,
}

impl Layout {
    /// For an image of this width and height.
    pub(crate) fn of(rules: &Preprocessing, size: (usize, usize)) -> Self {
        let side = rules.tile;
        let scaled = below(to_longest(size, rules.longest_edge), MAX_SCALED);
        if !rules.splits {
            return Self { scaled, whole: (side, side), rows: 0, cols: 0, side };
        }
        let whole = to_whole(scaled, side);
        let (cols, rows) = (whole.0 / side, whole.1 / side);
        let (cols, rows) = if cols > 1 || rows > 1 { (cols, rows) } else { (0, 0) };
        Self { scaled, whole, rows, cols, side }
    }

    /// Pieces, the whole image at last.
    pub(crate) fn num_tiles(&self) -> usize {
        self.rows * self.cols + 1
    }

    /// Scales the image and cuts it.
    pub(crate) fn tiles(&self, image: &Rgb) -> Vec<u8> {
        let scaled = image.resized(self.scaled.0, self.scaled.1);
        let whole = scaled.resized(self.whole.0, self.whole.1);
        drop(scaled);
        let mut tiles = Vec::with_capacity(self.num_tiles() * 3 * self.side * self.side);
        for row in 0..self.rows {
            for col in 0..self.cols {
                whole.crop((col * self.side, row * self.side), self.side, &mut tiles);
            }
        }
        tiles.extend(whole.resized(self.side, self.side).pixels);
        tiles
    }
}

/// The longest side becomes `longest`, the other in proportion an even number.
fn to_longest((width, height): (usize, usize), longest: usize) -> (usize, usize) {
    let ratio = width as f64 / height as f64;
    let even = |len: f64| (len as usize).next_multiple_of(2);
    if width >= height {
        (longest, even(longest as f64 / ratio).max(1))
    } else {
        (even(longest as f64 * ratio).max(1), longest)
    }
}

/// The same where a side is longer than `most`.
fn below((width, height): (usize, usize), most: usize) -> (usize, usize) {
    let ratio = width as f64 / height as f64;
    if width >= height && width > most {
        (most, ((most as f64 / ratio) as usize).max(1))
    } else if height > width && height > most {
        (((most as f64 * ratio) as usize).max(1), most)
    } else {
        (width, height)
    }
}

/// Sides become multiples of `side`, the longer one first.
fn to_whole((width, height): (usize, usize), side: usize) -> (usize, usize) {
    let ratio = width as f64 / height as f64;
    let whole = |len: usize| len.max(1).next_multiple_of(side);
    if width >= height {
        let width = whole(width);
        (width, whole((width as f64 / ratio) as usize))
    } else {
        let height = whole(height);
        (whole((height as f64 * ratio) as usize), height)
    }
}
