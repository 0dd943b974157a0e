//! Dot products in 128-bit registers.

use std::arch::{aarch64::*, asm};

use super::{Dot, bf16_pair};
use crate::simd::Neon;

/// Four 128-bit registers, with the dot products of ARMv8.2 or without.
pub(crate) struct Dot128<const DOTPROD: bool>;

/// `acc + Σ w·a` over four bytes each, all signed: `SDOT`, whose intrinsic is not stable yet.
///
/// # Safety
/// The machine has the dot products.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn sdot(mut acc: int32x4_t, w: int8x16_t, a: int8x16_t) -> int32x4_t {
    // SAFETY: arithmetic on registers, and the caller vouches for the instruction.
    unsafe {
        asm!(
            "sdot {acc:v}.4s, {w:v}.16b, {a:v}.16b",
            acc = inout(vreg) acc,
            w = in(vreg) w,
            a = in(vreg) a,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    acc
}

/// The same, where no sum of two products passes 16 bits.
///
/// # Safety
/// The machine has NEON.
#[inline(always)]
unsafe fn by_pairs(acc: int32x4_t, w: int8x16_t, a: int8x16_t) -> int32x4_t {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let low = vmull_s8(vget_low_s8(w), vget_low_s8(a));
        vpadalq_s16(acc, vpaddq_s16(low, vmull_high_s8(w, a)))
    }
}

// In all methods: SAFETY: the caller vouches for memory and instruction set.
#[allow(clippy::undocumented_unsafe_blocks, reason = "said once above")]
#[allow(clippy::needless_range_loop, reason = "registers are indexed in step")]
impl<const DOTPROD: bool> Dot for Dot128<DOTPROD> {
    // Sixteen lanes take four of the 32 registers: the sums of two rows and two panels are half of
    // them, and the lines the other half. So are three rows and a line in attention.
    const WIDE: bool = false;
    type S = Neon;
    type Line = [uint8x16_t; 4];
    type I = [int32x4_t; 4];
    type Sums = Self::I;
    const CENTRES_BYTES: bool = true;

    #[inline(always)]
    unsafe fn line(p: *const u8) -> Self::Line {
        unsafe { [vld1q_u8(p), vld1q_u8(p.add(16)), vld1q_u8(p.add(32)), vld1q_u8(p.add(48))] }
    }
    #[inline(always)]
    unsafe fn zero() -> Self::I {
        unsafe { [vdupq_n_s32(0); 4] }
    }
    #[inline(always)]
    unsafe fn put_line(p: *mut u8, line: Self::Line) {
        for i in 0..4 {
            unsafe { vst1q_u8(p.add(16 * i), line[i]) };
        }
    }
    #[inline(always)]
    unsafe fn and(mut line: Self::Line, mask: u8) -> Self::Line {
        for i in 0..4 {
            line[i] = unsafe { vandq_u8(line[i], vdupq_n_u8(mask)) };
        }
        line
    }
    #[inline(always)]
    unsafe fn or(mut a: Self::Line, b: Self::Line) -> Self::Line {
        for i in 0..4 {
            a[i] = unsafe { vorrq_u8(a[i], b[i]) };
        }
        a
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(line: Self::Line) -> Self::Line {
        unsafe { shift_words(line, N as i16) }
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(line: Self::Line) -> Self::Line {
        unsafe { shift_words(line, -(N as i16)) }
    }
    #[inline(always)]
    unsafe fn splat_shl(p: *const i32, bits: u32) -> Self::I {
        unsafe { [vdupq_n_s32(*p << bits); 4] }
    }
    #[inline(always)]
    unsafe fn dot(mut acc: Self::I, w: Self::Line, a: i32) -> Self::I {
        unsafe {
            let a = vreinterpretq_s8_s32(vdupq_n_s32(a));
            for i in 0..4 {
                let w = vreinterpretq_s8_u8(w[i]);
                acc[i] = if DOTPROD { sdot(acc[i], w, a) } else { by_pairs(acc[i], w, a) };
            }
        }
        acc
    }
    #[inline(always)]
    unsafe fn begin(acc: Self::I) -> Self::Sums {
        acc
    }
    #[inline(always)]
    unsafe fn more(sums: Self::Sums, w: Self::Line, a: i32) -> Self::Sums {
        unsafe { Self::dot(sums, w, a) }
    }
    #[inline(always)]
    unsafe fn end(_: Self::I, sums: Self::Sums) -> Self::I {
        sums
    }
    #[inline(always)]
    unsafe fn widen<const HALF: usize>(mut line: Self::Line) -> Self::Line {
        for part in &mut line {
            *part = unsafe {
                let mut words = vreinterpretq_s16_u8(*part);
                if HALF == 0 {
                    words = vshlq_n_s16::<8>(words);
                }
                vreinterpretq_u8_s16(vshrq_n_s16::<8>(words))
            };
        }
        line
    }
    #[inline(always)]
    unsafe fn dot16(mut acc: Self::I, w: Self::Line, a: u32) -> Self::I {
        unsafe {
            let a = vreinterpretq_s16_u32(vdupq_n_u32(a));
            for i in 0..4 {
                let w = vreinterpretq_s16_u8(w[i]);
                let low = vmull_s16(vget_low_s16(w), vget_low_s16(a));
                acc[i] = vaddq_s32(acc[i], vpaddq_s32(low, vmull_high_s16(w, a)));
            }
        }
        acc
    }
    /// Less 128, weights are signed bytes. Activations lie in −127..=127, so that even without
    /// the instruction no pair passes 16 bits: 2 · 128 · 127 < 2¹⁵.
    #[inline(always)]
    unsafe fn dot8(acc: Self::I, mut w: Self::Line, a: i32) -> Self::I {
        unsafe {
            for i in 0..4 {
                w[i] = veorq_u8(w[i], vdupq_n_u8(0x80));
            }
            Self::dot(acc, w, a)
        }
    }
    #[inline(always)]
    unsafe fn to_f32(x: Self::I) -> [float32x4_t; 4] {
        unsafe {
            [vcvtq_f32_s32(x[0]), vcvtq_f32_s32(x[1]), vcvtq_f32_s32(x[2]), vcvtq_f32_s32(x[3])]
        }
    }
    #[inline(always)]
    unsafe fn halves(p: *const u8) -> [float32x4_t; 4] {
        unsafe {
            let low = vreinterpretq_f16_u8(vld1q_u8(p));
            let high = vreinterpretq_f16_u8(vld1q_u8(p.add(16)));
            [
                vcvt_f32_f16(vget_low_f16(low)),
                vcvt_high_f32_f16(low),
                vcvt_f32_f16(vget_low_f16(high)),
                vcvt_high_f32_f16(high),
            ]
        }
    }
    #[inline(always)]
    unsafe fn dot_f32(mut acc: [float32x4_t; 4], w: Self::Line, a: u32) -> [float32x4_t; 4] {
        unsafe {
            let a = vdupq_n_f32(f32::from_bits(a));
            for i in 0..4 {
                acc[i] = vfmaq_f32(acc[i], vreinterpretq_f32_u8(w[i]), a);
            }
        }
        acc
    }
    #[inline(always)]
    unsafe fn dot_bf16(mut acc: [float32x4_t; 4], w: Self::Line, a: u32) -> [float32x4_t; 4] {
        let (a0, a1) = bf16_pair(a);
        unsafe {
            let (a0, a1) = (vdupq_n_f32(a0), vdupq_n_f32(a1));
            for i in 0..4 {
                let w = vreinterpretq_u32_u8(w[i]);
                let low = vreinterpretq_f32_u32(vshlq_n_u32::<16>(w));
                let high = vreinterpretq_f32_u32(vandq_u32(w, vdupq_n_u32(0xffff_0000)));
                acc[i] = vfmaq_f32(vfmaq_f32(acc[i], low, a0), high, a1);
            }
        }
        acc
    }
}

/// Every 16-bit word shifted left, or right if `bits` is negative; a constant becomes part of the
/// instruction.
///
/// # Safety
/// The machine has NEON.
#[inline(always)]
unsafe fn shift_words(mut line: [uint8x16_t; 4], bits: i16) -> [uint8x16_t; 4] {
    for part in &mut line {
        // SAFETY: the caller vouches for the instruction set.
        *part = unsafe {
            let words = vreinterpretq_u16_u8(*part);
            vreinterpretq_u8_u16(vshlq_u16(words, vdupq_n_s16(bits)))
        };
    }
    line
}
