//! Weights laid out for matrix products: sixteen outputs in lanes, 64 inputs at a time.
//!
//! A *panel* is sixteen outputs. It is a run of *groups* of 64 inputs, each some whole lines of 64
//! bytes: quantised weights first, then scales and minima (see [`Format`]). Panels follow one
//! another. A product reads them straight through: decoding is bound by just these bytes.
//!
//! Activations are quantised to bytes, 32 to a scale (to 14 bits where weights were stored as
//! floating-point numbers); integer sums are exact. A matrix unit multiplies bfloat16 as it is
//! stored, with activations as two of them. Invariant: an output depends on its own row of
//! activations only and is summed in one order, so results are the same in whatever batch a row
//! comes, bit for bit. Between instruction sets they differ by rounding.

#[cfg(target_arch = "x86_64")]
#[macro_use]
mod avx2_rows;
mod activations;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod amx_bf16;
#[cfg(target_arch = "x86_64")]
mod avx2_int16;
#[cfg(target_arch = "x86_64")]
mod avx2_nibbles;
mod bf16;
mod group;
mod int16;
mod pack;
mod pack_pairs;
mod panels;
mod part;
mod product;
mod ready;
pub mod reference;
mod rows;
mod sinks;
mod tile;

pub(crate) use self::bf16::{round_to_bf16, to_bf16};
pub use self::{
    activations::{Activations, Kind},
    pack::{pack_panels, supports},
    product::{
        ActivatedProduct, GatedProduct, Product, Scratch, activated_product, gated_product,
        products,
    },
    rows::{convert_rows, norm_rows, norm_rows_in_place},
};

use crate::{isa::Isa, quant::DType};

/// Outputs of a panel.
pub const PANEL: usize = 16;
/// Changes with every change of the layout, so that packed files of another are made anew.
pub const LAYOUT_VERSION: u8 = 2;
/// Inputs of a group.
pub const GROUP: usize = 64;

/// How a panel's groups hold weights. Quantised weights are `scale · (q - zero) + minimum` with
/// unsigned `q`; scales are halves, minima bfloat16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// 4 bits, scale per 32 inputs, zero 8.
    Q4,
    /// 4 bits, scale and minimum per 32 inputs, zero 8.
    Q4Min,
    /// 5 bits, scale per 32 inputs, zero 16.
    Q5,
    /// 5 bits, scale and minimum per 32 inputs, zero 16.
    Q5Min,
    /// 6 bits, scale per 16 inputs, zero 32.
    Q6,
    /// 8 bits, scale per 32 inputs, zero 128.
    Q8,
    /// Floating-point weights, and those that no other holds, in 14 bits with the sign: a power of
    /// two for each 64 inputs, so that what bfloat16 keeps of a weight is kept of those within five
    /// binades of the largest.
    Int16,
    /// bfloat16 as stored, in pairs of inputs; for [`Isa::Amx`] only.
    Bf16,
}

impl Format {
    /// The format that a stored type is packed into: the smallest that holds its whole numbers and
    /// has a scale for each of its own; what none has (minima per 16; large numbers with scales per
    /// 16; floating point) is rounded to 14 bits. `None` where it stays as it is.
    ///
    /// The numbers of IQ3_S are odd and at most 15, those of IQ1 eighths of at most 9, those of
    /// FP4 halves of at most 12, those of IQ4 and the others at most 127. bfloat16 stays as it is
    /// where instructions multiply it fast.
    pub fn of(dtype: DType, isa: Isa) -> Option<Self> {
        Some(match dtype {
            DType::Q4_0 | DType::TQ1_0 | DType::TQ2_0 => Self::Q4,
            DType::Q4_1 | DType::Q4K => Self::Q4Min,
            DType::Q5_0 | DType::IQ1S | DType::IQ3S | DType::MXFP4 => Self::Q5,
            DType::Q5_1 | DType::Q5K => Self::Q5Min,
            DType::Q3K | DType::Q6K | DType::IQ1M | DType::NVFP4 => Self::Q6,
            DType::Q8_0 | DType::IQ4NL | DType::IQ4XS | DType::IQ2XXS | DType::IQ3XXS => Self::Q8,
            DType::Q2K | DType::IQ2XS | DType::IQ2S => Self::Int16,
            DType::BF16 if isa == Isa::Amx => Self::Bf16,
            DType::BF16 | DType::F16 | DType::F32 => Self::Int16,
            DType::F8Scaled | DType::F8E4M3 | DType::F8E5M2 => Self::Int16,
            DType::I8 | DType::U8 | DType::I32 | DType::I64 => return None,
        })
    }

    /// What activations it is multiplied with.
    pub fn activations(self) -> Kind {
        match self {
            Self::Int16 => Kind::Int16,
            Self::Bf16 => Kind::Bf16,
            _ => Kind::Int8,
        }
    }

    /// Bytes of one group of a panel.
    pub const fn group_bytes(self) -> usize {
        let lines = match self {
            Self::Q4 => 8 + 1,
            Self::Q4Min => 8 + 1 + 1,
            Self::Q5 => 8 + 2 + 1,
            Self::Q5Min => 8 + 2 + 1 + 1,
            Self::Q6 => 8 + 4 + 2,
            Self::Q8 => 16 + 1,
            Self::Int16 => 32 + 1,
            Self::Bf16 => 32,
        };
        lines * crate::simd::LINE
    }
}

/// A packed matrix, one output per row: `y[n] = Σ_k x[k] · w[n][k] + bias[n]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Panels one after another, [`Matrix::byte_len`] long.
    pub data: &'a [u8],
    /// Layout of the panels.
    pub format: Format,
    /// Outputs; the last panel's missing ones are zero.
    pub rows: usize,
    /// Inputs; the last group's missing ones are zero.
    pub cols: usize,
    /// Added to each output.
    pub bias: Option<&'a [f32]>,
}

impl Matrix<'_> {
    /// Panels in all.
    pub fn num_panels(&self) -> usize {
        self.rows.div_ceil(PANEL)
    }

    /// Bytes of one panel.
    pub fn panel_bytes(&self) -> usize {
        self.cols.div_ceil(GROUP) * self.format.group_bytes()
    }

    /// Bytes that this shape takes.
    pub fn byte_len(&self) -> usize {
        self.num_panels() * self.panel_bytes()
    }
}
