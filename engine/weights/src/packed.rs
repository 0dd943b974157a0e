//! Weights in the kernels' own layout: made once, kept in a file beside the model, and mapped
//! from there at every later start.
//!
//! Invariant: a file with its final name is whole: it is filled under another name, written out
//! and then renamed. It begins with a fingerprint of names, types, shapes, formats (which depend on
//! the machine's instructions) and layout; one that does not fit is made anew.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use kernels::{
    Isa,
    packed::{Format, LAYOUT_VERSION, Matrix, PANEL, pack_panels, supports},
    pool::Pool,
};
use memmap2::MmapMut;

use crate::{mmap, tensor::Tensor};

/// Where the first matrix begins: the fingerprint lies before it.
const HEADER: usize = 64;
/// Panels that are packed at a time.
const PANELS_PER_TASK: usize = 4;

/// A packed matrix, wherever it lies.
#[derive(Clone, Debug)]
pub struct PackedTensor {
    bytes: Bytes,
    format: Format,
    rows: usize,
    cols: usize,
}

impl PackedTensor {
    /// For the kernels.
    pub fn matrix<'a>(&'a self, bias: Option<&'a [f32]>) -> Matrix<'a> {
        let Self { bytes, format, rows, cols } = self;
        Matrix { data: bytes, format: *format, rows: *rows, cols: *cols, bias }
    }
}

/// The shape that a tensor takes when packed for this machine; `None` if it stays as it is stored.
fn shape(tensor: &Tensor) -> Option<Matrix<'static>> {
    let [rows, cols] = tensor.shape()[..] else { return None };
    let format = Format::of(tensor.dtype(), Isa::detect())?;
    if !supports(tensor.dtype(), cols) {
        return None;
    }
    Some(Matrix { data: &[], format, rows, cols, bias: None })
}

/// The bytes that a tensor takes when packed; `None` if it stays as it is stored.
pub fn byte_len(tensor: &Tensor) -> Option<usize> {
    shape(tensor).map(|shape| shape.byte_len())
}

/// Packs those of `tensors` that can be, in parallel, or maps them from `path` if an earlier
/// start has left them there. A file that cannot be kept costs only the next start's time.
///
/// # Errors
/// If there is no memory for them.
pub fn pack(
    tensors: &[&Tensor],
    path: Option<&Path>,
    pool: &mut Pool,
) -> io::Result<Vec<Option<PackedTensor>>> {
    let shapes: Vec<_> = tensors.iter().map(|tensor| shape(tensor)).collect();
    if shapes.iter().all(Option::is_none) {
        return Ok(vec![None; tensors.len()]);
    }
    let len = HEADER + shapes.iter().flatten().map(Matrix::byte_len).sum::<usize>();
    let header = fingerprint(tensors, &shapes);
    let bytes = match path.and_then(|path| reuse(path, len, &header)) {
        Some(bytes) => bytes,
        None => make(tensors, &shapes, (len, &header), (path, pool))?,
    };
    let mut at = HEADER;
    let cut = |shape: Option<Matrix<'_>>| {
        shape.map(|Matrix { format, rows, cols, .. }| {
            let len = Matrix { data: &[], format, rows, cols, bias: None }.byte_len();
            at += len;
            PackedTensor { bytes: bytes.slice(at - len..at), format, rows, cols }
        })
    };
    Ok(shapes.into_iter().map(cut).collect())
}

/// What the packed bytes depend on, beside the numbers themselves.
fn fingerprint(tensors: &[&Tensor], shapes: &[Option<Matrix<'_>>]) -> [u8; HEADER] {
    let mut hash = blake3::Hasher::new();
    hash.update(&[LAYOUT_VERSION]);
    for (tensor, shape) in tensors.iter().zip(shapes) {
        let (dtype, format) = (tensor.dtype().name(), shape.map(|shape| shape.format));
        let line = format!("{} {dtype} {:?} {format:?}\n", tensor.name(), tensor.shape());
        hash.update(line.as_bytes());
    }
    let mut header = [0; HEADER];
    header[..32].copy_from_slice(hash.finalize().as_bytes());
    header
}

/// The file's contents, if they are what is wanted.
fn reuse(path: &Path, len: usize, header: &[u8; HEADER]) -> Option<Bytes> {
    let bytes = mmap::map(path).ok()?;
    (bytes.len() == len && bytes[..HEADER] == *header).then_some(bytes)
}

fn make(
    tensors: &[&Tensor],
    shapes: &[Option<Matrix<'_>>],
    (len, header): (usize, &[u8; HEADER]),
    (path, pool): (Option<&Path>, &mut Pool),
) -> io::Result<Bytes> {
    let unfinished = path.map(unfinished);
    let file = unfinished.as_deref().and_then(|path| mmap::create(path, len).ok());
    let kept = file.is_some();
    let mut map = match file {
        Some(map) => map,
        None => mmap::anonymous(len)?,
    };
    fill(tensors, shapes, header, (&mut map, pool));
    if let (true, Some(path), Some(unfinished)) = (kept, path, &unfinished) {
        // The mapping stays whatever the file is called, or if it has no name any more.
        if map.flush().and_then(|()| fs::rename(unfinished, path)).is_err() {
            let _ = fs::remove_file(unfinished);
        }
    }
    Ok(Bytes::from_owner(map.make_read_only()?))
}

/// A name of this process's own beside `path`, whose folder is made if it is missing.
fn unfinished(path: &Path) -> PathBuf {
    if let Some(folder) = path.parent() {
        // If it cannot be made, nor can the file, and the weights are packed into memory.
        let _ = fs::create_dir_all(folder);
    }
    let path = path.with_extension(format!("{}.unfinished", std::process::id()));
    // Left by a process of the same number that was killed.
    let _ = fs::remove_file(&path);
    path
}

fn fill(
    tensors: &[&Tensor],
    shapes: &[Option<Matrix<'_>>],
    header: &[u8; HEADER],
    (map, pool): (&mut MmapMut, &mut Pool),
) {
    let (head, mut rest) = map.split_at_mut(HEADER);
    head.copy_from_slice(header);
    for (tensor, shape) in tensors.iter().zip(shapes) {
        let Some(shape) = shape else { continue };
        let (matrix, after) = rest.split_at_mut(shape.byte_len());
        rest = after;
        let len = PANELS_PER_TASK * shape.panel_bytes();
        pool.run_chunks(matrix, len.max(1), &|i, panels| {
            let rows_cols = [shape.rows, shape.cols];
            pack_panels(
                (tensor.dtype(), shape.format),
                tensor.bytes(),
                rows_cols,
                i * PANELS_PER_TASK,
                panels,
            );
        });
    }
    const { assert!(PANEL == 16, "the fingerprint does not name it") };
}
