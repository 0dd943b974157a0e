//! Matrix products of `f32` activations with stored (quantised) weights.
//!
//! A panel of weight rows is read back to `f32` once, stays in cache, and meets every row of
//! activations: the mathematics is that of the dequantised weights, memory is read at the
//! stored width. Invariant: an output depends on its own row of activations only, so results are
//! the same in whatever batch a row comes (batch-invariant), bit for bit.

mod cpu;
pub mod reference;

use crate::{isa::Isa, pool::Pool, quant::DType};

/// A stored matrix, one output per row: `y[n] = Σ_k x[k] · w[n][k] + bias[n]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// `rows × dtype.row_bytes(cols)` bytes, row after row.
    pub data: &'a [u8],
    /// How elements are stored.
    pub dtype: DType,
    /// Outputs.
    pub rows: usize,
    /// Inputs; a multiple of the dtype's block.
    pub cols: usize,
    /// Added to each output.
    pub bias: Option<&'a [f32]>,
}

/// One product: `out[m][n]` over all rows `m` of the common activations.
#[derive(Debug)]
pub struct Product<'a> {
    /// The weights.
    pub weight: Matrix<'a>,
    /// `m × weight.rows`, row-major.
    pub out: &'a mut [f32],
    /// Whether to add to what `out` holds.
    pub accumulate: bool,
}

/// Rows of activations, [`Rows::stride`] apart, each padded to whole vectors with zeros.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// `m × stride`.
    pub data: &'a [f32],
    /// Elements from one row to the next, a multiple of 16.
    pub stride: usize,
    /// Rows.
    pub m: usize,
}

/// Multiplies activations with several matrices at once, spread over the threads of the pool.
///
/// # Panics
/// If a shape does not fit: rows of at least `cols` elements, `out.len() == m * rows`, data as
/// long as the shape says. Callers check shapes when they load weights. Also if this machine
/// lacks the instruction set.
pub fn matmul((isa, pool): (Isa, &mut Pool), x: Rows<'_>, products: &mut [Product<'_>]) {
    assert!(isa.is_available(), "{isa:?} is not available");
    assert!(x.data.len() >= x.m * x.stride, "activations");
    if x.m == 0 {
        return;
    }
    for product in products {
        let Product { weight, out, accumulate } = product;
        assert!(x.stride >= cpu::stride(weight.cols), "columns of the activations");
        assert_eq!(out.len(), x.m * weight.rows, "output");
        assert_eq!(Some(weight.data.len()), weight.byte_len(), "weight bytes");
        assert!(weight.bias.is_none_or(|b| b.len() == weight.rows), "bias");
        let out = cpu::Out { out: out.as_mut_ptr(), accumulate: *accumulate };
        let panel = cpu::panel_rows(x.m, weight.cols);
        pool.run(weight.rows.div_ceil(panel), &|i, _| {
            cpu::run(isa, &x, &cpu::Task { weight: *weight, out: &out, row: i * panel, panel });
        });
    }
}

impl Matrix<'_> {
    /// Bytes that this shape takes, `None` if the columns are no whole blocks.
    pub fn byte_len(&self) -> Option<usize> {
        self.dtype.row_bytes(self.cols)?.checked_mul(self.rows)
    }
}
