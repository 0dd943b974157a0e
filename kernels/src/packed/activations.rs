//! Rows of activations in the forms that products read.
//!
//! Invariant: a block of 32 is converted on its own, so a row's form depends on that row only. A
//! value that is not a number makes its block's scale one, and so shows in every output.

use std::cell::UnsafeCell;

use super::{
    GROUP,
    bf16::{self, to_bf16},
};
use crate::lines::{first, spare};

/// Elements that share a scale.
pub(super) const BLOCK: usize = 32;
/// The most that weights and inputs of 16-bit products are: 32 products fit a sum of 32 bits.
pub(super) const MOST_INT16: i32 = 8191;
const _: () = assert!((MOST_INT16 as i64).pow(2) * BLOCK as i64 <= i32::MAX as i64);

/// A form of activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As they are.
    F32,
    /// Bytes, 32 to a scale.
    Int8,
    /// Fourteen bits with the sign, 32 to a scale.
    Int16,
    /// Two bfloat16s: the number rounded, and what that left, rounded; some 16 bits of it.
    Bf16,
    /// The first of them alone, for half of the work; [`Kind::Bf16`] does instead.
    RoundedBf16,
}

/// Memory that threads write in disjoint places.
struct Shared<T> {
    memory: Box<[UnsafeCell<T>]>,
    /// Where the first line begins.
    first: usize,
}

// SAFETY: all access is through raw pointers by `unsafe` methods whose callers keep apart what
// is written.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T: Copy + Default> Shared<T> {
    fn new(wanted: bool, len: usize) -> Self {
        let len = if wanted { len + spare::<T>() } else { 0 };
        let memory: Box<[_]> = (0..len).map(|_| UnsafeCell::new(T::default())).collect();
        Self { first: first(memory.as_ptr()), memory }
    }

    fn is_kept(&self) -> bool {
        !self.memory.is_empty()
    }

    fn len(&self) -> usize {
        self.memory.len().saturating_sub(spare::<T>())
    }

    fn at(&self, i: usize) -> *mut T {
        debug_assert!(i <= self.len());
        UnsafeCell::raw_get(self.memory.as_ptr().wrapping_add(self.first + i))
    }
}

/// Rows whose groups lie side by side: a tile's rows are at fixed distances, and a run through
/// all groups is a run through memory.
pub(super) const BAND: usize = 12;

/// Rows of activations, each in the forms asked for; `cols` is rounded up to whole groups.
///
/// Forms of integers are kept in bands of twelve rows, `[band][group][row]`: one *slot* for each
/// group of a row. bfloat16s lie as tiles (`packed/bf16.rs`).
pub struct Activations {
    max_rows: usize,
    groups: usize,
    kinds: Vec<Kind>,
    f32: Shared<f32>,
    int8: Shared<i8>,
    scales: Shared<f32>,
    /// `-Σ q` of each 16, and of each 32.
    sums: Shared<i32>,
    block_sums: Shared<i32>,
    /// `scale · Σ q` of each 32, the same as bfloat16, and that as a float again.
    scaled_sums: Shared<f32>,
    offsets: Shared<u16>,
    wide_offsets: Shared<f32>,
    int16: Shared<i16>,
    int16_scales: Shared<f32>,
    bf16: Shared<u16>,
    /// Numbers that each input is in there.
    bf16_parts: usize,
}

/// Where the forms begin, slot by slot.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) groups: usize,
    pub(super) int8: *const i8,
    pub(super) scales: *const f32,
    pub(super) sums: *const i32,
    pub(super) block_sums: *const i32,
    pub(super) scaled_sums: *const f32,
    pub(super) offsets: *const u16,
    pub(super) wide_offsets: *const f32,
    pub(super) int16: *const i16,
    pub(super) int16_scales: *const f32,
    pub(super) bf16: *const u16,
    pub(super) bf16_parts: usize,
}

/// The slot of a row's first group; the next groups' follow at distances of [`BAND`].
#[inline(always)]
pub(super) fn slot(row: usize, groups: usize) -> usize {
    row / BAND * groups * BAND + row % BAND
}

// SAFETY: the activations are borrowed while a product runs, and nobody writes them.
unsafe impl Sync for View {}

impl Activations {
    /// At most `max_rows` rows of `cols` elements in the forms `kinds`.
    pub fn new(max_rows: usize, cols: usize, kinds: &[Kind]) -> Self {
        let groups = cols.div_ceil(GROUP);
        let len = max_rows.next_multiple_of(BAND) * groups * GROUP;
        let has = |kind| kinds.contains(&kind);
        let bf16_parts = if has(Kind::Bf16) { 2 } else { 1 };
        let has_bf16 = has(Kind::Bf16) || has(Kind::RoundedBf16);
        Self {
            max_rows,
            groups,
            kinds: kinds.to_vec(),
            f32: Shared::new(has(Kind::F32), max_rows * groups * GROUP),
            int8: Shared::new(has(Kind::Int8), len),
            scales: Shared::new(has(Kind::Int8), len / BLOCK),
            sums: Shared::new(has(Kind::Int8), len / 16),
            block_sums: Shared::new(has(Kind::Int8), len / BLOCK),
            scaled_sums: Shared::new(has(Kind::Int8), len / BLOCK),
            offsets: Shared::new(has(Kind::Int8), len / BLOCK),
            wide_offsets: Shared::new(has(Kind::Int8), len / BLOCK),
            int16: Shared::new(has(Kind::Int16), len),
            int16_scales: Shared::new(has(Kind::Int16), len / BLOCK),
            bf16: Shared::new(has_bf16, bf16::len(max_rows, groups, bf16_parts)),
            bf16_parts,
        }
    }

    /// The most rows it holds.
    pub fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// Elements from one row to the next, in each form that has one number for each.
    pub fn stride(&self) -> usize {
        self.groups * GROUP
    }

    /// Whether it keeps this form, or a finer one of the same numbers.
    pub fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::RoundedBf16 => self.bf16.is_kept(),
            _ => self.kinds.contains(&kind),
        }
    }

    /// The first `rows` rows as they are, [`stride`](Self::stride) apart.
    ///
    /// # Panics
    /// If this form is not kept, or not so many rows.
    pub fn as_f32(&mut self, rows: usize) -> &[f32] {
        let len = rows * self.stride();
        assert!(len <= self.f32.len(), "rows kept as f32");
        // SAFETY: in bounds; `&mut self` keeps writers away.
        unsafe { std::slice::from_raw_parts(self.f32.at(0), len) }
    }

    /// Sets a whole row, by the plainest path; the rest of its last group becomes zero.
    ///
    /// # Panics
    /// If there is no such row, or `x` is longer than a row.
    pub fn set_row(&mut self, row: usize, x: &[f32]) {
        assert!(row < self.max_rows && x.len() <= self.stride(), "no such row");
        for i in 0..self.stride() / BLOCK {
            let from = &x[x.len().min(i * BLOCK)..x.len().min((i + 1) * BLOCK)];
            let mut block = [0.0; BLOCK];
            block[..from.len()].copy_from_slice(from);
            // SAFETY: the row is in bounds, and `&mut self` keeps others away.
            unsafe { self.put(row, i, &block) };
        }
    }

    pub(super) fn view(&self) -> View {
        View {
            groups: self.groups,
            int8: self.int8.at(0),
            scales: self.scales.at(0),
            sums: self.sums.at(0),
            block_sums: self.block_sums.at(0),
            scaled_sums: self.scaled_sums.at(0),
            offsets: self.offsets.at(0),
            wide_offsets: self.wide_offsets.at(0),
            int16: self.int16.at(0),
            int16_scales: self.int16_scales.at(0),
            bf16: self.bf16.at(0),
            bf16_parts: self.bf16_parts,
        }
    }

    /// Writes block `i` of a row in all forms.
    ///
    /// # Safety
    /// `row` and `i` are within bounds, and no other thread touches this block.
    #[inline(always)]
    pub(crate) unsafe fn put(&self, row: usize, i: usize, x: &[f32; BLOCK]) {
        let (plain, slot) = (row * self.groups * 2 + i, slot(row, self.groups) + i / 2 * BAND);
        let block = slot * 2 + i % 2;
        // SAFETY: the caller vouches for bounds and for being alone; each form is kept whole or
        // not at all.
        unsafe {
            if self.f32.is_kept() {
                self.f32.at(plain * BLOCK).cast::<[f32; BLOCK]>().write(*x);
            }
            if self.bf16.is_kept() {
                let parts = self.bf16_parts;
                let tile = self.bf16.at(bf16::tile(row, i, (self.groups, parts)));
                bf16::put(tile, (row, parts), x);
            }
            if self.int16.is_kept() {
                let (whole, scale) = quantize::<{ MOST_INT16 }>(x);
                let to = self.int16.at(block * BLOCK).cast::<[i16; BLOCK]>();
                for (to, whole) in (*to).iter_mut().zip(whole) {
                    *to = whole as i16;
                }
                self.int16_scales.at(block).write(scale);
            }
            if self.int8.is_kept() {
                self.put_int8(block, x);
            }
        }
    }

    /// # Safety
    /// As [`put`](Self::put); `block` counts blocks slot by slot.
    #[inline(always)]
    unsafe fn put_int8(&self, block: usize, x: &[f32; BLOCK]) {
        let (whole, scale) = quantize::<127>(x);
        let mut sums = [0_i32; 2];
        for (sum, whole) in sums.iter_mut().zip(whole.as_chunks::<{ BLOCK / 2 }>().0) {
            for whole in whole {
                *sum = sum.wrapping_add(*whole);
            }
        }
        let sum = sums[0].wrapping_add(sums[1]);
        let scaled_sum = scale * sum as f32;
        // SAFETY: the caller vouches.
        unsafe {
            let to = self.int8.at(block * BLOCK).cast::<[i8; BLOCK]>();
            for (to, whole) in (*to).iter_mut().zip(whole) {
                *to = whole as i8;
            }
            self.scales.at(block).write(scale);
            let negated = [sums[0].wrapping_neg(), sums[1].wrapping_neg()];
            self.sums.at(block * 2).cast::<[i32; 2]>().write(negated);
            self.block_sums.at(block).write(sum.wrapping_neg());
            self.scaled_sums.at(block).write(scaled_sum);
            let offset = to_bf16(scaled_sum);
            self.offsets.at(block).write(offset);
            self.wide_offsets.at(block).write(f32::from_bits(u32::from(offset) << 16));
        }
    }
}

/// `q = round(x / scale)` and `scale = max |x| / MOST`.
#[inline(always)]
fn quantize<const MOST: i32>(x: &[f32; BLOCK]) -> ([i32; BLOCK], f32) {
    /// Adding it leaves the rounded number in the low bits.
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³
    // As integers: in order for magnitudes, with what is not a number above all. All in plain
    // loops: a closure that is not inlined is compiled without the instruction set.
    let mut max = 0;
    for x in x {
        max = (x.to_bits() & 0x7fff_ffff).max(max);
    }
    let max = f32::from_bits(max);
    let inverse = MOST as f32 / max;
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    let mut whole = [0; BLOCK];
    for (whole, x) in whole.iter_mut().zip(x) {
        *whole = x.mul_add(inverse, ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    }
    (whole, max / MOST as f32)
}
