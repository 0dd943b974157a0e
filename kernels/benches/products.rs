//! Speed of packed products at the shapes of a small model: `cargo bench -p kernels`.

#![allow(clippy::print_stdout, reason = "a benchmark's output")]

mod common;

use common::{Operands, best_seconds, operands};
use kernels::{
    Isa,
    packed::{Matrix, Product, products},
    pool::Pool,
    quant::DType,
};

fn main() {
    let isa = Isa::detect();
    println!("{} · best of 9, weights of one matrix (in cache)", isa.name());
    for dtype in [DType::Q4_1, DType::Q4_0, DType::Q8_0, DType::Q6K, DType::BF16] {
        for threads in [1, 2] {
            let mut pool = Pool::new(threads).expect("threads");
            for (rows, cols) in [(1536, 768), (576, 1536), (9216, 1536)] {
                let line = [512, 32, 8, 1].map(|m| {
                    let (gops, gbs) = speed(dtype, (isa, &mut pool), (rows, cols), m);
                    format!("{gops:6.0} Gop/s {gbs:5.1} GB/s")
                });
                println!("{dtype:?} x{threads} {rows}x{cols} · m=512,32,8,1: {}", line.join(" | "));
            }
        }
    }
}

/// 10⁹ multiplications and additions, and bytes of weights, a second.
fn speed(
    dtype: DType,
    (isa, pool): (Isa, &mut Pool),
    (rows, cols): (usize, usize),
    m: usize,
) -> (f64, f64) {
    let Some(Operands { format, data, x, mut scratch }) = operands(dtype, (rows, cols), m, pool)
    else {
        return (0.0, 0.0);
    };
    let weight = Matrix { data: &data, format, rows, cols, bias: None };
    let mut out = vec![0.0; m * rows];
    let macs = m * rows * cols;
    let seconds = best_seconds(macs, || {
        let product = Product { weight, out: &mut out, accumulate: false };
        products((isa, pool, &mut scratch), &x, m, &mut [product]);
    });
    (2.0 * macs as f64 / seconds / 1e9, data.len() as f64 / seconds / 1e9)
}
