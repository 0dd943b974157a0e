//! Weights in the kernels' own layout: made once, kept in a file beside the model, and mapped
//! from there at every later start.
//!
//! Invariant: a file with its final name is whole (see [`Unfinished`]). It begins with a
//! fingerprint of names, types, shapes, formats (which depend on the machine's instructions) and
//! layout; one that does not fit is made anew. While it is made, memory holds a piece of it for
//! each thread, and the system what the disk has not taken yet.

use std::{
    io,
    ops::Range,
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use kernels::{
    Isa,
    packed::{Format, LAYOUT_VERSION, Matrix, PANEL, pack_panels, supports},
    pool::Pool,
};

use crate::{mmap, tensor::Tensor, unfinished::Unfinished};

/// Where the first matrix begins: the fingerprint lies before it.
const HEADER: usize = 64;
/// Bytes that are packed at a time, unless a panel has more: they stay in the second-level cache
/// until they are written.
const PIECE: usize = 256 << 10;

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
        None => {
            let pieces = pieces(tensors, &shapes);
            let kept = path.map(|path| into_file(&pieces, &header, path, pool));
            match kept {
                Some(Ok(bytes)) => bytes,
                // No folder, no room on the disk: without a file.
                Some(Err(_)) | None => into_memory(&pieces, (len, &header), pool)?,
            }
        }
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

/// Some panels of a matrix.
struct Piece<'a> {
    tensor: &'a Tensor,
    shape: Matrix<'static>,
    /// Of its panels.
    first: usize,
    /// Where they lie in the file.
    bytes: Range<usize>,
}

impl Piece<'_> {
    fn pack(&self, to: &mut [u8]) {
        let Self { tensor, shape, .. } = self;
        let how = (Isa::detect(), tensor.dtype(), shape.format);
        pack_panels(how, tensor.bytes(), [shape.rows, shape.cols], self.first, to);
    }
}

/// All matrices in pieces, in the order of the file; they follow one another.
fn pieces<'a>(tensors: &[&'a Tensor], shapes: &[Option<Matrix<'static>>]) -> Vec<Piece<'a>> {
    const { assert!(PANEL == 16, "the fingerprint does not name it") };
    let (mut pieces, mut at) = (Vec::new(), HEADER);
    for (tensor, shape) in tensors.iter().zip(shapes) {
        let Some(shape) = *shape else { continue };
        let panel_bytes = shape.panel_bytes();
        let most = (PIECE / panel_bytes.max(1)).max(1);
        for first in (0..shape.num_panels()).step_by(most) {
            let len = most.min(shape.num_panels() - first) * panel_bytes;
            pieces.push(Piece { tensor, shape, first, bytes: at..at + len });
            at += len;
        }
    }
    pieces
}

/// Packs into the file at `path`, which has its name soon after.
fn into_file(
    pieces: &[Piece<'_>],
    header: &[u8; HEADER],
    path: &Path,
    pool: &mut Pool,
) -> io::Result<Bytes> {
    let file = Unfinished::create(path)?;
    file.write_at(header, 0)?;
    // Pages of a mapped file would have to be given one by one, and a full disk end the process.
    let buffers: Vec<Mutex<Vec<u8>>> = (0..pool.threads()).map(|_| Mutex::default()).collect();
    let failure = OnceLock::new();
    pool.run(pieces.len(), &|i, thread| {
        if failure.get().is_some() {
            return;
        }
        let mut buffer = buffers[thread].lock().unwrap_or_else(PoisonError::into_inner);
        buffer.resize(pieces[i].bytes.len(), 0);
        pieces[i].pack(&mut buffer);
        if let Err(error) = file.write_at(&buffer, pieces[i].bytes.start) {
            // Of several any tells.
            let _ = failure.set(error);
        }
    });
    match failure.into_inner() {
        Some(error) => Err(error),
        None => file.keep(),
    }
}

/// Packs without a file.
fn into_memory(
    pieces: &[Piece<'_>],
    (len, header): (usize, &[u8; HEADER]),
    pool: &mut Pool,
) -> io::Result<Bytes> {
    let mut map = mmap::anonymous(len)?;
    map[..HEADER].copy_from_slice(header);
    let ends: Vec<_> = pieces.iter().map(|piece| piece.bytes.end - HEADER).collect();
    pool.run_parts(&mut map[HEADER..], &ends, &|i, part, _| pieces[i].pack(part));
    Ok(Bytes::from_owner(map.make_read_only()?))
}
