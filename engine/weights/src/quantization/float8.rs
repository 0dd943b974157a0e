//! Eight-bit floating point: weights of `e4m3` or `e5m2` with scales for the tensor, for each
//! output, or for blocks of outputs and inputs.
//!
//! Sources: DeepSeek-V3's `weight_dequant`, transformers' `FP8Linear`, compressed-tensors'
//! `dequantize`: a weight is its number times its scale, also where that is called an inverse.

use kernels::quant::{DType, dequantize};

use super::{
    blocks::PART,
    module::{Module, expect_type, floats, matrix, split},
};
use crate::{error::Fault, filled::filled, tensor::Tensor};

const WEIGHT: &str = "weight";
const SCALE: &str = "weight_scale";
const INVERSE: &str = "weight_scale_inv";
/// For arithmetic in eight bits on inputs and on what is cached: there is none here.
const OF_INPUTS: [&str; 5] =
    ["input_scale", "activation_scale", "input_scale_ub", "k_scale", "v_scale"];

/// Restores every `weight` that has eight bits; `block` is outputs and inputs of a scale.
pub(super) fn restore(tensors: Vec<Tensor>, block: [usize; 2]) -> Result<Vec<Tensor>, Fault> {
    let parts = [&[WEIGHT, SCALE, INVERSE][..], &OF_INPUTS].concat();
    let (mut restored, modules) = split(tensors, &parts);
    for mut module in modules {
        OF_INPUTS.iter().for_each(|part| drop(module.take(part)));
        match module.take(WEIGHT) {
            Some(weight) if matches!(weight.dtype(), DType::F8E4M3 | DType::F8E5M2) => {
                restored.push(restore_module(&mut module, &weight, block)?);
            }
            weight => restored.extend(weight),
        }
        // A scale without its weight has no place, and is refused as such.
        restored.extend(module.rest());
    }
    Ok(restored)
}

/// One matrix with its scales.
pub(super) fn restore_module(
    module: &mut Module,
    weight: &Tensor,
    block: [usize; 2],
) -> Result<Tensor, Fault> {
    let scale = match module.take(INVERSE) {
        Some(scale) => scale,
        None => module.require(SCALE)?,
    };
    let scales = Scales::new(&scale, matrix(weight)?, block)?;
    expect_type(weight, &[DType::F8E4M3, DType::F8E5M2])?;
    scales.restore(weight)
}

/// A scale for each block of a matrix.
struct Scales {
    values: Vec<f32>,
    /// Scales of a row of blocks.
    stride: usize,
    /// Outputs, inputs.
    block: [usize; 2],
    shape: [usize; 2],
}

impl Scales {
    /// One, one for each output, or one for each block.
    fn new(tensor: &Tensor, shape: [usize; 2], block: [usize; 2]) -> Result<Self, Fault> {
        let [rows, cols] = match tensor.shape() {
            [rows] => [*rows, 1],
            [rows, cols] => [*rows, *cols],
            other => return Err(Fault::tensor(tensor.name(), format!("shape {other:?}"))),
        };
        let per = |size: usize, num: usize, block: usize| match num {
            1 => Some(size),
            _ if num == size => Some(1),
            _ => (size.div_ceil(block) == num).then_some(block),
        };
        match (per(shape[0], rows, block[0]), per(shape[1], cols, block[1])) {
            (Some(outputs), Some(inputs)) => {
                let values = floats(tensor)?;
                Ok(Self { values, stride: cols, block: [outputs, inputs], shape })
            }
            _ => {
                let what = format!(
                    "shape {:?} is neither one scale, nor one for each output or block of \
                     {block:?} of {shape:?}",
                    tensor.shape()
                );
                Err(Fault::tensor(tensor.name(), what))
            }
        }
    }

    fn of(&self, output: usize, input: usize) -> f32 {
        self.values[output / self.block[0] * self.stride + input / self.block[1]]
    }

    fn restore(&self, weight: &Tensor) -> Result<Tensor, Fault> {
        let inputs = self.shape[1];
        let even = self.block[1].is_multiple_of(PART) || self.block[1] == inputs;
        let whole = inputs.is_multiple_of(PART) && even;
        if whole && weight.dtype() == DType::F8E4M3 {
            let row_bytes = DType::F8Scaled.row_bytes(inputs).unwrap_or_default();
            return filled(weight.name(), (DType::F8Scaled, &self.shape), &|first, rows| {
                let stored = &weight.bytes()[first * inputs..];
                for (i, row) in rows.chunks_exact_mut(row_bytes).enumerate() {
                    let stored = stored[i * inputs..].chunks_exact(PART);
                    let to = row.chunks_exact_mut(DType::F8Scaled.block_bytes());
                    for (j, (stored, to)) in stored.zip(to).enumerate() {
                        to[..4].copy_from_slice(&self.of(first + i, j * PART).to_le_bytes());
                        to[4..].copy_from_slice(stored);
                    }
                }
            });
        }
        filled(weight.name(), (DType::F32, &self.shape), &|first, rows| {
            let stored = &weight.bytes()[first * inputs..first * inputs + rows.len() / 4];
            let mut values = vec![0.0; stored.len()];
            dequantize(weight.dtype(), stored, &mut values);
            for (i, (value, to)) in values.iter().zip(rows.as_chunks_mut().0).enumerate() {
                let scale = self.of(first + i / inputs, i % inputs);
                *to = (scale * value).to_le_bytes();
            }
        })
    }
}
