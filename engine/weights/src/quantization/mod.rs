//! Quantised Hugging Face folders: whole numbers packed into words, and scales beside them, become
//! ordinary tensors.
//!
//! Invariant: every weight is restored to exactly what its publisher's formula says, as the
//! smallest block format that holds it: whole numbers and a scale for 32 inputs as Q4_0 (zero
//! points all 8), Q5_0 or Q8_0, `e4m3` with its scales as F8_SCALED, MXFP4 as it is. Only a scale
//! that is no half is rounded to one, by 2⁻¹² of it at most. What fits no block (inputs that share
//! scales out of order, scales that no half is near) becomes F32. Nothing is guessed from names
//! alone: shapes and types are held against each other, and what is left over is refused.

mod blocks;
mod compressed;
mod fields;
mod float8;
pub(super) mod ggml;
mod grouped;
mod module;
mod mxfp4;
mod words;

use kernels::quant::DType;
use serde_json::{Map, Value};

use self::fields::Fields;
use crate::error::Fault;
use crate::tensor::Tensor;

/// How a folder's weights are quantised.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scheme {
    /// AutoAWQ's "gemm" layout, 4 bits.
    Awq {
        /// Inputs that share a scale; `None` if all do.
        group: Option<usize>,
    },
    /// GPTQ, 4 or 8 bits.
    Gptq {
        /// Bits of a weight.
        bits: u32,
        /// Inputs that share a scale; `None` if all do.
        group: Option<usize>,
        /// What stored zero points are short of: 1 in the first version of the layout, 0 in the
        /// second.
        zero_offset: u16,
    },
    /// Eight-bit floating point with scales for tensors, outputs or blocks.
    Fp8 {
        /// Outputs and inputs that share a scale.
        block: [usize; 2],
    },
    /// The library of that name: INT8, packed INT4 and INT8, FP8.
    CompressedTensors,
    /// Four-bit floating point with a power of two for 32 (gpt-oss).
    Mxfp4,
    /// Blocks of GGUF's formats: what we quantise ourselves.
    Ggml,
}

const SUPPORTED: &str = "awq, gptq, fp8, fbgemm_fp8, compressed-tensors, mxfp4 and ggml";

impl Scheme {
    /// What the `quantization_config` of a `config.json` says, if there is one.
    ///
    /// # Errors
    /// [`Fault::Field`] if it asks for what is not read.
    pub(super) fn from_config(config: &Map<String, Value>) -> Result<Option<Self>, Fault> {
        let Some(fields) = Fields::of(config)? else { return Ok(None) };
        let method: String = fields.require("quant_method")?;
        Ok(Some(match method.as_str() {
            "awq" => {
                fields.one_of("version", &["gemm", "GEMM"])?;
                fields.bits("bits", &[4])?;
                Self::Awq { group: fields.group_size("group_size")? }
            }
            "gptq" => {
                fields.one_of("checkpoint_format", &["gptq", "gptq_v2"])?;
                let format: Option<String> = fields.get("checkpoint_format")?;
                Self::Gptq {
                    bits: fields.bits("bits", &[4, 8])?,
                    group: fields.group_size("group_size")?,
                    zero_offset: u16::from(format.as_deref() != Some("gptq_v2")),
                }
            }
            "fp8" | "fbgemm_fp8" => {
                fields.one_of("fmt", &["e4m3", "e5m2"])?;
                Self::Fp8 { block: fields.block_size("weight_block_size")? }
            }
            "compressed-tensors" => {
                compressed::check(&fields)?;
                Self::CompressedTensors
            }
            "mxfp4" => Self::Mxfp4,
            ggml::METHOD => Self::Ggml,
            other => {
                let what = format!("{other:?} is not read; {SUPPORTED} are");
                return Err(fields.fault("quant_method", what));
            }
        }))
    }

    /// Turns a folder's tensors into ordinary ones, under the names that they would have had.
    ///
    /// # Errors
    /// [`Fault::Tensor`] if shapes, types or what they contain contradict each other.
    pub(super) fn restore(&self, tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
        let restored = match self {
            Self::Awq { group } => words::restore_awq(tensors, *group)?,
            Self::Gptq { bits, group, zero_offset } => {
                words::restore_gptq(tensors, (*bits, *group, *zero_offset))?
            }
            Self::Fp8 { block } => float8::restore(tensors, *block)?,
            Self::CompressedTensors => compressed::restore(tensors)?,
            Self::Mxfp4 => mxfp4::restore(tensors)?,
            Self::Ggml => ggml::restore(tensors)?,
        };
        match restored.iter().find(|tensor| is_bare(tensor.dtype())) {
            None => Ok(restored),
            Some(tensor) => {
                let what = format!(
                    "dtype {} is not what quantization_config leads to expect",
                    tensor.dtype().name()
                );
                Err(Fault::tensor(tensor.name(), what))
            }
        }
    }
}

/// Whether numbers of this type mean nothing without others beside them.
fn is_bare(dtype: DType) -> bool {
    use DType::{F8E4M3, F8E5M2, I8, I32, I64, U8};
    matches!(dtype, F8E4M3 | F8E5M2 | I8 | U8 | I32 | I64)
}

#[cfg(test)]
mod tests;
