//! Dot products of small integers and of bfloat16, sixteen outputs at a time.
//!
//! Invariant: integer results are exact on every path; bfloat16 ones differ by rounding, since
//! the instruction rounds and flushes in its own way.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;

#[cfg(target_arch = "aarch64")]
pub(crate) use self::neon::Dot128;
#[cfg(target_arch = "x86_64")]
pub(crate) use self::{avx2::Dot256, avx512::Dot512};
use super::{LANES, Portable, Simd, f16_to_f32};

/// Bytes of weights that meet sixteen outputs at once.
pub(crate) const LINE: usize = 64;

/// Sixteen outputs as lanes; a line holds four bytes or two bfloat16 of weights for each.
pub(crate) trait Dot {
    /// The floats beside.
    type S: Simd;
    /// 64 bytes.
    type Line: Copy;
    /// Sixteen `i32`.
    type I: Copy;
    /// Sums of a few products, in 16 bits where products of bytes come in pairs of 16 bits.
    type Sums: Copy;
    /// Whether [`dot8`](Self::dot8) takes its weights as `w - 128`.
    const CENTRES_BYTES: bool;

    /// Whether there are registers for tiles of 24 vectors: AVX-512.
    const WIDE: bool;
    /// Whether its vectors have 256 bits: AVX2.
    const AVX2: bool = false;
    /// Whether the zero point of four bits is seen to in floats, as part of the minimum: where
    /// sums of 16 bits are ended, an instruction more costs most.
    const FOLDS_ZERO: bool = false;
    /// Whether there is an instruction that rounds to bfloat16.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "x86-64 alone asks"))]
    const ROUNDS_TO_BF16: bool = false;

    /// Reads a line, which needs no alignment.
    ///
    /// # Safety
    /// 64 readable bytes, and the machine has the instruction set (true of every method here).
    unsafe fn line(p: *const u8) -> Self::Line;
    /// Sixteen zeros.
    unsafe fn zero() -> Self::I;
    /// Writes a line.
    unsafe fn put_line(p: *mut u8, line: Self::Line);
    /// `line & mask` in every byte.
    unsafe fn and(line: Self::Line, mask: u8) -> Self::Line;
    /// Either bit.
    unsafe fn or(a: Self::Line, b: Self::Line) -> Self::Line;
    /// Every 16-bit word shifted left.
    unsafe fn shl<const N: u32>(line: Self::Line) -> Self::Line;
    /// Every 16-bit word shifted right.
    unsafe fn shr<const N: u32>(line: Self::Line) -> Self::Line;
    /// Sixteen times `*p`, which has 16 bits, shifted left.
    unsafe fn splat_shl(p: *const i32, bits: u32) -> Self::I;
    /// `acc[i] + Σ w[4i + j] · a[j]` over four `j`, weights unsigned and below 64, `a` signed.
    unsafe fn dot(acc: Self::I, w: Self::Line, a: i32) -> Self::I;
    /// How many lines of weights of so many bits [`Sums`](Self::Sums) have room for.
    fn room(bits: u32) -> usize {
        let _ = bits;
        usize::MAX
    }
    /// Sums that, ended with the same `acc`, are `acc`.
    unsafe fn begin(acc: Self::I) -> Self::Sums;
    /// As [`dot`](Self::dot), on the way.
    unsafe fn more(sums: Self::Sums, w: Self::Line, a: i32) -> Self::Sums;
    /// Has the sums be what they are here and now: the compiler would else add up one sum after
    /// another, and run out of registers for the weights that they share.
    unsafe fn pin(sums: &mut Self::Sums) {
        let _ = sums;
    }
    /// What the sums come to: `acc` and all that was added.
    unsafe fn end(acc: Self::I, sums: Self::Sums) -> Self::I;
    /// As [`dot`](Self::dot) for any bytes, less 128 each if [`Self::CENTRES_BYTES`].
    unsafe fn dot8(acc: Self::I, w: Self::Line, a: i32) -> Self::I;
    /// Signed bytes `HALF` and `HALF + 2` of each four, as pairs of 16 bits.
    unsafe fn widen<const HALF: usize>(line: Self::Line) -> Self::Line;
    /// `acc[i] + w[2i] · a[0] + w[2i + 1] · a[1]`, all signed and of 16 bits.
    unsafe fn dot16(acc: Self::I, w: Self::Line, a: u32) -> Self::I;
    /// The first or second bfloat16 of each output's two.
    unsafe fn bf16_of<const SECOND: bool>(line: Self::Line) -> <Self::S as Simd>::V {
        let (mut bytes, mut floats) = ([0_u8; LINE], [0.0; LANES]);
        // SAFETY: 64 bytes and sixteen floats; the caller vouches for the instruction set.
        unsafe {
            Self::put_line(bytes.as_mut_ptr(), line);
            for (float, pair) in floats.iter_mut().zip(bytes.as_chunks::<4>().0) {
                let pair = bf16_pair(u32::from_le_bytes(*pair));
                *float = if SECOND { pair.1 } else { pair.0 };
            }
            Self::S::load(floats.as_ptr())
        }
    }
    /// The integers as floats.
    unsafe fn to_f32(x: Self::I) -> <Self::S as Simd>::V;
    /// Sixteen halves widened.
    unsafe fn halves(p: *const u8) -> <Self::S as Simd>::V;
    /// `acc[i] + w[i] · a`, all `f32`.
    unsafe fn dot_f32(acc: <Self::S as Simd>::V, w: Self::Line, a: u32) -> <Self::S as Simd>::V;
    /// `acc[i] + w[2i] · a[0] + w[2i + 1] · a[1]`, all bfloat16.
    unsafe fn dot_bf16(acc: <Self::S as Simd>::V, w: Self::Line, a: u32) -> <Self::S as Simd>::V;
}

/// Widens the two halves of a pair: the low one comes first.
#[inline(always)]
fn bf16_pair(pair: u32) -> (f32, f32) {
    (f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000))
}

impl Dot for Portable {
    type S = Self;
    type Line = [u8; LINE];
    type I = [i32; LANES];
    type Sums = Self::I;
    const CENTRES_BYTES: bool = false;
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn line(p: *const u8) -> Self::Line {
        // SAFETY: the caller vouches for 64 readable bytes.
        unsafe { p.cast::<Self::Line>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn zero() -> Self::I {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn put_line(p: *mut u8, line: Self::Line) {
        // SAFETY: the caller vouches for 64 writable bytes.
        unsafe { p.cast::<Self::Line>().write_unaligned(line) }
    }
    #[inline(always)]
    unsafe fn and(line: Self::Line, mask: u8) -> Self::Line {
        line.map(|b| b & mask)
    }
    #[inline(always)]
    unsafe fn or(a: Self::Line, b: Self::Line) -> Self::Line {
        std::array::from_fn(|i| a[i] | b[i])
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(mut line: Self::Line) -> Self::Line {
        for word in line.as_chunks_mut::<2>().0 {
            *word = (u16::from_le_bytes(*word) << N).to_le_bytes();
        }
        line
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(mut line: Self::Line) -> Self::Line {
        for word in line.as_chunks_mut::<2>().0 {
            *word = (u16::from_le_bytes(*word) >> N).to_le_bytes();
        }
        line
    }
    #[inline(always)]
    unsafe fn splat_shl(p: *const i32, bits: u32) -> Self::I {
        // SAFETY: the caller vouches for a readable number.
        [unsafe { *p } << bits; LANES]
    }
    #[inline(always)]
    unsafe fn dot(mut acc: Self::I, w: Self::Line, a: i32) -> Self::I {
        let a = a.to_le_bytes().map(|a| i32::from(a as i8));
        for (acc, w) in acc.iter_mut().zip(w.as_chunks::<4>().0) {
            *acc += (0..4).map(|j| i32::from(w[j]) * a[j]).sum::<i32>();
        }
        acc
    }
    #[inline(always)]
    unsafe fn begin(acc: Self::I) -> Self::Sums {
        acc
    }
    #[inline(always)]
    unsafe fn more(sums: Self::Sums, w: Self::Line, a: i32) -> Self::Sums {
        // SAFETY: plain arrays run everywhere.
        unsafe { Self::dot(sums, w, a) }
    }
    #[inline(always)]
    unsafe fn end(_: Self::I, sums: Self::Sums) -> Self::I {
        sums
    }
    #[inline(always)]
    unsafe fn dot8(acc: Self::I, w: Self::Line, a: i32) -> Self::I {
        // SAFETY: plain arrays run everywhere.
        unsafe { Self::dot(acc, w, a) }
    }
    #[inline(always)]
    unsafe fn widen<const HALF: usize>(line: Self::Line) -> Self::Line {
        let mut wide = [0; LINE];
        for (wide, four) in wide.as_chunks_mut::<4>().0.iter_mut().zip(line.as_chunks::<4>().0) {
            let [a, b] = [four[HALF], four[HALF + 2]].map(|x| i16::from(x as i8).to_le_bytes());
            *wide = [a[0], a[1], b[0], b[1]];
        }
        wide
    }
    #[inline(always)]
    unsafe fn dot16(mut acc: Self::I, w: Self::Line, a: u32) -> Self::I {
        let (a0, a1) = (i32::from(a as i16), i32::from((a >> 16) as i16));
        for (acc, w) in acc.iter_mut().zip(w.as_chunks::<4>().0) {
            let w0 = i32::from(i16::from_le_bytes([w[0], w[1]]));
            let w1 = i32::from(i16::from_le_bytes([w[2], w[3]]));
            *acc += w0 * a0 + w1 * a1;
        }
        acc
    }
    #[inline(always)]
    unsafe fn to_f32(x: Self::I) -> [f32; LANES] {
        x.map(|x| x as f32)
    }
    #[inline(always)]
    unsafe fn halves(p: *const u8) -> [f32; LANES] {
        // SAFETY: the caller vouches for 32 readable bytes.
        let halves = unsafe { p.cast::<[[u8; 2]; LANES]>().read_unaligned() };
        halves.map(f16_to_f32)
    }
    #[inline(always)]
    unsafe fn dot_f32(mut acc: [f32; LANES], w: Self::Line, a: u32) -> [f32; LANES] {
        for (acc, w) in acc.iter_mut().zip(w.as_chunks::<4>().0) {
            *acc = f32::from_le_bytes(*w).mul_add(f32::from_bits(a), *acc);
        }
        acc
    }
    #[inline(always)]
    unsafe fn dot_bf16(mut acc: [f32; LANES], w: Self::Line, a: u32) -> [f32; LANES] {
        let (a0, a1) = bf16_pair(a);
        for (acc, w) in acc.iter_mut().zip(w.as_chunks::<4>().0) {
            let (w0, w1) = bf16_pair(u32::from_le_bytes(*w));
            *acc = w1.mul_add(a1, w0.mul_add(a0, *acc));
        }
        acc
    }
}
