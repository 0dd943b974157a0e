//! What can go wrong, each with what to do about it.
//!
//! Invariant: no error carries a token, and none a hub's answer at length.

use std::io;
use std::path::{Path, PathBuf};

use crate::limits::MAX_NEAR_NAMES;
use crate::name::ModelName;

const MIB: u64 = 1 << 20;

/// An operation of the registry failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No model of that name is stored.
    #[error("no model is called {name}{}", near_names(near))]
    NotFound {
        /// The name that was asked for.
        name: ModelName,
        /// Names of stored models that are like it, best first.
        near: Vec<ModelName>,
    },
    /// A model that adapters are computed on top of cannot be removed.
    #[error("{name} has adapters; remove them first: {}", listed(adapters))]
    HasAdapters {
        /// The model.
        name: ModelName,
        /// Its adapters, sorted.
        adapters: Vec<ModelName>,
    },
    /// A path cannot be imported as it is.
    #[error("cannot import {}: {reason}", path.display())]
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A stored manifest or blob is damaged.
    #[error("model {name:?} is damaged: {reason}; remove it and import it again")]
    Damaged {
        /// The model.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The files are whole, but not a model that can be run.
    #[error("{name} cannot be run, so it was not stored: {reason}")]
    Unfit {
        /// The name it was to have.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The disk has less room than the files take.
    #[error(
        "there is no room for it: {} MiB are needed (what is stored already not counted), {} MiB \
         are free on the disk of {}; `agentbase model rm` frees what is not needed, --data-dir \
         names another disk",
        needed.div_ceil(MIB), free / MIB, path.display()
    )]
    NoRoom {
        /// The registry's folder.
        path: PathBuf,
        /// Bytes of all files that are not stored yet.
        needed: u64,
        /// Bytes there are.
        free: u64,
    },
    /// Another process is doing the same work.
    #[error("{what} is being stored by another process; wait for it to finish and try again")]
    Busy {
        /// The work.
        what: String,
    },
    /// The hub, or what it sent, is at fault.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A file could not be read or written.
    #[error("{action} {}: {cause}", path.display())]
    Io {
        /// What was tried, as in "cannot read".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error. Not a `source`: it would be told twice.
        cause: io::Error,
    },
    /// The object store failed.
    #[error("the model store failed")]
    Store(#[from] object_store::Error),
}

/// A pull failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The options cannot be used.
    #[error("{0}")]
    Options(String),
    /// The repository or revision does not exist (or is hidden from us).
    #[error("{repo} was not found on {endpoint}: check its spelling and its revision {revision:?}")]
    NotFound {
        /// `ORG/REPO`.
        repo: String,
        /// The revision asked for.
        revision: String,
        /// The hub's address.
        endpoint: String,
    },
    /// The hub wants to know who asks.
    #[error("{endpoint} refused {repo} (status {status}): {hint}")]
    Denied {
        /// `ORG/REPO`.
        repo: String,
        /// The hub's address.
        endpoint: String,
        /// HTTP status, 401 or 403.
        status: u16,
        /// What to do.
        hint: &'static str,
    },
    /// The repository holds nothing that can be run.
    #[error("cannot use {repo}: {reason}")]
    Unusable {
        /// `ORG/REPO`.
        repo: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The hub answered something else than its API says.
    #[error("{what}: {reason}")]
    Answer {
        /// What was asked for.
        what: String,
        /// What came instead.
        reason: String,
    },
    /// A file's bytes are not those that the hub announced.
    #[error(
        "{file} has the wrong content: the hub announced sha256 {expected}, but {actual} came; \
         the download was thrown away, pull again"
    )]
    WrongHash {
        /// The file.
        file: String,
        /// The hash the hub announced.
        expected: String,
        /// The hash of what came.
        actual: String,
    },
    /// The connection failed, again and again.
    #[error("cannot fetch {what}: {reason}")]
    Cut {
        /// What was being fetched.
        what: String,
        /// The last failure, and how far it had come.
        reason: String,
    },
}

impl RegistryError {
    /// For `map_err` after a file operation on `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
        let path = path.to_owned();
        move |cause| RegistryError::Io { action, path, cause }
    }
}

fn near_names(near: &[ModelName]) -> String {
    if near.is_empty() {
        return "; `agentbase model list` shows what is stored".to_owned();
    }
    format!("; did you mean {}?", listed(near))
}

/// As many as are worth reading.
fn listed(names: &[ModelName]) -> String {
    let shown: Vec<&str> = names.iter().take(MAX_NEAR_NAMES).map(ModelName::as_str).collect();
    let more = if names.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
