//! The files of a journal: what they are called, and what is in them.
//!
//! Invariant: numbers ascend, and what is in a lower one was written earlier.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use super::JournalError;
use super::frame::{self, MAX_FRAME};

/// What a segment begins with; the last byte is the version.
pub(super) const HEADER: &[u8; 8] = b"abmeter1";
pub(super) const HEADER_BYTES: u64 = HEADER.len() as u64;
const EXTENSION: &str = "journal";
/// How much is read at once.
const CHUNK: u64 = 256 << 10;
static ZEROS: [u8; CHUNK as usize] = [0; CHUNK as usize];

/// What the writer knows of one.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) len: u64,
    /// Requests that were begun in it and have not ended.
    pub(super) num_open: u64,
    /// The position after the end of the last one that has.
    pub(super) closed_at: u64,
}

impl Segment {
    pub(super) fn empty(len: u64) -> Self {
        Self { len, num_open: 0, closed_at: 0 }
    }
}

/// Keeps other processes away while the file is open.
pub(super) fn lock(dir: &Path) -> Result<File, JournalError> {
    fs::create_dir_all(dir).map_err(io_error("make", dir))?;
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
    }
}

/// Where a segment is.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.{EXTENSION}"))
}

/// The numbers of all segments, ascending.
pub(super) fn list(dir: &Path) -> Result<Vec<u64>, JournalError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let name = entry.map_err(io_error("list", dir))?.file_name();
        let name = Path::new(&name);
        if name.extension().is_some_and(|extension| extension == EXTENSION) {
            let number = name.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            // One that is called otherwise was not written by a journal.
            numbers.push(number.ok_or_else(|| JournalError::Foreign { path: dir.join(name) })?);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The size of a segment's file, if it is one: one without a whole header is empty.
pub(super) fn size(path: &Path) -> Result<u64, JournalError> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(io_error("open", path))?;
    let size = file.metadata().map_err(io_error("read", path))?.len();
    file.take(HEADER_BYTES).read_to_end(&mut head).map_err(io_error("read", path))?;
    // A kill may have come before the header, or into the midst of it.
    let whole = head.iter().zip(HEADER).take_while(|(found, wanted)| found == wanted).count();
    if head[whole..].iter().all(|byte| *byte == 0) {
        Ok(size)
    } else {
        Err(JournalError::Foreign { path: path.to_owned() })
    }
}

/// Gives each whole record of a range of bytes, until told to stop; says where it came to. Whoever
/// gets one says `None` if it is none that this version knows. `bytes` is room to read into.
pub(super) fn read(
    path: &Path,
    range: Range<u64>,
    bytes: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]) -> Option<ControlFlow<()>>,
) -> Result<u64, JournalError> {
    let mut at = range.start;
    let mut file = File::open(path).map_err(io_error("open", path))?;
    file.seek(SeekFrom::Start(at)).map_err(io_error("read", path))?;
    let mut input = file.take(range.end.saturating_sub(at));
    let mut given = 0;
    bytes.clear();
    loop {
        if bytes.len() - given < MAX_FRAME {
            bytes.drain(..given);
            given = 0;
            let more = input.by_ref().take(CHUNK).read_to_end(bytes);
            more.map_err(io_error("read", path))?;
        }
        let Some(payload) = frame::payload(&bytes[given..]) else { return Ok(at) };
        let unknown = || JournalError::Unknown { path: path.to_owned(), offset: at };
        let (len, then) = (frame::len_of(payload), each(payload).ok_or_else(unknown)?);
        given += len;
        at += len as u64;
        if then.is_break() {
            return Ok(at);
        }
    }
}

/// How far a segment has other than zeros, which are of room that nothing was written to yet.
pub(super) fn end_of_bytes(path: &Path, range: Range<u64>) -> Result<u64, JournalError> {
    let mut file = File::open(path).map_err(io_error("open", path))?;
    let (mut at, mut end) = (range.start, range.start);
    file.seek(SeekFrom::Start(at)).map_err(io_error("read", path))?;
    let (mut input, mut bytes) = (file.take(range.end.saturating_sub(at)), Vec::new());
    while at < range.end {
        bytes.clear();
        let more = input.by_ref().take(CHUNK).read_to_end(&mut bytes);
        if more.map_err(io_error("read", path))? == 0 {
            break;
        }
        // The usual case at the speed of memory.
        if bytes != ZEROS[..bytes.len()]
            && let Some(last) = bytes.iter().rposition(|byte| *byte != 0)
        {
            end = at + last as u64 + 1;
        }
        at += bytes.len() as u64;
    }
    Ok(end)
}

pub(super) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { what, path, source }
}
