//! Dot products in pairs of 256-bit registers.

use std::arch::x86_64::*;

use super::Dot;
use crate::simd::Avx2;

/// Two 256-bit registers, with AVX-VNNI or without.
pub(crate) struct Dot256<const VNNI: bool>;

/// `acc + Σ w·a`, where no sum of two products passes 16 bits.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn dot_256<const VNNI: bool>(acc: __m256i, w: __m256i, a: __m256i) -> __m256i {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        if VNNI {
            _mm256_dpbusd_avx_epi32(acc, w, a)
        } else {
            let pairs = _mm256_maddubs_epi16(w, a);
            _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }
}

/// See [`Dot::pin`].
#[target_feature(enable = "avx2")]
#[inline]
fn pin_256(low: &mut __m256i, high: &mut __m256i) {
    // SAFETY: no instruction at all.
    unsafe {
        std::arch::asm!(
            "/* {low} {high} */",
            low = inout(ymm_reg) * low,
            high = inout(ymm_reg) * high,
            options(nomem, nostack, preserves_flags)
        );
    }
}

/// Bytes of a 32-bit lane that hold a pair's half, placed as the upper half above zeros.
const LOW: i32 = 0x0100_8080;
const HIGH: i32 = 0x0302_8080;

/// How many sums of two products, of a weight below `2^bits` and a byte from −127 to 127, add up
/// within 16 bits.
#[inline(always)]
pub(super) fn pairs_room(bits: u32) -> usize {
    i16::MAX as usize / (2 * 127 * ((1 << bits) - 1))
}

/// `Σ (w - 128)·a` by magnitudes: |w - 128| · (±a) stays within 16 bits in pairs.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn centred_256(acc: __m256i, w: __m256i, a: __m256i) -> __m256i {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let w = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
        dot_256::<false>(acc, _mm256_abs_epi8(w), _mm256_sign_epi8(a, w))
    }
}

// In all methods of both: SAFETY: the caller vouches for memory and instruction set.
#[allow(clippy::undocumented_unsafe_blocks, reason = "said once above")]
impl<const VNNI: bool> Dot for Dot256<VNNI> {
    const WIDE: bool = false;
    const AVX2: bool = true;
    const FOLDS_ZERO: bool = !VNNI;
    type S = Avx2;
    type Line = [__m256i; 2];
    type I = [__m256i; 2];
    type Sums = [__m256i; 2];
    const CENTRES_BYTES: bool = !VNNI;

    #[inline(always)]
    fn room(bits: u32) -> usize {
        if VNNI { usize::MAX } else { pairs_room(bits) }
    }

    #[inline(always)]
    unsafe fn line(p: *const u8) -> Self::Line {
        unsafe { [_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(32).cast())] }
    }
    #[inline(always)]
    unsafe fn zero() -> Self::I {
        unsafe { [_mm256_setzero_si256(); 2] }
    }
    #[inline(always)]
    unsafe fn put_line(p: *mut u8, line: Self::Line) {
        unsafe {
            _mm256_storeu_si256(p.cast(), line[0]);
            _mm256_storeu_si256(p.add(32).cast(), line[1]);
        }
    }
    #[inline(always)]
    unsafe fn and(line: Self::Line, mask: u8) -> Self::Line {
        unsafe {
            let mask = _mm256_set1_epi8(mask as i8);
            [_mm256_and_si256(line[0], mask), _mm256_and_si256(line[1], mask)]
        }
    }
    #[inline(always)]
    unsafe fn or(a: Self::Line, b: Self::Line) -> Self::Line {
        unsafe { [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])] }
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(line: Self::Line) -> Self::Line {
        unsafe {
            let bits = _mm_cvtsi32_si128(N as i32);
            [_mm256_sll_epi16(line[0], bits), _mm256_sll_epi16(line[1], bits)]
        }
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(line: Self::Line) -> Self::Line {
        unsafe {
            let bits = _mm_cvtsi32_si128(N as i32);
            [_mm256_srl_epi16(line[0], bits), _mm256_srl_epi16(line[1], bits)]
        }
    }
    #[inline(always)]
    unsafe fn splat_shl(p: *const i32, bits: u32) -> Self::I {
        // A product: shifts of equal lanes the compiler would do in general registers.
        unsafe {
            let factor = _mm256_set1_epi32(1 << bits);
            [_mm256_madd_epi16(_mm256_set1_epi32(*p), factor); 2]
        }
    }
    #[inline(always)]
    unsafe fn dot(acc: Self::I, w: Self::Line, a: i32) -> Self::I {
        unsafe {
            let a = _mm256_set1_epi32(a);
            [dot_256::<VNNI>(acc[0], w[0], a), dot_256::<VNNI>(acc[1], w[1], a)]
        }
    }
    #[inline(always)]
    unsafe fn begin(acc: Self::I) -> Self::Sums {
        unsafe { if VNNI { acc } else { [_mm256_setzero_si256(); 2] } }
    }
    #[inline(always)]
    unsafe fn more(sums: Self::Sums, w: Self::Line, a: i32) -> Self::Sums {
        unsafe {
            if VNNI {
                return Self::dot(sums, w, a);
            }
            let a = _mm256_set1_epi32(a);
            [
                _mm256_add_epi16(sums[0], _mm256_maddubs_epi16(w[0], a)),
                _mm256_add_epi16(sums[1], _mm256_maddubs_epi16(w[1], a)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn pin(sums: &mut Self::Sums) {
        unsafe {
            let [low, high] = sums;
            pin_256(low, high);
        }
    }
    #[inline(always)]
    unsafe fn end(acc: Self::I, sums: Self::Sums) -> Self::I {
        unsafe {
            if VNNI {
                return sums;
            }
            let one = _mm256_set1_epi16(1);
            [
                _mm256_add_epi32(acc[0], _mm256_madd_epi16(sums[0], one)),
                _mm256_add_epi32(acc[1], _mm256_madd_epi16(sums[1], one)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn dot8(acc: Self::I, w: Self::Line, a: i32) -> Self::I {
        unsafe {
            if VNNI {
                return Self::dot(acc, w, a);
            }
            let a = _mm256_set1_epi32(a);
            [centred_256(acc[0], w[0], a), centred_256(acc[1], w[1], a)]
        }
    }
    #[inline(always)]
    unsafe fn widen<const HALF: usize>(line: Self::Line) -> Self::Line {
        unsafe {
            let mut wide = line;
            if HALF == 0 {
                wide = [_mm256_slli_epi16::<8>(line[0]), _mm256_slli_epi16::<8>(line[1])];
            }
            [_mm256_srai_epi16::<8>(wide[0]), _mm256_srai_epi16::<8>(wide[1])]
        }
    }
    #[inline(always)]
    unsafe fn dot16(acc: Self::I, w: Self::Line, a: u32) -> Self::I {
        unsafe {
            let a = _mm256_set1_epi32(a as i32);
            if VNNI {
                return [
                    _mm256_dpwssd_avx_epi32(acc[0], w[0], a),
                    _mm256_dpwssd_avx_epi32(acc[1], w[1], a),
                ];
            }
            [
                _mm256_add_epi32(acc[0], _mm256_madd_epi16(w[0], a)),
                _mm256_add_epi32(acc[1], _mm256_madd_epi16(w[1], a)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn bf16_of<const SECOND: bool>(line: Self::Line) -> [__m256; 2] {
        unsafe { [bf16_of_256::<SECOND>(line[0]), bf16_of_256::<SECOND>(line[1])] }
    }
    #[inline(always)]
    unsafe fn to_f32(x: Self::I) -> [__m256; 2] {
        unsafe { [_mm256_cvtepi32_ps(x[0]), _mm256_cvtepi32_ps(x[1])] }
    }
    #[inline(always)]
    unsafe fn halves(p: *const u8) -> [__m256; 2] {
        unsafe {
            let (low, high) = (_mm_loadu_si128(p.cast()), _mm_loadu_si128(p.add(16).cast()));
            [_mm256_cvtph_ps(low), _mm256_cvtph_ps(high)]
        }
    }
    #[inline(always)]
    unsafe fn dot_f32(acc: [__m256; 2], w: Self::Line, a: u32) -> [__m256; 2] {
        unsafe {
            let a = _mm256_set1_ps(f32::from_bits(a));
            let w = [_mm256_castsi256_ps(w[0]), _mm256_castsi256_ps(w[1])];
            [_mm256_fmadd_ps(w[0], a, acc[0]), _mm256_fmadd_ps(w[1], a, acc[1])]
        }
    }
    #[inline(always)]
    unsafe fn dot_bf16(acc: [__m256; 2], w: Self::Line, a: u32) -> [__m256; 2] {
        unsafe {
            // Shuffles: shifts of equal lanes the compiler would do in general registers.
            let a = _mm256_set1_epi32(a as i32);
            let a = [
                _mm256_castsi256_ps(_mm256_shuffle_epi8(a, _mm256_set1_epi32(LOW))),
                _mm256_castsi256_ps(_mm256_shuffle_epi8(a, _mm256_set1_epi32(HIGH))),
            ];
            [dot_bf16_256(acc[0], w[0], a), dot_bf16_256(acc[1], w[1], a)]
        }
    }
}

/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn bf16_of_256<const SECOND: bool>(w: __m256i) -> __m256 {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let high = _mm256_set1_epi32(0xffff_0000_u32 as i32);
        let half = if SECOND { _mm256_and_si256(w, high) } else { _mm256_slli_epi32::<16>(w) };
        _mm256_castsi256_ps(half)
    }
}

/// # Safety
/// The machine has AVX2 and FMA.
#[inline(always)]
unsafe fn dot_bf16_256(acc: __m256, w: __m256i, a: [__m256; 2]) -> __m256 {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let (low, high) = (bf16_of_256::<false>(w), bf16_of_256::<true>(w));
        _mm256_fmadd_ps(high, a[1], _mm256_fmadd_ps(low, a[0], acc))
    }
}
