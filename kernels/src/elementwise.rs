//! What happens to rows between the matrix products: norm, rotation, gate, sum.
//!
//! Each function is its own plain reference: loops simple enough for the compiler to vectorise.
//! Invariant: a row's result depends on that row only.

use crate::{
    exp::exp,
    isa::Isa,
    simd::{LANES, sum_lanes},
};

/// Defines `$name` as `$body` compiled once for each instruction set and chosen at run time; the
/// body is plain Rust that the compiler vectorises.
macro_rules! for_each_isa {
    ($(#[$doc:meta])* pub fn $name:ident($($arg:ident: $ty:ty),*) = $body:ident) => {
        $(#[$doc])*
        pub fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    $body($($arg),*);
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
                fn avx512($($arg: $ty),*) {
                    $body($($arg),*);
                }
                match Isa::detect() {
                    // SAFETY: detected.
                    Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => return unsafe { avx512($($arg),*) },
                    // SAFETY: detected.
                    Isa::Avx2 | Isa::Avx2Vnni => return unsafe { avx2($($arg),*) },
                    Isa::Portable => {}
                }
            }
            $body($($arg),*);
        }
    };
}

for_each_isa! {
/// `out[i] = x[i] · weight[i] / sqrt(mean(x²) + eps)` for each row of `weight.len()` elements
/// (RMSNorm, Zhang & Sennrich 2019).
///
/// # Panics
/// If `x` and `out` differ in length.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) = rms_norm_rows
}

#[inline(always)]
fn rms_norm_rows(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "rows in and out");
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mut lanes = [0.0_f32; LANES];
        for chunk in x.chunks(LANES) {
            for (x, lane) in chunk.iter().zip(&mut lanes) {
                *lane += x * x;
            }
        }
        let scale = 1.0 / (sum_lanes(lanes) / width as f32 + eps).sqrt();
        for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
            *out = w * (x * scale);
        }
    }
}

for_each_isa! {
/// `gate[i] = silu(gate[i]) · up[i]` with `silu(x) = x / (1 + e⁻ˣ)` (SwiGLU, Shazeer 2020).
///
/// # Panics
/// If the lengths differ.
pub fn swiglu(gate: &mut [f32], up: &[f32]) = swiglu_row
}

#[inline(always)]
fn swiglu_row(gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "gate and up");
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp(-*gate)) * up;
    }
}

/// `x[i] += y[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn add(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "both sides");
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// Rotates pairs `(i, i + dim/2)` of the first `dim = 2 · cos.len()` elements of one head
/// (rotary position embedding in Hugging Face's layout).
///
/// # Panics
/// If the head is shorter than `dim`, or `sin` than `cos`.
pub fn rope_half(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    let (low, rest) = head.split_at_mut(half);
    for i in 0..half {
        let (a, b) = (low[i], rest[i]);
        low[i] = a * cos[i] - b * sin[i];
        rest[i] = b * cos[i] + a * sin[i];
    }
}

/// Rotates pairs `(2i, 2i + 1)` (rotary position embedding in llama.cpp's layout for Llama).
///
/// # Panics
/// As [`rope_half`].
pub fn rope_interleaved(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    for i in 0..cos.len() {
        let (a, b) = (head[2 * i], head[2 * i + 1]);
        head[2 * i] = a * cos[i] - b * sin[i];
        head[2 * i + 1] = b * cos[i] + a * sin[i];
    }
}
