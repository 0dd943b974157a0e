//! Keys of versions before accounts, in `keys.json`: read, and never written any more.

use std::path::Path;
use std::{fmt, fs};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

const FILE_NAME: &str = "keys.json";
const MAX_FILE_BYTES: u64 = 16 << 20;

/// One key, as it was stored.
#[derive(Debug, Deserialize)]
pub(crate) struct StoredKey {
    pub(crate) id: String,
    pub(crate) sha256: String,
    /// The oldest have none.
    pub(crate) aws_secret: Option<Secret>,
    pub(crate) tenant: String,
    pub(crate) created_unix: u64,
}

/// What a key's signatures are made with. It is never shown by accident.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

#[derive(Debug, Deserialize)]
struct File {
    schema: u32,
    keys: Vec<StoredKey>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The keys of a data directory; none if there is no file.
///
/// # Errors
/// If the file cannot be read or is not ours.
pub(crate) fn read(data_dir: &Path) -> Result<Vec<StoredKey>> {
    let path = data_dir.join(FILE_NAME);
    let shown = path.display();
    match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        Ok(meta) if meta.len() > MAX_FILE_BYTES => bail!("{shown} is too large to be keys"),
        Ok(_) => {}
    }
    let text = fs::read(&path).with_context(|| format!("cannot read {shown}"))?;
    let file: File = serde_json::from_slice(&text)
        .with_context(|| format!("{shown} is damaged; restore or remove it"))?;
    if file.schema != 1 {
        bail!("{shown} has schema {}; this version reads 1", file.schema);
    }
    Ok(file.keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_older_versions_are_read_and_secrets_not_shown() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(read(dir.path()).expect("none").is_empty());
        let json = r#"{"schema":1,"keys":[{"id":"key_1","sha256":"00","aws_secret":"hidden",
            "tenant":"default","created_unix":7},{"id":"key_2","sha256":"01","tenant":"default",
            "created_unix":8}]}"#;
        fs::write(dir.path().join(FILE_NAME), json).expect("writes");
        let keys = read(dir.path()).expect("reads");
        assert_eq!((keys.len(), keys[1].aws_secret.is_none()), (2, true));
        assert!(!format!("{keys:?}").contains("hidden"));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_an_empty_list() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(FILE_NAME), "{").expect("writes");
        let error = read(dir.path()).expect_err("damaged");
        assert!(format!("{error:#}").contains("damaged"), "{error:#}");
    }
}
