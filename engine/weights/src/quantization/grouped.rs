//! Matrices of whole numbers with a scale and a zero point for groups of inputs.
//!
//! Invariant: `weight = scale · (q − zero)`, with `q`, `zero` and `scale` as the file has them.

use kernels::quant::DType;

use super::{
    blocks::{self, PART},
    module::word,
};
use crate::{error::Fault, filled::filled, tensor::Tensor};

/// Where the numbers of an output are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    /// Rows of inputs; words of eight outputs, in AWQ's order.
    Awq,
    /// Rows of inputs that share words; a word for each output.
    Gptq,
    /// Rows of outputs; words of consecutive inputs.
    Rows,
    /// Rows of outputs; a signed byte for each input.
    Bytes,
}

/// Which inputs share a scale.
#[derive(Debug)]
pub(super) enum Groups {
    /// So many at a time.
    Of(usize),
    /// The group of each input.
    Each(Vec<u32>),
}

/// Outputs by inputs.
#[derive(Debug)]
pub(super) struct Grouped {
    /// The packed numbers.
    pub(super) packed: Tensor,
    pub(super) layout: Layout,
    pub(super) bits: u32,
    /// Outputs, inputs.
    pub(super) shape: [usize; 2],
    pub(super) groups: Groups,
    /// For each group of each output, as they are stored (bytes: plus 128): groups after one
    /// another.
    pub(super) zeros: Vec<u16>,
    /// In the same order.
    pub(super) scales: Vec<f32>,
}

/// AWQ's places of eight outputs within a word, in bits.
pub(super) const AWQ_SHIFTS: [u32; 8] = [0, 16, 4, 20, 8, 24, 12, 28];

impl Groups {
    #[inline]
    fn of(&self, input: usize) -> usize {
        match self {
            Self::Of(size) => input / size,
            Self::Each(groups) => groups[input] as usize,
        }
    }

    /// Whether every 32 inputs are of one group.
    fn are_even(&self) -> bool {
        match self {
            Self::Of(size) => size.is_multiple_of(PART),
            Self::Each(groups) => {
                groups.chunks(PART).all(|part| part.iter().all(|group| *group == part[0]))
            }
        }
    }
}

impl Grouped {
    /// As an ordinary tensor.
    pub(super) fn restore(&self, name: &str) -> Result<Tensor, Fault> {
        let [_, inputs] = self.shape;
        let dtype = self.dtype();
        let row_bytes = dtype.row_bytes(inputs).unwrap_or_default();
        let fill = |first: usize, rows: &mut [u8]| match dtype {
            DType::F32 => self.fill_floats(first, rows),
            _ => self.fill_blocks(dtype, first, (rows, row_bytes)),
        };
        filled(name, (dtype, &self.shape), &fill)
    }

    /// The smallest type that holds the numbers.
    fn dtype(&self) -> DType {
        let whole = self.groups.are_even() || self.scales.len() == self.shape[0];
        let halves = self.scales.iter().all(|scale| is_near_half(*scale));
        if !whole || !halves || !self.shape[1].is_multiple_of(PART) {
            return DType::F32;
        }
        let most = (1 << self.bits) - 1;
        let zeros = self.zeros.iter().map(|zero| i32::from(*zero));
        let (least, greatest) = zeros.fold((most, 0), |(a, b), zero| (a.min(zero), b.max(zero)));
        let fits = |half: i32| greatest <= half && most - least < half;
        match (fits(8), fits(16), fits(128)) {
            (true, ..) => DType::Q4_0,
            (_, true, _) => DType::Q5_0,
            (_, _, true) => DType::Q8_0,
            _ => DType::F32,
        }
    }

    /// Inputs from `first` on, all of one group: what is above their zero point, and their scale.
    #[inline]
    fn part(&self, output: usize, first: usize, q: &mut [i16]) -> f32 {
        let [outputs, inputs] = self.shape;
        let bytes = self.packed.bytes();
        let at = self.groups.of(first) * outputs + output;
        let zero = self.zeros[at] as i16;
        let (per, mask) = (32 / self.bits as usize, (1 << self.bits) - 1);
        let shift = |i: usize| self.bits * (i % per) as u32;
        for (input, q) in (first..).zip(q) {
            let stored = match self.layout {
                Layout::Awq => {
                    word(bytes, (input * outputs + output) / 8) >> AWQ_SHIFTS[output % 8]
                }
                Layout::Gptq => word(bytes, input / per * outputs + output) >> shift(input),
                Layout::Rows => {
                    word(bytes, output * inputs.div_ceil(per) + input / per) >> shift(input)
                }
                Layout::Bytes => u32::from(bytes[output * inputs + input] ^ 0x80),
            };
            *q = (stored & mask) as i16 - zero;
        }
        self.scales[at]
    }

    fn fill_blocks(&self, dtype: DType, first: usize, (rows, row_bytes): (&mut [u8], usize)) {
        let block_bytes = dtype.block_bytes();
        for part in 0..self.shape[1] / PART {
            for (i, row) in rows.chunks_exact_mut(row_bytes).enumerate() {
                let mut q = [0; PART];
                let scale = self.part(first + i, part * PART, &mut q);
                let block = &mut row[part * block_bytes..(part + 1) * block_bytes];
                blocks::put(dtype, &q, scale, block);
            }
        }
    }

    fn fill_floats(&self, first: usize, rows: &mut [u8]) {
        let inputs = self.shape[1];
        for (i, row) in rows.chunks_exact_mut(4 * inputs).enumerate() {
            for (input, to) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let mut q = [0];
                let scale = self.part(first + i, input, &mut q);
                *to = (scale * f32::from(q[0])).to_le_bytes();
            }
        }
    }
}

/// Whether a half keeps eleven bits of it.
fn is_near_half(scale: f32) -> bool {
    let half = half::f16::from_f32(scale);
    half.to_f32() == scale || half.is_normal()
}
