//! Dot products in 512-bit registers.

use std::arch::x86_64::*;

use super::{Dot, avx2::pairs_room, bf16_pair};
use crate::simd::Avx512;

/// One 512-bit register, with VNNI and BF16 or without.
pub(crate) struct Dot512<const VNNI: bool, const BF16: bool>;

/// # Safety
/// The machine has AVX-512BW.
#[inline(always)]
unsafe fn dot_512(acc: __m512i, w: __m512i, a: __m512i) -> __m512i {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let pairs = _mm512_maddubs_epi16(w, a);
        _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
    }
}

#[allow(clippy::undocumented_unsafe_blocks, reason = "said once above")]
impl<const VNNI: bool, const BF16: bool> Dot for Dot512<VNNI, BF16> {
    const WIDE: bool = true;
    const ROUNDS_TO_BF16: bool = BF16;
    type S = Avx512;
    type Line = __m512i;
    type I = __m512i;
    type Sums = __m512i;
    const CENTRES_BYTES: bool = !VNNI;

    #[inline(always)]
    fn room(bits: u32) -> usize {
        if VNNI { usize::MAX } else { pairs_room(bits) }
    }

    #[inline(always)]
    unsafe fn line(p: *const u8) -> Self::Line {
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    unsafe fn zero() -> Self::I {
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn put_line(p: *mut u8, line: Self::Line) {
        unsafe { _mm512_storeu_si512(p.cast(), line) }
    }
    #[inline(always)]
    unsafe fn and(line: Self::Line, mask: u8) -> Self::Line {
        unsafe { _mm512_and_si512(line, _mm512_set1_epi8(mask as i8)) }
    }
    #[inline(always)]
    unsafe fn or(a: Self::Line, b: Self::Line) -> Self::Line {
        unsafe { _mm512_or_si512(a, b) }
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(line: Self::Line) -> Self::Line {
        unsafe { _mm512_slli_epi16::<N>(line) }
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(line: Self::Line) -> Self::Line {
        unsafe { _mm512_srli_epi16::<N>(line) }
    }
    #[inline(always)]
    unsafe fn splat_shl(p: *const i32, bits: u32) -> Self::I {
        unsafe {
            let bits = _mm_cvtsi32_si128(bits as i32);
            _mm512_sll_epi32(_mm512_set1_epi32(*p), bits)
        }
    }
    #[inline(always)]
    unsafe fn dot(acc: Self::I, w: Self::Line, a: i32) -> Self::I {
        unsafe {
            let a = _mm512_set1_epi32(a);
            if VNNI { _mm512_dpbusd_epi32(acc, w, a) } else { dot_512(acc, w, a) }
        }
    }
    #[inline(always)]
    unsafe fn begin(acc: Self::I) -> Self::Sums {
        unsafe { if VNNI { acc } else { _mm512_setzero_si512() } }
    }
    #[inline(always)]
    unsafe fn more(sums: Self::Sums, w: Self::Line, a: i32) -> Self::Sums {
        unsafe {
            let a = _mm512_set1_epi32(a);
            if VNNI {
                return _mm512_dpbusd_epi32(sums, w, a);
            }
            _mm512_add_epi16(sums, _mm512_maddubs_epi16(w, a))
        }
    }
    #[inline(always)]
    unsafe fn end(acc: Self::I, sums: Self::Sums) -> Self::I {
        unsafe {
            if VNNI {
                return sums;
            }
            _mm512_add_epi32(acc, _mm512_madd_epi16(sums, _mm512_set1_epi16(1)))
        }
    }
    #[inline(always)]
    unsafe fn dot8(acc: Self::I, w: Self::Line, a: i32) -> Self::I {
        unsafe {
            if VNNI {
                return Self::dot(acc, w, a);
            }
            // As `centred_256`; AVX-512 has no sign instruction.
            let w = _mm512_xor_si512(w, _mm512_set1_epi8(-128));
            let a = _mm512_set1_epi32(a);
            let negative = _mm512_movepi8_mask(w);
            let a = _mm512_mask_sub_epi8(a, negative, _mm512_setzero_si512(), a);
            dot_512(acc, _mm512_abs_epi8(w), a)
        }
    }
    #[inline(always)]
    unsafe fn widen<const HALF: usize>(line: Self::Line) -> Self::Line {
        unsafe {
            let line = if HALF == 0 { _mm512_slli_epi16::<8>(line) } else { line };
            _mm512_srai_epi16::<8>(line)
        }
    }
    #[inline(always)]
    unsafe fn dot16(acc: Self::I, w: Self::Line, a: u32) -> Self::I {
        unsafe {
            let a = _mm512_set1_epi32(a as i32);
            if VNNI {
                return _mm512_dpwssd_epi32(acc, w, a);
            }
            _mm512_add_epi32(acc, _mm512_madd_epi16(w, a))
        }
    }
    #[inline(always)]
    unsafe fn to_f32(x: Self::I) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(x) }
    }
    #[inline(always)]
    unsafe fn halves(p: *const u8) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
    }
    #[inline(always)]
    unsafe fn dot_f32(acc: __m512, w: Self::Line, a: u32) -> __m512 {
        unsafe { _mm512_fmadd_ps(_mm512_castsi512_ps(w), _mm512_set1_ps(f32::from_bits(a)), acc) }
    }
    #[inline(always)]
    unsafe fn bf16_of<const SECOND: bool>(line: Self::Line) -> __m512 {
        unsafe {
            if !SECOND {
                return _mm512_castsi512_ps(_mm512_slli_epi32::<16>(line));
            }
            let high = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            _mm512_castsi512_ps(_mm512_and_si512(line, high))
        }
    }
    #[inline(always)]
    unsafe fn dot_bf16(acc: __m512, w: Self::Line, a: u32) -> __m512 {
        unsafe {
            if BF16 {
                let a = _mm512_set1_epi32(a as i32);
                // SAFETY: two views of one register.
                let w = std::mem::transmute::<__m512i, __m512bh>(w);
                let a = std::mem::transmute::<__m512i, __m512bh>(a);
                return _mm512_dpbf16_ps(acc, w, a);
            }
            let (a0, a1) = bf16_pair(a);
            let acc = _mm512_fmadd_ps(Self::bf16_of::<false>(w), _mm512_set1_ps(a0), acc);
            _mm512_fmadd_ps(Self::bf16_of::<true>(w), _mm512_set1_ps(a1), acc)
        }
    }
}
