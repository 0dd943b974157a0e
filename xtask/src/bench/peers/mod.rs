//! Who we are compared with, built or installed from what the package registries carry.
//!
//! Invariant: everything lies in `.agentbase/peers`, is made once per version, and every version is
//! pinned.

pub(crate) mod llama_cpp;
pub(crate) mod openvino;
pub(crate) mod server;
mod source;

use std::path::PathBuf;

use crate::repo;

/// Where they are kept.
pub(crate) fn folder() -> PathBuf {
    repo::scratch().join("peers")
}
