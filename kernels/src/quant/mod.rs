//! Number formats of stored weights, and how to read them back as `f32`.
//!
//! Invariant: a row of `k` elements takes exactly [`DType::row_bytes`]`(k)` bytes, `k` being a
//! multiple of [`DType::block_len`]; layouts are those of the GGUF v3 specification (ggml's
//! `ggml-common.h`), and the arithmetic is that of the `gguf` Python package, bit for bit.

mod dtype;
mod float;
mod k_quants;
mod legacy;
mod parts;

pub use dtype::DType;
pub(crate) use parts::{Parts, parts};

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
