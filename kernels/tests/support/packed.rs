//! Matrices of made-up numbers, packed for every instruction set, and products of them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use half::{bf16, f16};
use kernels::{
    Isa,
    packed::{Activations, Format, Kind, Matrix, Product, Scratch, pack_panels, products},
    pool::Pool,
    quant::DType,
};

pub(crate) const QUANTIZED: [DType; 8] = [
    DType::Q4_0,
    DType::Q4_1,
    DType::Q5_0,
    DType::Q5_1,
    DType::Q8_0,
    DType::Q4K,
    DType::Q5K,
    DType::Q6K,
];

pub(crate) const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// Numbers in −1..1 from a fixed sequence.
pub(crate) fn noise(len: usize, mut seed: u64) -> Vec<f32> {
    (0..len)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            (seed >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Stored rows whose scales are all small normal halves.
pub(crate) fn stored(dtype: DType, rows: usize, cols: usize) -> Vec<u8> {
    let len = dtype.row_bytes(cols).expect("whole blocks") * rows;
    let values = noise(rows * cols, 7).into_iter();
    match dtype {
        DType::BF16 => return values.flat_map(|x| bf16::from_f32(x).to_le_bytes()).collect(),
        DType::F16 => return values.flat_map(|x| f16::from_f32(x).to_le_bytes()).collect(),
        DType::F32 => return values.flat_map(f32::to_le_bytes).collect(),
        _ => {}
    }
    let mut bytes: Vec<u8> = noise(len, 9).iter().map(|x| (x * 127.0 + 128.0) as u8).collect();
    // Where each type keeps its 16-bit scales.
    let scales: &[usize] = match dtype {
        DType::Q4_1 | DType::Q5_1 | DType::Q4K | DType::Q5K => &[0, 2],
        DType::Q6K => &[208],
        _ => &[0],
    };
    for (i, block) in bytes.chunks_exact_mut(dtype.block_bytes()).enumerate() {
        for (j, at) in scales.iter().enumerate() {
            // A minimum about half the range below zero, as quantising makes it.
            let factor = match dtype {
                DType::Q4_1 if j == 1 => -7.0,
                DType::Q5_1 if j == 1 => -15.0,
                _ => 1.0,
            };
            let scale = f16::from_f32(factor * (0.01 + 0.002 * (i % 7) as f32));
            block[*at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
    }
    bytes
}

pub(crate) struct Packed {
    pub(crate) dtype: DType,
    pub(crate) stored: Vec<u8>,
    /// In each format that an instruction set has for it.
    pub(crate) data: Vec<(Format, Vec<u8>)>,
    pub(crate) shape: [usize; 2],
}

impl Packed {
    pub(crate) fn new(dtype: DType, rows: usize, cols: usize) -> Self {
        Self::of(dtype, stored(dtype, rows, cols), [rows, cols])
    }

    pub(crate) fn of(dtype: DType, stored: Vec<u8>, shape: [usize; 2]) -> Self {
        let mut data: Vec<(Format, Vec<u8>)> = Vec::new();
        for isa in Isa::ALL {
            let format = Format::of(dtype, isa).expect("can be packed");
            if data.iter().any(|(other, _)| *other == format) {
                continue;
            }
            let [rows, cols] = shape;
            let len = Matrix { data: &[], format, rows, cols, bias: None }.byte_len();
            let mut packed = vec![0; len];
            pack_panels((dtype, format), &stored, shape, 0, &mut packed);
            data.push((format, packed));
        }
        Self { dtype, stored, data, shape }
    }

    pub(crate) fn matrix<'a>(&'a self, isa: Isa, bias: Option<&'a [f32]>) -> Matrix<'a> {
        let wanted = Format::of(self.dtype, isa).expect("can be packed");
        let (format, data) = self.data.iter().find(|(of, _)| *of == wanted).expect("was packed");
        let [rows, cols] = self.shape;
        Matrix { data, format: *format, rows, cols, bias }
    }

    pub(crate) fn run(
        &self,
        isa: Isa,
        threads: usize,
        x: &[f32],
        bias: Option<&[f32]>,
    ) -> Vec<f32> {
        let [rows, cols] = self.shape;
        let weight = self.matrix(isa, bias);
        let m = x.len() / cols;
        let acts = activations(x, cols, &[weight.format.activations()]);
        let mut pool = Pool::new(threads).expect("threads");
        let mut scratch = Scratch::new(threads, cols);
        let mut out = vec![f32::NAN; m * rows];
        let product = Product { weight, out: &mut out, accumulate: false };
        products((isa, &mut pool, &mut scratch), &acts, m, &mut [product]);
        out
    }
}

pub(crate) fn activations(x: &[f32], cols: usize, kinds: &[Kind]) -> Activations {
    let mut acts = Activations::new(x.len() / cols, cols, kinds);
    x.chunks_exact(cols).enumerate().for_each(|(i, row)| acts.set_row(i, row));
    acts
}

/// The root mean square of the differences, relative to that of `want`.
pub(crate) fn error(got: &[f32], want: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let sum: f64 = got.iter().zip(want).map(|(a, b)| square(f64::from(a - b))).sum();
    (sum / want.iter().map(|x| square(f64::from(*x))).sum::<f64>()).sqrt()
}
