//! What several benchmarks measure.

use std::time::Instant;

use kernels::{
    Isa,
    packed::{
        Activations, Format, GatedProduct, Matrix, Product, Scratch, gated_product, pack_panels,
        products,
    },
    pool::Pool,
    quant::DType,
};

/// 10⁹ multiplications and additions, and bytes of weights, a second.
#[derive(Clone, Copy, Default)]
pub(crate) struct Speed {
    pub(crate) gops: f64,
    #[allow(dead_code, reason = "not every benchmark tells it")]
    pub(crate) gbs: f64,
}

#[allow(dead_code, reason = "not every benchmark measures it")]
/// `m` rows times one matrix of `[rows, cols]`, which stays in the cache: the best of nine runs.
pub(crate) fn product(
    dtype: DType,
    (isa, pool): (Isa, &mut Pool),
    (rows, cols): (usize, usize),
    m: usize,
) -> Speed {
    let Some(Operands { format, data, x, mut scratch }) = operands(dtype, (rows, cols), m, pool)
    else {
        return Speed::default();
    };
    let weight = Matrix { data: &data, format, rows, cols, bias: None };
    let mut out = vec![0.0; m * rows];
    best(m * rows * cols, data.len(), || {
        let product = Product { weight, out: &mut out, accumulate: false };
        products((isa, pool, &mut scratch), &x, m, &mut [product]);
    })
}

/// `m` rows times gate and up, both of `[rows, cols]`, joined by SiLU and rounded for the next
/// product.
#[allow(dead_code, reason = "not every benchmark measures it")]
pub(crate) fn gated(
    dtype: DType,
    (isa, pool): (Isa, &mut Pool),
    (rows, cols): (usize, usize),
    m: usize,
) -> Speed {
    let Some(Operands { format, data, x, mut scratch }) = operands(dtype, (rows, cols), m, pool)
    else {
        return Speed::default();
    };
    let gate = Matrix { data: &data, format, rows, cols, bias: None };
    let others = data.clone();
    let up = Matrix { data: &others, ..gate };
    let mut out = Activations::new(m, rows, &[format.activations()]);
    best(2 * m * rows * cols, 2 * data.len(), || {
        let product = GatedProduct { gate, up, out: &mut out };
        gated_product((isa, pool, &mut scratch), &x, m, product);
    })
}

/// What a product takes.
struct Operands {
    format: Format,
    data: Vec<u8>,
    x: Activations,
    scratch: Scratch,
}

fn operands(dtype: DType, (rows, cols): (usize, usize), m: usize, pool: &Pool) -> Option<Operands> {
    let format = Format::of(dtype)?;
    let stored: Vec<u8> = (0..rows * dtype.row_bytes(cols)?).map(|i| (i * 7 % 61) as u8).collect();
    let weight = Matrix { data: &[], format, rows, cols, bias: None };
    let mut data = vec![0; weight.byte_len()];
    pack_panels(dtype, &stored, [rows, cols], 0, &mut data);
    let mut x = Activations::new(m, cols, &[format.activations()]);
    let row: Vec<f32> = (0..cols).map(|i| (i as f32).sin()).collect();
    (0..m).for_each(|i| x.set_row(i, &row));
    Some(Operands { format, data, x, scratch: Scratch::new(pool.threads(), cols) })
}

/// The speed of `macs` multiplications over `bytes` of weights.
fn best(macs: usize, bytes: usize, mut run: impl FnMut()) -> Speed {
    let repeat = (200_000_000 / macs).clamp(1, 50);
    let mut best = f64::MAX;
    for _ in 0..9 {
        let start = Instant::now();
        (0..repeat).for_each(|_| run());
        best = best.min(start.elapsed().as_secs_f64() / repeat as f64);
    }
    Speed { gops: 2.0 * macs as f64 / best / 1e9, gbs: bytes as f64 / best / 1e9 }
}
