//! From stored rows to panels.
//!
//! Invariant: quantised integers, and bfloat16 for the matrix unit, are kept as they are stored;
//! scales that a stored type computes from two numbers are rounded to halves (2⁻¹² of each),
//! minima to bfloat16 after the zero point has taken most of them away. A power of two that no
//! half reaches (MXFP4 has them from 2⁻¹²⁸ to 2¹²⁷) becomes zero or shows as what is not a
//! number.

use half::{bf16, f16};

use super::{
    Format, GROUP, Matrix, PANEL,
    pack_pairs::{StoredRows, bf16_panel, int16_panel},
};
use crate::{
    isa::Isa,
    quant::{DType, Parts, parts},
    simd::LINE,
};

/// Inputs that share a scale in the widest case; the unit of [`parts`].
const BLOCK: usize = 32;

/// Whether rows of `cols` elements of `dtype` can be packed.
pub fn supports(dtype: DType, cols: usize) -> bool {
    Format::of(dtype, Isa::Portable).is_some() && cols.is_multiple_of(dtype.block_len())
}

/// Packs the panels `first..` of a matrix stored in rows of `dtype` into `dst`, as many as it
/// holds, in one of the formats that the type [has](Format::of), to the same bytes with whatever
/// instructions of `isa`; `shape` is rows and columns of the whole matrix.
///
/// # Panics
/// If such columns are not [supported](supports), the type has no such format, `src` is shorter
/// than the shape says, `dst` not whole panels of it, or `isa` not available.
pub fn pack_panels(
    (isa, dtype, format): (Isa, DType, Format),
    src: &[u8],
    shape: [usize; 2],
    first: usize,
    dst: &mut [u8],
) {
    let [rows, cols] = shape;
    assert!(supports(dtype, cols), "{dtype:?} of {cols} columns cannot be packed");
    let fits = Isa::ALL.iter().any(|isa| Format::of(dtype, *isa) == Some(format));
    assert!(fits, "{dtype:?} is not packed as {format:?}");
    let row_bytes = dtype.row_bytes(cols).unwrap_or_default();
    assert!(src.len() >= rows * row_bytes, "stored rows");
    let panel_bytes = Matrix { data: &[], format, rows, cols, bias: None }.panel_bytes();
    assert!(dst.len().is_multiple_of(panel_bytes), "whole panels");
    assert!(isa.is_available(), "{isa:?} is not available");
    for (i, panel) in dst.chunks_exact_mut(panel_bytes).enumerate() {
        let row = ((first + i) * PANEL).min(rows);
        let bytes = &src[row * row_bytes..(row + PANEL).min(rows) * row_bytes];
        // SAFETY: checked above.
        match format {
            Format::Int16 => unsafe { int16_panel(isa, &StoredRows { dtype, bytes, cols }, panel) },
            Format::Bf16 => unsafe { bf16_panel(isa, &StoredRows { dtype, bytes, cols }, panel) },
            _ => {
                panel.fill(0);
                for (lane, row) in bytes.chunks_exact(row_bytes).enumerate() {
                    pack_row(dtype, row, (format, lane), panel);
                }
            }
        }
    }
}

fn pack_row(dtype: DType, src: &[u8], (format, lane): (Format, usize), panel: &mut [u8]) {
    let stored = (dtype.block_bytes(), dtype.block_len());
    for (i, block) in src.chunks_exact(stored.0).enumerate() {
        for part in 0..stored.1 / BLOCK {
            let k = i * stored.1 + part * BLOCK;
            let group_bytes = format.group_bytes();
            let group = &mut panel[k / GROUP * group_bytes..(k / GROUP + 1) * group_bytes];
            put_block(format, &parts(dtype, block, part), (lane, k / BLOCK % 2), group);
        }
    }
}

/// Puts 32 weights of one output into their half of a group.
fn put_block(format: Format, parts: &Parts, (lane, half): (usize, usize), group: &mut [u8]) {
    let (bits, zero, quants) = match format {
        Format::Q4 | Format::Q4Min => (4, 8.0_f32, 8 * LINE),
        Format::Q5 | Format::Q5Min => (5, 16.0, 10 * LINE),
        Format::Q6 => (6, 32.0, 12 * LINE),
        Format::Q8 | Format::Int16 | Format::Bf16 => (8, 128.0, 16 * LINE),
    };
    for (j, q) in parts.q.iter().enumerate() {
        // The place of the byte in its line, and the line's number (four inputs each).
        let (byte, quad) = (lane * 4 + j % 4, half * 8 + j / 4);
        if bits == 8 {
            group[quad * LINE + byte] = *q;
            continue;
        }
        group[quad / 2 * LINE + byte] |= (q & 15) << (quad % 2 * 4);
        match bits {
            5 => group[(8 + quad / 8) * LINE + byte] |= (q >> 4) << (quad % 8),
            6 => group[(8 + quad / 4) * LINE + byte] |= (q >> 4) << (quad % 4 * 2),
            _ => {}
        }
    }
    let per_scale = if format == Format::Q6 { 16 } else { BLOCK };
    for (i, scale) in parts.scales[..BLOCK / per_scale].iter().enumerate() {
        let at = quants + ((half * BLOCK / per_scale + i) * PANEL + lane) * 2;
        group[at..at + 2].copy_from_slice(&f16::from_f32(*scale).to_le_bytes());
    }
    if matches!(format, Format::Q4Min | Format::Q5Min) {
        // `scale · q + minimum`, seen from the zero point.
        let scale = f16::from_f32(parts.scales[0]).to_f32();
        let minimum = zero.mul_add(scale, parts.minimum);
        let at = quants + LINE + lane * 4 + half * 2;
        group[at..at + 2].copy_from_slice(&bf16::from_f32(minimum).to_le_bytes());
    }
}
