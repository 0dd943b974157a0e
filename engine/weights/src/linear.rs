//! Matrices of the decoder, and their products with rows.

use kernels::{
    matmul::{self, Matrix, Rows, matmul},
    packed::{self, Activations, Kind, products},
    quant::dequantize,
};

use super::{layer::Machine, packed::PackedTensor};
use crate::weights::{Tensor, Weights, WeightsError};

/// A matrix with its bias, packed if its type can be and that is wanted.
pub(super) struct Linear {
    pub(super) weight: Weight,
    bias: Option<Vec<f32>>,
}

/// How a matrix is kept.
pub(super) enum Weight {
    Stored(Tensor),
    Packed(PackedTensor),
}

impl Linear {
    /// `NAME.weight`, and `NAME.bias` if there is one.
    pub(super) fn load(
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

    pub(super) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// The form of activations that it is multiplied with.
    pub(super) fn kind(&self) -> Kind {
        match &self.weight {
            Weight::Stored(_) => Kind::F32,
            Weight::Packed(packed) => packed.matrix(None).format.activations(),
        }
    }
}

/// A small tensor read to `f32` at once.
pub(super) fn vector(
    weights: &Weights,
    name: &str,
    shape: &[usize],
) -> Result<Vec<f32>, WeightsError> {
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
pub(super) type Projection<'a> = (&'a Linear, &'a mut [f32], bool);

/// Multiplies the first `rows` rows of `x` with several matrices, at once if all are packed.
pub(super) fn project<const N: usize>(
    machine: &mut Machine,
    x: &mut Activations,
    rows: usize,
    all: [Projection<'_>; N],
) {
    let Machine { isa, pool, scratch, .. } = machine;
    if all.iter().all(|(linear, ..)| linear.kind() != Kind::F32) {
        let mut all = all.map(|(linear, out, accumulate)| {
            let Weight::Packed(packed) = &linear.weight else { unreachable!("asked above") };
            packed::Product { weight: packed.matrix(linear.bias()), out, accumulate }
        });
        return products((*isa, pool, scratch), x, rows, &mut all);
    }
    for (linear, out, accumulate) in all {
        match &linear.weight {
            Weight::Packed(packed) => {
                let weight = packed.matrix(linear.bias());
                let product = packed::Product { weight, out, accumulate };
                products((*isa, pool, scratch), x, rows, &mut [product]);
            }
            Weight::Stored(tensor) => {
                let weight = stored(tensor, linear.bias());
                let product = matmul::Product { weight, out, accumulate };
                let rows = Rows { stride: x.stride(), data: x.as_f32(rows), m: rows };
                matmul((*isa, pool), rows, &mut [product]);
            }
        }
    }
}
