//! What the disk has no room for is refused before a byte of it is written.
//!
//! The files claim more than any disk has: they consist of holes.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};

use model_registry::{ModelName, NoProgress, Progress, Registry, RegistryError};

const SHARDS: u64 = 64;
const SHARD_BYTES: u64 = 4 << 40;

fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

fn shard(idx: u64) -> String {
    format!("model-{idx:05}-of-{SHARDS:05}.safetensors")
}

/// What every model here has.
fn folder(dir: PathBuf) -> PathBuf {
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("config.json"), "{\"of\":\"both\"}").unwrap();
    fs::write(dir.join("tokenizer.json"), "{\"t\":1}").unwrap();
    dir
}

/// A model of 256 TiB, and the bytes of it that are not in [`folder`].
fn huge(dir: &Path) -> (PathBuf, u64) {
    let dir = folder(dir.join("huge"));
    let entries: Vec<_> = (0..SHARDS).map(|i| format!("\"t{i}\":\"{}\"", shard(i))).collect();
    let index = format!("{{\"weight_map\":{{{}}}}}", entries.join(","));
    fs::write(dir.join("model.safetensors.index.json"), &index).unwrap();
    for i in 0..SHARDS {
        fs::File::create(dir.join(shard(i))).unwrap().set_len(SHARD_BYTES).unwrap();
    }
    (dir, SHARDS * SHARD_BYTES + index.len() as u64)
}

/// Were a shard read, that would go on until the disk is full.
struct NoShard;

impl Progress for NoShard {
    fn start(&self, what: &str, _total: Option<u64>) {
        assert!(!what.ends_with(".safetensors"), "{what} is read");
    }
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
}

#[tokio::test]
async fn an_import_that_does_not_fit_is_refused_with_the_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("models");
    let registry = Registry::open_local(&root).unwrap();
    let (huge, bytes) = huge(dir.path());
    let error = registry.import(&huge, &name("huge"), &NoShard).await.unwrap_err();
    let RegistryError::NoRoom { needed, free, .. } = error else { panic!("{error}") };
    let small = fs::metadata(huge.join("config.json")).unwrap().len() + 7;
    assert_eq!(needed, bytes + small);
    assert!(free > 0 && free < needed, "{free}");
    let text = error.to_string();
    assert!(text.contains(&format!(" {} MiB are needed", needed.div_ceil(1 << 20))), "{text}");
    assert!(text.contains(&format!(" {} MiB are free", free >> 20)), "{text}");
    assert!(fs::read_dir(root.join("staging")).unwrap().next().is_none());
    assert!(!root.join("blobs").exists() && registry.list().await.unwrap().is_empty());

    // What is stored already does not count.
    let one = folder(dir.path().join("one"));
    fs::write(one.join("model.safetensors"), "weights").unwrap();
    registry.import(&one, &name("one"), &NoProgress).await.unwrap();
    let error = registry.import(&huge, &name("huge"), &NoShard).await.unwrap_err();
    let RegistryError::NoRoom { needed, .. } = error else { panic!("{error}") };
    assert_eq!(needed, bytes);
}
