//! A model's files with its matrices in another number format.
//!
//! Invariant: only matrices change; all that a file says besides (metadata, tokenizer, template,
//! configuration) is carried over as it is. A GGUF file becomes a GGUF file that llama.cpp reads
//! too, a Hugging Face folder one with blocks in it (see [`super::quantization::ggml`]).

mod folder;
mod gguf;
mod plan;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use kernels::quant::DType;

use crate::{
    error::{Fault, LoadError},
    filled::filled,
    gguf::GgufFile,
    hugging_face::{self, file_len},
    tensor::{Tensor, num_bytes},
};

/// Told what is done, of how much.
pub type Progress<'a> = dyn FnMut(usize, usize) + 'a;

/// Writes the model that `files` (path by name) hold into `folder`, its matrices in `dtype`, one of
/// those that [can be written](kernels::quant::can_quantize). Returns what to import: a GGUF file,
/// or the folder. `progress` is told how many weights are done, of how many.
///
/// # Errors
/// [`LoadError`] naming the file and the field or tensor: what cannot be read or written, a matrix
/// with what is no number or too large for the format.
pub fn quantize(
    files: &BTreeMap<String, PathBuf>,
    dtype: DType,
    folder: &Path,
    progress: &mut Progress<'_>,
) -> Result<PathBuf, LoadError> {
    match files.iter().find(|(name, _)| name.ends_with(".gguf")) {
        Some((_, path)) => gguf::write(path, dtype, &folder.join("model.gguf"), progress),
        None => folder::write(files, dtype, folder, progress),
    }
}

/// The bytes that the files which [`quantize`] writes will take together, but for what their
/// headers may be longer or shorter by.
///
/// # Errors
/// [`LoadError`] naming the file and the field or tensor that cannot be read.
pub fn quantized_len(files: &BTreeMap<String, PathBuf>, dtype: DType) -> Result<u64, LoadError> {
    let (tensors, rest) = match files.iter().find(|(name, _)| name.ends_with(".gguf")) {
        Some((_, path)) => {
            let bytes = map(path)?;
            let tensors = GgufFile::parse(&bytes).map_err(|fault| fault.at(path))?.tensors;
            let stored: usize = tensors.iter().map(|tensor| tensor.bytes().len()).sum();
            (tensors, (bytes.len() - stored) as u64)
        }
        None => {
            let others = files.iter().filter(|(name, _)| !folder::is_weights(name));
            let rest = others.map(|(_, path)| file_len(path)).sum::<Result<u64, _>>()?;
            (hugging_face::tensors(files, &hugging_face::config(files)?)?, rest)
        }
    };
    let formats = plan::plan(&tensors, dtype);
    let lens = formats.iter().zip(&tensors).filter_map(|(dtype, t)| num_bytes(*dtype, t.shape()));
    Ok(rest + lens.map(|len| len as u64).sum::<u64>())
}

/// The tensor in its new format; `None` if it stays as it is.
fn convert(dtype: DType, tensor: &Tensor) -> Result<Option<Tensor>, Fault> {
    if dtype == tensor.dtype() {
        return Ok(None);
    }
    let cols = tensor.shape().last().copied().unwrap_or_default();
    let from = tensor.dtype().row_bytes(cols).unwrap_or_default();
    let to = dtype.row_bytes(cols).unwrap_or_default();
    let unfit = std::sync::atomic::AtomicBool::new(false);
    let most = if dtype == DType::F16 { half::f16::MAX.to_f32() } else { f32::MAX };
    let converted = filled(tensor.name(), (dtype, tensor.shape()), &|first, rows| {
        let mut values = vec![0.0; cols];
        for (i, row) in rows.chunks_exact_mut(to).enumerate() {
            let stored = &tensor.bytes()[(first + i) * from..][..from];
            kernels::quant::dequantize(tensor.dtype(), stored, &mut values);
            // Not `any(> most)`: what is no number is not larger.
            if !values.iter().all(|x| x.abs() <= most) {
                unfit.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            kernels::quant::quantize(dtype, &values, row);
        }
    })?;
    if unfit.into_inner() {
        let what = format!("has what is no number or too large for {}", dtype.name());
        return Err(Fault::tensor(tensor.name(), what));
    }
    Ok(Some(converted))
}

/// Converts and writes all tensors, padded to whole `alignment`.
fn write_tensors(
    (plan, tensors): (&[DType], &[Tensor]),
    alignment: usize,
    (file, path): (&mut impl io::Write, &Path),
    progress: &mut Progress<'_>,
) -> Result<(), LoadError> {
    let size = |tensor: &Tensor| tensor.shape().iter().product::<usize>();
    let all = tensors.iter().map(size).sum();
    let mut done = 0;
    for (dtype, tensor) in plan.iter().zip(tensors) {
        let converted = convert(*dtype, tensor).map_err(|fault| fault.at(path))?;
        let bytes = converted.as_ref().unwrap_or(tensor).bytes();
        let padding = bytes.len().next_multiple_of(alignment) - bytes.len();
        file.write_all(bytes)
            .and_then(|()| file.write_all(&vec![0; padding]))
            .map_err(|cause| LoadError::Io { path: path.into(), cause })?;
        done += size(tensor);
        progress(done, all);
    }
    Ok(())
}

/// A new file, and what went wrong with it by its path.
fn create(path: &Path) -> Result<io::BufWriter<fs::File>, LoadError> {
    let file = fs::File::create(path);
    file.map(io::BufWriter::new).map_err(|cause| LoadError::Io { path: path.into(), cause })
}

/// A file's contents.
fn map(path: &Path) -> Result<Bytes, LoadError> {
    crate::mmap::map(path)
}
