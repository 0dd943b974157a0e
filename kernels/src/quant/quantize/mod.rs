//! From `f32` to stored formats: the other way round.
//!
//! Invariant: what is written reads back, by [`dequantize`](super::dequantize), as close to what
//! was given as a search over scales finds in the mean square, no weight counting more than
//! another. Integers are chosen last, for scales as they are stored.

mod k_quants;
mod legacy;
mod search;

use half::{bf16, f16};

use super::DType;

/// Whether [`quantize`] writes this format.
pub fn can_quantize(dtype: DType) -> bool {
    use DType::{BF16, F16, F32, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    matches!(dtype, F32 | F16 | BF16 | Q8_0 | Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q4K | Q5K | Q6K)
}

/// Writes whole blocks of finite numbers.
///
/// # Panics
/// If `src` is not whole blocks, `dst` not the bytes of exactly `src.len()` elements, or the format
/// is not one of those [that can be written](can_quantize).
pub fn quantize(dtype: DType, src: &[f32], dst: &mut [u8]) {
    match dtype {
        DType::F32 => each(src, dst, |[x]: &[f32; 1]| x.to_le_bytes()),
        DType::F16 => each(src, dst, |[x]: &[f32; 1]| f16::from_f32(*x).to_le_bytes()),
        DType::BF16 => each(src, dst, |[x]: &[f32; 1]| bf16::from_f32(*x).to_le_bytes()),
        DType::Q8_0 => each(src, dst, legacy::q8_0),
        DType::Q4_0 => each(src, dst, legacy::q4_0),
        DType::Q4_1 => each(src, dst, legacy::q4_1),
        DType::Q5_0 => each(src, dst, legacy::q5_0),
        DType::Q5_1 => each(src, dst, legacy::q5_1),
        DType::Q4K => each(src, dst, k_quants::q4k),
        DType::Q5K => each(src, dst, k_quants::q5k),
        DType::Q6K => each(src, dst, k_quants::q6k),
        _ => panic!("{dtype:?} is only read"),
    }
}

fn each<const LEN: usize, const BYTES: usize>(
    src: &[f32],
    dst: &mut [u8],
    write: impl Fn(&[f32; LEN]) -> [u8; BYTES],
) {
    let (src, src_rest) = src.as_chunks::<LEN>();
    let (dst, dst_rest) = dst.as_chunks_mut::<BYTES>();
    assert!(src_rest.is_empty() && dst_rest.is_empty(), "lengths are not whole blocks");
    assert_eq!(src.len(), dst.len(), "number of blocks in src and dst");
    for (src, dst) in src.iter().zip(dst) {
        *dst = write(src);
    }
}

#[cfg(test)]
mod tests;
