//! What several benchmarks measure with.

use std::time::Instant;

use kernels::{
    Isa,
    lines::Lines,
    packed::{Activations, Format, Matrix, Scratch, pack_panels},
    pool::Pool,
    quant::DType,
};

/// What a product takes.
pub(crate) struct Operands {
    pub(crate) format: Format,
    /// One matrix of `[rows, cols]`, packed.
    pub(crate) data: Lines<u8>,
    /// `m` rows.
    pub(crate) x: Activations,
    pub(crate) scratch: Scratch,
}

/// For `m` rows times matrices of `[rows, cols]`; none where the format is not packed.
pub(crate) fn operands(
    dtype: DType,
    (rows, cols): (usize, usize),
    m: usize,
    pool: &Pool,
) -> Option<Operands> {
    let format = Format::of(dtype, Isa::detect())?;
    let stored: Vec<u8> = (0..rows * dtype.row_bytes(cols)?).map(|i| (i * 7 % 61) as u8).collect();
    let weight = Matrix { data: &[], format, rows, cols, bias: None };
    let mut data = Lines::new(weight.byte_len());
    pack_panels((Isa::detect(), dtype, format), &stored, [rows, cols], 0, &mut data);
    let mut x = Activations::new(m, cols, &[format.activations()]);
    let row: Vec<f32> = (0..cols).map(|i| (i as f32).sin()).collect();
    (0..m).for_each(|i| x.set_row(i, &row));
    Some(Operands { format, data, x, scratch: Scratch::new(pool.threads(), cols) })
}

/// Seconds that `macs` multiplications take, repeated so that it can be measured: the best of nine.
pub(crate) fn best_seconds(macs: usize, mut run: impl FnMut()) -> f64 {
    let repeat = (200_000_000 / macs).clamp(1, 50);
    let mut best = f64::MAX;
    for _ in 0..9 {
        let start = Instant::now();
        (0..repeat).for_each(|_| run());
        best = best.min(start.elapsed().as_secs_f64() / repeat as f64);
    }
    best
}
