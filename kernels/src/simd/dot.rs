//! Dot products of small integers and of bfloat16, sixteen outputs at a time.
//!
//! Invariant: integer results are exact on every path; bfloat16 ones differ by rounding, since
//! the instruction rounds and flushes in its own way.

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
    /// Whether [`dot8`](Self::dot8) takes its weights as `w - 128`.
    const CENTRES_BYTES: bool;

    /// Whether there are registers for tiles of 24 vectors.
    const WIDE: bool;

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
    /// Sixteen times `*p`, shifted left.
    unsafe fn splat_shl(p: *const i32, bits: u32) -> Self::I;
    /// `acc[i] + Σ w[4i + j] · a[j]` over four `j`, weights unsigned and below 64, `a` signed.
    unsafe fn dot(acc: Self::I, w: Self::Line, a: i32) -> Self::I;
    /// As [`dot`](Self::dot) for any bytes, less 128 each if [`Self::CENTRES_BYTES`].
    unsafe fn dot8(acc: Self::I, w: Self::Line, a: i32) -> Self::I;
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
    unsafe fn dot8(acc: Self::I, w: Self::Line, a: i32) -> Self::I {
        // SAFETY: plain arrays run everywhere.
        unsafe { Self::dot(acc, w, a) }
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

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Dot256, Dot512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Dot, bf16_pair};
    use crate::simd::{Avx2, Avx512};

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
        type S = Avx2;
        type Line = [__m256i; 2];
        type I = [__m256i; 2];
        const CENTRES_BYTES: bool = !VNNI;

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
            unsafe {
                let bits = _mm_cvtsi32_si128(bits as i32);
                [_mm256_sll_epi32(_mm256_set1_epi32(*p), bits); 2]
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
            let (a0, a1) = bf16_pair(a);
            unsafe {
                let a = [_mm256_set1_ps(a0), _mm256_set1_ps(a1)];
                [dot_bf16_256(acc[0], w[0], a), dot_bf16_256(acc[1], w[1], a)]
            }
        }
    }

    /// # Safety
    /// The machine has AVX2 and FMA.
    #[inline(always)]
    unsafe fn dot_bf16_256(acc: __m256, w: __m256i, a: [__m256; 2]) -> __m256 {
        // SAFETY: the caller vouches for the instruction set.
        unsafe {
            let low = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(w));
            let high = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            let high = _mm256_castsi256_ps(_mm256_and_si256(w, high));
            _mm256_fmadd_ps(high, a[1], _mm256_fmadd_ps(low, a[0], acc))
        }
    }

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
        type S = Avx512;
        type Line = __m512i;
        type I = __m512i;
        const CENTRES_BYTES: bool = !VNNI;

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
        unsafe fn to_f32(x: Self::I) -> __m512 {
            unsafe { _mm512_cvtepi32_ps(x) }
        }
        #[inline(always)]
        unsafe fn halves(p: *const u8) -> __m512 {
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
        }
        #[inline(always)]
        unsafe fn dot_f32(acc: __m512, w: Self::Line, a: u32) -> __m512 {
            unsafe {
                _mm512_fmadd_ps(_mm512_castsi512_ps(w), _mm512_set1_ps(f32::from_bits(a)), acc)
            }
        }
        #[inline(always)]
        unsafe fn dot_bf16(acc: __m512, w: Self::Line, a: u32) -> __m512 {
            unsafe {
                if BF16 {
                    let a = _mm512_set1_epi32(a as i32);
                    // SAFETY: two views of one register.
                    let (w, a): (__m512bh, __m512bh) =
                        (std::mem::transmute(w), std::mem::transmute(a));
                    return _mm512_dpbf16_ps(acc, w, a);
                }
                let (a0, a1) = bf16_pair(a);
                let low = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(w));
                let high = _mm512_set1_epi32(0xffff_0000_u32 as i32);
                let high = _mm512_castsi512_ps(_mm512_and_si512(w, high));
                let acc = _mm512_fmadd_ps(low, _mm512_set1_ps(a0), acc);
                _mm512_fmadd_ps(high, _mm512_set1_ps(a1), acc)
            }
        }
    }
}
