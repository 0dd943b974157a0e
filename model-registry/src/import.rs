//! Import of a local GGUF file or Hugging Face folder.
//!
//! Invariant: bytes are hashed as they are copied, in pieces; what is committed is what was
//! hashed, even where the source changes meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::adapter::check_name;
use crate::error::RegistryError;
use crate::layout::{self, GGUF_NAME, Layout, Listing};
use crate::limits::{COPY_BUFFER_BYTES, MAX_COMMIT_ATTEMPTS, MAX_JSON_BYTES, MAX_LISTED_FILES};
use crate::lock::blocking;
use crate::manifest::{AdapterBase, FileEntry, Format, Manifest, hex};
use crate::name::ModelName;
use crate::progress::Progress;
use crate::registry::{Gathered, Registry};
use crate::stage::Stage;

/// A local model: its format and its files, each under the name it will have.
pub(crate) struct Source {
    pub(crate) format: Format,
    pub(crate) files: Vec<(String, PathBuf)>,
    /// Set for an adapter.
    pub(crate) adapter_of: Option<AdapterBase>,
}

impl Registry {
    /// Stores the model at `path`, a GGUF file or a Hugging Face folder, as `name`, in place of a
    /// model that has the name already. Content that is stored already is not copied again.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] says what is wrong with `path` and what to do; the others tell
    /// of a disk that cannot be read or written. In each case the registry is as it was.
    pub async fn import(
        &self,
        path: &Path,
        name: &ModelName,
        progress: &dyn Progress,
    ) -> Result<Manifest, RegistryError> {
        let from = path.to_owned();
        check_name(name).map_err(|reason| refused(path, reason))?;
        let (source, path) = blocking(move || Ok((inspect(&from)?, absolute(&from)?))).await?;
        self.store(&source, name, &format!("file:{}", path.display()), progress).await
    }

    /// Stores a source's files, as often as others get in the way.
    pub(crate) async fn store(
        &self,
        source: &Source,
        name: &ModelName,
        origin: &str,
        progress: &dyn Progress,
    ) -> Result<Manifest, RegistryError> {
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let stage = Stage::for_import(&self.root).await?;
            let stored = self.store_once(source, name, origin, &stage, progress).await;
            stage.close().await?;
            if let Some(manifest) = stored? {
                return Ok(manifest);
            }
        }
        Err(RegistryError::Busy { what: name.to_string() })
    }

    /// Gathers and commits; `None` when a blob counted on was removed meanwhile.
    async fn store_once(
        &self,
        source: &Source,
        name: &ModelName,
        origin: &str,
        stage: &Stage,
        progress: &dyn Progress,
    ) -> Result<Option<Manifest>, RegistryError> {
        let stored_sizes = self.store.blobs().await?.values().map(|blob| blob.size).collect();
        let copying = Copying { registry: self, stage, stored_sizes, progress };
        let mut gathered = Vec::with_capacity(source.files.len());
        for (idx, (file, path)) in source.files.iter().enumerate() {
            gathered.push(copying.gather(file, path, format!("{idx}.part")).await?);
        }
        let entries = gathered.iter().map(|file| file.entry.clone()).collect();
        let manifest = Manifest::new(name.clone(), source.format, entries, origin.to_owned());
        let manifest = Manifest { adapter_of: source.adapter_of.clone(), ..manifest };
        self.commit(manifest, &gathered, stage).await
    }
}

/// What all files of one import have in common.
struct Copying<'a> {
    registry: &'a Registry,
    stage: &'a Stage,
    stored_sizes: BTreeSet<u64>,
    progress: &'a dyn Progress,
}

impl Copying<'_> {
    /// Hashes one file and copies it to the staging folder, unless its content is stored.
    async fn gather(
        &self,
        name: &str,
        path: &Path,
        staged: String,
    ) -> Result<Gathered, RegistryError> {
        let mut file = File::open(path).await.map_err(RegistryError::io("cannot read", path))?;
        let meta = file.metadata().await.map_err(RegistryError::io("cannot read", path))?;
        let size = meta.len();
        layout::check_size(name, Some(size)).map_err(|reason| refused(path, reason))?;
        let entry = |sha256| FileEntry { name: name.to_owned(), size, sha256 };
        // Only where some blob has this size can the content be stored already: then hashing
        // first saves the copy. Otherwise one pass does both.
        if self.stored_sizes.contains(&size) {
            self.progress.start(name, Some(size));
            let sha256 = hash_and_copy((&mut file, path), size, None, self.progress).await?;
            if self.registry.store.has(&sha256, size).await? {
                self.progress.reused(name, size);
                self.progress.finish();
                return Ok(Gathered { entry: entry(sha256), staged: None });
            }
            file.seek(SeekFrom::Start(0)).await.map_err(RegistryError::io("cannot read", path))?;
        }
        let to = self.stage.path(&staged);
        self.progress.start(name, Some(size));
        let sha256 = hash_and_copy((&mut file, path), size, Some(&to), self.progress).await?;
        self.progress.finish();
        Ok(Gathered { entry: entry(sha256), staged: Some(staged) })
    }
}

/// The SHA-256 of the `size` bytes of `file`, which are copied to `to`, durably, where it is given.
async fn hash_and_copy(
    (file, path): (&mut File, &Path),
    size: u64,
    to: Option<&Path>,
    progress: &dyn Progress,
) -> Result<String, RegistryError> {
    let mut copy = match to {
        Some(to) => {
            let file = File::create(to).await.map_err(RegistryError::io("cannot create", to))?;
            Some((file, to))
        }
        None => None,
    };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    let mut total = 0;
    loop {
        let read = file.read(&mut buffer).await.map_err(RegistryError::io("cannot read", path))?;
        total += read as u64;
        if total > size || (read == 0 && total < size) {
            let reason = "it changed while it was being read; try again".to_owned();
            return Err(refused(path, reason));
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        hasher.update(bytes);
        if let Some((file, to)) = &mut copy {
            file.write_all(bytes).await.map_err(RegistryError::io("cannot write", to))?;
        }
        progress.advance(read as u64);
        if read == 0 {
            break;
        }
    }
    if let Some((mut file, to)) = copy {
        file.flush().await.map_err(RegistryError::io("cannot write", to))?;
        file.sync_all().await.map_err(RegistryError::io("cannot write", to))?;
    }
    Ok(hex(&hasher.finalize()))
}

/// Looks at a path and chooses the files to take, without reading more than headers.
fn inspect(path: &Path) -> Result<Source, RegistryError> {
    let meta = fs::metadata(path).map_err(RegistryError::io("cannot read", path))?;
    if meta.is_dir() {
        return inspect_folder(path);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !meta.is_file() {
        return Err(refused(path, "it is neither a file nor a folder".to_owned()));
    }
    if layout::is_pickle(&name) {
        return Err(refused(path, layout::PICKLE_REFUSED.to_owned()));
    }
    if name.ends_with(".safetensors") || name.ends_with(".json") {
        let reason = "give the folder that holds config.json, tokenizer.json and the weights";
        return Err(refused(path, reason.to_owned()));
    }
    layout::check_gguf_name(&name).map_err(|reason| refused(path, reason))?;
    check_gguf(path)?;
    let files = vec![(GGUF_NAME.to_owned(), path.to_owned())];
    Ok(Source { format: Format::Gguf, files, adapter_of: None })
}

/// A folder's files, with their sizes.
pub(crate) fn read_listing(folder: &Path) -> Result<Listing, RegistryError> {
    let read_failed = |e| RegistryError::io("cannot read", folder)(e);
    let mut listing = Listing::new();
    for entry in fs::read_dir(folder).map_err(read_failed)? {
        let entry = entry.map_err(read_failed)?;
        if listing.len() == MAX_LISTED_FILES {
            let reason = format!("it has more than {MAX_LISTED_FILES} entries");
            return Err(refused(folder, reason));
        }
        // A name that is not UTF-8 is none of those we look for.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let size = fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file).map(|m| m.len());
        listing.insert(name, size);
    }
    Ok(listing)
}

fn inspect_folder(folder: &Path) -> Result<Source, RegistryError> {
    let listing = read_listing(folder)?;
    let refuse = |reason| refused(folder, reason);
    let (format, names) = match layout::choose(&listing).map_err(refuse)? {
        Layout::Gguf(name) => {
            let path = regular_file(folder, &name)?;
            check_gguf(&path)?;
            let files = vec![(GGUF_NAME.to_owned(), path)];
            return Ok(Source { format: Format::Gguf, files, adapter_of: None });
        }
        Layout::SafeTensors { mut files, index } => {
            if let Some(index) = index {
                let path = regular_file(folder, index)?;
                let bytes = read_small(&path)?;
                files.extend(layout::shards(&bytes, &listing).map_err(refuse)?);
            }
            (Format::SafeTensors, files)
        }
    };
    let files = names.into_iter().map(|name| regular_file(folder, &name).map(|path| (name, path)));
    Ok(Source { format, files: files.collect::<Result<_, _>>()?, adapter_of: None })
}

/// The path of a folder's file, links resolved, if it is a regular file inside the folder.
pub(crate) fn regular_file(folder: &Path, name: &str) -> Result<PathBuf, RegistryError> {
    let path = folder.join(name);
    let real = fs::canonicalize(&path).map_err(RegistryError::io("cannot read", &path))?;
    let base = fs::canonicalize(folder).map_err(RegistryError::io("cannot read", folder))?;
    if !real.starts_with(&base) {
        let reason = format!(
            "it is a link to {}, outside the folder; copy the folder with its links resolved \
             (cp -rL) and import the copy",
            real.display()
        );
        return Err(refused(&path, reason));
    }
    let meta = fs::metadata(&real).map_err(RegistryError::io("cannot read", &path))?;
    match meta.is_file() {
        true => Ok(real),
        false => Err(refused(&path, "it is not a regular file".to_owned())),
    }
}

/// Reads a JSON file; [`layout::check_size`] has been asked, but the file may have grown since.
fn read_small(path: &Path) -> Result<Vec<u8>, RegistryError> {
    use std::io::Read;
    let failed = |e| RegistryError::io("cannot read", path)(e);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_JSON_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Whether a file begins as a GGUF of a version we know; all else is the engine's to check.
pub(crate) fn check_gguf(path: &Path) -> Result<(), RegistryError> {
    use std::io::Read;
    let mut header = [0; 8];
    let mut file = fs::File::open(path).map_err(RegistryError::io("cannot read", path))?;
    let reason = match file.read_exact(&mut header) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            "it is too short for a GGUF file".to_owned()
        }
        Err(e) => return Err(RegistryError::io("cannot read", path)(e)),
        Ok(()) => match header {
            [b'G', b'G', b'U', b'F', version @ ..] => match u32::from_le_bytes(version) {
                2 | 3 => return Ok(()),
                other => format!("its GGUF version is {other}; 2 and 3 are supported"),
            },
            _ => "it is no GGUF file: it does not begin with \"GGUF\"".to_owned(),
        },
    };
    Err(refused(path, reason))
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf, RegistryError> {
    std::path::absolute(path).map_err(RegistryError::io("cannot read", path))
}

pub(crate) fn refused(path: &Path, reason: String) -> RegistryError {
    RegistryError::Refused { path: path.to_owned(), reason }
}
