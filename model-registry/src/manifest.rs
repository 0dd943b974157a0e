//! The manifest: which blobs make up a model, and under which version.
//!
//! Invariant: a manifest that was parsed here names only safe file names and well-formed hashes,
//! and its digest is the one of its entries.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::limits::MAX_MODEL_FILES;
use crate::name::{ModelName, is_plain_path};

const SCHEMA: u32 = 1;
const MAX_FILE_NAME_BYTES: usize = 200;

/// How a model's weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One GGUF file, which holds the tokenizer too; its entry is called `model.gguf`.
    Gguf,
    /// A Hugging Face folder: JSON files and one or many `.safetensors`.
    SafeTensors,
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name of the file within the model, without folders.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// The model that an adapter is computed on top of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterBase {
    /// Its name, with which the adapter's begins.
    pub name: ModelName,
    /// The version that the adapter was held against when it was stored.
    pub digest: String,
}

/// A model, or an adapter of one, as the registry stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this JSON form; always 1 for now.
    pub schema: u32,
    /// The name the model goes by.
    pub name: ModelName,
    /// How its weights are stored.
    pub format: Format,
    /// Set if it is an adapter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_of: Option<AdapterBase>,
    /// Its files, sorted by name.
    pub files: Vec<FileEntry>,
    /// SHA-256 over the entries: the model version. The same files give the same digest, whatever
    /// the model is called and wherever it came from.
    pub digest: String,
    /// Where it came from: `file:PATH`, `hf:ORG/REPO@COMMIT`, or what it was made of:
    /// `model:NAME@VERSION in TYPE`.
    pub source: String,
    /// When it was first stored, seconds since 1970.
    pub created_unix: u64,
}

impl Manifest {
    /// A manifest of `files`, stored now.
    pub(crate) fn new(
        name: ModelName,
        format: Format,
        mut files: Vec<FileEntry>,
        source: String,
    ) -> Manifest {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (digest, created_unix) = (digest(&files), since_epoch.as_secs());
        let (schema, adapter_of) = (SCHEMA, None);
        Manifest { schema, name, format, adapter_of, files, digest, source, created_unix }
    }

    /// Sum of the sizes of all files, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// Reads and checks a manifest; the error is a sentence for the one who has to mend it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Manifest, String> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if version.schema != SCHEMA {
            return Err(format!(
                "it has schema {}, and this version of Agentbase knows only {SCHEMA}",
                version.schema
            ));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.files.is_empty() || self.files.len() > MAX_MODEL_FILES {
            return Err(format!(
                "`files` has {} entries; 1 to {MAX_MODEL_FILES} are allowed",
                self.files.len()
            ));
        }
        for file in &self.files {
            if !is_plain_path(&file.name, MAX_FILE_NAME_BYTES) {
                return Err(format!("`files` has the unsafe name {:?}", file.name));
            }
            if !is_sha256(&file.sha256) {
                return Err(format!("`sha256` of {:?} is not 64 lower-case hex digits", file.name));
            }
        }
        if !self.files.windows(2).all(|pair| pair[0].name < pair[1].name) {
            return Err("`files` is not sorted by distinct names".to_owned());
        }
        if self.digest != digest(&self.files) {
            return Err("`digest` is not the one of its files".to_owned());
        }
        let named = self.name.adapter().map(|(base, _)| base);
        let of = self.adapter_of.as_ref();
        if of.map(|base| &base.name) != named.as_ref() {
            return Err("`adapter_of` is not the base that its name begins with".to_owned());
        }
        if of.is_some_and(|base| !is_sha256(&base.digest)) {
            return Err("`adapter_of` has no digest of 64 lower-case hex digits".to_owned());
        }
        Ok(())
    }
}

/// SHA-256 over `name NUL size NUL sha256 LF` of each entry, in order.
fn digest(files: &[FileEntry]) -> String {
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(format!("{}\0{}\0{}\n", file.name, file.size, file.sha256));
    }
    hex(&hasher.finalize())
}

pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Manifest {
        let file = |name: &str, byte: &str| FileEntry {
            name: name.to_owned(),
            size: 3,
            sha256: byte.repeat(32),
        };
        let name = "m".parse().unwrap();
        let files = vec![file("model.safetensors", "ab"), file("config.json", "01")];
        Manifest::new(name, Format::SafeTensors, files, "file:/m".to_owned())
    }

    #[test]
    fn a_manifest_survives_json_and_its_digest_ignores_name_and_order() {
        let manifest = example();
        let json = serde_json::to_vec(&manifest).unwrap();
        assert_eq!(Manifest::parse(&json).unwrap(), manifest);
        assert_eq!(manifest.files[0].name, "config.json");
        let other =
            Manifest { name: "n".parse().unwrap(), source: String::new(), ..manifest.clone() };
        assert_eq!(other.digest, digest(&manifest.files));
    }

    #[test]
    fn a_manifest_that_lies_is_refused_by_field() {
        let broken = |field: &str, change: &dyn Fn(&mut Manifest)| {
            let mut manifest = example();
            change(&mut manifest);
            let error = Manifest::parse(&serde_json::to_vec(&manifest).unwrap()).unwrap_err();
            assert!(error.contains(field), "{error}");
        };
        broken("schema 2", &|m| m.schema = 2);
        broken("`files`", &|m| m.files.clear());
        broken("unsafe name", &|m| m.files[0].name = "../x".to_owned());
        broken("unsafe name", &|m| m.files[0].name = "a/../x".to_owned());
        broken("unsafe name", &|m| m.files[0].name = "a/b/c".to_owned());
        broken("unsafe name", &|m| m.files[0].name = "/a".to_owned());
        broken("`sha256`", &|m| m.files[0].sha256 = "AB".repeat(32));
        broken("`digest`", &|m| m.files[0].size = 4);
        broken("sorted", &|m| m.files.reverse());
        let base = |name: &str, digest: &str| AdapterBase {
            name: name.parse().unwrap(),
            digest: digest.to_owned(),
        };
        let digest = "ab".repeat(32);
        broken("`adapter_of`", &|m| m.adapter_of = Some(base("m", &digest)));
        broken("`adapter_of`", &|m| m.name = "m:a".parse().unwrap());
        broken("`adapter_of`", &|m| {
            (m.name, m.adapter_of) = ("m:a".parse().unwrap(), Some(base("n", &digest)));
        });
        broken("no digest", &|m| {
            (m.name, m.adapter_of) = ("m:a".parse().unwrap(), Some(base("m", "../x")));
        });
        assert!(Manifest::parse(b"{").is_err());
    }
}
