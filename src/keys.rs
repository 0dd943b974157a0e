//! API keys in the data directory, hashed; the key itself is shown once and kept nowhere.
//!
//! Invariant: the file is replaced whole (write, sync, rename) by whoever holds the lock beside it,
//! so a crash leaves the old or the new one and no key is lost to a race. A key has 256 bits of
//! randomness, so a plain SHA-256 of it cannot be searched.

use std::{
    collections::HashSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const FILE_NAME: &str = "keys.json";
const LOCK_NAME: &str = "keys.lock";
const MAX_FILE_BYTES: u64 = 16 << 20;
const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 43 letters of 62 are 256 bits.
const KEY_LETTERS: usize = 43;

/// One key, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredKey {
    id: String,
    sha256: String,
    tenant: String,
    created_unix: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    schema: u32,
    keys: Vec<StoredKey>,
}

/// All keys of a data directory.
#[derive(Debug)]
pub(crate) struct Keys {
    path: PathBuf,
    keys: Vec<StoredKey>,
}

/// Whose key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyOwner {
    /// The key's public id.
    pub(crate) id: String,
    /// The tenant it acts for.
    pub(crate) tenant: String,
}

impl Keys {
    /// Reads the keys; none if there is no file yet.
    ///
    /// # Errors
    /// If the file cannot be read or is not ours.
    fn open(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(FILE_NAME);
        let shown = path.display().to_string();
        let keys = match fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
            Ok(meta) if meta.len() > MAX_FILE_BYTES => bail!("{shown} is too large to be keys"),
            Ok(_) => {
                let text = fs::read(&path).with_context(|| format!("cannot read {shown}"))?;
                let file: File = serde_json::from_slice(&text)
                    .with_context(|| format!("{shown} is damaged; restore or remove it"))?;
                if file.schema != 1 {
                    bail!("{shown} has schema {}; this version reads 1", file.schema);
                }
                file.keys
            }
        };
        Ok(Self { path, keys })
    }

    /// Reads the keys; where there are none, makes one for `tenant` and returns it too.
    ///
    /// # Errors
    /// If the file cannot be read or written, or is not ours.
    pub(crate) fn open_or_create(data_dir: &Path, tenant: &str) -> Result<(Self, Option<String>)> {
        let lock = data_dir.join(LOCK_NAME);
        let lock = fs::File::create(&lock)
            .and_then(|file| file.lock().map(|()| file))
            .with_context(|| format!("cannot lock {}", lock.display()))?;
        let mut keys = Self::open(data_dir)?;
        let created = if keys.keys.is_empty() { Some(keys.create(tenant)?) } else { None };
        drop(lock);
        Ok((keys, created))
    }

    /// How many tenants have keys.
    pub(crate) fn num_tenants(&self) -> usize {
        self.keys.iter().map(|key| &key.tenant).collect::<HashSet<_>>().len()
    }

    /// Makes a key for `tenant`, stores its hash durably and returns the key itself.
    ///
    /// # Errors
    /// If the file cannot be written.
    fn create(&mut self, tenant: &str) -> Result<String> {
        let mut rng = rand::rng();
        let mut letters = |n: usize| -> String {
            (0..n).map(|_| char::from(ALPHABET[rng.random_range(..ALPHABET.len())])).collect()
        };
        let key = format!("ab-{}", letters(KEY_LETTERS));
        let created_unix =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.keys.push(StoredKey {
            id: format!("key_{}", letters(12)),
            sha256: hash(&key),
            tenant: tenant.into(),
            created_unix,
        });
        self.store().with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(key)
    }

    /// Whose key this is.
    pub(crate) fn owner(&self, key: &str) -> Option<KeyOwner> {
        let hash = hash(key);
        let found = self.keys.iter().find(|stored| stored.sha256 == hash)?;
        Some(KeyOwner { id: found.id.clone(), tenant: found.tenant.clone() })
    }

    fn store(&self) -> Result<()> {
        let dir = self.path.parent().context("the path has no folder")?;
        fs::create_dir_all(dir)?;
        let temporary = self.path.with_extension("json.new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        let content = File { schema: 1, keys: self.keys.clone() };
        file.write_all(&serde_json::to_vec_pretty(&content)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        // The rename itself is durable once the folder is.
        #[cfg(unix)]
        fs::File::open(dir)?.sync_all()?;
        Ok(())
    }
}

fn hash(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_after_reopening_and_never_stored() {
        let dir = tempfile::tempdir().expect("a folder");
        let (_, key) = Keys::open_or_create(dir.path(), "default").expect("writes");
        let key = key.expect("the first one");
        let again = Keys::open(dir.path()).expect("opens again");
        assert_eq!(again.owner(&key).map(|owner| owner.tenant).as_deref(), Some("default"));
        assert_eq!(again.owner("ab-wrong"), None);
        let text = fs::read_to_string(dir.path().join(FILE_NAME)).expect("reads");
        assert!(!text.contains(&key), "the key itself is on disk");
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_an_empty_list() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(FILE_NAME), "{").expect("writes");
        let error = Keys::open(dir.path()).expect_err("damaged");
        assert!(format!("{error:#}").contains("damaged"), "{error:#}");
    }

    #[test]
    fn of_starts_at_the_same_time_one_makes_the_key() {
        let dir = tempfile::tempdir().expect("a folder");
        let open = || Keys::open_or_create(dir.path(), "default").expect("opens").1;
        let made: Vec<String> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
            starts.into_iter().filter_map(|start| start.join().expect("no panic")).collect()
        });
        assert_eq!(made.len(), 1);
        let keys = Keys::open(dir.path()).expect("opens");
        assert!(keys.owner(&made[0]).is_some());
    }
}
