//! Some rows of one head against some partitions of keys, on one thread.
//!
//! Written without closures in what runs for each key: one that is not inlined is compiled
//! without the instruction set.

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::{
    BLOCK_SIZE, Cache, CacheLayout, KvDtype, PARTITION, Params, Run, TILE,
    bytes::{self, Bytes},
    rows::{BAND, BLOCKS, Floats, Numbers, Rows, Tiles},
    softmax::State,
};
use crate::{
    activation::cap_row,
    isa::Isa,
    lines::Lines,
    packed::to_bf16,
    simd::{Dot, on_each_isa},
};

/// So few rows wait for keys and values from memory.
const FEW_ROWS: usize = 24;

/// Queries as products take them.
pub(super) struct Queries {
    /// In bands of rows, step by step.
    pub(super) operands: Lines<u32>,
    /// Whether they are multiplied on tiles, for which they lie otherwise.
    pub(super) on_tiles: bool,
    /// What scores of integers are multiplied with, for each row.
    pub(super) scales: Vec<f32>,
}

impl Queries {
    pub(super) fn new(rows: usize, head_dim: usize) -> Self {
        let steps = head_dim.next_multiple_of(4);
        // Whole bands, and whole tiles of the matrix unit.
        let operands = Lines::new(rows.next_multiple_of(BAND).next_multiple_of(16) * steps);
        Self { operands, on_tiles: false, scales: vec![0.0; rows] }
    }

    /// Whether to lie for tiles or for vectors.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused, reason = "there are no tiles"))]
    pub(super) fn choose(&mut self, isa: Isa, layout: &CacheLayout) {
        #[cfg(target_arch = "x86_64")]
        {
            self.on_tiles = super::amx::takes(isa, layout);
        }
    }
}

/// Rows: the query heads of one key head at some consecutive positions.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) isa: Isa,
    pub(super) run: Run<'a>,
    /// The first position, counted from the run's.
    pub(super) first: usize,
    pub(super) positions: usize,
    pub(super) kv_head: usize,
    pub(super) params: Params<'a>,
}

impl Piece<'_> {
    pub(super) fn group(&self, cache: &Cache<'_>) -> usize {
        self.params.num_heads / cache.layout().num_kv_heads
    }

    pub(super) fn num_rows(&self, cache: &Cache<'_>) -> usize {
        self.positions * self.group(cache)
    }

    /// The position of a row.
    #[inline(always)]
    pub(super) fn position(&self, row: usize, group: usize) -> usize {
        self.run.position + self.first + row / group
    }

    /// Holds scores within the cap, if there is one.
    ///
    /// # Safety
    /// The piece's instruction set is available.
    #[inline(always)]
    pub(super) unsafe fn cap(&self, scores: &mut [f32]) {
        if let Some(cap) = self.params.softcap {
            // Scores are to base 2. Few models have caps: this is no part of each tile's code.
            // SAFETY: the caller vouches.
            unsafe { cap_row(self.isa, scores, cap * std::f32::consts::LOG2_E) };
        }
    }

    /// The sink of a row's head, as scores are: to base 2.
    pub(super) fn sink(&self, row: usize, cache: &Cache<'_>) -> Option<f32> {
        let group = self.group(cache);
        let head = self.kv_head * group + row % group;
        self.params.sinks.map(|sinks| sinks[head] * std::f32::consts::LOG2_E)
    }

    /// The end of the keys that a position sees.
    #[inline(always)]
    pub(super) fn end(&self, position: usize) -> usize {
        if !self.params.both_ways {
            return position + 1;
        }
        let window = self.params.window.unwrap_or(usize::MAX);
        position.saturating_add(window).min(self.run.position + self.run.num_rows)
    }

    /// The first key that any row sees, and the end of the last ones.
    pub(super) fn keys(&self) -> (usize, usize) {
        let first = self.run.position + self.first;
        let window = self.params.window.unwrap_or(usize::MAX);
        ((first + 1).saturating_sub(window), self.end(first + self.positions - 1))
    }

    /// Where the vector of a row is in `q` and `out`, whose rows are all heads.
    pub(super) fn vector(&self, row: usize, cache: &Cache<'_>) -> usize {
        let group = self.group(cache);
        let token = self.run.first_row + self.first + row / group;
        let head = self.kv_head * group + row % group;
        (token * self.params.num_heads + head) * cache.layout().head_dim
    }
}

/// What rows have accumulated: outputs of whole vectors, and softmaxes.
pub(super) struct Sums<'a> {
    pub(super) outputs: &'a mut [f32],
    pub(super) states: &'a mut [State],
}

impl Sums<'_> {
    fn clear(&mut self) {
        self.outputs.fill(0.0);
        self.states.fill(State::EMPTY);
    }

    /// Adds what later keys gave.
    pub(super) fn merge(&mut self, outputs: &[f32], states: &[State]) {
        let width = outputs.len() / states.len().max(1);
        let rows = self.outputs.chunks_exact_mut(width).zip(outputs.chunks_exact(width));
        for ((to, from), (state, other)) in rows.zip(self.states.iter_mut().zip(states)) {
            let (a, b, merged) = state.merge(*other);
            *state = merged;
            for (to, from) in to.iter_mut().zip(from) {
                *to = *to * a + from * b;
            }
        }
    }
}

on_each_isa! {
    /// Fills `operands` with the piece's queries, scaled to powers of two.
    ///
    /// # Safety
    /// `isa` is available.
    load_queries = load(q: &[f32], piece: &Piece<'_>, cache: &Cache<'_>, to: &mut Queries)
}

on_each_isa! {
    /// Computes one partition of the piece's keys into `sums`.
    ///
    /// # Safety
    /// `isa` is available, the run's blocks reach its last position and exist.
    partition = attend(
        piece: &Piece<'_>,
        cache: &Cache<'_>,
        index: usize,
        queries: &Queries,
        sums: &mut Sums<'_>
    )
}

/// # Safety
/// See [`load_queries`].
#[inline(always)]
unsafe fn load<D: Dot>(q: &[f32], piece: &Piece<'_>, cache: &Cache<'_>, to: &mut Queries) {
    let layout = cache.layout();
    let steps = layout.query_steps();
    let scale = piece.params.scale * std::f32::consts::LOG2_E;
    for row in 0..piece.num_rows(cache) {
        let at = piece.vector(row, cache);
        let q = &q[at..at + layout.head_dim];
        #[cfg(target_arch = "x86_64")]
        if to.on_tiles {
            amx::load_query(q, scale, &mut to.operands, row);
            continue;
        }
        let operands = &mut to.operands[row / BAND * steps * BAND..];
        if layout.dtype == KvDtype::Int8 {
            to.scales[row] = scale * bytes::load_query(q, operands, row % BAND);
            continue;
        }
        for step in 0..steps {
            let operand = if layout.dtype == KvDtype::Bf16 {
                let [a, b] = [to_bf16(q[2 * step] * scale), to_bf16(q[2 * step + 1] * scale)];
                u32::from(a) | u32::from(b) << 16
            } else {
                (q[step] * scale).to_bits()
            };
            operands[step * BAND + row % BAND] = operand;
        }
    }
}

/// # Safety
/// See [`partition`].
#[inline(always)]
unsafe fn attend<D: Dot>(
    piece: &Piece<'_>,
    cache: &Cache<'_>,
    index: usize,
    queries: &Queries,
    sums: &mut Sums<'_>,
) {
    sums.clear();
    // SAFETY: the caller vouches.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if D::WIDE && queries.on_tiles {
            return amx::attend(piece, cache, index, queries, sums);
        }
        match cache.layout().dtype {
            KvDtype::F32 => tiles::<D, Floats<false>>(piece, cache, index, queries, sums),
            KvDtype::Bf16 => tiles::<D, Floats<true>>(piece, cache, index, queries, sums),
            KvDtype::Int8 => tiles::<D, Bytes>(piece, cache, index, queries, sums),
        }
    }
}

/// # Safety
/// See [`partition`].
#[inline(always)]
unsafe fn tiles<D: Dot, N: Numbers>(
    piece: &Piece<'_>,
    cache: &Cache<'_>,
    index: usize,
    queries: &Queries,
    sums: &mut Sums<'_>,
) {
    let group = piece.group(cache);
    let rows = piece.num_rows(cache);
    let (from, to) = tiles_of(piece, index);
    let mut next = find(piece, cache, from * TILE);
    for tile in from..to {
        let (tiles, num_blocks) = next;
        let key = tile * TILE;
        if tile + 1 < to {
            next = find(piece, cache, key + TILE);
        }
        let mut row = 0;
        while row < rows {
            let band = (BAND - row % BAND).min(rows - row);
            let next = (rows <= FEW_ROWS && row == 0 && tile + 1 < to).then_some(&next.0);
            let tiles = &tiles;
            let work = Rows { piece, cache, row, group, queries, tiles, num_blocks, key, next };
            // SAFETY: the caller vouches; rows stay within a band.
            row += unsafe {
                if band >= 6 && D::WIDE {
                    N::attend::<D, 6>(&work, sums)
                } else if band >= 3 {
                    N::attend::<D, 3>(&work, sums)
                } else {
                    N::attend::<D, 1>(&work, sums)
                }
            };
        }
    }
}

/// The first tile of a partition that any row sees, and the end of the last ones.
pub(super) fn tiles_of(piece: &Piece<'_>, index: usize) -> (usize, usize) {
    let (first, end) = piece.keys();
    let from = first.max(index * PARTITION) / TILE;
    (from, end.min((index + 1) * PARTITION).div_ceil(TILE))
}

/// The tiles of the keys from `key` on, and how many of them there are. Blocks past the end
/// repeat the last one; their keys are hidden.
#[inline(always)]
pub(super) fn find(piece: &Piece<'_>, cache: &Cache<'_>, key: usize) -> (Tiles, usize) {
    let num_blocks = (piece.keys().1 - key).div_ceil(BLOCK_SIZE).min(BLOCKS);
    let mut tiles = [(std::ptr::null_mut(), std::ptr::null_mut()); BLOCKS];
    for (i, tiles) in tiles.iter_mut().enumerate() {
        let block = piece.run.blocks[key / BLOCK_SIZE + i.min(num_blocks - 1)];
        *tiles = cache.tiles(block, piece.kv_head);
    }
    (tiles, num_blocks)
}
