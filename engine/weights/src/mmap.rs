//! The one place that maps models' files into memory, and asks for memory in whole pages.
//!
//! Invariant: only regular files are mapped, read-only, and the mapping lives as long as any
//! [`Bytes`] cut from it.

use std::{fs::File, io, path::Path};

use bytes::Bytes;
use memmap2::MmapMut;

use crate::error::LoadError;

/// The contents of the file at `path`, read by the operating system when touched.
///
/// # Errors
/// [`LoadError::Io`] if it cannot be opened or mapped, or is not a regular file.
pub fn map(path: &Path) -> Result<Bytes, LoadError> {
    let io = |cause| LoadError::Io { path: path.into(), cause };
    // Asked before opening: opening a named pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let file = File::open(path).map_err(io)?;
    // SAFETY: the mapping is read-only and private to this process's reads. Another process that
    // writes to or truncates the file while it is mapped would change or take away bytes under
    // us; model files are therefore never edited in place: the registry's blobs are immutable,
    // and files are replaced by renaming, which leaves this mapping on the old contents. What is
    // about to be imported is its owner's: of that little more than headers is read, the mapping
    // is gone before it is copied, and the copy is checked anew. Bytes are only ever read as
    // numbers and checked text, for which every value is valid.
    #[allow(unsafe_code)] // memory maps have no safe constructor; the argument is above
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
    Ok(Bytes::from_owner(map))
}

/// Zeroed memory, which the system hands out when it is first written, in huge pages where they
/// are allowed.
///
/// # Errors
/// If there is not so much.
pub fn anonymous(len: usize) -> io::Result<MmapMut> {
    let map = MmapMut::map_anon(len.max(1))?;
    #[cfg(target_os = "linux")]
    // Without them all works too, only slower.
    let _ = map.advise(memmap2::Advice::HugePage);
    Ok(map)
}
