//! Stored blocks as integers, scales and minima, for layouts that keep the integers.

use super::{DType, blocks::InParts, codebook, few_bits, iq1, iq23, k_quants, ternary};
use crate::simd::f16_to_f32;

/// Weights of a part: 32 elements, `scale · (q - zero) + minimum`; `zero` is half of the range
/// that the type's [`Format`](crate::packed::Format) has for `q` where there are no minima, and 0
/// where there are.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) q: [u8; 32],
    /// One for each 16 elements (equal where the type has one for 32).
    pub(crate) scales: [f32; 2],
    pub(crate) minimum: f32,
}

/// Takes part `part` (32 elements) of a stored block to pieces.
///
/// # Panics
/// If the type cannot be taken to such pieces, or the block is shorter than its type says.
pub(crate) fn parts(dtype: DType, block: &[u8], part: usize) -> Parts {
    let half = |at: usize| f16_to_f32([block[at], block[at + 1]]);
    let nibbles = |at: usize| nibbles(&block[at..at + 16]);
    let with_fifth_bits = |mut q: [u8; 32], at: usize| {
        let high = u32::from_le_bytes(std::array::from_fn(|i| block[at + i]));
        q.iter_mut().enumerate().for_each(|(j, q)| *q |= ((high >> j & 1) << 4) as u8);
        q
    };
    let (q, scales, minimum) = match dtype {
        DType::Q8_0 => (std::array::from_fn(|j| block[2 + j] ^ 0x80), [half(0); 2], 0.0),
        DType::Q4_0 => (nibbles(2), [half(0); 2], 0.0),
        DType::Q4_1 => (nibbles(4), [half(0); 2], half(2)),
        DType::Q5_0 => (with_fifth_bits(nibbles(6), 2), [half(0); 2], 0.0),
        DType::Q5_1 => (with_fifth_bits(nibbles(8), 4), [half(0); 2], half(2)),
        DType::Q4K | DType::Q5K => return k_parts(dtype, block, part),
        DType::Q6K => q6k_parts(block, part),
        _ => return other_parts(dtype, block, part),
    };
    Parts { q, scales, minimum }
}

/// Those that are told in parts.
fn other_parts(dtype: DType, block: &[u8], part: usize) -> Parts {
    match dtype {
        DType::Q3K => of::<few_bits::Q3K, _, _>(block, part),
        DType::IQ1S => of::<iq1::Iq1S, _, _>(block, part),
        DType::IQ1M => of::<iq1::Iq1M, _, _>(block, part),
        DType::IQ2XXS => of::<iq23::Iq2Xxs, _, _>(block, part),
        DType::IQ3XXS => of::<iq23::Iq3Xxs, _, _>(block, part),
        DType::IQ3S => of::<iq23::Iq3S, _, _>(block, part),
        DType::IQ4NL => of::<codebook::Iq4Nl, _, _>(block, part),
        DType::IQ4XS => of::<codebook::Iq4Xs, _, _>(block, part),
        DType::TQ1_0 => of::<ternary::Tq1_0, _, _>(block, part),
        DType::TQ2_0 => of::<ternary::Tq2_0, _, _>(block, part),
        DType::MXFP4 => of::<codebook::Mxfp4, _, _>(block, part),
        DType::NVFP4 => of::<codebook::Nvfp4, _, _>(block, part),
        _ => panic!("{dtype:?} has no whole numbers with a scale for 16"),
    }
}

fn of<T, const BYTES: usize, const LEN: usize>(block: &[u8], part: usize) -> Parts
where
    T: InParts<BYTES, LEN>,
{
    match block.first_chunk() {
        Some(block) => T::part(block, part),
        None => panic!("a block of {} bytes, not {BYTES}", block.len()),
    }
}

/// Elements 0..16 in low nibbles, 16..32 in high ones.
fn nibbles(bytes: &[u8]) -> [u8; 32] {
    std::array::from_fn(|j| bytes[j % 16] >> (j / 16 * 4) & 15)
}

/// Q4_K and Q5_K: 32 bytes hold one part in low nibbles and the next in high ones; bit `part` of
/// `qh[j]` is the fifth bit of element `j`.
fn k_parts(dtype: DType, block: &[u8], part: usize) -> Parts {
    let head = std::array::from_fn(|i| block[i]);
    // SAFETY: plain arrays run everywhere.
    let (scales, minima) = unsafe { k_quants::scales_and_minima::<crate::simd::Portable>(&head) };
    let (qh, qs) = if dtype == DType::Q5K { (Some(&block[16..48]), 48) } else { (None, 16) };
    let low = &block[qs + part / 2 * 32..];
    let q = std::array::from_fn(|j| {
        let fifth = qh.map_or(0, |qh| (qh[j] >> part & 1) << 4);
        (low[j] >> (part % 2 * 4) & 15) | fifth
    });
    Parts { q, scales: [scales[part]; 2], minimum: -minima[part] }
}

/// See [`k_quants::Q6K`]: halves of 128 elements, quarters of 32.
fn q6k_parts(block: &[u8], part: usize) -> ([u8; 32], [f32; 2], f32) {
    let (half, quarter) = (part / 4, part % 4);
    let low = &block[64 * half + 32 * (quarter % 2)..];
    let high = &block[128 + 32 * half..];
    let q = std::array::from_fn(|j| {
        (low[j] >> (quarter / 2 * 4) & 15) | (high[j] >> (2 * quarter) & 3) << 4
    });
    let d = f16_to_f32([block[208], block[209]]);
    let scale = |i: usize| d * f32::from(block[192 + 2 * part + i] as i8);
    (q, [scale(0), scale(1)], 0.0)
}
