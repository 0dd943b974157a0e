//! A band of activations times two panels on the matrix unit.
//!
//! Invariant: a block's integer sum is that of the other tiles, exactly, and it is scaled and added
//! by the same operations in the same order: bit for bit, a row is what AVX-512 makes of it.

use std::{arch::x86_64::*, mem::MaybeUninit};

use super::{
    Format, GROUP,
    activations::{BAND, BLOCK, View, slot},
    group::{Group, Packed, QUADS, Unpacked},
    part::add_minima,
    tile::{NR, Outputs},
};
use crate::simd::{
    Dot, Dot512, LANES, LINE, Simd,
    amx::{self, Config, Configured, Pair},
};

/// What is done beside the products.
type Beside = Dot512<true, false>;
type Floats = [[__m512; NR]; BAND];

const _: () = assert!(BAND == amx::ROWS && NR == 2);
const _: () = assert!(BLOCK == amx::INPUTS && LINE == amx::ROW_BYTES);

/// Whether weights of this format are multiplied on tiles. Those with a scale for each 16 inputs,
/// and those in 16 bits, are not: storing and scaling that many sums takes longer than vectors.
/// bfloat16 goes [another way](super::amx_bf16).
pub(super) fn takes(format: Format) -> bool {
    !matches!(format, Format::Q6 | Format::Int16 | Format::Bf16)
}

/// Tiles of bytes.
///
/// # Safety
/// As [`Configured::new`].
pub(super) unsafe fn configure() -> Configured {
    // SAFETY: the caller vouches.
    unsafe { Configured::new(const { &Config::bytes() }) }
}

/// Unpacks panels into `area`, one after another, as signed bytes and what scales them, and says
/// where each begins.
///
/// # Safety
/// Panels have so many groups, the area has room for them, and the machine has AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn unpack_all(
    format: Format,
    from: [*const u8; NR],
    groups: usize,
    area: *mut u8,
) -> [*const u8; NR] {
    // With the zero point gone, fewer bits look like more.
    let bytes = match format {
        Format::Q4 | Format::Q5 | Format::Q8 => Unpacked::<Packed<8, false>>::BYTES,
        Format::Q4Min | Format::Q5Min => Unpacked::<Packed<5, true>>::BYTES,
        Format::Q6 | Format::Int16 | Format::Bf16 => unreachable!("not taken"),
    };
    for (n, panel) in from.into_iter().enumerate() {
        for g in 0..groups {
            // SAFETY: the caller vouches.
            unsafe {
                let (from, to) =
                    (panel.add(g * format.group_bytes()), area.add((n * groups + g) * bytes));
                match format {
                    Format::Q4 => centred::<Packed<4, false>>(from, to),
                    Format::Q4Min => centred::<Packed<4, true>>(from, to),
                    Format::Q5 => centred::<Packed<5, false>>(from, to),
                    Format::Q5Min => centred::<Packed<5, true>>(from, to),
                    Format::Q8 => centred::<Packed<8, false>>(from, to),
                    Format::Q6 | Format::Int16 | Format::Bf16 => unreachable!("not taken"),
                }
            }
        }
    }
    [area.cast_const(), area.wrapping_add(groups * bytes).cast_const()]
}

/// Weights less their zero point.
///
/// # Safety
/// As [`unpack_all`].
#[inline(always)]
unsafe fn centred<G: Group>(from: *const u8, to: *mut u8) {
    // SAFETY: the caller vouches.
    unsafe {
        Unpacked::<G>::unpack::<Beside>(from, to);
        let zero = _mm512_set1_epi8((1_u8 << G::ZERO_BITS) as i8);
        for line in 0..QUADS {
            let line = to.add(line * LINE);
            Beside::put_line(line, _mm512_sub_epi8(Beside::line(line), zero));
        }
    }
}

/// `to` = the rows of a band from `row` times unpacked panels.
///
/// # Safety
/// As [`super::tile::Tiles::quantized`]; `row` begins a band, panels are [unpacked](unpack_all),
/// and tiles are [configured](amx::Configured).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn band(
    format: Format,
    panels: [*const u8; NR],
    x: &View,
    row: usize,
    to: &mut [Outputs; BAND],
) {
    // SAFETY: the caller vouches.
    unsafe {
        match format {
            Format::Q4 | Format::Q5 | Format::Q8 => {
                quantized::<Unpacked<Packed<8, false>>>(panels, x, row, to);
            }
            Format::Q4Min | Format::Q5Min => {
                quantized::<Unpacked<Packed<5, true>>>(panels, x, row, to);
            }
            Format::Q6 | Format::Int16 | Format::Bf16 => unreachable!("not taken"),
        }
    }
}

/// # Safety
/// As [`band`].
#[inline(always)]
unsafe fn quantized<G: Group>(
    panels: [*const u8; NR],
    x: &View,
    row: usize,
    to: &mut [Outputs; BAND],
) {
    let first = slot(row, x.groups);
    let num_blocks = x.groups * 2;
    let mut sums = [const { MaybeUninit::<[amx::Sums; NR]>::uninit() }; 2];
    // SAFETY: the caller vouches.
    unsafe {
        let mut acc: Floats = [[<Beside as Dot>::S::zero(); NR]; BAND];
        // While one block is multiplied, the one before it is stored, and that before scaled.
        for i in 0..num_blocks + 2 {
            let (this, last) =
                if i % 2 == 0 { (Pair::Even, Pair::Odd) } else { (Pair::Odd, Pair::Even) };
            if i < num_blocks {
                let (g, block) = (i / 2, i % 2);
                let at = g * G::BYTES + block * (QUADS / 2) * LINE;
                let inputs = x.int8.add((first + g * BAND) * GROUP + block * BLOCK);
                amx::multiply(this, inputs, [panels[0].add(at), panels[1].add(at)]);
            }
            if i >= 2 {
                let (g, block) = ((i - 2) / 2, i % 2);
                let groups = [panels[0].add(g * G::BYTES), panels[1].add(g * G::BYTES)];
                let slot = first + g * BAND;
                let sums = sums[i % 2].assume_init_ref();
                scale::<G>(&mut acc, (groups, sums), x, (slot, block));
                if G::MIN && block == 1 {
                    add_minima::<Beside, G, BAND, NR>(&mut acc, groups, x, slot);
                }
            }
            amx::store(last, sums[(i + 1) % 2].as_mut_ptr());
        }
        store(&acc, to);
    }
}

/// Adds the sums of a block, scaled.
///
/// # Safety
/// As [`band`].
#[inline(always)]
unsafe fn scale<G: Group>(
    acc: &mut Floats,
    (groups, sums): ([*const u8; NR], &[amx::Sums; NR]),
    x: &View,
    (slot, block): (usize, usize),
) {
    // SAFETY: the caller vouches.
    unsafe {
        let scales = [G::scale::<Beside>(groups[0], block), G::scale::<Beside>(groups[1], block)];
        for (m, acc) in acc.iter_mut().enumerate() {
            let scale = _mm512_set1_ps(*x.scales.add((slot + m) * 2 + block));
            for ((acc, scales), sums) in acc.iter_mut().zip(scales).zip(sums) {
                let sums = _mm512_cvtepi32_ps(_mm512_load_si512(sums.0[m].as_ptr().cast()));
                *acc = _mm512_fmadd_ps(sums, _mm512_mul_ps(scales, scale), *acc);
            }
        }
    }
}

/// # Safety
/// As [`band`].
#[inline(always)]
unsafe fn store(acc: &Floats, to: &mut [Outputs; BAND]) {
    for (acc, to) in acc.iter().zip(to) {
        for (acc, to) in acc.iter().zip(to.as_chunks_mut::<LANES>().0) {
            // SAFETY: sixteen floats; the caller vouches for the instruction set.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), *acc) };
        }
    }
}
