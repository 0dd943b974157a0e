//! AWQ and GPTQ: whole numbers packed into words of 32 bits, scales and zero points for groups of
//! inputs.
//!
//! Sources: AutoAWQ's `WQLinear_GEMM`, AutoGPTQ's and GPTQModel's `QuantLinear`.

use kernels::quant::DType;

use super::{
    grouped::{AWQ_SHIFTS, Grouped, Groups, Layout},
    module::{Module, expect_shape, expect_type, floats, matrix, split, word},
};
use crate::{error::Fault, tensor::Tensor};

const PACKED: &str = "qweight";
const ZEROS: &str = "qzeros";
const SCALES: &str = "scales";
const GROUPS: &str = "g_idx";

/// Restores matrices of AWQ's "gemm" layout: `qweight` is `[inputs, outputs / 8]`, `qzeros`
/// `[groups, outputs / 8]`, `scales` `[groups, outputs]`.
pub(super) fn restore_awq(
    tensors: Vec<Tensor>,
    group: Option<usize>,
) -> Result<Vec<Tensor>, Fault> {
    let (mut restored, modules) = split(tensors, &[PACKED, ZEROS, SCALES]);
    for mut module in modules {
        let (packed, [inputs, words]) = module.matrix(PACKED, DType::I32)?;
        let outputs = words * 8;
        let (scales, num_groups) = scales(&mut module, outputs, (inputs, group))?;
        let (qzeros, _) = module.matrix(ZEROS, DType::I32)?;
        expect_shape(&qzeros, &[num_groups, words])?;
        let zeros = |i: usize| (word(qzeros.bytes(), i / 8) >> AWQ_SHIFTS[i % 8] & 15) as u16;
        let grouped = Grouped {
            packed,
            layout: Layout::Awq,
            bits: 4,
            shape: [outputs, inputs],
            groups: Groups::Of(group.unwrap_or(inputs)),
            zeros: (0..num_groups * outputs).map(zeros).collect(),
            scales,
        };
        restored.push(grouped.restore(&module.name_of("weight"))?);
    }
    Ok(restored)
}

/// Restores matrices of GPTQ's layout, of so many bits and inputs in a group: `qweight` is
/// `[inputs · bits / 32, outputs]`, `qzeros` `[groups, outputs · bits / 32]`, `scales`
/// `[groups, outputs]`, `g_idx` (if it is there) `[inputs]`.
pub(super) fn restore_gptq(
    tensors: Vec<Tensor>,
    (bits, group, zero_offset): (u32, Option<usize>, u16),
) -> Result<Vec<Tensor>, Fault> {
    let (mut restored, modules) = split(tensors, &[PACKED, ZEROS, SCALES, GROUPS]);
    let per = 32 / bits as usize;
    for mut module in modules {
        let (packed, [words, outputs]) = module.matrix(PACKED, DType::I32)?;
        let inputs = words * per;
        let (scales, num_groups) = scales(&mut module, outputs, (inputs, group))?;
        let (qzeros, _) = module.matrix(ZEROS, DType::I32)?;
        if !outputs.is_multiple_of(per) {
            let what = format!("{outputs} outputs do not fill words of {per}");
            return Err(Fault::tensor(packed.name(), what));
        }
        expect_shape(&qzeros, &[num_groups, outputs / per])?;
        let zeros = |i: usize| {
            let stored = word(qzeros.bytes(), i / per) >> (bits * (i % per) as u32);
            (stored & ((1 << bits) - 1)) as u16 + zero_offset
        };
        let groups = match module.take(GROUPS) {
            Some(tensor) => Groups::Each(group_of_each(&tensor, inputs, num_groups)?),
            None => Groups::Of(group.unwrap_or(inputs)),
        };
        let grouped = Grouped {
            packed,
            layout: Layout::Gptq,
            bits,
            shape: [outputs, inputs],
            groups,
            zeros: (0..num_groups * outputs).map(zeros).collect(),
            scales,
        };
        restored.push(grouped.restore(&module.name_of("weight"))?);
    }
    Ok(restored)
}

/// The scales of each group of each output, and how many groups there are: as many as inputs fill.
fn scales(
    module: &mut Module,
    outputs: usize,
    (inputs, group): (usize, Option<usize>),
) -> Result<(Vec<f32>, usize), Fault> {
    let scales = module.require(SCALES)?;
    let [num_groups, _] = matrix(&scales)?;
    expect_shape(&scales, &[inputs.div_ceil(group.unwrap_or(inputs)), outputs])?;
    Ok((floats(&scales)?, num_groups))
}

/// Which group each input is of.
pub(super) fn group_of_each(
    tensor: &Tensor,
    inputs: usize,
    num_groups: usize,
) -> Result<Vec<u32>, Fault> {
    expect_type(tensor, &[DType::I32])?;
    expect_shape(tensor, &[inputs])?;
    let groups: Vec<u32> = (0..inputs).map(|i| word(tensor.bytes(), i)).collect();
    match groups.iter().find(|group| **group as usize >= num_groups) {
        None => Ok(groups),
        Some(group) => {
            let what = format!("group {} of {num_groups}", group.cast_signed());
            Err(Fault::tensor(tensor.name(), what))
        }
    }
}
