//! Plain floating point numbers, little-endian, read from unaligned bytes.

use super::Block;

pub(super) struct F32;
pub(super) struct F16;
pub(super) struct BF16;

impl Block<4, 1> for F32 {
    #[inline(always)]
    fn dequantize(src: &[u8; 4], dst: &mut [f32; 1]) {
        dst[0] = f32::from_le_bytes(*src);
    }
}

impl Block<2, 1> for F16 {
    #[inline(always)]
    fn dequantize(src: &[u8; 2], dst: &mut [f32; 1]) {
        dst[0] = f16_to_f32(*src);
    }
}

impl Block<2, 1> for BF16 {
    #[inline(always)]
    fn dequantize(src: &[u8; 2], dst: &mut [f32; 1]) {
        dst[0] = f32::from_bits(u32::from(u16::from_le_bytes(*src)) << 16);
    }
}

/// Widens a half without branches, so that loops over it vectorise on any target
/// (`half::f16::to_f32` asks for the CPU's features on every call).
///
/// After F. Giesen, "Half to float done quick" (fp16 → fp32, magic subtraction for subnormals).
#[inline(always)]
pub(super) fn f16_to_f32(bytes: [u8; 2]) -> f32 {
    const EXPONENT: u32 = 0x0f80_0000; // a half's exponent bits, shifted
    const SMALLEST_NORMAL: f32 = f32::from_bits(113 << 23); // 2^-14
    let half = u32::from(u16::from_le_bytes(bytes));
    let shifted = (half & 0x7fff) << 13;
    let exponent = shifted & EXPONENT;
    let normal = shifted + (112 << 23);
    let subnormal = (f32::from_bits(shifted + (113 << 23)) - SMALLEST_NORMAL).to_bits();
    let special = shifted + (224 << 23); // infinities and NaN: the exponent becomes 255
    let magnitude = if exponent == 0 {
        subnormal
    } else if exponent == EXPONENT {
        special
    } else {
        normal
    };
    f32::from_bits(magnitude | (half & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_widens_as_the_half_crate_says() {
        for bits in 0..=u16::MAX {
            let (want, got) = (half::f16::from_bits(bits).to_f32(), f16_to_f32(bits.to_le_bytes()));
            let same = want.to_bits() == got.to_bits() || (want.is_nan() && got.is_nan());
            assert!(same, "{bits:#06x}: {got} is not {want}");
        }
    }
}
