//! Speed of packed products at the shapes of a small model: `cargo bench -p kernels`.

#![allow(clippy::print_stdout, reason = "a benchmark's output")]

use std::time::Instant;

use kernels::{
    Isa,
    packed::{Activations, Format, Kind, Matrix, Product, Scratch, pack_panels, products},
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
                let times = [512, 32, 8, 1].map(|m| time(dtype, (isa, &mut pool), (rows, cols), m));
                let line = times.map(|(gops, gbs)| format!("{gops:6.0} Gop/s {gbs:5.1} GB/s"));
                println!("{dtype:?} x{threads} {rows}x{cols} · m=512,32,8,1: {}", line.join(" | "));
            }
        }
    }
}

fn time(
    dtype: DType,
    (isa, pool): (Isa, &mut Pool),
    (rows, cols): (usize, usize),
    m: usize,
) -> (f64, f64) {
    let Some(format) = Format::of(dtype) else { return (0.0, 0.0) };
    let stored: Vec<u8> =
        (0..rows * dtype.row_bytes(cols).unwrap_or_default()).map(|i| (i * 7 % 61) as u8).collect();
    let mut weight = Matrix { data: &[], format, rows, cols, bias: None };
    let mut data = vec![0; weight.byte_len()];
    pack_panels(dtype, &stored, [rows, cols], 0, &mut data);
    weight.data = &data;
    let mut x = Activations::new(m, cols, &[format.activations()]);
    let row: Vec<f32> = (0..cols).map(|i| (i as f32).sin()).collect();
    (0..m).for_each(|i| x.set_row(i, &row));
    let mut out = vec![0.0; m * rows];
    let mut scratch = Scratch::new(pool.threads(), cols);
    let repeat = (200_000_000 / (m * rows * cols)).clamp(1, 50);
    let mut best = f64::MAX;
    for _ in 0..9 {
        let start = Instant::now();
        for _ in 0..repeat {
            let product = Product { weight, out: &mut out, accumulate: false };
            products((isa, pool, &mut scratch), &x, m, &mut [product]);
        }
        best = best.min(start.elapsed().as_secs_f64() / repeat as f64);
    }
    let _ = Kind::F32;
    (2.0 * (m * rows * cols) as f64 / best / 1e9, data.len() as f64 / best / 1e9)
}
