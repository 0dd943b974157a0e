//! The aarch64 registers.

use std::arch::aarch64::*;

use super::{LANES, Simd};

/// Four 128-bit registers.
pub(crate) struct Neon;

impl Simd for Neon {
    type V = [float32x4_t; 4];
    #[inline(always)]
    unsafe fn zero() -> Self::V {
        // SAFETY: the caller vouches for NEON (so in all methods below).
        unsafe { [vdupq_n_f32(0.0); 4] }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        // SAFETY: as above.
        unsafe { [vdupq_n_f32(x); 4] }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: as above; sixteen readable floats.
        unsafe { [vld1q_f32(p), vld1q_f32(p.add(4)), vld1q_f32(p.add(8)), vld1q_f32(p.add(12))] }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: as above; sixteen writable floats.
        unsafe {
            vst1q_f32(p, v[0]);
            vst1q_f32(p.add(4), v[1]);
            vst1q_f32(p.add(8), v[2]);
            vst1q_f32(p.add(12), v[3]);
        }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, mut c: Self::V) -> Self::V {
        for i in 0..4 {
            // SAFETY: as above.
            c[i] = unsafe { vfmaq_f32(c[i], a[i], b[i]) };
        }
        c
    }
    #[inline(always)]
    unsafe fn mul(mut a: Self::V, b: Self::V) -> Self::V {
        for i in 0..4 {
            // SAFETY: as above.
            a[i] = unsafe { vmulq_f32(a[i], b[i]) };
        }
        a
    }
    #[inline(always)]
    unsafe fn add(mut a: Self::V, b: Self::V) -> Self::V {
        for i in 0..4 {
            // SAFETY: as above.
            a[i] = unsafe { vaddq_f32(a[i], b[i]) };
        }
        a
    }
    #[inline(always)]
    unsafe fn from_u8(x: &[u8; LANES]) -> Self::V {
        // SAFETY: as above; sixteen readable bytes.
        unsafe {
            let bytes = vld1q_u8(x.as_ptr());
            let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
            [
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
                vcvtq_f32_u32(vmovl_high_u16(low)),
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
                vcvtq_f32_u32(vmovl_high_u16(high)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn f16(bytes: [u8; 2]) -> f32 {
        // SAFETY: as above.
        unsafe {
            let halves = vreinterpret_f16_u16(vdup_n_u16(u16::from_le_bytes(bytes)));
            vgetq_lane_f32::<0>(vcvt_f32_f16(halves))
        }
    }
    #[inline(always)]
    unsafe fn from_bf16(p: *const u16) -> Self::V {
        // SAFETY: as above; sixteen readable numbers.
        unsafe {
            [0, 4, 8, 12]
                .map(|i| vreinterpretq_f32_u32(vshlq_n_u32::<16>(vmovl_u16(vld1_u16(p.add(i))))))
        }
    }
}
