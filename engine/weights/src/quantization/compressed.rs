//! The folders of the library compressed-tensors: INT8, INT4 and INT8 packed into words, FP8.
//!
//! Sources: its `NaiveQuantizationCompressor`, `PackedQuantizationCompressor` and `dequantize`.
//! What it says of the precision of inputs is not needed: weights mean the same without it.

use kernels::quant::DType;
use serde_json::{Map, Value};

use super::{
    fields::Fields,
    float8,
    grouped::{Grouped, Groups, Layout},
    module::{Module, expect_shape, expect_type, floats, matrix, split, word},
    words::group_of_each,
};
use crate::{error::Fault, tensor::Tensor};

const FORMATS: [&str; 5] =
    ["int-quantized", "naive-quantized", "pack-quantized", "float-quantized", "dense"];
const WEIGHT: &str = "weight";
const PACKED: &str = "weight_packed";
const SHAPE: &str = "weight_shape";
const SCALE: &str = "weight_scale";
const ZEROS: &str = "weight_zero_point";
const GROUPS: &str = "weight_g_idx";
/// For arithmetic in eight bits on inputs and on what is cached: there is none here.
const OF_INPUTS: [&str; 7] = [
    "input_scale",
    "input_zero_point",
    "input_global_scale",
    "output_scale",
    "output_zero_point",
    "k_scale",
    "v_scale",
];
/// Squares of FP8 that share a scale.
const BLOCK: [usize; 2] = [128, 128];

/// Refuses what is not read.
pub(super) fn check(fields: &Fields<'_>) -> Result<(), Fault> {
    fields.one_of("format", &FORMATS)?;
    let sparsity: Option<Map<String, Value>> = fields.get("sparsity_config")?;
    match sparsity.as_ref().and_then(|sparsity| sparsity.get("format")) {
        Some(format) if *format != "dense" => {
            Err(fields.fault("sparsity_config.format", format!("{format} is not read; dense is")))
        }
        _ => Ok(()),
    }
}

pub(super) fn restore(tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
    let parts = [&[WEIGHT, PACKED, SHAPE, SCALE, ZEROS, GROUPS][..], &OF_INPUTS].concat();
    let (mut restored, modules) = split(tensors, &parts);
    for mut module in modules {
        OF_INPUTS.iter().for_each(|part| drop(module.take(part)));
        if let Some(packed) = module.take(PACKED) {
            restored.push(restore_packed(&mut module, packed)?);
            continue;
        }
        match module.take(WEIGHT) {
            Some(weight) if weight.dtype() == DType::I8 => {
                restored.push(restore_bytes(&mut module, weight)?);
            }
            Some(weight) if weight.dtype() == DType::F8E4M3 => {
                restored.push(float8::restore_module(&mut module, &weight, BLOCK)?);
                // FP8 has the zero point 0 or none.
                drop(module.take(ZEROS));
            }
            weight => restored.extend(weight),
        }
        // A scale without its weight has no place, and is refused as such.
        restored.extend(module.rest());
    }
    Ok(restored)
}

/// Words of consecutive inputs: `[outputs, inputs · bits / 32]`.
fn restore_packed(module: &mut Module, packed: Tensor) -> Result<Tensor, Fault> {
    expect_type(&packed, &[DType::I32])?;
    let shape = packed_shape(&module.require(SHAPE)?)?;
    let [outputs, inputs] = shape;
    let [_, words] = matrix(&packed)?;
    let bits = [4, 8].into_iter().find(|bits| inputs.div_ceil(32 / bits) == words);
    let Some(bits) = bits else {
        let what = format!("{words} words do not hold {inputs} numbers of 4 or 8 bits");
        return Err(Fault::tensor(packed.name(), what));
    };
    expect_shape(&packed, &[outputs, words])?;
    let (scales, num_groups) = scales(module, outputs)?;
    let per = 32 / bits;
    let zeros = match module.take(ZEROS) {
        Some(tensor) => {
            expect_type(&tensor, &[DType::I32])?;
            expect_shape(&tensor, &[outputs.div_ceil(per), num_groups])?;
            let zero = |output: usize, group: usize| {
                let word = word(tensor.bytes(), output / per * num_groups + group);
                (word >> (bits * (output % per)) & ((1 << bits) - 1)) as u16
            };
            by_group([outputs, num_groups], zero)
        }
        None => vec![1 << (bits - 1); num_groups * outputs],
    };
    let groups = groups(module, inputs, num_groups)?;
    let layout = Layout::Rows;
    Grouped { packed, layout, bits: bits as u32, shape, groups, zeros, scales }
        .restore(&module.name_of(WEIGHT))
}

/// Signed bytes: `[outputs, inputs]`.
fn restore_bytes(module: &mut Module, packed: Tensor) -> Result<Tensor, Fault> {
    let shape = matrix(&packed)?;
    let [outputs, inputs] = shape;
    let (scales, num_groups) = scales(module, outputs)?;
    let zeros = match module.take(ZEROS) {
        Some(tensor) => {
            expect_type(&tensor, &[DType::I8])?;
            let zeros = spread(&tensor, outputs, num_groups)?;
            let byte = |at: usize| u16::from(tensor.bytes()[at] ^ 0x80);
            by_group([outputs, num_groups], |output, group| byte(zeros(output, group)))
        }
        None => vec![128; num_groups * outputs],
    };
    let groups = groups(module, inputs, num_groups)?;
    let layout = Layout::Bytes;
    Grouped { packed, layout, bits: 8, shape, groups, zeros, scales }
        .restore(&module.name_of(WEIGHT))
}

/// The shape that a tensor of two whole numbers tells.
fn packed_shape(tensor: &Tensor) -> Result<[usize; 2], Fault> {
    expect_type(tensor, &[DType::I64, DType::I32])?;
    expect_shape(tensor, &[2])?;
    let size = tensor.bytes().len() / 2;
    let number = |i: usize| {
        let bytes = &tensor.bytes()[i * size..][..size];
        bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    // Far above any model's.
    match [number(0), number(1)] {
        [a @ 1..0x100_0000, b @ 1..0x100_0000] => Ok([a as usize, b as usize]),
        shape => Err(Fault::tensor(tensor.name(), format!("the shape {shape:?}"))),
    }
}

/// The scales of each group of each output, groups after one another, and how many groups there
/// are: the tensor has one number, one for each output, or a row of groups for each.
fn scales(module: &mut Module, outputs: usize) -> Result<(Vec<f32>, usize), Fault> {
    let tensor = module.require(SCALE)?;
    let num_groups = match tensor.shape() {
        [_, groups] => *groups,
        _ => 1,
    };
    let place = spread(&tensor, outputs, num_groups)?;
    let values = floats(&tensor)?;
    let scales = by_group([outputs, num_groups], |output, group| values[place(output, group)]);
    Ok((scales, num_groups))
}

/// Where in a tensor of one number, one for each output, or one for each group of each output the
/// number of an output's group is.
fn spread(
    tensor: &Tensor,
    outputs: usize,
    num_groups: usize,
) -> Result<impl Fn(usize, usize) -> usize + use<>, Fault> {
    let one = tensor.shape().iter().product::<usize>() == 1;
    let rows = match tensor.shape() {
        [rows] if num_groups == 1 => *rows,
        [rows, groups] if *groups == num_groups => *rows,
        _ => 0,
    };
    if !one && rows != outputs {
        let what = format!(
            "shape {:?} is neither one number nor {num_groups} for each of {outputs} outputs",
            tensor.shape()
        );
        return Err(Fault::tensor(tensor.name(), what));
    }
    Ok(move |output, group| if one { 0 } else { output * num_groups + group })
}

/// From outputs with their groups to groups with their outputs.
fn by_group<T>([outputs, groups]: [usize; 2], at: impl Fn(usize, usize) -> T) -> Vec<T> {
    (0..groups * outputs).map(|i| at(i % outputs, i / outputs)).collect()
}

/// Which inputs share a scale: by the tensor that says so, or evenly.
fn groups(module: &mut Module, inputs: usize, num_groups: usize) -> Result<Groups, Fault> {
    if let Some(tensor) = module.take(GROUPS) {
        return Ok(Groups::Each(group_of_each(&tensor, inputs, num_groups)?));
    }
    if inputs.is_multiple_of(num_groups) {
        return Ok(Groups::Of(inputs / num_groups));
    }
    let what = format!("{num_groups} groups do not share {inputs} inputs evenly");
    Err(Fault::tensor(&module.name_of(SCALE), what))
}
