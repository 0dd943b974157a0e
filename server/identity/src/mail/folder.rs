//! Letters as files, for a server without a mail server: the operator reads or passes them on.
//!
//! Invariant: a file that ends in `.eml` is whole. Only the server's user may read it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::MailError;
use crate::{UnixSeconds, random};

/// Letters that nobody took away; more are refused.
const MAX_LETTERS: usize = 10_000;

/// Where letters are put.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Writes `letter` into a file that is named by the time and sorts by it.
    pub(super) async fn write(&self, letter: Vec<u8>) -> Result<(), MailError> {
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || write(&path, &letter, MAX_LETTERS));
        let result = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        result.map_err(|error| MailError::Folder {
            folder: self.path.display().to_string(),
            reason: error.to_string(),
        })
    }
}

fn write(folder: &Path, letter: &[u8], max_letters: usize) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    if fs::read_dir(folder)?.take(max_letters).count() >= max_letters {
        return Err(io::Error::other(format!("{max_letters} letters lie there: take some away")));
    }
    let unique = random::letters(12, b"abcdefghijkmnpqrstuvwxyz");
    let name = format!("{:012}-{unique}", UnixSeconds::now().0);
    let unfinished = folder.join(format!("{name}.tmp"));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&unfinished)?;
    let written = file.write_all(letter).and_then(|()| file.sync_all());
    let finished =
        written.and_then(|()| fs::rename(&unfinished, folder.join(format!("{name}.eml"))));
    if finished.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    finished
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::write;

    #[test]
    fn letters_lie_side_by_side_until_there_are_too_many() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("new/letters");
        write(&folder, b"one", 3).unwrap();
        write(&folder, b"two", 3).unwrap();
        write(&folder, b"three", 3).unwrap();
        let error = write(&folder, b"four", 3).unwrap_err();
        assert!(error.to_string().contains("take some away"), "{error}");
        let mut letters: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(letters.iter().all(|path| path.extension().unwrap() == "eml"), "{letters:?}");
        letters.sort();
        let mut texts: Vec<_> = letters.iter().map(|path| fs::read(path).unwrap()).collect();
        texts.sort();
        assert_eq!(texts, [&b"one"[..], b"three", b"two"]);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_them() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), b"secret", 10).unwrap();
        let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
