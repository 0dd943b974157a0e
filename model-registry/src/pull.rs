//! Pull of a model from a hub: choose its files, download what is not stored, commit.
//!
//! Invariant: everything is fetched at one commit, so a repository that changes meanwhile cannot
//! mix two versions; what arrived stays in the staging folder until the model is committed.

use sha2::{Digest, Sha256};

use crate::adapter::check_name;
use crate::disk;
use crate::error::{HubError, RegistryError};
use crate::hub::{HubClient, HubOptions, HubSource, RemoteFile, Repository, Wanted, download};
use crate::layout::{self, GGUF_NAME, Layout, Listing};
use crate::limits::MAX_COMMIT_ATTEMPTS;
use crate::manifest::{FileEntry, Format, Manifest, hex};
use crate::name::ModelName;
use crate::progress::Progress;
use crate::registry::{Gathered, Registry};
use crate::source::check_gguf;
use crate::stage::Stage;

/// One pull: where from and where to.
struct Pull<'a> {
    registry: &'a Registry,
    client: HubClient,
    source: &'a HubSource,
    repository: Repository,
    stage: Stage,
    progress: &'a dyn Progress,
}

impl Registry {
    /// Stores a hub's model as `name`, in place of a model that has the name already. A cut
    /// download goes on where it was: within this call some times, and when called again.
    ///
    /// # Errors
    /// [`RegistryError::Hub`] tells what the hub refused, lacks or sent wrongly;
    /// [`RegistryError::Busy`] that another process pulls the same, [`RegistryError::NoRoom`] that
    /// the disk is too full for what the hub has announced.
    pub async fn pull(
        &self,
        source: &HubSource,
        name: &ModelName,
        options: &HubOptions,
        progress: &dyn Progress,
    ) -> Result<Manifest, RegistryError> {
        let repo = source.to_string();
        check_name(name).map_err(|reason| HubError::Unusable { repo, reason })?;
        let client = HubClient::new(options)?;
        let repository = client.repository(source).await?;
        let origin = match source.file() {
            Some(file) => format!("hf:{}:{file}@{}", source.repository(), repository.commit),
            None => format!("hf:{}@{}", source.repository(), repository.commit),
        };
        let key = hex(&Sha256::digest(format!("{}\n{origin}", options.endpoint)));
        let key = key.get(..32).unwrap_or_default();
        let stage = Stage::for_pull(&self.root, key, &source.to_string()).await?;
        let pull = Pull { registry: self, client, source, repository, stage, progress };
        for _ in 0..MAX_COMMIT_ATTEMPTS {
            let (format, gathered) = pull.gather_all().await?;
            let entries = gathered.iter().map(|file| file.entry.clone()).collect();
            let manifest = Manifest::new(name.clone(), format, entries, origin.clone());
            if let Some(manifest) = self.commit(manifest, &gathered, &pull.stage).await? {
                pull.stage.close().await?;
                return Ok(manifest);
            }
        }
        Err(RegistryError::Busy { what: name.to_string() })
    }
}

impl Pull<'_> {
    async fn gather_all(&self) -> Result<(Format, Vec<Gathered>), RegistryError> {
        let listing: Listing =
            self.repository.files.iter().map(|(name, file)| (name.clone(), file.size)).collect();
        let layout = match self.source.file() {
            Some(file) => self.named_gguf(file),
            None => layout::choose(&listing),
        };
        let (mut files, index) = match layout.map_err(|reason| self.unusable(reason))? {
            Layout::Gguf(file) => {
                self.check_room([&file]).await?;
                let gguf = self.gather(&file, GGUF_NAME).await?;
                if let Some(staged) = &gguf.staged {
                    match check_gguf(&self.stage.path(staged)) {
                        Err(RegistryError::Refused { reason, .. }) => {
                            return Err(self.unusable(format!("{file}: {reason}")).into());
                        }
                        checked => checked?,
                    }
                }
                return Ok((Format::Gguf, vec![gguf]));
            }
            Layout::SafeTensors { files, index } => (files, index),
        };
        let mut gathered = Vec::new();
        if let Some(index) = index {
            // First, so that an incomplete model is refused before gigabytes have come.
            let file = self.gather(index, index).await?;
            files.retain(|name| name != index);
            files.extend(self.shards(&file, &listing).await?);
            gathered.push(file);
        }
        self.check_room(&files).await?;
        for name in files {
            gathered.push(self.gather(&name, &name).await?);
        }
        Ok((Format::SafeTensors, gathered))
    }

    /// Refuses files that the disk has no room for, as far as the hub has told their sizes.
    async fn check_room(
        &self,
        files: impl IntoIterator<Item = &String>,
    ) -> Result<(), RegistryError> {
        let mut needed: u64 = 0;
        for file in files {
            let remote = self.remote(file);
            let Some(size) = remote.size else { continue };
            if self.stored(&remote).await?.is_none() {
                // What an earlier try has left is on the disk already.
                let part = tokio::fs::metadata(self.stage.path(&part_name(file))).await;
                let rest = size.saturating_sub(part.map_or(0, |part| part.len()));
                needed = needed.saturating_add(rest);
            }
        }
        disk::check(&self.registry.root, needed)
    }

    /// What the hub announced of a file.
    fn remote(&self, file: &str) -> RemoteFile {
        self.repository.files.get(file).cloned().unwrap_or_default()
    }

    /// The size and hash of a file whose content is known to be stored.
    async fn stored(&self, remote: &RemoteFile) -> Result<Option<(u64, String)>, RegistryError> {
        let RemoteFile { size: Some(size), sha256: Some(sha256) } = remote else { return Ok(None) };
        let is_stored = self.registry.store.has(sha256, *size).await?;
        Ok(is_stored.then(|| (*size, sha256.clone())))
    }

    /// Fetches a file of the repository, which will be called `name`, unless its content is known
    /// to be stored.
    async fn gather(&self, file: &str, name: &str) -> Result<Gathered, RegistryError> {
        let remote = self.remote(file);
        if let Some((size, sha256)) = self.stored(&remote).await? {
            self.progress.reused(file, size);
            let entry = FileEntry { name: name.to_owned(), size, sha256 };
            return Ok(Gathered { entry, staged: None });
        }
        let staged = part_name(file);
        let commit = &self.repository.commit;
        let wanted = Wanted { source: self.source, commit, name: file, remote };
        let to = self.stage.path(&staged);
        let (size, sha256) = download(&self.client, &wanted, &to, self.progress).await?;
        let entry = FileEntry { name: name.to_owned(), size, sha256 };
        Ok(Gathered { entry, staged: Some(staged) })
    }

    async fn shards(
        &self,
        index: &Gathered,
        listing: &Listing,
    ) -> Result<Vec<String>, RegistryError> {
        let path = match &index.staged {
            Some(staged) => self.stage.path(staged),
            None => self.registry.store.file(&index.entry).await.map_err(|reason| {
                RegistryError::Damaged { name: index.entry.name.clone(), reason }
            })?,
        };
        let bytes =
            tokio::fs::read(&path).await.map_err(RegistryError::io("cannot read", &path))?;
        Ok(layout::shards(&bytes, listing).map_err(|reason| self.unusable(reason))?)
    }

    fn named_gguf(&self, file: &str) -> Result<Layout, String> {
        layout::check_gguf_name(file)?;
        match self.repository.files.contains_key(file) {
            true => Ok(Layout::Gguf(file.to_owned())),
            false => {
                let all = self.repository.files.keys().filter(|name| name.ends_with(".gguf"));
                let all: Vec<&str> = all.take(50).map(String::as_str).collect();
                Err(format!("it has no {file}; its GGUF files: {}", all.join(", ")))
            }
        }
    }

    fn unusable(&self, reason: String) -> HubError {
        HubError::Unusable { repo: self.source.repository(), reason }
    }
}

/// Where a file of the repository is staged.
fn part_name(file: &str) -> String {
    format!("{}.part", hex(&Sha256::digest(file)))
}
