//! Import, list, get, remove: the registry over a local folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use model_registry::{Format, ModelName, NoProgress, Progress, Registry, RegistryError};

fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

fn gguf(dir: &Path, file: &str, content: &str) -> PathBuf {
    let path = dir.join(file);
    fs::write(&path, [&b"GGUF\x03\0\0\0"[..], content.as_bytes()].concat()).unwrap();
    path
}

/// A Hugging Face folder with one or with two files of weights.
fn folder(dir: &Path, shards: usize) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("config.json"), "{}").unwrap();
    fs::write(dir.join("tokenizer.json"), "{\"t\":1}").unwrap();
    fs::write(dir.join("README.md"), "read me").unwrap();
    fs::write(dir.join("pytorch_model.bin"), "pickle").unwrap();
    if shards == 1 {
        fs::write(dir.join("model.safetensors"), "weights").unwrap();
        return dir.to_owned();
    }
    let shard = |idx| format!("model-{idx:05}-of-{shards:05}.safetensors");
    let entry = |idx: usize| format!("\"t{idx}\":\"{}\"", shard(idx));
    let map: Vec<String> = (1..=shards).map(entry).collect();
    let index = format!("{{\"weight_map\":{{{}}}}}", map.join(","));
    fs::write(dir.join("model.safetensors.index.json"), index).unwrap();
    for idx in 1..=shards {
        fs::write(dir.join(shard(idx)), format!("weights {idx}")).unwrap();
    }
    dir.to_owned()
}

/// Every file below `blobs/`, by name.
fn blobs(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in fs::read_dir(root.join("blobs/sha256")).into_iter().flatten() {
        for blob in fs::read_dir(folder.unwrap().path()).unwrap() {
            found.insert(blob.unwrap().file_name().into_string().unwrap());
        }
    }
    found
}

#[derive(Default)]
struct Heard {
    reused: Mutex<Vec<String>>,
}

impl Progress for Heard {
    fn start(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
    fn reused(&self, what: &str, _bytes: u64) {
        self.reused.lock().unwrap().push(what.to_owned());
    }
}

#[tokio::test]
async fn a_gguf_is_imported_found_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open_local(&dir.path().join("deep/models")).unwrap();
    let path = gguf(dir.path(), "SmolLM2.Q4_1.gguf", "abc");
    let manifest = registry.import(&path, &name("smollm2"), &NoProgress).await.unwrap();
    assert_eq!(manifest.format, Format::Gguf);
    assert_eq!(manifest.source, format!("file:{}", path.display()));
    assert_eq!((manifest.files[0].name.as_str(), manifest.files[0].size), ("model.gguf", 11));
    // sha256sum of GGUF 03 00 00 00 abc
    let sha256 = "9f15f354c7f3583b4124e03454cf13d014bf0eef3675479bf8a7a177fa8a9bca";
    assert_eq!(manifest.files[0].sha256, sha256);

    assert_eq!(registry.get(&name("smollm2")).await.unwrap(), manifest);
    assert_eq!(registry.list().await.unwrap(), std::slice::from_ref(&manifest));
    let files = registry.files(&manifest).await.unwrap();
    assert_eq!(fs::read(&files["model.gguf"]).unwrap(), fs::read(&path).unwrap());

    assert_eq!(registry.remove(&name("smollm2")).await.unwrap().0, 11);
    assert!(registry.list().await.unwrap().is_empty());
    assert!(registry.files(&manifest).await.unwrap_err().to_string().contains("is gone"));
    assert!(blobs(&dir.path().join("deep/models")).is_empty());
}

#[tokio::test]
async fn a_folder_gives_only_the_files_of_its_model() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open_local(&dir.path().join("models")).unwrap();
    let one = folder(&dir.path().join("one"), 1);
    let manifest = registry.import(&one, &name("one"), &NoProgress).await.unwrap();
    let names: Vec<&str> = manifest.files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!((manifest.format, manifest.total_bytes()), (Format::SafeTensors, 16));

    let two = folder(&dir.path().join("two"), 2);
    let manifest = registry.import(&two, &name("two"), &NoProgress).await.unwrap();
    assert_eq!(manifest.files.len(), 5);
    let files = registry.files(&manifest).await.unwrap();
    let shard = &files["model-00002-of-00002.safetensors"];
    assert_eq!(fs::read_to_string(shard).unwrap(), "weights 2");

    fs::remove_file(two.join("model-00002-of-00002.safetensors")).unwrap();
    let error = registry.import(&two, &name("three"), &NoProgress).await.unwrap_err();
    assert!(error.to_string().contains("model-00002-of-00002.safetensors is missing"), "{error}");
}

#[tokio::test]
async fn the_same_content_is_stored_once_and_goes_with_its_last_user() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("models");
    let registry = Registry::open_local(&root).unwrap();
    let path = folder(&dir.path().join("one"), 1);
    let a = registry.import(&path, &name("a"), &NoProgress).await.unwrap();
    let before = fs::metadata(root.join("manifests/a.json")).unwrap().modified().unwrap();

    let heard = Heard::default();
    assert_eq!(registry.import(&path, &name("a"), &heard).await.unwrap(), a);
    assert_eq!(heard.reused.lock().unwrap().len(), 3);
    let after = fs::metadata(root.join("manifests/a.json")).unwrap().modified().unwrap();
    assert_eq!(before, after, "an unchanged model was written again");

    let b = registry.import(&path, &name("b"), &NoProgress).await.unwrap();
    assert_eq!((a.digest.len(), &a.digest), (64, &b.digest));
    assert_eq!(blobs(&root).len(), 3);

    // A new version of `a` shares two files with the old one, which is still `b`.
    fs::write(path.join("model.safetensors"), "WEIGHTS").unwrap();
    let newer = registry.import(&path, &name("a"), &NoProgress).await.unwrap();
    assert_ne!(newer.digest, a.digest);
    assert_eq!(blobs(&root).len(), 4);
    assert_eq!(registry.remove(&name("b")).await.unwrap().0, 7);
    assert_eq!(registry.files(&newer).await.unwrap().len(), 3);
    assert_eq!(registry.remove(&name("a")).await.unwrap().0, 16);
    assert!(blobs(&root).is_empty());
}

#[tokio::test]
async fn replacing_a_model_frees_what_only_the_old_one_had() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("models");
    let registry = Registry::open_local(&root).unwrap();
    for content in ["first", "second"] {
        let path = gguf(dir.path(), "m.gguf", content);
        registry.import(&path, &name("m"), &NoProgress).await.unwrap();
        assert_eq!(blobs(&root).len(), 1);
    }
    assert_eq!(fs::read_dir(root.join("staging")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_cannot_be_imported_says_why_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("models");
    let registry = Registry::open_local(&root).unwrap();
    let at = |file: &str| dir.path().join(file);
    let write = |file: &str, content: &[u8]| fs::write(at(file), content).unwrap();
    write("empty.gguf", b"");
    write("text.gguf", b"GGML\x03\0\0\0abc");
    write("v1.gguf", b"GGUF\x01\0\0\0abc");
    gguf(dir.path(), "m-00001-of-00002.gguf", "abc");
    write("model.bin", b"pickle");
    write("model.safetensors", b"weights");
    for folder_name in ["empty", "pickles", "no-tokenizer", "empty-weights"] {
        fs::create_dir(at(folder_name)).unwrap();
    }
    write("pickles/pytorch_model.bin", b"pickle");
    write("pickles/config.json", b"{}");
    folder(&at("no-tokenizer"), 1);
    fs::remove_file(at("no-tokenizer/tokenizer.json")).unwrap();
    folder(&at("empty-weights"), 1);
    write("empty-weights/model.safetensors", b"");
    for (path, reason) in [
        ("absent", "cannot read"),
        ("empty.gguf", "too short"),
        ("text.gguf", "does not begin with \"GGUF\""),
        ("v1.gguf", "version is 1"),
        ("m-00001-of-00002.gguf", "--merge"),
        ("model.bin", "pickle"),
        ("model.safetensors", "give the folder"),
        ("empty", "no weights"),
        ("pickles", "safe_serialization"),
        ("no-tokenizer", "tokenizer.json is missing"),
        ("empty-weights", "model.safetensors is empty"),
    ] {
        let error = registry.import(&at(path), &name("m"), &NoProgress).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(reason) && text.contains(path), "{path}: {text}");
    }
    assert!(registry.list().await.unwrap().is_empty() && blobs(&root).is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn links_may_stay_within_the_folder_only() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open_local(&dir.path().join("models")).unwrap();
    let path = folder(&dir.path().join("one"), 1);
    fs::rename(path.join("config.json"), path.join("real.json")).unwrap();
    symlink("real.json", path.join("config.json")).unwrap();
    registry.import(&path, &name("inside"), &NoProgress).await.unwrap();

    fs::write(dir.path().join("secret"), "secret").unwrap();
    fs::remove_file(path.join("config.json")).unwrap();
    symlink("../secret", path.join("config.json")).unwrap();
    let error = registry.import(&path, &name("outside"), &NoProgress).await.unwrap_err();
    assert!(error.to_string().contains("outside the folder"), "{error}");

    fs::remove_file(path.join("config.json")).unwrap();
    symlink("/dev/zero", path.join("config.json")).unwrap();
    assert!(registry.import(&path, &name("device"), &NoProgress).await.is_err());
    let error = registry.import(Path::new("/dev/zero"), &name("d"), &NoProgress).await;
    assert!(error.unwrap_err().to_string().contains("neither a file nor a folder"));
}

#[tokio::test]
async fn an_unknown_model_brings_names_that_are_like_it() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open_local(&dir.path().join("models")).unwrap();
    let path = gguf(dir.path(), "m.gguf", "abc");
    for stored in ["smollm2-135m", "mistral-7b"] {
        registry.import(&path, &name(stored), &NoProgress).await.unwrap();
    }
    let error = registry.get(&name("SmolLM-135")).await.unwrap_err();
    let RegistryError::NotFound { near, .. } = &error else { panic!("{error}") };
    assert_eq!(near, &[name("smollm2-135m")]);
    assert!(error.to_string().contains("did you mean smollm2-135m?"), "{error}");
    let error = registry.remove(&name("zzz")).await.unwrap_err();
    assert!(error.to_string().contains("zzz"), "{error}");
}

#[tokio::test]
async fn damage_is_named_and_costs_no_other_model_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("models");
    let registry = Registry::open_local(&root).unwrap();
    for (model, content) in [("good", "good"), ("bad", "bad"), ("gone", "gone")] {
        let path = gguf(dir.path(), "m.gguf", content);
        registry.import(&path, &name(model), &NoProgress).await.unwrap();
    }
    fs::write(root.join("manifests/bad.json"), "{\"schema\":1").unwrap();
    assert_eq!(registry.list().await.unwrap().len(), 2);
    let error = registry.get(&name("bad")).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Damaged { name, .. } if name == "bad"), "{error}");
    // Whose files the unreadable manifest needs is unknown: none is deleted.
    assert_eq!(registry.remove(&name("gone")).await.unwrap().0, 0);
    assert_eq!(blobs(&root).len(), 3);
    registry.remove(&name("bad")).await.unwrap();
    assert_eq!(blobs(&root).len(), 1);

    let good = registry.get(&name("good")).await.unwrap();
    fs::write(&registry.files(&good).await.unwrap()["model.gguf"], "short").unwrap();
    let error = registry.files(&good).await.unwrap_err();
    assert!(error.to_string().contains("model.gguf has 5 bytes instead of 12"), "{error}");
    let path = gguf(dir.path(), "m.gguf", "good");
    let mended = registry.import(&path, &name("good"), &NoProgress).await.unwrap();
    assert_eq!(registry.files(&mended).await.unwrap().len(), 1);
}

/// Two handles stand for two processes: file locks are held by open file, not by process.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_removal_never_takes_what_an_import_beside_it_refers_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = folder(&dir.path().join("shared"), 2);
    let root = dir.path().join("models");
    let tasks: Vec<_> = ["a", "b", "c"]
        .map(|model| {
            let (root, path) = (root.clone(), path.clone());
            tokio::spawn(async move {
                let registry = Registry::open_local(&root).unwrap();
                for _ in 0..15 {
                    match registry.import(&path, &name(model), &NoProgress).await {
                        Ok(manifest) => {
                            assert_eq!(registry.files(&manifest).await.unwrap().len(), 5);
                            registry.remove(&name(model)).await.unwrap();
                        }
                        // Out of patience with the others is allowed; a broken model is not.
                        Err(error) => {
                            assert!(matches!(error, RegistryError::Busy { .. }), "{error}")
                        }
                    }
                }
            })
        })
        .into_iter()
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(blobs(&root).is_empty());
}

/// Removes a model, as another process would, when it hears that stored content is counted on.
struct RemovesMeanwhile {
    root: PathBuf,
    victim: Mutex<Option<ModelName>>,
}

impl Progress for RemovesMeanwhile {
    fn start(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
    fn reused(&self, _what: &str, _bytes: u64) {
        let Some(victim) = self.victim.lock().unwrap().take() else { return };
        let root = self.root.clone();
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(Registry::open_local(&root).unwrap().remove(&victim)).unwrap();
        });
        removal.join().unwrap();
    }
}

#[tokio::test]
async fn content_that_was_counted_on_and_removed_meanwhile_is_copied_after_all() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("models");
    let registry = Registry::open_local(&root).unwrap();
    let path = folder(&dir.path().join("one"), 1);
    registry.import(&path, &name("old"), &NoProgress).await.unwrap();
    let progress = RemovesMeanwhile { root, victim: Mutex::new(Some(name("old"))) };
    let manifest = registry.import(&path, &name("new"), &progress).await.unwrap();
    assert_eq!(registry.list().await.unwrap(), std::slice::from_ref(&manifest));
    assert_eq!(registry.files(&manifest).await.unwrap().len(), 3);
}
