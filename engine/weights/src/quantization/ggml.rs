//! Our own folders: `NAME.TYPE` (as in `model.norm.weight.Q4_K`) holds the stored blocks of `NAME`
//! as bytes, the last dimension counting those of a row.
//!
//! `agentbase model quantize` writes them: a Hugging Face folder keeps its tokenizer, template and
//! configuration, and its weights get the number formats of GGUF.

use kernels::quant::DType;

use crate::{error::Fault, tensor::Tensor};

/// What `quantization_config.quant_method` calls it.
pub(crate) const METHOD: &str = "ggml";

/// The name that a tensor's blocks are stored under.
pub(crate) fn stored_name(name: &str, dtype: DType) -> String {
    format!("{name}.{}", dtype.name())
}

pub(super) fn restore(tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Fault> {
    tensors.into_iter().map(restore_one).collect()
}

fn restore_one(tensor: Tensor) -> Result<Tensor, Fault> {
    let whole = tensor.name().to_owned();
    let Some((name, dtype)) = whole.rsplit_once('.').and_then(|(name, format)| {
        let named = DType::ALL.into_iter().find(|dtype| dtype.name() == format)?;
        (tensor.dtype() == DType::U8).then_some((name, named))
    }) else {
        return Ok(tensor);
    };
    let mut shape = tensor.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = *last / dtype.block_bytes() * dtype.block_len();
    }
    tensor.reread(name, dtype, &shape).map_err(|error| Fault::tensor(&whole, error.to_string()))
}
