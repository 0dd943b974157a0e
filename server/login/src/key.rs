//! The bytes that access tokens and cookies are signed with, in a file.
//!
//! Invariant: the file is made once and whole, and only the server's user may read it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use server_identity::{AccessTokens, CookieKey, TokenError, TokenKey};

const NUM_BYTES: usize = 32;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is there and cannot be read, or is not there and cannot be made.
    #[error("the key file {0} cannot be read or made ({1}): check room and permissions")]
    File(PathBuf, io::Error),
    /// Something else is there.
    #[error("the key file {0} has not {NUM_BYTES} bytes: remove it, and everybody logs in anew")]
    Length(PathBuf),
}

/// What access tokens and cookies are signed with. It has no `Debug`.
#[derive(Clone)]
pub struct LoginKey([u8; NUM_BYTES]);

impl LoginKey {
    /// The key of a file, which is made if it is not there. Servers that share a database share the
    /// file, too, or the tokens of one are not believed by the others.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |error| KeyFileError::File(path.to_owned(), error);
        match read(path)? {
            Some(key) => Ok(key),
            None => {
                make(path).map_err(failed)?;
                // Somebody else's, if they were first.
                read(path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
            }
        }
    }

    /// A new one that is kept nowhere: whoever is logged in is so until the server ends.
    #[must_use]
    pub fn random() -> Self {
        Self(TokenKey::random_bytes())
    }

    pub(crate) fn tokens(&self, site_url: &str) -> Result<AccessTokens, TokenError> {
        Ok(AccessTokens::new(site_url, TokenKey::new(&self.0)?, None))
    }

    pub(crate) fn cookies(&self) -> Result<CookieKey, TokenError> {
        CookieKey::new(&self.0)
    }
}

fn read(path: &Path) -> Result<Option<LoginKey>, KeyFileError> {
    match fs::read(path) {
        Ok(bytes) => {
            let bytes = <[u8; NUM_BYTES]>::try_from(bytes);
            bytes.map(|it| Some(LoginKey(it))).map_err(|_| KeyFileError::Length(path.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KeyFileError::File(path.to_owned(), error)),
    }
}

fn make(path: &Path) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&unfinished)?;
    let written = file.write_all(&TokenKey::random_bytes()).and_then(|()| file.sync_all());
    // Unlike a rename it does not take the place of what somebody else made meanwhile.
    let linked = written.and_then(|()| fs::hard_link(&unfinished, path));
    let _ = fs::remove_file(&unfinished);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{KeyFileError, LoginKey};

    #[test]
    fn a_key_is_made_once_and_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login.key");
        let made = LoginKey::open(&path).unwrap();
        assert_eq!(LoginKey::open(&path).unwrap().0, made.0);
        assert_ne!(LoginKey::random().0, made.0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&path, "short").unwrap();
        assert!(matches!(LoginKey::open(&path), Err(KeyFileError::Length(_))));
        let nowhere = folder.path().join("none/login.key");
        assert!(matches!(LoginKey::open(&nowhere), Err(KeyFileError::File(..))));
    }
}
