//! Every instruction set against plain arithmetic, value by value.

use super::{Dot, LANES, LINE, Portable, Simd};
use crate::{Isa, simd::on_each_isa};

on_each_isa! {
    /// # Safety
    /// `isa` is available (so in all below).
    check_integers = integers(name: &str)
}

on_each_isa! {
    /// # Safety
    /// As [`check_integers`].
    check_bits = bits(name: &str)
}

on_each_isa! {
    /// # Safety
    /// As [`check_integers`].
    check_floats = floats(name: &str)
}

/// Bytes from a fixed sequence.
fn bytes<const N: usize>(mut seed: u64) -> [u8; N] {
    let mut bytes = [0; N];
    for byte in &mut bytes {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        *byte = (seed >> 40) as u8;
    }
    bytes
}

/// Sixteen floats: from −16 to 16 in steps of 1/256.
fn sixteen(seed: u64) -> [f32; LANES] {
    let words = bytes::<{ 2 * LANES }>(seed);
    let words: [[u8; 2]; LANES] = words.as_chunks().0.try_into().expect("sixteen words");
    words.map(|word| f32::from(i16::from_le_bytes(word) >> 3) / 256.0)
}

/// # Safety
/// The machine has the instruction set of `S` (so in all below).
#[inline(always)]
unsafe fn lanes<S: Simd>(v: S::V) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    // SAFETY: sixteen floats.
    unsafe { S::store(lanes.as_mut_ptr(), v) };
    lanes
}

/// # Safety
/// See [`lanes`].
#[inline(always)]
unsafe fn stored<D: Dot>(line: D::Line) -> [u8; LINE] {
    let mut bytes = [0; LINE];
    // SAFETY: 64 bytes.
    unsafe { D::put_line(bytes.as_mut_ptr(), line) };
    bytes
}

/// `start + Σ (w − centre) · a` in each lane.
fn plain_dot(start: i32, w: &[u8; LINE], centre: i32, a: [i8; 4]) -> [f32; LANES] {
    let mut sums = [start as f32; LANES];
    for (sum, w) in sums.iter_mut().zip(w.as_chunks::<4>().0) {
        for (w, a) in w.iter().zip(a) {
            *sum += ((i32::from(*w) - centre) * i32::from(a)) as f32;
        }
    }
    sums
}

/// All weights times all activations, in each place of the four, and extremes in all places.
///
/// # Safety
/// See [`lanes`].
#[inline(always)]
unsafe fn integers<D: Dot>(name: &str) {
    let centre = if D::CENTRES_BYTES { 128 } else { 0 };
    let start = -12_345;
    for a in -127..=127_i8 {
        for (i, a) in [[a, 0, 0, 0], [0, a, 0, 0], [a, 127, a, -127], [-127, 127, 3, a], [a; 4]]
            .into_iter()
            .enumerate()
        {
            for first in (0..=255).step_by(LANES) {
                // Each weight in turn in one place of its lane, or in all.
                let mut w = bytes::<LINE>(first as u64 + 1);
                for (lane, w) in w.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    let all = (first + lane) as u8;
                    *w = if i == 4 { [all; 4] } else { [all, w[1], all, w[3]] };
                }
                // SAFETY: 64 bytes, a number; the caller vouches for the instruction set.
                unsafe {
                    let acc = D::splat_shl(&raw const start, 2);
                    let quad = i32::from_le_bytes(a.map(|a| a as u8));
                    let got = D::dot8(acc, D::line(w.as_ptr()), quad);
                    let want = plain_dot(start << 2, &w, centre, a);
                    assert_eq!(lanes::<D::S>(D::to_f32(got)), want, "{name} dot8 {a:?}");
                    let small = w.map(|w| w & 63);
                    let got = D::dot(D::zero(), D::line(small.as_ptr()), quad);
                    let want = plain_dot(0, &small, 0, a);
                    assert_eq!(lanes::<D::S>(D::to_f32(got)), want, "{name} dot {a:?}");
                    check_sums::<D>(name, (start, w), a);
                }
            }
        }
    }
}

/// As many lines as sums have room for, of weights of each size.
///
/// # Safety
/// See [`lanes`].
#[inline(always)]
unsafe fn check_sums<D: Dot>(name: &str, (start, w): (i32, [u8; LINE]), a: [i8; 4]) {
    let quad = i32::from_le_bytes(a.map(|a| a as u8));
    for bits in 4..=6 {
        let small = w.map(|w| w & ((1 << bits) - 1));
        let times = D::room(bits).min(8);
        // SAFETY: 64 bytes, a number; the caller vouches for the instruction set.
        unsafe {
            let acc = D::splat_shl(&raw const start, 0);
            let mut sums = D::begin(acc);
            for _ in 0..times {
                sums = D::more(sums, D::line(small.as_ptr()), quad);
                D::pin(&mut sums);
            }
            let got = lanes::<D::S>(D::to_f32(D::end(acc, sums)));
            let once = plain_dot(0, &small, 0, a);
            assert_eq!(got, once.map(|x| start as f32 + times as f32 * x), "{name} {bits} bits");
        }
    }
}

/// # Safety
/// See [`lanes`].
#[inline(always)]
unsafe fn bits<D: Dot>(name: &str) {
    let (a, b) = (bytes::<LINE>(1), bytes::<LINE>(2));
    // SAFETY: 64 bytes each; the caller vouches for the instruction set.
    unsafe {
        let (line, other) = (D::line(a.as_ptr()), D::line(b.as_ptr()));
        assert_eq!(stored::<D>(line), a, "{name}");
        assert_eq!(stored::<D>(D::and(line, 0x35)), a.map(|a| a & 0x35), "{name} and");
        let either: [u8; LINE] = std::array::from_fn(|i| a[i] | b[i]);
        assert_eq!(stored::<D>(D::or(line, other)), either, "{name} or");
        assert_eq!(stored::<D>(D::shl::<1>(line)), Portable::shl::<1>(a), "{name} shl");
        assert_eq!(stored::<D>(D::shl::<4>(line)), Portable::shl::<4>(a), "{name} shl");
        assert_eq!(stored::<D>(D::shr::<3>(line)), Portable::shr::<3>(a), "{name} shr");
        assert_eq!(stored::<D>(D::shr::<4>(line)), Portable::shr::<4>(a), "{name} shr");
        assert_eq!(stored::<D>(D::widen::<0>(line)), Portable::widen::<0>(a), "{name} widen");
        assert_eq!(stored::<D>(D::widen::<1>(line)), Portable::widen::<1>(a), "{name} widen");
        for operand in [0x0001_0000, 0x7fff_8001, 0x1234_fedc] {
            let wide = Portable::widen::<0>(b);
            let got = D::dot16(D::zero(), D::line(wide.as_ptr()), operand);
            let want = Portable::dot16([0; LANES], wide, operand);
            assert_eq!(lanes::<D::S>(D::to_f32(got)), want.map(|x| x as f32), "{name} dot16");
        }
    }
}

/// # Safety
/// See [`lanes`].
#[inline(always)]
unsafe fn floats<D: Dot>(name: &str) {
    let (x, y, z) = (sixteen(3), sixteen(4), sixteen(5));
    let w = bytes::<LINE>(6).map(|b| b & 0xbf); // no infinities
    let operand = 0x3fc0_c020; // −2.5 and 1.5 as bfloat16
    // SAFETY: sixteen floats each; the caller vouches for the instruction set.
    unsafe {
        let [a, b, c] = [&x, &y, &z].map(|x| D::S::load(x.as_ptr()));
        let want: [f32; LANES] = std::array::from_fn(|i| x[i].mul_add(y[i], z[i]));
        assert_eq!(lanes::<D::S>(D::S::fma(a, b, c)), want, "{name} fma");
        assert_eq!(lanes::<D::S>(D::S::mul(a, b)), Portable::mul(x, y), "{name} mul");
        assert_eq!(lanes::<D::S>(D::S::add(a, b)), Portable::add(x, y), "{name} add");
        assert_eq!(lanes::<D::S>(D::S::zero()), [0.0; LANES], "{name} zero");
        assert_eq!(lanes::<D::S>(D::S::splat(1.5)), [1.5; LANES], "{name} splat");
        let small: [u8; LANES] = bytes(7);
        assert_eq!(lanes::<D::S>(D::S::from_u8(&small)), small.map(f32::from), "{name} u8");
        let got = lanes::<D::S>(D::dot_f32(a, D::line(w.as_ptr()), operand));
        assert_eq!(got, Portable::dot_f32(x, w, operand), "{name} f32");
        let got = lanes::<D::S>(D::dot_bf16(a, D::line(w.as_ptr()), operand));
        for (got, want) in got.iter().zip(Portable::dot_bf16(x, w, operand)) {
            // Its instruction flushes what is too small and rounds in its own way.
            let most = if D::ROUNDS_TO_BF16 { 1e-6 * want.abs().max(1.0) } else { 0.0 };
            assert!((got - want).abs() <= most, "{name} bf16: {got} is not {want}");
        }
        for first in (0..=u16::MAX).step_by(LANES) {
            let halves: [[u8; 2]; LANES] =
                std::array::from_fn(|i| (first + i as u16).to_le_bytes());
            let wide = lanes::<D::S>(D::halves(halves.as_ptr().cast()));
            for (half, wide) in halves.into_iter().zip(wide) {
                let want = half::f16::from_le_bytes(half).to_f32();
                for got in [wide, D::S::f16(half)] {
                    let same = want.to_bits() == got.to_bits() || (want.is_nan() && got.is_nan());
                    assert!(same, "{name} half {half:?}: {got} is not {want}");
                }
            }
        }
    }
}

#[test]
fn integers_are_exact_on_every_instruction_set() {
    for isa in Isa::available() {
        // SAFETY: available.
        unsafe { check_integers(isa, isa.name()) };
    }
}

#[test]
fn lines_are_taken_to_pieces_alike_on_every_instruction_set() {
    for isa in Isa::available() {
        // SAFETY: available.
        unsafe { check_bits(isa, isa.name()) };
    }
}

#[test]
fn floats_are_those_of_plain_arithmetic_on_every_instruction_set() {
    for isa in Isa::available() {
        // SAFETY: available.
        unsafe { check_floats(isa, isa.name()) };
    }
}
