//! Four-bit floating point as gpt-oss publishes it: `NAME_blocks`, `[…, blocks, 16]` bytes of two
//! numbers, and `NAME_scales`, `[…, blocks]` powers of two, become `NAME` in MXFP4,
//! `[…, blocks · 32]`.
//!
//! Source: transformers' `convert_moe_packed_tensors` (which goes on to swap the last two
//! dimensions, for a product from the right; here rows stay outputs). Its bytes hold neighbours,
//! those of GGUF elements 16 apart.

use std::collections::BTreeMap;

use kernels::quant::DType;

use super::module::{expect_shape, expect_type};
use crate::{error::Fault, filled::filled, tensor::Tensor};

const BLOCKS: &str = "_blocks";
const SCALES: &str = "_scales";
/// Bytes of numbers of a block.
const BYTES: usize = 16;

pub(super) fn restore(tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
    let mut restored = Vec::new();
    let mut scales = BTreeMap::new();
    let mut packed = Vec::new();
    for tensor in tensors {
        if let Some(name) = tensor.name().strip_suffix(SCALES) {
            scales.insert(name.to_owned(), tensor);
        } else if tensor.name().ends_with(BLOCKS) {
            packed.push(tensor);
        } else {
            restored.push(tensor);
        }
    }
    for tensor in packed {
        let name = tensor.name().strip_suffix(BLOCKS).unwrap_or_default();
        let scales = scales
            .remove(name)
            .ok_or_else(|| Fault::tensor(&format!("{name}{SCALES}"), "is missing"))?;
        restored.push(restore_one(name, &tensor, &scales)?);
    }
    // A scale without its blocks has no place, and is refused as such.
    restored.extend(scales.into_values());
    Ok(restored)
}

fn restore_one(name: &str, packed: &Tensor, scales: &Tensor) -> Result<Tensor, Fault> {
    expect_type(packed, &[DType::U8])?;
    expect_type(scales, &[DType::U8])?;
    let [outer @ .., num_blocks, BYTES] = packed.shape() else {
        let what = format!("shape {:?} where […, blocks, {BYTES}] is wanted", packed.shape());
        return Err(Fault::tensor(packed.name(), what));
    };
    expect_shape(scales, &packed.shape()[..packed.shape().len() - 1])?;
    let shape: Vec<usize> = outer.iter().copied().chain([num_blocks * 2 * BYTES]).collect();
    filled(name, (DType::MXFP4, &shape), &|first, rows| {
        let first = first * num_blocks;
        for (i, block) in rows.chunks_exact_mut(1 + BYTES).enumerate() {
            let from = &packed.bytes()[(first + i) * BYTES..][..BYTES];
            let number = |j: usize| from[j / 2] >> (j % 2 * 4) & 15;
            block[0] = scales.bytes()[first + i];
            for (j, byte) in block[1..].iter_mut().enumerate() {
                *byte = number(j) | number(j + BYTES) << 4;
            }
        }
    })
}
