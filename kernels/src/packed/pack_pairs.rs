//! From stored rows to panels of pairs of 16 bits: whole numbers of 14 bits, and bfloat16.
//!
//! A group of sixteen rows is put together row by row, as vectors take it, and then turned, so that
//! the panel is written once from its beginning to its end. Invariant: every byte of a panel is
//! written, and is the same on each instruction set: what [`reference`](super::reference) says.

use super::{Format, GROUP, PANEL, activations::MOST_INT16};
use crate::{
    quant::{DType, dequantize, floats},
    simd::{Dot, LINE, on_each_isa},
};

/// Pairs of inputs in a group: its lines.
const PAIRS: usize = GROUP / 2;
/// Inputs that are read at a time: whole blocks of each stored type.
const STRIPE: usize = 256;

/// A group, row by row.
type Rows16 = [[[u8; 4]; PAIRS]; PANEL];

/// A panel's rows as they are stored, perhaps fewer than there are lanes.
pub(super) struct StoredRows<'a> {
    pub(super) dtype: DType,
    pub(super) bytes: &'a [u8],
    pub(super) cols: usize,
}

impl StoredRows<'_> {
    /// As many bytes of each row as inputs `from..to` take, with the row's lane.
    #[inline(always)]
    fn part(&self, from: usize, to: usize) -> impl Iterator<Item = (usize, &[u8])> {
        let bytes = |cols: usize| cols / self.dtype.block_len() * self.dtype.block_bytes();
        let (from, to) = (bytes(from), bytes(to.min(self.cols)));
        self.bytes.chunks_exact(bytes(self.cols)).map(move |row| &row[from..to]).enumerate()
    }
}

on_each_isa! {
    /// Rounds rows to 14 bits with a power of two for each group.
    ///
    /// # Safety
    /// `isa` is available.
    int16_panel = int16_task(rows: &StoredRows<'_>, panel: &mut [u8])
}

on_each_isa! {
    /// Turns rows of bfloat16, which stay as they are.
    ///
    /// # Safety
    /// `isa` is available.
    bf16_panel = bf16_task(rows: &StoredRows<'_>, panel: &mut [u8])
}

/// # Safety
/// See [`int16_panel`].
#[inline(always)]
unsafe fn int16_task<D: Dot>(rows: &StoredRows<'_>, panel: &mut [u8]) {
    let group_bytes = Format::Int16.group_bytes();
    let mut values = [[0.0; STRIPE]; PANEL];
    for (i, stripe) in panel.chunks_mut(STRIPE / GROUP * group_bytes).enumerate() {
        for (lane, stored) in rows.part(i * STRIPE, (i + 1) * STRIPE) {
            let len = STRIPE.min(rows.cols - i * STRIPE);
            let (to, beyond) = values[lane].split_at_mut(len);
            match rows.dtype {
                DType::F32 | DType::F16 | DType::BF16 => floats(rows.dtype, stored, to),
                dtype => dequantize(dtype, stored, to),
            }
            beyond.fill(0.0);
        }
        let num_rows = rows.part(0, 0).count();
        for (j, group) in stripe.chunks_exact_mut(group_bytes).enumerate() {
            let mut whole: Rows16 = [[[0; 4]; PAIRS]; PANEL];
            let mut scales = [[0; 4]; PANEL];
            for lane in 0..num_rows {
                let values = &values[lane].as_chunks::<GROUP>().0[j];
                scales[lane] = to_int16(values, &mut whole[lane]).to_le_bytes();
            }
            turn(&whole, group);
            group[PAIRS * LINE..].copy_from_slice(scales.as_flattened());
        }
    }
}

/// # Safety
/// See [`bf16_panel`].
#[inline(always)]
unsafe fn bf16_task<D: Dot>(rows: &StoredRows<'_>, panel: &mut [u8]) {
    for (i, group) in panel.chunks_exact_mut(Format::Bf16.group_bytes()).enumerate() {
        let mut stored: Rows16 = [[[0; 4]; PAIRS]; PANEL];
        for (lane, row) in rows.part(i * GROUP, (i + 1) * GROUP) {
            stored[lane].as_flattened_mut()[..row.len()].copy_from_slice(row);
        }
        turn(&stored, group);
    }
}

/// Writes the same pair of all rows into a line, pair after pair.
#[inline(always)]
fn turn(rows: &Rows16, group: &mut [u8]) {
    for (k, line) in group.as_chunks_mut::<LINE>().0[..PAIRS].iter_mut().enumerate() {
        for (pair, row) in line.as_chunks_mut::<4>().0.iter_mut().zip(rows) {
            *pair = row[k];
        }
    }
}

/// The values as whole numbers of the scale that is returned.
#[inline(always)]
fn to_int16(values: &[f32; GROUP], to: &mut [[u8; 4]; PAIRS]) -> f32 {
    /// What leaves the whole number nearest to a small one, ties to even, in the lower bits of the
    /// sum: three halves of the number of which one step is 1.
    const ROUND: f32 = 1.5 * (1 << 23) as f32;
    let scale = int16_scale(values);
    if scale.is_nan() {
        // Whatever it is multiplied with.
        to.fill([0; 4]);
        return scale;
    }
    // A power of two: to multiply with it is to divide by the other, bit for bit.
    let inverse = scale.recip();
    let most = MOST_INT16 as f32;
    let to = to.as_flattened_mut().as_chunks_mut::<2>().0;
    for (to, value) in to.iter_mut().zip(values) {
        let rounded = (value * inverse).clamp(-most, most) + ROUND;
        *to = (rounded.to_bits() as u16).to_le_bytes();
    }
    scale
}

/// The power of two that the largest value has its thirteen bits above; not a number where a
/// value is none or infinite, so that it shows in every output.
#[inline(always)]
fn int16_scale(values: &[f32; GROUP]) -> f32 {
    let mut largest = 0;
    for value in values {
        largest = (value.to_bits() & 0x7fff_ffff).max(largest);
    }
    match largest >> 23 {
        0xff => f32::NAN,
        // Below, the scale itself would not be a normal number.
        exponent => f32::from_bits(exponent.saturating_sub(12).max(1) << 23),
    }
}
