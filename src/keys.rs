//! API keys in the data directory, hashed; the key itself is shown once and kept nowhere.
//!
//! Invariant: the file is replaced whole (write, sync, rename) by whoever holds the lock beside it,
//! so a crash leaves the old or the new one and no key is lost to a race. A key has 256 bits of
//! randomness, so a plain SHA-256 of it cannot be searched.

mod aws;

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

use self::aws::{AwsPair, Secret};

const FILE_NAME: &str = "keys.json";
const LOCK_NAME: &str = "keys.lock";
const MAX_FILE_BYTES: u64 = 16 << 20;
const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 43 letters of 62 are 256 bits.
const KEY_LETTERS: usize = 43;
const ID_PREFIX: &str = "key_";

/// One key, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredKey {
    id: String,
    sha256: String,
    /// Keys of older versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aws_secret: Option<Secret>,
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
        let lock = lock(data_dir)?;
        let mut keys = Self::open(data_dir)?;
        let created = if keys.keys.is_empty() { Some(keys.create(tenant)?) } else { None };
        drop(lock);
        Ok((keys, created))
    }

    /// The AWS pair of a key; makes it where the key is of an older version.
    ///
    /// # Errors
    /// If the key is not known, or the file cannot be read or written, or is not ours.
    pub(crate) fn aws_pair(data_dir: &Path, key: &str) -> Result<AwsPair> {
        let lock = lock(data_dir)?;
        let mut keys = Self::open(data_dir)?;
        let hash = hash(key);
        let Some(found) = keys.keys.iter_mut().find(|stored| stored.sha256 == hash) else {
            bail!("this key is not in {}", keys.path.display());
        };
        let pair = AwsPair::of(&found.id, key);
        if found.aws_secret.is_none() {
            found.aws_secret = Some(Secret::of(key));
            keys.store().with_context(|| format!("cannot write {}", keys.path.display()))?;
        }
        drop(lock);
        Ok(pair)
    }

    /// Whose AWS access key id this is, and the secret, if the key has one.
    pub(crate) fn signer(&self, access_key_id: &str) -> Option<(KeyOwner, Option<&str>)> {
        let found =
            self.keys.iter().find(|stored| aws::access_key_id(&stored.id) == access_key_id)?;
        Some((found.owner(), found.aws_secret.as_ref().map(Secret::as_str)))
    }

    /// How many tenants have keys.
    pub(crate) fn num_tenants(&self) -> usize {
        self.keys.iter().map(|key| &key.tenant).collect::<HashSet<_>>().len()
    }

    /// Makes a key for `tenant`, stores its hash and its AWS secret durably and returns the key
    /// itself.
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
            id: format!("{ID_PREFIX}{}", letters(12)),
            sha256: hash(&key),
            aws_secret: Some(Secret::of(&key)),
            tenant: tenant.into(),
            created_unix,
        });
        self.store().with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(key)
    }

    /// Whose key this is.
    pub(crate) fn owner(&self, key: &str) -> Option<KeyOwner> {
        let hash = hash(key);
        self.keys.iter().find(|stored| stored.sha256 == hash).map(StoredKey::owner)
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

impl StoredKey {
    fn owner(&self) -> KeyOwner {
        KeyOwner { id: self.id.clone(), tenant: self.tenant.clone() }
    }
}

/// Waits until nobody else changes the keys.
fn lock(data_dir: &Path) -> Result<fs::File> {
    let lock = data_dir.join(LOCK_NAME);
    fs::File::create(&lock)
        .and_then(|file| file.lock().map(|()| file))
        .with_context(|| format!("cannot lock {}", lock.display()))
}

fn hash(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    fn a_key_gives_its_aws_pair_also_one_of_an_older_version() {
        let dir = tempfile::tempdir().expect("a folder");
        let key = Keys::open_or_create(dir.path(), "default").expect("writes").1.expect("first");
        let pair = Keys::aws_pair(dir.path(), &key).expect("it is known");
        assert!(pair.access_key_id.starts_with("AKAB") && pair.access_key_id.len() == 16);
        assert_eq!(pair.secret_access_key.len(), 64);
        let keys = Keys::open(dir.path()).expect("opens");
        let (owner, secret) = keys.signer(&pair.access_key_id).expect("it is known");
        assert_eq!((Some(owner), secret), (keys.owner(&key), Some(&*pair.secret_access_key)));
        assert!(!format!("{keys:?}").contains(&pair.secret_access_key));
        for other in ["", "AKAB", "AKABx", &pair.access_key_id[4..], "key_"] {
            assert!(keys.signer(other).is_none(), "{other}");
        }

        let path = dir.path().join(FILE_NAME);
        let mut file: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).expect("reads")).expect("JSON");
        file["keys"][0].as_object_mut().expect("a key").remove("aws_secret").expect("it is there");
        fs::write(&path, file.to_string()).expect("writes");
        let signer =
            |keys: &Keys| keys.signer(&pair.access_key_id).expect("known").1.map(str::to_owned);
        assert_eq!(signer(&Keys::open(dir.path()).expect("opens")), None);
        let again = Keys::aws_pair(dir.path(), &key).expect("it is made");
        assert_eq!(again.secret_access_key, pair.secret_access_key);
        let keys = Keys::open(dir.path()).expect("opens");
        assert_eq!(signer(&keys), Some(pair.secret_access_key.clone()));
        assert!(keys.owner(&key).is_some());
        let Err(error) = Keys::aws_pair(dir.path(), "ab-wrong") else { panic!("it is not known") };
        assert!(!error.to_string().contains("ab-wrong"), "{error}");
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
