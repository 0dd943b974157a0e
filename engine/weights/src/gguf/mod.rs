//! GGUF files (versions 2 and 3), read in place from a memory map.
//!
//! Invariant: a [`GgufFile`] is consistent: every tensor has a known dtype, a unique name, whole
//! blocks, and bytes of its own inside the file. Source: the GGUF specification in ggml's
//! `docs/gguf.md`.

mod cursor;
mod keys;
mod metadata;
mod vocab;

use bytes::Bytes;
use kernels::quant::DType;

use self::cursor::Cursor;
pub use self::keys::Keys;
pub use self::metadata::{FromValue, Metadata};
pub use self::vocab::vocab;
pub use self::vocab::{GgufVocab, TextList};
use crate::error::Fault;
use crate::tensor::{Tensor, num_bytes};

const MAX_TENSORS: u64 = 1 << 16;
const MAX_NAME_BYTES: u64 = 256;
const MAX_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: usize = 32;
const MAX_ALIGNMENT: usize = 1 << 20;

/// A parsed file.
pub struct GgufFile<'a> {
    /// What it says of the model.
    pub metadata: Metadata<'a>,
    /// In the file's order, under the file's names.
    pub tensors: Vec<Tensor>,
}

/// What the file says of one tensor.
struct TensorInfo<'a> {
    name: &'a str,
    dtype: DType,
    /// Outermost first.
    shape: Vec<usize>,
    /// From the start of the data section.
    offset: usize,
    num_bytes: usize,
}

impl<'a> GgufFile<'a> {
    /// Reads the header of `file` and cuts the tensors out of it.
    pub fn parse(file: &'a Bytes) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(file);
        let (num_tensors, num_keys) = read_counts(&mut cursor)?;
        let metadata = Metadata::read(&mut cursor, num_keys)?;
        let alignment = alignment(&metadata)?;
        let infos = (0..num_tensors)
            .map(|_| TensorInfo::read(&mut cursor))
            .collect::<Result<Vec<_>, _>>()?;

        let header_len = file.len() - cursor.remaining();
        let data = file.slice(header_len.next_multiple_of(alignment).min(file.len())..);
        check_layout(&infos, alignment, data.len())?;
        let cut = |info: &TensorInfo<'_>| {
            let bytes = data.slice(info.offset..info.offset + info.num_bytes);
            Tensor::new(info.name, info.dtype, &info.shape, bytes)
                .map_err(|error| Fault::tensor(info.name, error.to_string()))
        };
        let tensors = infos.iter().map(cut).collect::<Result<_, _>>()?;
        Ok(Self { metadata, tensors })
    }
}

/// Keys and their values as they are stored, types first.
pub(super) fn raw_keys(file: &Bytes) -> Result<Vec<(&str, &[u8])>, Fault> {
    let mut cursor = Cursor::new(file);
    let (_, num_keys) = read_counts(&mut cursor)?;
    metadata::read_raw(&mut cursor, num_keys, file)
}

/// Magic, version, number of tensors, number of metadata keys.
fn read_counts(cursor: &mut Cursor<'_>) -> Result<(u64, u64), Fault> {
    if &cursor.array::<4>()? != b"GGUF" {
        return Err(Fault::file("not a GGUF file: it does not start with \"GGUF\""));
    }
    match cursor.u32()? {
        2 | 3 => {}
        version if version.swap_bytes() <= 3 && version != 0 => {
            return Err(Fault::file("a big-endian GGUF file; only little-endian ones are read"));
        }
        version => {
            let what = format!("GGUF version {version}; versions 2 and 3 are read");
            return Err(Fault::file(what));
        }
    }
    let num_tensors = cursor.u64()?;
    if num_tensors > MAX_TENSORS {
        let what = format!("{num_tensors} tensors, more than the {MAX_TENSORS} accepted");
        return Err(Fault::file(what));
    }
    Ok((num_tensors, cursor.u64()?))
}

/// Where tensors may begin.
pub(super) fn alignment(metadata: &Metadata<'_>) -> Result<usize, Fault> {
    const KEY: &str = "general.alignment";
    let alignment = metadata.get(KEY)?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() || !(8..=MAX_ALIGNMENT).contains(&alignment) {
        let what = format!("{alignment} is not a power of two from 8 to {MAX_ALIGNMENT}");
        return Err(Fault::field(KEY, what));
    }
    Ok(alignment)
}

impl<'a> TensorInfo<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Fault> {
        let name = cursor.name("a tensor's name", MAX_NAME_BYTES)?;
        Self::read_named(cursor, name).map_err(|fault| match fault {
            Fault::File(what) => Fault::tensor(name, what),
            fault => fault,
        })
    }

    fn read_named(cursor: &mut Cursor<'a>, name: &'a str) -> Result<Self, Fault> {
        let num_dimensions = cursor.u32()?;
        if !(1..=MAX_DIMENSIONS).contains(&num_dimensions) {
            let what = format!("{num_dimensions} dimensions; 1 to {MAX_DIMENSIONS} are accepted");
            return Err(Fault::file(what));
        }
        let mut shape = (0..num_dimensions)
            .map(|_| cursor.length("a dimension", u64::MAX))
            .collect::<Result<Vec<_>, _>>()?;
        shape.reverse(); // GGUF lists the innermost dimension first
        let type_id = cursor.u32()?;
        let dtype = DType::from_ggml(type_id)
            .ok_or_else(|| Fault::file(format!("unsupported ggml type {type_id}")))?;
        let offset = cursor.length("the offset", u64::MAX)?;
        let num_bytes = num_bytes(dtype, &shape).ok_or_else(|| {
            let (block, dtype) = (dtype.block_len(), dtype.name());
            Fault::file(format!(
                "shape {shape:?} is not possible in {dtype}: sizes must not be zero, the \
                 innermost a multiple of {block}, all together addressable"
            ))
        })?;
        Ok(Self { name, dtype, shape, offset, num_bytes })
    }
}

/// Every tensor aligned, inside the data section, overlapping no other, named once.
fn check_layout(infos: &[TensorInfo<'_>], alignment: usize, data_len: usize) -> Result<(), Fault> {
    let mut by_offset: Vec<_> = infos.iter().collect();
    by_offset.sort_unstable_by_key(|info| info.offset);
    let mut end = 0;
    let mut previous = "";
    for info in by_offset {
        let TensorInfo { offset, num_bytes, .. } = *info;
        let fault = |what| Err(Fault::tensor(info.name, what));
        if !offset.is_multiple_of(alignment) {
            return fault(format!("offset {offset} is not a multiple of {alignment}"));
        }
        if offset < end {
            return fault(format!("overlaps tensor {previous:?}"));
        }
        match offset.checked_add(num_bytes) {
            Some(past) if past <= data_len => (end, previous) = (past, info.name),
            _ => {
                return fault(format!(
                    "{num_bytes} bytes from offset {offset} pass the end of the file, whose \
                     data section has {data_len} bytes (a truncated download?)"
                ));
            }
        }
    }
    let mut names: Vec<_> = infos.iter().map(|info| info.name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Fault::tensor(pair[0], "is there twice")),
        None => Ok(()),
    }
}
