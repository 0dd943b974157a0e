//! Sixteen `f32` lanes on every machine: AVX-512, AVX2 with FMA, NEON, or plain arrays.
//!
//! Invariant: every implementation rounds alike (one fused multiply-add per lane, one order of
//! the final sum), so results do not depend on the instruction set, bit for bit.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
mod dot;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(crate) use dot::Dot128;
pub(crate) use dot::{Dot, LINE};
#[cfg(target_arch = "x86_64")]
pub(crate) use dot::{Dot256, Dot512};
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

/// Defines `$name`, which calls `$body` compiled for the given instruction set.
macro_rules! on_each_isa {
    ($(#[$doc:meta])* $name:ident = $body:ident($($arg:ident: $ty:ty),*)) => {
        $(#[$doc])*
        pub(super) unsafe fn $name(isa: $crate::Isa, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::simd::{Dot256, Dot512};
                #[target_feature(enable = "avx2,fma,f16c")]
                unsafe fn avx2($($arg: $ty),*) {
                    // SAFETY: the caller vouches (so in all below).
                    unsafe { $body::<Dot256<false>>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
                unsafe fn avx2_vnni($($arg: $ty),*) {
                    // SAFETY: as above.
                    unsafe { $body::<Dot256<true>>($($arg),*) }
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
                unsafe fn avx512($($arg: $ty),*) {
                    // SAFETY: as above.
                    unsafe { $body::<Dot512<false, false>>($($arg),*) }
                }
                #[target_feature(
                    enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"
                )]
                unsafe fn avx512_vnni($($arg: $ty),*) {
                    // SAFETY: as above.
                    unsafe { $body::<Dot512<true, false>>($($arg),*) }
                }
                #[target_feature(
                    enable = "avx512f,avx512bw,avx512vl,avx512dq",
                    enable = "avx512vnni,avx512bf16,avx2,fma,f16c"
                )]
                unsafe fn avx512_bf16($($arg: $ty),*) {
                    // SAFETY: as above.
                    unsafe { $body::<Dot512<true, true>>($($arg),*) }
                }
                // SAFETY: the caller vouches for memory, and that `isa` is available.
                unsafe {
                    match isa {
                        $crate::Isa::Portable | $crate::Isa::Neon | $crate::Isa::NeonDot => {}
                        $crate::Isa::Avx2 => return avx2($($arg),*),
                        $crate::Isa::Avx2Vnni => return avx2_vnni($($arg),*),
                        $crate::Isa::Avx512 => return avx512($($arg),*),
                        $crate::Isa::Avx512Vnni | $crate::Isa::Amx => {
                            return avx512_vnni($($arg),*);
                        }
                        $crate::Isa::Avx512Bf16 => return avx512_bf16($($arg),*),
                    }
                }
            }
            #[cfg(target_arch = "aarch64")]
            {
                use $crate::simd::Dot128;
                #[target_feature(enable = "neon")]
                unsafe fn neon($($arg: $ty),*) {
                    // SAFETY: the caller vouches (so in all below).
                    unsafe { $body::<Dot128<false>>($($arg),*) }
                }
                #[target_feature(enable = "neon,dotprod")]
                unsafe fn neon_dot($($arg: $ty),*) {
                    // SAFETY: as above.
                    unsafe { $body::<Dot128<true>>($($arg),*) }
                }
                // SAFETY: the caller vouches for memory, and that `isa` is available.
                unsafe {
                    match isa {
                        $crate::Isa::Neon => return neon($($arg),*),
                        $crate::Isa::NeonDot => return neon_dot($($arg),*),
                        _ => {}
                    }
                }
            }
            let _ = isa;
            // SAFETY: the caller vouches for memory; plain arrays run everywhere.
            unsafe { $body::<$crate::simd::Portable>($($arg),*) }
        }
    };
}
pub(crate) use on_each_isa;

/// Lanes per vector, whatever the instruction set.
pub(crate) const LANES: usize = 16;

/// A vector of [`LANES`] floats.
pub(crate) trait Simd {
    /// The register type.
    type V: Copy;
    /// Sixteen zeros.
    ///
    /// # Safety
    /// The machine has the instruction set (true of every method here).
    unsafe fn zero() -> Self::V;
    /// Sixteen times `x`.
    unsafe fn splat(x: f32) -> Self::V;
    /// Reads sixteen floats at `p`, which need no alignment.
    unsafe fn load(p: *const f32) -> Self::V;
    /// Writes sixteen floats at `p`.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// `a * b + c`, rounded once.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a * b`.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// Sixteen small numbers widened.
    unsafe fn from_u8(x: &[u8; LANES]) -> Self::V;
    /// A half, little-endian, widened.
    unsafe fn f16(bytes: [u8; 2]) -> f32;
    /// Sixteen bfloat16 at `p`, which need no more alignment than one, widened.
    unsafe fn from_bf16(p: *const u16) -> Self::V;
}

/// Adds the lanes as a balanced tree, the same on every path.
#[inline(always)]
pub(crate) fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The sum of all lanes of `v`.
///
/// # Safety
/// The machine has the instruction set of `S`.
#[inline(always)]
pub(crate) unsafe fn sum<S: Simd>(v: S::V) -> f32 {
    let mut lanes = [0.0; LANES];
    // SAFETY: `lanes` holds sixteen floats; the caller vouches for the instruction set.
    unsafe { S::store(lanes.as_mut_ptr(), v) };
    sum_lanes(lanes)
}

/// Asks for the line at `p`, if there is one, to be brought near.
#[inline(always)]
pub(crate) fn prefetch(p: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, of which any address may be the subject.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(p.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        // The intrinsic is not stable yet.
        std::arch::asm!(
            "prfm pldl1keep, [{p}]",
            p = in(reg) p,
            options(readonly, nostack, preserves_flags)
        );
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = p;
}

/// Arrays that the compiler may vectorise.
pub(crate) struct Portable;

impl Simd for Portable {
    type V = [f32; LANES];
    #[inline(always)]
    unsafe fn zero() -> Self::V {
        [0.0; LANES]
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: the caller vouches for sixteen readable floats.
        unsafe { p.cast::<[f32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: the caller vouches for sixteen writable floats.
        unsafe { p.cast::<[f32; LANES]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, mut c: Self::V) -> Self::V {
        for i in 0..LANES {
            c[i] = a[i].mul_add(b[i], c[i]);
        }
        c
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn from_u8(x: &[u8; LANES]) -> Self::V {
        x.map(f32::from)
    }
    #[inline(always)]
    unsafe fn f16(bytes: [u8; 2]) -> f32 {
        f16_to_f32(bytes)
    }
    #[inline(always)]
    unsafe fn from_bf16(p: *const u16) -> Self::V {
        // SAFETY: the caller vouches for sixteen readable numbers.
        let numbers = unsafe { p.cast::<[u16; LANES]>().read_unaligned() };
        numbers.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }
}

/// Widens a half without branches, so that loops over it vectorise on any target
/// (`half::f16::to_f32` asks for the CPU's features on every call).
///
/// After F. Giesen, "Half to float done quick" (fp16 → fp32, magic subtraction for subnormals).
#[inline(always)]
pub(crate) fn f16_to_f32(bytes: [u8; 2]) -> f32 {
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
    use super::f16_to_f32;

    #[test]
    fn every_half_widens_as_the_half_crate_says() {
        for bits in 0..=u16::MAX {
            let (want, got) = (half::f16::from_bits(bits).to_f32(), f16_to_f32(bits.to_le_bytes()));
            let same = want.to_bits() == got.to_bits() || (want.is_nan() && got.is_nan());
            assert!(same, "{bits:#06x}: {got} is not {want}");
        }
    }
}
