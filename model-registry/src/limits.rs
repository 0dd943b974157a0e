//! Every limit of the registry, in one place.
//!
//! Invariant: nothing read from a disk or a network grows memory or a loop past one of these.

use std::time::Duration;

/// Largest JSON or template file of a model; the largest real tokenizers are near 35 MB.
pub(crate) const MAX_JSON_BYTES: u64 = 64 << 20;
/// Largest single weight file: 4 TiB.
pub(crate) const MAX_WEIGHT_BYTES: u64 = 4 << 40;
/// Most files of one model, shards and JSON together.
pub(crate) const MAX_MODEL_FILES: usize = 1_024;
/// Most entries of a folder, or files of a hub repository, that are looked at.
pub(crate) const MAX_LISTED_FILES: usize = 16_384;
/// Largest manifest; one with [`MAX_MODEL_FILES`] files stays well below.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Largest answer of the hub's model information route.
pub(crate) const MAX_INFO_BYTES: usize = 16 << 20;
/// Times a commit is tried again because another process removed a blob it counted on.
pub(crate) const MAX_COMMIT_ATTEMPTS: usize = 4;
/// Requests for one file, each of which got us further.
pub(crate) const MAX_REQUESTS_PER_FILE: usize = 1_000;
/// Requests in a row that brought nothing, before a download gives up.
pub(crate) const MAX_IDLE_REQUESTS: u32 = 5;
/// How long the pieces of a cut download are kept for the next try.
pub(crate) const KEEP_PARTIAL: Duration = Duration::from_secs(7 * 24 * 3600);
/// Bytes read at once while hashing and copying.
pub(crate) const COPY_BUFFER_BYTES: usize = 512 << 10;
/// Names offered when a model is not found.
pub(crate) const MAX_NEAR_NAMES: usize = 5;
