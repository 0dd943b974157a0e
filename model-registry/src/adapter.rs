//! Adapters: stored like models, under their base's name and their own.
//!
//! Invariant: an adapter's manifest says for which version of its base it was stored; one whose
//! base is no more, or another, can be told by that.

use std::fs;
use std::path::Path;

use crate::error::RegistryError;
use crate::import::{Origin, absolute};
use crate::layout::{self, ADAPTER_FILES};
use crate::lock::blocking;
use crate::manifest::{AdapterBase, Format, Manifest};
use crate::name::ModelName;
use crate::progress::Progress;
use crate::registry::Registry;
use crate::source::{Source, read_listing, refused, regular_file};

impl Registry {
    /// Stores the adapter in the folder at `path`, as the PEFT library writes it, as `name` (an
    /// adapter of `base`), in place of one that has the name already.
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub async fn import_adapter(
        &self,
        path: &Path,
        (name, base): (&ModelName, &Manifest),
        progress: &dyn Progress,
    ) -> Result<Manifest, RegistryError> {
        let from = path.to_owned();
        if name.adapter().map(|(of, _)| of).as_ref() != Some(&base.name) {
            let reason = format!("{name} is not the name of an adapter of {}", base.name);
            return Err(refused(path, reason));
        }
        let of = AdapterBase { name: base.name.clone(), digest: base.digest.clone() };
        let (source, path) = blocking(move || Ok((inspect(&from, of)?, absolute(&from)?))).await?;
        let origin = Origin { told: format!("file:{}", path.display()), ours: false };
        self.store(&source, name, &origin, progress).await
    }

    /// The adapter of that name, or none; read at once, for whoever cannot wait: it is one small
    /// file.
    ///
    /// # Errors
    /// [`RegistryError::Damaged`], or when it cannot be read.
    pub fn adapter_blocking(&self, name: &ModelName) -> Result<Option<Manifest>, RegistryError> {
        let found = match name.adapter() {
            Some(_) => self.store.manifest_blocking(name.as_str())?,
            None => None,
        };
        found
            .transpose()
            .map_err(|reason| RegistryError::Damaged { name: name.to_string(), reason })
    }

    /// Every adapter, sorted by name; read at once. Damaged ones are left out.
    ///
    /// # Errors
    /// When the manifests cannot be read.
    pub fn adapters_blocking(&self) -> Result<Vec<Manifest>, RegistryError> {
        let mut manifests = Vec::new();
        for name in self.store.adapter_names_blocking()? {
            match self.store.manifest_blocking(&name)? {
                Some(Ok(manifest)) => manifests.push(manifest),
                Some(Err(reason)) => tracing::warn!(name, reason, "unreadable manifest"),
                None => {}
            }
        }
        Ok(manifests)
    }
}

/// Looks at a folder and takes an adapter's two files.
fn inspect(folder: &Path, of: AdapterBase) -> Result<Source, RegistryError> {
    let meta = fs::metadata(folder).map_err(RegistryError::io("cannot read", folder))?;
    if !meta.is_dir() {
        let reason = format!("give the folder that holds {}", ADAPTER_FILES.join(" and "));
        return Err(refused(folder, reason));
    }
    let listing = read_listing(folder)?;
    layout::check_adapter(&listing).map_err(|reason| refused(folder, reason))?;
    let file = |name: &str| Ok((name.to_owned(), regular_file(folder, name)?));
    let files = ADAPTER_FILES.into_iter().map(file).collect::<Result<_, RegistryError>>()?;
    Ok(Source { format: Format::SafeTensors, files, adapter_of: Some(of) })
}

/// Whether a model may have that name; the reason if not.
pub(crate) fn check_name(name: &ModelName) -> Result<(), String> {
    match name.adapter() {
        Some((base, _)) => {
            Err(format!("{name} is the name of an adapter; import it with `--base {base}`"))
        }
        None => Ok(()),
    }
}
