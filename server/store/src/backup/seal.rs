//! The seal of a backup: a line at its end with the checksum of all before it.
//!
//! Invariant: what is taken out of a sealed file is, byte for byte, what was sealed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::BackupError;
use super::image::OURS;

const BEGIN: &[u8] = b"\nagentbase backup 1 ";
const NUM_DIGITS: usize = 64;
const SEAL_LEN: usize = BEGIN.len() + NUM_DIGITS + 1;
/// An SQLite file's first bytes, and where it says whose it is.
const SQLITE: &[u8] = b"SQLite format 3\0";
const MARK_AT: usize = 68;
const HEAD_LEN: usize = 100;
const BUFFER_LEN: usize = 1 << 20;

/// Seals a file; its size then.
pub(super) fn close(path: &Path) -> Result<u64, BackupError> {
    let sealed = || -> io::Result<u64> {
        let mut file = OpenOptions::new().read(true).append(true).open(path)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(BufReader::with_capacity(BUFFER_LEN, &file))?;
        file.write_all(&[BEGIN, hasher.finalize().to_hex().as_bytes(), b"\n"].concat())?;
        Ok(file.metadata()?.len())
    };
    sealed().map_err(BackupError::of(path))
}

/// Writes what was sealed into a file, which is not to be trusted if this fails.
pub(super) fn open(backup: &Path, to: &Path) -> Result<(), BackupError> {
    let damaged = |why: &str| BackupError::Damaged { file: backup.to_owned(), why: why.to_owned() };
    let mut file = File::open(backup).map_err(BackupError::of(backup))?;
    let (is_ours, seal) = look_at(&mut file).map_err(BackupError::of(backup))?;
    let Some((len, digest)) = seal else {
        return Err(match is_ours {
            true => damaged("its end is missing"),
            false => BackupError::NotABackup(backup.to_owned()),
        });
    };
    let read = BufReader::with_capacity(BUFFER_LEN, file.take(len));
    let mut write = OpenOptions::new().append(true).open(to).map_err(BackupError::of(to))?;
    let copied = copy(read, &mut write).map_err(BackupError::of(backup))?;
    if copied.to_hex().as_bytes() != digest {
        return Err(damaged("its checksum is another"));
    }
    Ok(())
}

/// How much is sealed, and with which checksum.
type Seal = (u64, Vec<u8>);

/// Whether a file begins like a backup, and its seal if it ends like one.
fn look_at(file: &mut File) -> io::Result<(bool, Option<Seal>)> {
    let mut head = Vec::new();
    (&*file).take(HEAD_LEN as u64).read_to_end(&mut head)?;
    let mark = head.get(MARK_AT..MARK_AT + 4);
    let is_ours = head.starts_with(SQLITE) && mark == Some(&OURS.to_be_bytes());
    let Some(len) = file.metadata()?.len().checked_sub(SEAL_LEN as u64) else {
        return Ok((is_ours, None));
    };
    let mut seal = Vec::new();
    file.seek(SeekFrom::Start(len))?;
    (&*file).take(SEAL_LEN as u64).read_to_end(&mut seal)?;
    file.seek(SeekFrom::Start(0))?;
    let digest = seal.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(b"\n"));
    Ok((is_ours, digest.map(|digest| (len, digest.to_vec()))))
}

fn copy(mut from: impl Read, to: &mut impl Write) -> io::Result<blake3::Hash> {
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; BUFFER_LEN]);
    loop {
        let num_read = from.read(&mut buffer)?;
        if num_read == 0 {
            return Ok(hasher.finalize());
        }
        hasher.update(&buffer[..num_read]);
        to.write_all(&buffer[..num_read])?;
    }
}
