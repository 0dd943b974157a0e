//! bfloat16 on Intel's matrix unit, against what its manual says.

#[path = "support/packed.rs"]
mod support;

use half::bf16;
use kernels::{Isa, packed::Kind, quant::DType};
use support::{Packed, noise};

/// bfloat16 on tiles is what Intel's description of `TDPBF16PS` makes of it, bit for bit: in rows
/// that are one chunk and several, and in sixteens of inputs that a group is not full of.
#[test]
fn bfloat16_on_tiles_is_as_described() {
    if !Isa::Amx.is_available() {
        return;
    }
    for (rows, cols, m) in [(16, 64, 1), (53, 752, 19), (40, 512, 47), (33, 8192, 70)] {
        let packed = Packed::new(DType::BF16, rows, cols);
        let x = noise(m * cols, 13);
        let weights: Vec<bf16> = packed
            .stored
            .as_chunks::<2>()
            .0
            .iter()
            .map(|bytes| bf16::from_le_bytes(*bytes))
            .collect();
        for (kind, parts) in [(Kind::Bf16, 2), (Kind::RoundedBf16, 1)] {
            let got = packed.run_with(kind, (Isa::Amx, 2), &x, None);
            for (i, got) in got.iter().enumerate() {
                let (x, w) = (&x[i / rows * cols..][..cols], &weights[i % rows * cols..][..cols]);
                assert_eq!(*got, described(x, w, parts), "{rows} {cols} {m} {kind:?}: {i}");
            }
        }
    }
}

/// For each 32 inputs, rounded and then, of two parts, what that left: even and odd inputs apart,
/// then both sums, then what was there.
fn described(x: &[f32], weights: &[bf16], parts: usize) -> f32 {
    let mut sum = 0.0;
    for (x, weights) in x.chunks(32).zip(weights.chunks(32)) {
        let rounded: Vec<f32> = x.iter().map(|x| bf16::from_f32(*x).to_f32()).collect();
        let left = x.iter().zip(&rounded).map(|(x, rounded)| bf16::from_f32(x - rounded).to_f32());
        for part in [rounded.clone(), left.collect()].into_iter().take(parts) {
            let mut sums = [0.0_f32; 2];
            for (i, (x, weight)) in part.iter().zip(weights).enumerate() {
                sums[i % 2] = x.mul_add(weight.to_f32(), sums[i % 2]);
            }
            sum += sums[0] + sums[1];
        }
    }
    sum
}
