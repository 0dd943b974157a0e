//! A file that gets its name when it is whole.
//!
//! Invariant: nothing but a whole file that the disk has is ever at the final name. Until then it
//! has a name that no other file had: whoever deletes it there takes it from its maker, and never
//! makes the maker rename another. What killed processes left goes when the next one begins.

use std::{
    fs::{self, File, OpenOptions},
    hash::{BuildHasher, Hasher, RandomState},
    io,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use bytes::Bytes;

use crate::mmap;

const EXTENSION: &str = ".unfinished";

/// A file on its way, which is no more when this is dropped without having been
/// [kept](Self::keep).
pub(crate) struct Unfinished {
    file: File,
    path: PathBuf,
    to: PathBuf,
}

impl Unfinished {
    /// An empty file that is to be at `to`, whose folder is made if it is missing. Deletes others
    /// on their way there: their makers are dead, or in vain.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn create(to: &Path) -> io::Result<Self> {
        let stem = to.file_stem().and_then(|stem| stem.to_str());
        let (Some(folder), Some(stem)) = (to.parent(), stem) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        fs::create_dir_all(folder)?;
        for other in fs::read_dir(folder)?.flatten() {
            if other.file_name().to_str().is_some_and(|name| is_other(name, stem)) {
                let _ = fs::remove_file(other.path());
            }
        }
        // The standard library's hashes begin with random numbers of the system.
        let random = RandomState::new().build_hasher().finish();
        let path = folder.join(format!("{stem}.{random:016x}{EXTENSION}"));
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path, to: to.into() })
    }

    /// Writes all of `bytes` so far from the beginning; from several threads if need be.
    ///
    /// # Errors
    /// If the disk is full, or fails.
    pub(crate) fn write_at(&self, bytes: &[u8], at: usize) -> io::Result<()> {
        write_at(&self.file, bytes, at as u64)
    }

    /// Its contents, and the thread that has them written out and then names the file. If either
    /// fails, there is no file, and the contents stay all the same.
    ///
    /// # Errors
    /// If it cannot be mapped, or there is no thread.
    pub(crate) fn keep(self) -> io::Result<Bytes> {
        let bytes = mmap::map(&self.path).map_err(io::Error::other)?;
        let thread = thread::Builder::new().name("keep".into()).spawn(move || {
            // Until it is written out, a machine that stops could leave the name without the bytes.
            // What fails has a next time.
            let _ = self.file.sync_data().and_then(|()| fs::rename(&self.path, &self.to));
        })?;
        Ok(Bytes::from_owner(Keeping { bytes, thread: Some(thread) }))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Not there if it has its name.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the file of this name is on its way to where `stem` is.
fn is_other(name: &str, stem: &str) -> bool {
    let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('.'));
    let random = rest.and_then(|rest| rest.strip_suffix(EXTENSION));
    random.is_some_and(|random| random.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Contents that are being kept; whoever has no more use for them waits until they are, so that a
/// process that ends soon has not worked in vain.
struct Keeping {
    bytes: Bytes,
    thread: Option<JoinHandle<()>>,
}

impl AsRef<[u8]> for Keeping {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        (bytes, at) = (&bytes[written..], at + written as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).expect("the folder is there");
        let name = |file: io::Result<fs::DirEntry>| file.expect("a file").file_name();
        let mut names: Vec<_> =
            files.map(|file| name(file).into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("new");
        let to = folder.join("a.bin");
        let file = Unfinished::create(&to).expect("it is made");
        file.write_at(b"world", 6).expect("it writes");
        assert!(!to.exists());
        file.write_at(b"hello ", 0).expect("it writes");
        let bytes = file.keep().expect("it maps");
        assert_eq!(&bytes[..], b"hello world");
        drop(bytes);
        assert_eq!(fs::read(&to).expect("it is there"), b"hello world");
        // Another of the same name takes its place, or leaves nothing.
        drop(Unfinished::create(&to).expect("it is made"));
        assert_eq!(names(&folder), ["a.bin"]);
        let file = Unfinished::create(&to).expect("it is made");
        file.write_at(b"new", 0).expect("it writes");
        drop(file.keep().expect("it maps"));
        assert_eq!((fs::read(&to).expect("it is there"), names(&folder).len()), (b"new".into(), 1));
    }

    #[test]
    fn what_killed_makers_left_goes_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let others = ["a.bin.unfinished", "a.vision.0123.unfinished", "a.vision.bin", "ab.12.bin"];
        for name in others.into_iter().chain(["a.0123456789abcdef.unfinished", "a.77.unfinished"]) {
            fs::write(dir.path().join(name), "half").expect("it writes");
        }
        let file = Unfinished::create(&dir.path().join("a.bin")).expect("it is made");
        assert_eq!(names(dir.path()).len(), others.len() + 1);
        drop(file);
        assert_eq!(names(dir.path()), others);
    }

    /// Two makers of one file: the one that began last keeps it, whole, whoever is faster.
    #[test]
    fn a_maker_whose_file_was_taken_keeps_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let to = dir.path().join("a.bin");
        let first = Unfinished::create(&to).expect("it is made");
        first.write_at(b"first", 0).expect("it writes");
        let map = mmap::map(&first.path).expect("it maps");
        let second = Unfinished::create(&to).expect("it is made");
        // Its file has no name any more, and so cannot be mapped by it.
        assert!(first.keep().is_err());
        assert!(!to.exists());
        assert_eq!(&map[..], b"first");
        second.write_at(b"second", 0).expect("it writes");
        drop(second.keep().expect("it maps"));
        assert_eq!(
            (fs::read(&to).expect("it is there"), names(dir.path()).len()),
            (b"second".into(), 1)
        );
    }
}
