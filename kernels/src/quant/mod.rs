//! Number formats of stored weights, and how to read them back as `f32`.
//!
//! Invariant: a row of `k` elements takes exactly [`DType::row_bytes`]`(k)` bytes, `k` being a
//! multiple of [`DType::block_len`]; layouts are those of the GGUF v3 specification (ggml's
//! `ggml-common.h`), and the arithmetic is that of the `gguf` Python package, bit for bit.

mod dtype;
mod float;
mod k_quants;
mod legacy;

pub use dtype::DType;

/// One stored format: how `BYTES` bytes become `LEN` numbers.
///
/// Fixed sizes let the compiler drop bounds checks and vectorise for the caller's target.
trait Block<const BYTES: usize, const LEN: usize> {
    fn dequantize(src: &[u8; BYTES], dst: &mut [f32; LEN]);
}

/// Reads whole blocks of `src` into `dst`; the plain reference for every other kernel.
///
/// # Panics
/// If `dst` is not whole blocks, or `src` not the bytes of exactly `dst.len()` elements.
pub fn dequantize(dtype: DType, src: &[u8], dst: &mut [f32]) {
    dequantize_blocks(dtype, src, dst);
}

/// [`dequantize`], inlined into the caller so that it is compiled for the caller's
/// `#[target_feature]`s; with a constant `dtype` only that format's loop remains.
///
/// # Panics
/// As [`dequantize`].
#[inline(always)]
pub fn dequantize_blocks(dtype: DType, src: &[u8], dst: &mut [f32]) {
    match dtype {
        DType::F32 => each_block::<float::F32, _, _>(src, dst),
        DType::F16 => each_block::<float::F16, _, _>(src, dst),
        DType::BF16 => each_block::<float::BF16, _, _>(src, dst),
        DType::Q8_0 => each_block::<legacy::Q8_0, _, _>(src, dst),
        DType::Q4_0 => each_block::<legacy::Q4_0, _, _>(src, dst),
        DType::Q4_1 => each_block::<legacy::Q4_1, _, _>(src, dst),
        DType::Q5_0 => each_block::<legacy::Q5_0, _, _>(src, dst),
        DType::Q5_1 => each_block::<legacy::Q5_1, _, _>(src, dst),
        DType::Q4K => each_block::<k_quants::Q4K, _, _>(src, dst),
        DType::Q5K => each_block::<k_quants::Q5K, _, _>(src, dst),
        DType::Q6K => each_block::<k_quants::Q6K, _, _>(src, dst),
    }
}

#[inline(always)]
fn each_block<B: Block<BYTES, LEN>, const BYTES: usize, const LEN: usize>(
    src: &[u8],
    dst: &mut [f32],
) {
    let (src, src_rest) = src.as_chunks::<BYTES>();
    let (dst, dst_rest) = dst.as_chunks_mut::<LEN>();
    assert!(src_rest.is_empty() && dst_rest.is_empty(), "lengths are not whole blocks");
    assert_eq!(src.len(), dst.len(), "number of blocks in src and dst");
    for (src, dst) in src.iter().zip(dst) {
        B::dequantize(src, dst);
    }
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
