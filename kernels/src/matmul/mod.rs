//! Matrix products of `f32` activations with stored (quantised) weights.
//!
//! A panel of weight rows is read back to `f32` once, stays in cache, and meets every row of
//! activations: the mathematics is that of the dequantised weights, memory is read at the
//! stored width. Invariant: an output depends on its own row of activations only, so results are
//! the same in whatever batch a row comes (batch-invariant), bit for bit.

mod cpu;
pub mod reference;

use rayon::prelude::*;

use crate::{isa::Isa, quant::DType};

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
}

/// Multiplies activations `x` (`m × k`, row-major) with several matrices at once, spread over
/// the threads of the current rayon pool.
///
/// # Panics
/// If a shape does not fit: `x.len() == m * cols`, `out.len() == m * rows`, data as long as the
/// shape says. Callers check shapes when they load weights.
pub fn matmul(x: &[f32], m: usize, products: &mut [Product<'_>]) {
    matmul_on(Isa::detect(), x, m, products);
}

/// [`matmul`] with the instruction set forced.
///
/// # Panics
/// As [`matmul`], and if this machine lacks the instruction set.
pub fn matmul_on(isa: Isa, x: &[f32], m: usize, products: &mut [Product<'_>]) {
    assert!(isa.is_available(), "{isa:?} is not available");
    let Some(first) = products.first() else { return };
    let k = first.weight.cols;
    assert_eq!(x.len(), m * k, "activations");
    let mut tasks = Vec::new();
    for product in products.iter_mut() {
        let weight = product.weight;
        assert_eq!(weight.cols, k, "all matrices share the activations");
        assert_eq!(product.out.len(), m * weight.rows, "output");
        assert_eq!(Some(weight.data.len()), weight.byte_len(), "weight bytes");
        assert!(weight.bias.is_none_or(|b| b.len() == weight.rows), "bias");
        let out = cpu::OutPtr(product.out.as_mut_ptr());
        let panel = cpu::panel_rows(m, k);
        tasks.extend((0..weight.rows).step_by(panel).map(|row| cpu::Task {
            weight,
            out,
            row,
            panel,
        }));
    }
    if m == 0 {
        return;
    }
    let padded = cpu::pad(x, m, k);
    let x = cpu::Rows { data: padded.as_deref().unwrap_or(x), m };
    // Few, even shares: splitting down to single panels costs more than it balances.
    let share = tasks.len().div_ceil(rayon::current_num_threads() * 4);
    tasks.par_chunks(share.max(1)).for_each(|tasks| {
        for task in tasks {
            cpu::run(isa, &x, task);
        }
    });
}

impl Matrix<'_> {
    /// Bytes that this shape takes, `None` if the columns are no whole blocks.
    pub fn byte_len(&self) -> Option<usize> {
        self.dtype.row_bytes(self.cols)?.checked_mul(self.rows)
    }
}
