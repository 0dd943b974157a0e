//! What the machine can do at most: register-only multiply-add loops and plain reading loops, and
//! our main product beside it, as JSON in figures of 10⁹ a second:
//! `cargo bench -p kernels --bench limits`.
//!
//! Invariant: each loop does nothing but the instruction (or the loads) it is named after, with
//! enough independent accumulators to hide its latency; the best of several runs counts. The
//! product and the loop take turns, so that a slow moment of the machine slows both.

#![allow(unsafe_code, reason = "vector instructions")]
#![allow(clippy::print_stdout, reason = "a benchmark's output")]
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "it has no loops there"))]

use std::{
    hint::black_box,
    sync::Barrier,
    time::{Duration, Instant},
};

#[path = "../common/mod.rs"]
mod common;
#[cfg(target_arch = "x86_64")]
mod x86;

use common::{Operands, best_seconds, operands};
use kernels::{
    Isa,
    activation::Activation,
    packed::{Activations, GatedProduct, Matrix, gated_product},
    pool::Pool,
    quant::DType,
};

/// Rows and columns of gate and up, and tokens: SmolLM2-135M's, for a prompt of 512.
const MAIN_PRODUCT: ((usize, usize), usize) = ((1536, 576), 512);
/// Turns of them and of the loop.
const TURNS: usize = 9;

/// Independent sums: multiply-adds take 4 to 6 cycles, and two may begin in each.
const SUMS: usize = 12;
/// Multiply-adds of each sum in one run; some milliseconds.
const STEPS: usize = 1 << 20;
const RUNS: usize = 9;

fn main() {
    // The widest instructions there are, whether the kernels choose them or not.
    let isa = Isa::available().last().copied().unwrap_or(Isa::Portable);
    let Peaks { int8, int16, bf16, f32 } = peaks(isa);
    let giga =
        |rate: Option<f64>| rate.map_or("null".to_owned(), |rate| format!("{:.1}", rate / 1e9));
    let read =
        |threads, megabytes: usize| giga(Some(read_rate(isa, threads, megabytes * 1_000_000)));
    println!(
        "{{\"isa\": \"{}\", \"int8_gops_1t\": {}, \"int16_gops_1t\": {}, \
         \"bf16_gflops_1t\": {}, \
         \"f32_gflops_1t\": {}, \"product_share\": {}, \"read_100mb_gbs_1t\": {}, \
         \"read_100mb_gbs_2t\": {}, \
         \"read_1gb_gbs_1t\": {}, \"read_1gb_gbs_2t\": {}}}",
        isa.name(),
        giga(int8),
        giga(int16),
        giga(bf16),
        giga(f32),
        product_share(isa).map_or("null".to_owned(), |share| format!("{share:.3}")),
        read(1, 100),
        read(2, 100),
        read(1, 1000),
        read(2, 1000),
    );
}

/// The most multiplications and additions a second of one thread, by the widest instruction that
/// `isa` has for it.
#[derive(Clone, Copy, Debug, Default)]
struct Peaks {
    /// Of 8-bit integers, summed in 32 bits.
    int8: Option<f64>,
    /// Of 16-bit integers, the same.
    int16: Option<f64>,
    /// Of bfloat16, summed in `f32`.
    bf16: Option<f64>,
    /// Fused, of `f32`.
    f32: Option<f64>,
}

/// Measures the arithmetic of one thread; nothing on architectures without a loop here.
fn peaks(isa: Isa) -> Peaks {
    #[cfg(target_arch = "x86_64")]
    if isa.is_available() {
        return x86::peaks(isa);
    }
    let _ = isa;
    Peaks::default()
}

/// What gate and up in Q4_1, which are half of prefill's work, reach of the integer peak on one
/// thread, SiLU and rounding of their outputs included: the median of turns.
fn product_share(isa: Isa) -> Option<f64> {
    let (mut pool, ((rows, cols), m)) = (Pool::new(1).ok()?, MAIN_PRODUCT);
    let Operands { format, data, x, mut scratch } = operands(DType::Q4_1, (rows, cols), m, &pool)?;
    let others = data.clone();
    let gate = Matrix { data: &data, format, rows, cols, bias: None };
    let up = Matrix { data: &others, ..gate };
    let mut out = Activations::new(m, rows, &[format.activations()]);
    let macs = 2 * m * rows * cols;
    let mut turn = || {
        let seconds = best_seconds(macs, || {
            let activation = Activation::Silu;
            let product = GatedProduct { gate, up, activation, out: &mut out };
            gated_product((Isa::detect(), &mut pool, &mut scratch), &x, m, product);
        });
        Some(2.0 * macs as f64 / seconds / peaks(isa).int8?)
    };
    let mut shares = (0..TURNS).map(|_| turn()).collect::<Option<Vec<f64>>>()?;
    shares.sort_by(f64::total_cmp);
    Some(shares[TURNS / 2])
}

/// Bytes a second at which `threads` threads together read a buffer of `len` bytes, each its own
/// part, over and over.
fn read_rate(isa: Isa, threads: usize, len: usize) -> f64 {
    // Written, so that every page is there.
    let buffer: Vec<u64> = (0..len as u64 / 8).collect();
    let part = buffer.len().div_ceil(threads);
    let passes = (1_usize << 30).div_ceil(len);
    let barrier = Barrier::new(threads);
    let run = || {
        std::thread::scope(|scope| {
            let readers: Vec<_> = buffer
                .chunks(part)
                .map(|part| {
                    scope.spawn(|| {
                        barrier.wait();
                        let start = Instant::now();
                        for _ in 0..passes {
                            black_box(read(isa, black_box(part)));
                        }
                        start.elapsed()
                    })
                })
                .collect();
            let times = readers.into_iter().filter_map(|reader| reader.join().ok());
            times.max().unwrap_or(Duration::MAX)
        })
    };
    let best = (0..3).map(|_| run()).min().unwrap_or(Duration::MAX);
    (passes * buffer.len() * 8) as f64 / best.as_secs_f64()
}

fn read(isa: Isa, words: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if isa >= Isa::Avx2 && isa.is_available() {
        // SAFETY: the machine has what `isa` names, which is AVX2 at least.
        return unsafe { x86::read(words) };
    }
    let _ = isa;
    sum(words)
}

/// Thirty-two words a turn, which the compiler makes into as many vectors as the target has.
#[inline(always)]
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0_u64; 32];
    for chunk in words.as_chunks::<32>().0 {
        for (sum, word) in sums.iter_mut().zip(chunk) {
            *sum ^= word;
        }
    }
    sums.iter().fold(0, |all, sum| all ^ sum)
}

/// The best of several runs of a loop with [`STEPS`] times [`SUMS`] instructions, each of which
/// does `ops` multiplications and additions.
fn rate(ops: usize, mut run: impl FnMut()) -> f64 {
    let mut time = || {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    let best = (0..RUNS).map(|_| time()).min().unwrap_or(Duration::MAX);
    (STEPS * SUMS * ops) as f64 / best.as_secs_f64()
}
