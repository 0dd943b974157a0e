//! Writing a GGUF file anew.
//!
//! Invariant: keys and values are those of the source, byte for byte, but for the two that tell
//! how it is quantised; tensors keep their names, shapes and order.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use kernels::quant::DType;

use super::{Progress, create, map, plan::plan, write_tensors};
use crate::{
    error::LoadError,
    gguf,
    tensor::{Tensor, num_bytes},
};

const FILE_TYPE: &str = "general.file_type";
const VERSION: &str = "general.quantization_version";
/// GGUF's number for 32-bit numbers without a sign.
const U32: u32 = 4;
/// Of the blocks' layouts.
const QUANTIZATION_VERSION: u32 = 2;

/// Writes the model of the file `from` to `to`.
pub(super) fn write(
    from: &Path,
    dtype: DType,
    to: &Path,
    progress: &mut Progress<'_>,
) -> Result<PathBuf, LoadError> {
    let bytes = map(from)?;
    let file = gguf::GgufFile::parse(&bytes).map_err(|fault| fault.at(from))?;
    let keys = gguf::raw_keys(&bytes).map_err(|fault| fault.at(from))?;
    let alignment = gguf::alignment(&file.metadata).map_err(|fault| fault.at(from))?;
    let plan = plan(&file.tensors, dtype);

    let mut head = Vec::new();
    head.extend(b"GGUF");
    head.extend(3_u32.to_le_bytes());
    head.extend((file.tensors.len() as u64).to_le_bytes());
    let told_anew = |key: &str| [FILE_TYPE, VERSION].contains(&key);
    let kept: Vec<_> = keys.iter().filter(|(key, _)| !told_anew(key)).collect();
    head.extend((kept.len() as u64 + 2).to_le_bytes());
    for (key, value) in kept {
        put_string(&mut head, key);
        head.extend(*value);
    }
    for (key, value) in [(FILE_TYPE, file_type(dtype)), (VERSION, QUANTIZATION_VERSION)] {
        put_string(&mut head, key);
        head.extend(U32.to_le_bytes());
        head.extend(value.to_le_bytes());
    }
    put_tensors(&mut head, (&plan, &file.tensors), alignment);
    head.resize(head.len().next_multiple_of(alignment), 0);

    let io = |cause| LoadError::Io { path: to.into(), cause };
    let mut out = create(to)?;
    out.write_all(&head).map_err(io)?;
    write_tensors((&plan, &file.tensors), alignment, (&mut out, to), progress)?;
    out.flush().map_err(io)?;
    Ok(to.into())
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Names, shapes, types and places.
fn put_tensors(out: &mut Vec<u8>, (plan, tensors): (&[DType], &[Tensor]), alignment: usize) {
    let mut offset = 0;
    for (dtype, tensor) in plan.iter().zip(tensors) {
        put_string(out, tensor.name());
        out.extend((tensor.shape().len() as u32).to_le_bytes());
        for size in tensor.shape().iter().rev() {
            out.extend((*size as u64).to_le_bytes());
        }
        // All of the source's formats, and all that are written, have a number.
        out.extend(dtype.ggml_id().unwrap_or_default().to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        let len = num_bytes(*dtype, tensor.shape()).unwrap_or_default();
        offset += len.next_multiple_of(alignment);
    }
}

/// llama.cpp's number for files that are mostly of this format (`enum llama_ftype`).
fn file_type(dtype: DType) -> u32 {
    match dtype {
        DType::F16 => 1,
        DType::Q4_0 => 2,
        DType::Q4_1 => 3,
        DType::Q8_0 => 7,
        DType::Q5_0 => 8,
        DType::Q5_1 => 9,
        DType::Q4K => 14,
        DType::Q5K => 16,
        DType::Q6K => 18,
        DType::BF16 => 32,
        _ => 0,
    }
}
