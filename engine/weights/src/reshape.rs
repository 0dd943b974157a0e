//! Other forms of stored tensors: parts, other orders of rows, transposes.
//!
//! Invariant: parts share the bytes they are cut from; what is in another order is copied, in the
//! dtype that it is stored in where that has an element at a time.

use bytes::Bytes;
use kernels::quant::{DType, dequantize};

use crate::{Size, Tensor, WeightsError, error::By};

impl Tensor {
    /// Bytes of one element, where elements are stored one by one.
    fn element_bytes(&self) -> Option<usize> {
        match self.dtype() {
            DType::F32 => Some(4),
            DType::F16 | DType::BF16 => Some(2),
            _ => None,
        }
    }

    /// The error for a shape that is not `want`.
    pub fn misshapen(&self, want: &[Size]) -> WeightsError {
        let found = self.shape();
        let differs = want.iter().zip(found).find(|(size, found)| size.num != **found);
        let by = differs.filter(|_| want.len() == found.len()).map_or(&[][..], |(size, _)| size.by);
        WeightsError::Shape {
            tensor: self.theirs().into(),
            form: self.is_reformed().then(|| self.name().into()),
            want: want.iter().map(|size| size.num).collect(),
            found: found.into(),
            by: By::new(by),
        }
    }

    /// Refuses any other shape.
    pub fn check_shape(&self, want: &[Size]) -> Result<(), WeightsError> {
        let fits = self.shape().iter().eq(want.iter().map(|size| &size.num));
        if fits { Ok(()) } else { Err(self.misshapen(want)) }
    }

    /// Refuses another outermost size.
    pub fn check_outer(&self, want: Size) -> Result<(), WeightsError> {
        let others = self.shape().iter().skip(1).copied().map(Size::from);
        self.check_shape(&std::iter::once(want).chain(others).collect::<Vec<_>>())
    }

    /// `num` of the outermost dimension from `first` on, which are there.
    pub fn part(&self, name: &str, first: usize, num: usize) -> Result<Self, WeightsError> {
        let mut shape = self.shape().to_vec();
        let outer = shape[0];
        let each = self.bytes().len() / outer;
        // Elements of a vector of blocks are not stored one by one.
        if first + num > outer || each * outer != self.bytes().len() {
            return Err(self.misshapen(&[(first + num).into()]));
        }
        shape[0] = num;
        let bytes = self.shared_bytes().slice(first * each..(first + num) * each);
        self.reformed(name, self.dtype(), &shape, bytes)
    }

    /// The `i`-th of the outermost dimension, without that dimension.
    pub fn element(&self, name: &str, i: usize) -> Result<Self, WeightsError> {
        let part = self.part(name, i, 1)?;
        self.reformed(name, self.dtype(), &self.shape()[1..], part.shared_bytes().clone())
    }

    /// The rows (or elements of a vector) in another order; all are there.
    pub fn in_order(
        &self,
        name: &str,
        order: impl Iterator<Item = usize>,
    ) -> Result<Self, WeightsError> {
        let mut shape = self.shape().to_vec();
        let each = self.bytes().len() / shape[0];
        let mut bytes = Vec::with_capacity(self.bytes().len());
        let mut rows = 0;
        for row in order {
            bytes.extend_from_slice(&self.bytes()[row * each..(row + 1) * each]);
            rows += 1;
        }
        shape[0] = rows;
        self.reformed(name, self.dtype(), &shape, Bytes::from(bytes))
    }

    /// The elements as floats.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.shape().iter().product()];
        dequantize(self.dtype(), self.bytes(), &mut values);
        values
    }

    /// The elements rounded to bfloat16.
    ///
    /// # Errors
    /// If elements in blocks do not make up the shape.
    pub fn to_bf16(&self) -> Result<Self, WeightsError> {
        let round = |x: f32| half::bf16::from_f32(x).to_le_bytes();
        let bytes: Vec<u8> = self.to_f32().into_iter().flat_map(round).collect();
        self.reformed(self.name(), DType::BF16, self.shape(), bytes.into())
    }

    /// A matrix's transpose.
    pub fn transposed(&self, name: &str) -> Result<Self, WeightsError> {
        let &[rows, cols] = self.shape() else { return Err(self.misshapen(&[0.into(), 0.into()])) };
        let Some(size) = self.element_bytes() else {
            let values = self.to_f32();
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
            return self.reformed(name, DType::F32, &[rows, cols], bytes.into())?.transposed(name);
        };
        let mut bytes = Vec::with_capacity(self.bytes().len());
        for col in 0..cols {
            for row in 0..rows {
                let at = (row * cols + col) * size;
                bytes.extend_from_slice(&self.bytes()[at..at + size]);
            }
        }
        self.reformed(name, self.dtype(), &[cols, rows], bytes.into())
    }

    /// One more than each element, as norms of Gemma are stored.
    pub fn plus_one(&self) -> Result<Self, WeightsError> {
        let bytes: Vec<u8> =
            self.to_f32().into_iter().flat_map(|x| (x + 1.0).to_le_bytes()).collect();
        self.reformed(self.name(), DType::F32, self.shape(), bytes.into())
    }
}
