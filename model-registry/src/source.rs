//! What there is to import at a local path.
//!
//! Invariant: only regular files inside the folder are chosen, and no more than headers is read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::RegistryError;
use crate::layout::{self, GGUF_NAME, Layout, Listing};
use crate::limits::{MAX_JSON_BYTES, MAX_LISTED_FILES};
use crate::manifest::{AdapterBase, Format};

/// A local model: its format and its files, each under the name it will have.
pub(crate) struct Source {
    pub(crate) format: Format,
    pub(crate) files: Vec<(String, PathBuf)>,
    /// Set for an adapter.
    pub(crate) adapter_of: Option<AdapterBase>,
}

/// Where the files lie that an import of `path` takes, by the names that they will have in the
/// model. They are not the registry's: whoever owns them may change them.
///
/// # Errors
/// [`RegistryError::Refused`] says what is wrong with `path` and what to do.
pub fn files_at(path: &Path) -> Result<BTreeMap<String, PathBuf>, RegistryError> {
    Ok(inspect(path)?.files.into_iter().collect())
}

/// Looks at a path and chooses the files to take, without reading more than headers.
pub(crate) fn inspect(path: &Path) -> Result<Source, RegistryError> {
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

/// A folder's files, and those of its modules' folders, with their sizes.
pub(crate) fn read_listing(folder: &Path) -> Result<Listing, RegistryError> {
    let mut listing = Listing::new();
    list(folder, "", &mut listing)?;
    let modules: Vec<_> = listing.keys().filter(|name| layout::is_module(name)).cloned().collect();
    for module in modules.iter().filter(|name| folder.join(name).is_dir()) {
        list(&folder.join(module), &format!("{module}/"), &mut listing)?;
    }
    Ok(listing)
}

/// Adds the entries of a folder, under names that begin so.
fn list(folder: &Path, prefix: &str, listing: &mut Listing) -> Result<(), RegistryError> {
    let read_failed = |e| RegistryError::io("cannot read", folder)(e);
    for entry in fs::read_dir(folder).map_err(read_failed)? {
        let entry = entry.map_err(read_failed)?;
        if listing.len() == MAX_LISTED_FILES {
            let reason = format!("it has more than {MAX_LISTED_FILES} entries");
            return Err(refused(folder, reason));
        }
        // A name that is not UTF-8 is none of those we look for.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let size = fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file).map(|m| m.len());
        listing.insert(format!("{prefix}{name}"), size);
    }
    Ok(())
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

/// The error for a path that cannot be imported.
pub(crate) fn refused(path: &Path, reason: String) -> RegistryError {
    RegistryError::Refused { path: path.to_owned(), reason }
}
