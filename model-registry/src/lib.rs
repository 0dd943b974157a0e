//! What can be run: content-addressed model files and the manifests that name them.
//!
//! A model is a [`Manifest`] (`manifests/NAME.json`) that refers to blobs
//! (`blobs/sha256/ab/HEX`). Both are written to `staging/` first, made durable and renamed into
//! place, the manifest last.
//!
//! Invariants: a manifest in place refers only to whole blobs; a blob's name is the SHA-256 of its
//! bytes; what is in place is never written to again. Everything that renames into place or deletes
//! holds the registry's file lock for that short moment, so that several processes may share it.
//! This crate knows nothing of SQL, tenants or engines: it checks what a file *is*, not whether an
//! engine can run it.

mod adapter;
mod disk;
mod error;
mod hub;
mod import;
mod layout;
mod limits;
mod lock;
mod manifest;
mod name;
mod progress;
mod pull;
mod registry;
mod source;
mod stage;
mod store;
mod workspace;

pub use error::{HubError, RegistryError};
pub use hub::{HubOptions, HubSource, HubToken, InvalidSource};
pub use manifest::{AdapterBase, FileEntry, Format, Manifest};
pub use name::{InvalidName, ModelName};
pub use progress::{NoProgress, Progress};
pub use registry::{Check, Registry, RemovedBytes};
pub use source::files_at;
pub use workspace::Workspace;
