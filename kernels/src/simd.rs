//! Sixteen `f32` lanes on every machine: AVX-512, AVX2 with FMA, or plain arrays.
//!
//! Invariant: every implementation rounds alike (one fused multiply-add per lane, one order of
//! the final sum), so results do not depend on the instruction set, bit for bit.

use std::sync::OnceLock;

/// Lanes per vector, whatever the instruction set.
pub(crate) const LANES: usize = 16;

/// Instruction sets with a path of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust; what the compiler makes of it (NEON on aarch64).
    Portable,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

impl Isa {
    /// The best instruction set of this machine.
    pub fn detect() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| *Self::available().last().unwrap_or(&Isa::Portable))
    }

    /// All instruction sets that this machine can run, plainest first.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "only x86-64 adds to it")]
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx2 {
                all.push(Self::Avx2);
            }
            if avx2 && avx512 {
                all.push(Self::Avx512);
            }
        }
        all
    }
}

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
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The x86-64 registers.

    use std::arch::x86_64::*;

    use super::Simd;

    /// One 512-bit register.
    pub(crate) struct Avx512;

    impl Simd for Avx512 {
        type V = __m512;
        #[inline(always)]
        unsafe fn zero() -> Self::V {
            // SAFETY: the caller vouches for AVX-512F (so in all methods below).
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            // SAFETY: as above.
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            // SAFETY: as above; sixteen readable floats.
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            // SAFETY: as above; sixteen writable floats.
            unsafe { _mm512_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
    }

    /// Two 256-bit registers.
    pub(crate) struct Avx2;

    impl Simd for Avx2 {
        type V = [__m256; 2];
        #[inline(always)]
        unsafe fn zero() -> Self::V {
            // SAFETY: the caller vouches for AVX2 and FMA (so in all methods below).
            unsafe { [_mm256_setzero_ps(); 2] }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            // SAFETY: as above.
            unsafe { [_mm256_set1_ps(x); 2] }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            // SAFETY: as above; sixteen readable floats.
            unsafe { [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))] }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            // SAFETY: as above; sixteen writable floats.
            unsafe {
                _mm256_storeu_ps(p, v[0]);
                _mm256_storeu_ps(p.add(8), v[1]);
            }
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            // SAFETY: as above.
            unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
        }
    }
}
