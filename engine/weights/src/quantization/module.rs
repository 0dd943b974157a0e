//! Tensors that belong together: those of one module, by the last part of their names.
//!
//! Invariant: errors name the tensor by its whole name.

use std::collections::BTreeMap;

use kernels::quant::{DType, dequantize};

use crate::{error::Fault, tensor::Tensor};

/// Some of a module's tensors.
pub(super) struct Module {
    name: String,
    parts: BTreeMap<String, Tensor>,
}

/// Gathers tensors whose names end in one of `parts`; the others come first.
pub(super) fn split(tensors: Vec<Tensor>, parts: &[&str]) -> (Vec<Tensor>, Vec<Module>) {
    let mut others = Vec::new();
    let mut modules = BTreeMap::<String, Module>::new();
    for tensor in tensors {
        match tensor.name().rsplit_once('.') {
            Some((name, part)) if parts.contains(&part) => {
                let (name, part) = (name.to_owned(), part.to_owned());
                let module = modules
                    .entry(name.clone())
                    .or_insert_with(|| Module { name, parts: BTreeMap::new() });
                module.parts.insert(part, tensor);
            }
            _ => others.push(tensor),
        }
    }
    (others, modules.into_values().collect())
}

impl Module {
    /// The name of one of its tensors.
    pub(super) fn name_of(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    /// A tensor, if it is there; it is not asked for again.
    pub(super) fn take(&mut self, part: &str) -> Option<Tensor> {
        self.parts.remove(part)
    }

    /// A tensor that must be there.
    pub(super) fn require(&mut self, part: &str) -> Result<Tensor, Fault> {
        self.take(part).ok_or_else(|| Fault::tensor(&self.name_of(part), "is missing"))
    }

    /// A matrix of this type that must be there, and its shape.
    pub(super) fn matrix(
        &mut self,
        part: &str,
        dtype: DType,
    ) -> Result<(Tensor, [usize; 2]), Fault> {
        let tensor = self.require(part)?;
        expect_type(&tensor, &[dtype])?;
        let shape = matrix(&tensor)?;
        Ok((tensor, shape))
    }

    /// What was asked for by nobody.
    pub(super) fn rest(self) -> impl Iterator<Item = Tensor> {
        self.parts.into_values()
    }
}

/// Refuses a tensor of another type.
pub(super) fn expect_type(tensor: &Tensor, known: &[DType]) -> Result<(), Fault> {
    if known.contains(&tensor.dtype()) {
        return Ok(());
    }
    let names: Vec<_> = known.iter().map(|dtype| dtype.name()).collect();
    let what = format!("dtype {} where {} is wanted", tensor.dtype().name(), names.join(" or "));
    Err(Fault::tensor(tensor.name(), what))
}

/// Refuses a tensor of another shape.
pub(super) fn expect_shape(tensor: &Tensor, shape: &[usize]) -> Result<(), Fault> {
    if tensor.shape() == shape {
        return Ok(());
    }
    let what = format!("shape {:?} where the others ask for {shape:?}", tensor.shape());
    Err(Fault::tensor(tensor.name(), what))
}

/// A matrix' rows and columns.
pub(super) fn matrix(tensor: &Tensor) -> Result<[usize; 2], Fault> {
    tensor.shape().try_into().map_err(|_| {
        Fault::tensor(tensor.name(), format!("shape {:?} is no matrix", tensor.shape()))
    })
}

/// A small tensor of floating-point numbers.
pub(super) fn floats(tensor: &Tensor) -> Result<Vec<f32>, Fault> {
    expect_type(tensor, &[DType::F32, DType::F16, DType::BF16])?;
    let mut values = vec![0.0; tensor.shape().iter().product()];
    dequantize(tensor.dtype(), tensor.bytes(), &mut values);
    Ok(values)
}

/// The `i`-th 32 bits of a tensor.
#[inline]
pub(super) fn word(bytes: &[u8], i: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|j| bytes[4 * i + j]))
}
