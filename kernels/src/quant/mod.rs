//! Number formats of stored weights, and how to read them back as `f32` and write some of them.
//!
//! Invariant: a row of `k` elements takes exactly [`DType::row_bytes`]`(k)` bytes, `k` being a
//! multiple of [`DType::block_len`]; layouts are those of the GGUF v3 specification (ggml's
//! `ggml-common.h`), and the arithmetic is that of the `gguf` Python package, bit for bit.

mod blocks;
mod codebook;
mod dtype;
mod few_bits;
mod float;
mod float8;
mod grids;
mod iq1;
mod iq23;
mod k_quants;
mod legacy;
mod parts;
mod quantize;
mod ternary;
mod whole;

pub use dtype::DType;
pub(crate) use parts::{Parts, parts};
pub use quantize::{can_quantize, quantize};

use blocks::ByParts;

use crate::simd::{LANES, Portable, Simd};

/// One stored format: how `BYTES` bytes become `LEN` numbers.
///
/// Written once over vectors of any instruction set: left to itself, the compiler vectorises
/// across blocks, with gathers and scatters, an order of magnitude slower.
trait Block<const BYTES: usize, const LEN: usize> {
    /// # Safety
    /// The machine has the instruction set of `S`.
    unsafe fn dequantize<S: Simd>(src: &[u8; BYTES], dst: &mut [f32; LEN]);
}

/// Reads whole blocks of `src` into `dst`; the plain reference for every other kernel.
///
/// # Panics
/// If `dst` is not whole blocks, or `src` not the bytes of exactly `dst.len()` elements.
pub fn dequantize(dtype: DType, src: &[u8], dst: &mut [f32]) {
    // SAFETY: plain arrays run everywhere.
    unsafe { dequantize_with::<Portable>(dtype, src, dst) };
}

/// [`dequantize`] with the vectors of `S`, inlined into a caller compiled for them.
///
/// # Panics
/// As [`dequantize`].
///
/// # Safety
/// The machine has the instruction set of `S`.
#[inline(always)]
pub(crate) unsafe fn dequantize_with<S: Simd>(dtype: DType, src: &[u8], dst: &mut [f32]) {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        match dtype {
            DType::F32 => each_block::<S, float::F32, _, _>(src, dst),
            DType::F16 => each_block::<S, float::F16, _, _>(src, dst),
            DType::BF16 => each_block::<S, float::BF16, _, _>(src, dst),
            DType::Q8_0 => each_block::<S, legacy::Q8_0, _, _>(src, dst),
            DType::Q4_0 => each_block::<S, legacy::Q4_0, _, _>(src, dst),
            DType::Q4_1 => each_block::<S, legacy::Q4_1, _, _>(src, dst),
            DType::Q5_0 => each_block::<S, legacy::Q5_0, _, _>(src, dst),
            DType::Q5_1 => each_block::<S, legacy::Q5_1, _, _>(src, dst),
            DType::Q4K => each_block::<S, k_quants::Q4K, _, _>(src, dst),
            DType::Q5K => each_block::<S, k_quants::Q5K, _, _>(src, dst),
            DType::Q6K => each_block::<S, k_quants::Q6K, _, _>(src, dst),
            _ => dequantize_rare(dtype, src, dst),
        }
    }
}

/// [`dequantize`] of numbers that are floats already, inlined into a caller whose instruction set
/// the compiler may use for it.
///
/// # Panics
/// As [`dequantize`], or if they are not.
#[inline(always)]
pub(crate) fn floats(dtype: DType, src: &[u8], dst: &mut [f32]) {
    // SAFETY: plain arrays run everywhere.
    unsafe {
        match dtype {
            DType::F32 => each_block::<Portable, float::F32, _, _>(src, dst),
            DType::F16 => each_block::<Portable, float::F16, _, _>(src, dst),
            DType::BF16 => each_block::<Portable, float::BF16, _, _>(src, dst),
            _ => panic!("{dtype:?} is not of floats"),
        }
    }
}

/// The other formats; compiled once, for plain arrays: what takes them apart is most of the work,
/// and no vectors help it.
#[inline(never)]
fn dequantize_rare(dtype: DType, src: &[u8], dst: &mut [f32]) {
    // SAFETY: plain arrays run everywhere.
    unsafe {
        match dtype {
            DType::Q2K => each_block::<Portable, few_bits::Q2K, _, _>(src, dst),
            DType::F8Scaled => each_block::<Portable, float8::F8Scaled, _, _>(src, dst),
            DType::F8E4M3 => each_block::<Portable, float8::F8E4M3, _, _>(src, dst),
            DType::F8E5M2 => each_block::<Portable, float8::F8E5M2, _, _>(src, dst),
            DType::I8 => each_block::<Portable, whole::I8, _, _>(src, dst),
            DType::U8 => each_block::<Portable, whole::U8, _, _>(src, dst),
            DType::I32 => each_block::<Portable, whole::I32, _, _>(src, dst),
            DType::I64 => each_block::<Portable, whole::I64, _, _>(src, dst),
            DType::Q3K => each_block::<Portable, ByParts<few_bits::Q3K>, _, _>(src, dst),
            DType::IQ1S => each_block::<Portable, ByParts<iq1::Iq1S>, _, _>(src, dst),
            DType::IQ1M => each_block::<Portable, ByParts<iq1::Iq1M>, _, _>(src, dst),
            DType::IQ2XXS => each_block::<Portable, ByParts<iq23::Iq2Xxs>, _, _>(src, dst),
            DType::IQ2XS => each_block::<Portable, ByParts<iq23::Iq2Xs>, _, _>(src, dst),
            DType::IQ2S => each_block::<Portable, ByParts<iq23::Iq2S>, _, _>(src, dst),
            DType::IQ3XXS => each_block::<Portable, ByParts<iq23::Iq3Xxs>, _, _>(src, dst),
            DType::IQ3S => each_block::<Portable, ByParts<iq23::Iq3S>, _, _>(src, dst),
            DType::IQ4NL => each_block::<Portable, ByParts<codebook::Iq4Nl>, _, _>(src, dst),
            DType::IQ4XS => each_block::<Portable, ByParts<codebook::Iq4Xs>, _, _>(src, dst),
            DType::TQ1_0 => each_block::<Portable, ByParts<ternary::Tq1_0>, _, _>(src, dst),
            DType::TQ2_0 => each_block::<Portable, ByParts<ternary::Tq2_0>, _, _>(src, dst),
            DType::MXFP4 => each_block::<Portable, ByParts<codebook::Mxfp4>, _, _>(src, dst),
            DType::NVFP4 => each_block::<Portable, ByParts<codebook::Nvfp4>, _, _>(src, dst),
            _ => unreachable!("all others are not"),
        }
    }
}

/// # Safety
/// The machine has the instruction set of `S`.
#[inline(always)]
unsafe fn each_block<S: Simd, B: Block<BYTES, LEN>, const BYTES: usize, const LEN: usize>(
    src: &[u8],
    dst: &mut [f32],
) {
    let (src, src_rest) = src.as_chunks::<BYTES>();
    let (dst, dst_rest) = dst.as_chunks_mut::<LEN>();
    assert!(src_rest.is_empty() && dst_rest.is_empty(), "lengths are not whole blocks");
    assert_eq!(src.len(), dst.len(), "number of blocks in src and dst");
    for (src, dst) in src.iter().zip(dst) {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { B::dequantize::<S>(src, dst) };
    }
}

/// `dst[i] = scale · q[i] + offset`, rounded twice as the reference does.
///
/// # Safety
/// The machine has the instruction set of `S`.
#[inline(always)]
unsafe fn affine<S: Simd>(q: &[u8; LANES], scale: f32, offset: f32, dst: &mut [f32; LANES]) {
    // SAFETY: the caller vouches for the instruction set; `dst` holds sixteen floats.
    unsafe {
        let scaled = S::mul(S::splat(scale), S::from_u8(q));
        S::store(dst.as_mut_ptr(), S::add(scaled, S::splat(offset)));
    }
}

/// `dst[i] = scale · (q[i] − zero)`; the difference is a small whole number, so it is exact.
///
/// # Safety
/// The machine has the instruction set of `S`.
#[inline(always)]
unsafe fn centred<S: Simd>(q: &[u8; LANES], scale: f32, zero: f32, dst: &mut [f32; LANES]) {
    // SAFETY: the caller vouches for the instruction set; `dst` holds sixteen floats.
    unsafe {
        let centred = S::add(S::from_u8(q), S::splat(-zero));
        S::store(dst.as_mut_ptr(), S::mul(S::splat(scale), centred));
    }
}

/// The low and the high halves of sixteen bytes.
#[inline(always)]
fn nibbles(qs: &[u8; LANES]) -> [[u8; LANES]; 2] {
    [qs.map(|q| q & 15), qs.map(|q| q >> 4)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Block sizes are written twice, as constants and as array types; here they meet.
    #[test]
    fn a_block_has_the_declared_sizes() {
        for dtype in DType::ALL {
            let src = vec![0; 3 * dtype.block_bytes()];
            let mut dst = vec![1.0; 3 * dtype.block_len()];
            dequantize(dtype, &src, &mut dst);
            assert!(dst.iter().all(|x| *x == 0.0), "{}", dtype.name());
        }
    }

    #[test]
    #[should_panic(expected = "number of blocks")]
    fn a_wrong_length_panics() {
        dequantize(DType::Q8_0, &[0; 68], &mut [0.0; 32]);
    }
}
