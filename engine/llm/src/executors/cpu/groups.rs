//! Which layers' keys and values lie in one block.
//!
//! Layers that see everything and those with a window are in different groups, so that blocks of
//! the latter go back when the window is past them. Invariant: every layer has a place of its own,
//! and no group has layers of both kinds.

use engine_core::CacheGroups;
use kernels::attention::TILE;

use crate::spec::{DecoderSpec, LayerSpec};

/// Of all places at most one in so many stays empty for want of layers: with larger groups there
/// are fewer block tables, with smaller ones there is less that is empty.
const PLACES_PER_EMPTY: usize = 16;

/// The groups of a decoder's layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LayerGroups {
    pub(super) counts: CacheGroups,
    /// Layers that a block has places for.
    pub(super) size: usize,
    /// Each layer's group, and its place there.
    pub(super) places: Vec<(usize, usize)>,
}

impl LayerGroups {
    pub(super) fn of(spec: &DecoderSpec) -> Self {
        let reaches: Vec<_> = spec.layers.iter().map(|layer| reach(spec, layer)).collect();
        let num_windowed = reaches.iter().flatten().count();
        let num_whole = reaches.len() - num_windowed;
        let size = group_size(num_whole, num_windowed);
        let [whole, windowed] = [num_whole, num_windowed].map(|layers| layers.div_ceil(size));
        let mut next = [0, whole * size];
        let places = reaches.iter().map(|reach| {
            let next = &mut next[usize::from(reach.is_some())];
            let at = *next;
            *next += 1;
            (at / size, at % size)
        });
        let places = places.collect();
        // The widest window is everyone's.
        let window = reaches.iter().flatten().max().map_or(u32::MAX, |reach| as_u32(*reach));
        let counts = CacheGroups { whole: as_u32(whole), windowed: as_u32(windowed), window };
        Self { counts, size, places }
    }
}

fn as_u32(x: usize) -> u32 {
    u32::try_from(x).unwrap_or(u32::MAX)
}

/// How many positions up to its own a layer reads, if that is less than all.
fn reach(spec: &DecoderSpec, layer: &LayerSpec) -> Option<usize> {
    let chunk = spec.attention.chunk.filter(|_| layer.chunked);
    // Keys are read with those beside them.
    let window = layer.window.map(|window| window.saturating_add(TILE - 1));
    chunk.or(window).filter(|reach| *reach < spec.max_model_len)
}

/// Layers of a group, where there are so many of either kind.
fn group_size(num_whole: usize, num_windowed: usize) -> usize {
    let layers = num_whole + num_windowed;
    let fewest = num_whole.min(num_windowed);
    let is_full = |size: &usize| {
        let places = (num_whole.div_ceil(*size) + num_windowed.div_ceil(*size)) * size;
        (places - layers) * PLACES_PER_EMPTY <= places
    };
    let size = if fewest == 0 { layers } else { (1..=fewest).rev().find(is_full).unwrap_or(1) };
    size.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_large_and_nearly_full() {
        for (num_whole, num_windowed, size, groups) in [
            (32, 0, 32, 1),
            (0, 32, 32, 1),
            // gpt-oss-20b, Gemma 2 of 2, 9 and 27 billion parameters, Command R7B, Llama 4.
            (12, 12, 12, 2),
            (13, 13, 13, 2),
            (21, 21, 21, 2),
            (23, 23, 23, 2),
            (8, 24, 8, 4),
            (12, 36, 12, 4),
            // Gemma 3 of 1, 4, 12 and 27.
            (4, 22, 2, 13),
            (5, 29, 5, 7),
            (8, 40, 8, 6),
            (10, 52, 6, 11),
            (1, 6, 1, 7),
        ] {
            let got = group_size(num_whole, num_windowed);
            let num_groups = num_whole.div_ceil(got) + num_windowed.div_ceil(got);
            assert_eq!((got, num_groups), (size, groups), "{num_whole} and {num_windowed}");
        }
    }
}
