//! The sets of numbers that the IQ formats point into.
//!
//! The files in `grids/` are ggml's tables (`ggml-common.h`) with each entry's numbers in two or
//! three bits; `kernels/tools/make_grids.py` makes them from the `gguf` package.

/// Entries of 16 bits, little-endian.
pub(super) struct Grid<const BYTES: usize>(&'static [u8; BYTES]);

pub(super) static IQ1_S: Grid<4096> = Grid(include_bytes!("grids/iq1_s.u16"));
pub(super) static IQ2_XXS: Grid<512> = Grid(include_bytes!("grids/iq2_xxs.u16"));
pub(super) static IQ2_XS: Grid<1024> = Grid(include_bytes!("grids/iq2_xs.u16"));
pub(super) static IQ2_S: Grid<2048> = Grid(include_bytes!("grids/iq2_s.u16"));
pub(super) static IQ3_XXS: Grid<512> = Grid(include_bytes!("grids/iq3_xxs.u16"));
pub(super) static IQ3_S: Grid<1024> = Grid(include_bytes!("grids/iq3_s.u16"));

impl<const BYTES: usize> Grid<BYTES> {
    /// The numbers of an entry, each two bits.
    #[inline(always)]
    pub(super) fn eight(&self, entry: u16) -> [u8; 8] {
        let word = self.word(entry);
        std::array::from_fn(|j| (word >> (2 * j) & 3) as u8)
    }

    /// The numbers of an entry, each three bits of four.
    #[inline(always)]
    pub(super) fn four(&self, entry: u16) -> [u8; 4] {
        let word = self.word(entry);
        std::array::from_fn(|j| (word >> (4 * j) & 7) as u8)
    }

    #[inline(always)]
    fn word(&self, entry: u16) -> u16 {
        // A format has no more bits for an entry than there are entries.
        super::blocks::u16_at(self.0, usize::from(entry) * 2)
    }
}
