//! Matrices of made-up numbers, packed for every instruction set, and products of them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use half::{bf16, f16};
use kernels::{
    Isa,
    packed::{Activations, Format, Kind, Matrix, Product, Scratch, pack_panels, products},
    pool::Pool,
    quant::DType,
};

/// Those whose whole numbers are kept.
pub(crate) const QUANTIZED: [DType; 20] = [
    DType::Q4_0,
    DType::Q4_1,
    DType::Q5_0,
    DType::Q5_1,
    DType::Q8_0,
    DType::Q4K,
    DType::Q5K,
    DType::Q6K,
    DType::Q3K,
    DType::IQ1S,
    DType::IQ1M,
    DType::IQ2XXS,
    DType::IQ3XXS,
    DType::IQ3S,
    DType::IQ4NL,
    DType::IQ4XS,
    DType::TQ1_0,
    DType::TQ2_0,
    DType::MXFP4,
    DType::NVFP4,
];

/// Those that are rounded to 14 bits.
pub(crate) const FLOATS: [DType; 7] =
    [DType::F32, DType::F16, DType::BF16, DType::F8Scaled, DType::Q2K, DType::IQ2XS, DType::IQ2S];

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
    for (i, block) in bytes.chunks_exact_mut(dtype.block_bytes()).enumerate() {
        set_scales(dtype, block, 0.01 + 0.002 * (i % 7) as f32);
    }
    bytes
}

/// Writes about this scale where the type keeps its own.
pub(crate) fn set_scales(dtype: DType, block: &mut [u8], scale: f32) {
    let halves: &[usize] = match dtype {
        DType::Q4_1 | DType::Q5_1 | DType::Q4K | DType::Q5K => &[0, 2],
        DType::Q2K => &[80, 82],
        DType::Q3K => &[108],
        DType::Q6K => &[208],
        DType::TQ1_0 => &[52],
        DType::TQ2_0 => &[64],
        DType::F8Scaled => {
            block[..4].copy_from_slice(&scale.to_le_bytes());
            // Large ones, as most of a matrix are, and no byte that stands for no number.
            block[4..].iter_mut().for_each(|q| *q |= 0x70);
            return block[4..].iter_mut().filter(|q| **q & 127 == 127).for_each(|q| *q ^= 1);
        }
        DType::MXFP4 => return block[0] = 118 + block[0] % 4,
        DType::NVFP4 => return block[..4].iter_mut().for_each(|d| *d = 16 + *d % 16),
        DType::IQ1M => {
            // Four bits in each of four words.
            for (i, word) in block[48..].chunks_exact_mut(2).enumerate() {
                let bits = f16::from_f32(scale).to_bits() >> (4 * i) & 15;
                word[1] = word[1] & 15 | (bits << 4) as u8;
            }
            return;
        }
        _ => &[0],
    };
    for (j, at) in halves.iter().enumerate() {
        // A minimum about half the range below zero, as quantising makes it.
        let factor = match dtype {
            DType::Q4_1 if j == 1 => -7.0,
            DType::Q5_1 if j == 1 => -15.0,
            _ => 1.0,
        };
        block[*at..at + 2].copy_from_slice(&f16::from_f32(factor * scale).to_le_bytes());
    }
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
            let isa = if isa.is_available() { isa } else { Isa::Portable };
            pack_panels((isa, dtype, format), &stored, shape, 0, &mut packed);
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
        let kind = self.matrix(isa, bias).format.activations();
        self.run_with(kind, (isa, threads), x, bias)
    }

    /// The same of activations in another form.
    pub(crate) fn run_with(
        &self,
        kind: Kind,
        (isa, threads): (Isa, usize),
        x: &[f32],
        bias: Option<&[f32]>,
    ) -> Vec<f32> {
        let [rows, cols] = self.shape;
        let weight = self.matrix(isa, bias);
        let m = x.len() / cols;
        let acts = activations(x, cols, &[kind]);
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
