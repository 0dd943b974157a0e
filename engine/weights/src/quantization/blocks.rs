//! Whole numbers as blocks of 32.

use kernels::quant::DType;

/// Numbers of a block.
pub(super) const PART: usize = 32;

/// Writes 32 whole numbers and their scale as one block of Q4_0, Q5_0 or Q8_0.
#[inline]
pub(super) fn put(dtype: DType, q: &[i16; PART], scale: f32, block: &mut [u8]) {
    block[..2].copy_from_slice(&half::f16::from_f32(scale).to_le_bytes());
    match dtype {
        DType::Q4_0 => put_nibbles(q, 8, &mut block[2..]),
        DType::Q5_0 => {
            let high = (0..PART).fold(0, |high, j| high | ((q[j] + 16) as u32 >> 4 & 1) << j);
            block[2..6].copy_from_slice(&high.to_le_bytes());
            put_nibbles(q, 16, &mut block[6..]);
        }
        _ => block[2..].iter_mut().zip(q).for_each(|(byte, q)| *byte = *q as u8),
    }
}

fn put_nibbles(q: &[i16; PART], zero: i16, bytes: &mut [u8]) {
    let nibble = |j: usize| (q[j] + zero) as u8 & 15;
    for (j, byte) in bytes.iter_mut().enumerate() {
        *byte = nibble(j) | nibble(j + PART / 2) << 4;
    }
}
