//! Matrices with their biases, and their products with rows.
//!
//! Invariant: what a product gives does not depend on the rows beside a row (see `kernels`).

use std::{io, path::Path};

use kernels::{
    Isa,
    matmul::{self, Matrix, Rows, matmul},
    packed::{self, Activations, Kind, Scratch, products},
    pool::Pool,
    quant::dequantize,
};

use crate::{
    error::WeightsError,
    packed::{PackedTensor, pack},
    tensor::Tensor,
    weights::Weights,
};

/// A matrix with its bias, packed if its type can be and that is wanted.
pub struct Linear {
    /// The matrix.
    pub weight: Weight,
    bias: Option<Vec<f32>>,
}

/// How a matrix is kept.
pub enum Weight {
    /// As it is stored.
    Stored(Tensor),
    /// In the layout of the kernels' products.
    Packed(PackedTensor),
}

impl Linear {
    /// `NAME.weight`, and `NAME.bias` if there is one.
    ///
    /// # Errors
    /// If one is missing or has another shape.
    pub fn load(
        weights: &Weights,
        name: &str,
        shape: [usize; 2],
        bias: bool,
    ) -> Result<Self, WeightsError> {
        let tensor = weights.expect(&format!("{name}.weight"), &shape)?;
        let bias = match bias {
            true => Some(vector(weights, &format!("{name}.bias"), &shape[..1])?),
            false => None,
        };
        Ok(Self { weight: Weight::Stored(tensor), bias })
    }

    /// What is added to outputs.
    pub fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// For the kernels, if it is packed.
    pub fn matrix(&self) -> Option<packed::Matrix<'_>> {
        match &self.weight {
            Weight::Packed(packed) => Some(packed.matrix(self.bias())),
            Weight::Stored(_) => None,
        }
    }

    /// The form of activations that it is multiplied with.
    pub fn kind(&self) -> Kind {
        match &self.weight {
            Weight::Stored(_) => Kind::F32,
            Weight::Packed(packed) => packed.matrix(None).format.activations(),
        }
    }
}

/// Packs those matrices that can be; see [`pack`].
///
/// # Errors
/// If there is no memory for them.
pub fn pack_all(all: Vec<&mut Linear>, path: Option<&Path>, pool: &mut Pool) -> io::Result<()> {
    let stored = |linear: &&mut Linear| match &linear.weight {
        Weight::Stored(tensor) => Some(tensor.clone()),
        Weight::Packed(_) => None,
    };
    let (mut linears, mut tensors) = (Vec::new(), Vec::new());
    for linear in all {
        if let Some(tensor) = stored(&linear) {
            tensors.push(tensor);
            linears.push(linear);
        }
    }
    let packed = pack(&tensors.iter().collect::<Vec<_>>(), path, pool)?;
    for (linear, packed) in linears.into_iter().zip(packed) {
        if let Some(packed) = packed {
            linear.weight = Weight::Packed(packed);
        }
    }
    Ok(())
}

/// A small tensor read to `f32` at once.
///
/// # Errors
/// If it is missing or has another shape.
pub fn vector(weights: &Weights, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
    let tensor = weights.expect(name, shape)?;
    let mut values = vec![0.0; shape.iter().product()];
    dequantize(tensor.dtype(), tensor.bytes(), &mut values);
    Ok(values)
}

/// A stored tensor, for the kernels.
fn stored<'a>(tensor: &'a Tensor, bias: Option<&'a [f32]>) -> Matrix<'a> {
    let shape = tensor.shape();
    Matrix { data: tensor.bytes(), dtype: tensor.dtype(), rows: shape[0], cols: shape[1], bias }
}

/// A matrix, its output, and whether to add to what is there.
pub type Projection<'a> = (&'a Linear, &'a mut [f32], bool);

/// Multiplies the first `rows` rows of `x` with several matrices, at once if all are packed.
///
/// # Panics
/// If a shape does not fit, or `x` does not keep the form that a matrix needs.
pub fn project<const N: usize>(
    (isa, pool, scratch): (Isa, &mut Pool, &mut Scratch),
    x: &mut Activations,
    rows: usize,
    all: [Projection<'_>; N],
) {
    if all.iter().all(|(linear, ..)| linear.kind() != Kind::F32) {
        let mut all = all.map(|(linear, out, accumulate)| {
            let Weight::Packed(packed) = &linear.weight else { unreachable!("asked above") };
            packed::Product { weight: packed.matrix(linear.bias()), out, accumulate }
        });
        return products((isa, pool, scratch), x, rows, &mut all);
    }
    for (linear, out, accumulate) in all {
        match &linear.weight {
            Weight::Packed(packed) => {
                let weight = packed.matrix(linear.bias());
                let product = packed::Product { weight, out, accumulate };
                products((isa, pool, scratch), x, rows, &mut [product]);
            }
            Weight::Stored(tensor) => {
                let weight = stored(tensor, linear.bias());
                let product = matmul::Product { weight, out, accumulate };
                let rows = Rows { stride: x.stride(), data: x.as_f32(rows), m: rows };
                matmul((isa, pool), rows, &mut [product]);
            }
        }
    }
}
