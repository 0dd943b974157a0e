//! Writing a Hugging Face folder anew, with blocks in its one safetensors file.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use kernels::quant::DType;
use serde_json::{Map, Value, json};

use super::{Progress, create, plan::plan, write_tensors};
use crate::{
    Files,
    error::LoadError,
    hugging_face,
    quantization::ggml,
    tensor::{Tensor, num_bytes},
};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
/// A reader may map the numbers of the first tensor as they lie.
const HEADER_ALIGNMENT: usize = 64;

/// Writes the folder's files to `folder`.
pub(super) fn write(
    files: &Files,
    dtype: DType,
    folder: &Path,
    progress: &mut Progress<'_>,
) -> Result<PathBuf, LoadError> {
    let mut config = hugging_face::config(files)?;
    let tensors = hugging_face::tensors(files, &config)?;
    let plan = plan(&tensors, dtype);
    config.insert("quantization_config".into(), json!({"quant_method": ggml::METHOD}));
    for (name, path) in files {
        if !is_weights(name) && name != CONFIG {
            let copied = fs::copy(path, folder.join(name));
            copied.map_err(|cause| LoadError::Io { path: path.clone(), cause })?;
        }
    }
    let path = folder.join(CONFIG);
    let text = format!("{:#}\n", Value::Object(config));
    fs::write(&path, text).map_err(|cause| LoadError::Io { path, cause })?;

    let path = folder.join(WEIGHTS);
    let io = |cause| LoadError::Io { path: path.clone(), cause };
    let mut out = create(&path)?;
    let header = header(&plan, &tensors);
    out.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
    out.write_all(header.as_bytes()).map_err(io)?;
    write_tensors((&plan, &tensors), 1, (&mut out, &path), progress)?;
    out.flush().map_err(io)?;
    Ok(folder.into())
}

/// Whether the file of this name holds tensors, or says where they are.
pub(super) fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")
}

/// Names, types, shapes and places; spaces fill it up.
fn header(plan: &[DType], tensors: &[Tensor]) -> String {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut start = 0;
    for (&dtype, tensor) in plan.iter().zip(tensors) {
        let end = start + num_bytes(dtype, tensor.shape()).unwrap_or_default();
        let mut shape = tensor.shape().to_vec();
        let (name, kind) = match dtype {
            DType::F32 | DType::F16 | DType::BF16 => (tensor.name().to_owned(), dtype.name()),
            _ => {
                if let Some(last) = shape.last_mut() {
                    *last = dtype.row_bytes(*last).unwrap_or_default();
                }
                (ggml::stored_name(tensor.name(), dtype), "U8")
            }
        };
        let entry = json!({"dtype": kind, "shape": shape, "data_offsets": [start, end]});
        header.insert(name, entry);
        start = end;
    }
    let mut header = Value::Object(header).to_string();
    let len = (8 + header.len()).next_multiple_of(HEADER_ALIGNMENT) - 8;
    header.push_str(&" ".repeat(len - header.len()));
    header
}
