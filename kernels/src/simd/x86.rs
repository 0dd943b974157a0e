//! The x86-64 registers.

use std::arch::x86_64::*;

use super::{LANES, Simd};

/// # Safety
/// The machine has F16C.
#[inline(always)]
unsafe fn f16c(bytes: [u8; 2]) -> f32 {
    // SAFETY: the caller vouches for F16C.
    unsafe {
        let bits = _mm_cvtsi32_si128(i32::from(u16::from_le_bytes(bytes)));
        _mm_cvtss_f32(_mm_cvtph_ps(bits))
    }
}

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
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn from_u8(x: &[u8; LANES]) -> Self::V {
        // SAFETY: as above; sixteen readable bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(x.as_ptr().cast()))) }
    }
    #[inline(always)]
    unsafe fn f16(bytes: [u8; 2]) -> f32 {
        // SAFETY: the paths are chosen only where there is F16C too.
        unsafe { f16c(bytes) }
    }
    #[inline(always)]
    unsafe fn from_bf16(p: *const u16) -> Self::V {
        // SAFETY: as above; sixteen readable numbers.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
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
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn from_u8(x: &[u8; LANES]) -> Self::V {
        // SAFETY: as above; sixteen readable bytes.
        unsafe {
            let bytes = _mm_loadu_si128(x.as_ptr().cast());
            let high = _mm_srli_si128::<8>(bytes);
            [
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn f16(bytes: [u8; 2]) -> f32 {
        // SAFETY: as above.
        unsafe { f16c(bytes) }
    }
    #[inline(always)]
    unsafe fn from_bf16(p: *const u16) -> Self::V {
        // SAFETY: as above; sixteen readable numbers.
        unsafe {
            [p, p.add(8)].map(|p| {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            })
        }
    }
}
