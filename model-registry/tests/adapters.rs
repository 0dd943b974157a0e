//! Adapters: import, list, get and remove beside their bases.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model_registry::{Manifest, ModelName, NoProgress, Registry, RegistryError};

fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

/// A registry with a base called `base`.
async fn registry(dir: &Path) -> (Registry, Manifest) {
    let registry = Registry::open_local(&dir.join("models")).unwrap();
    let base = import_base(&registry, dir, "one").await;
    (registry, base)
}

async fn import_base(registry: &Registry, dir: &Path, content: &str) -> Manifest {
    let path = dir.join("base.gguf");
    fs::write(&path, [&b"GGUF\x03\0\0\0"[..], content.as_bytes()].concat()).unwrap();
    registry.import(&path, &name("base"), &NoProgress).await.unwrap()
}

fn adapter(dir: &Path, weights: &str) -> PathBuf {
    let folder = dir.join("adapter");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("adapter_config.json"), "{}").unwrap();
    fs::write(folder.join("adapter_model.safetensors"), weights).unwrap();
    fs::write(folder.join("README.md"), "read me").unwrap();
    folder
}

#[tokio::test]
async fn an_adapter_is_imported_found_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, base) = registry(dir.path()).await;
    let name = base.name.with_adapter("law").unwrap();
    assert_eq!(registry.adapter_blocking(&name).unwrap(), None);
    assert_eq!(registry.adapters_blocking().unwrap(), []);
    let path = adapter(dir.path(), "weights");
    let stored = registry.import_adapter(&path, (&name, &base), &NoProgress).await.unwrap();
    let of = stored.adapter_of.as_ref().unwrap();
    assert_eq!((&of.name, &of.digest), (&base.name, &base.digest));
    let files: Vec<_> = stored.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(files, ["adapter_config.json", "adapter_model.safetensors"]);
    assert_eq!(registry.get(&name).await.unwrap(), stored);
    assert_eq!(registry.adapter_blocking(&name).unwrap(), Some(stored.clone()));
    assert_eq!(registry.adapters_blocking().unwrap(), std::slice::from_ref(&stored));
    assert_eq!(registry.adapter_blocking(&base.name).unwrap(), None);
    assert_eq!(registry.list().await.unwrap(), [base.clone(), stored.clone()]);
    let files = registry.files(&stored).await.unwrap();
    assert_eq!(fs::read(&files["adapter_model.safetensors"]).unwrap(), b"weights");

    // The base stays as long as it has adapters.
    let error = registry.remove(&base.name).await.unwrap_err();
    let RegistryError::HasAdapters { adapters, .. } = &error else { panic!("{error}") };
    assert_eq!(adapters[..], *std::slice::from_ref(&name));
    assert!(error.to_string().contains("base:law"), "{error}");
    registry.remove(&name).await.unwrap();
    assert_eq!(registry.adapter_blocking(&name).unwrap(), None);
    registry.remove(&base.name).await.unwrap();
    assert_eq!(registry.list().await.unwrap(), []);
}

#[tokio::test]
async fn an_adapter_says_which_version_of_its_base_it_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, base) = registry(dir.path()).await;
    let name = base.name.with_adapter("law").unwrap();
    let path = adapter(dir.path(), "weights");
    registry.import_adapter(&path, (&name, &base), &NoProgress).await.unwrap();
    let other = import_base(&registry, dir.path(), "two").await;
    let stored = registry.adapter_blocking(&name).unwrap().unwrap();
    assert_eq!(stored.adapter_of.unwrap().digest, base.digest);
    // Imported again, it is for the new one, though its files are the same.
    let again = registry.import_adapter(&path, (&name, &other), &NoProgress).await.unwrap();
    assert_eq!(again.digest, stored.digest);
    assert_eq!(again.adapter_of.unwrap().digest, other.digest);
}

#[tokio::test]
async fn what_is_no_adapter_or_no_name_of_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, base) = registry(dir.path()).await;
    let good = base.name.with_adapter("law").unwrap();
    let path = adapter(dir.path(), "weights");
    let refused = |result: Result<Manifest, RegistryError>, expect: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expect), "{expect}: {error}");
    };
    for wrong in ["base", "other:law"] {
        let result = registry.import_adapter(&path, (&name(wrong), &base), &NoProgress).await;
        refused(result, "name of an adapter");
    }
    refused(registry.import(&path, &name("x"), &NoProgress).await, "--base");
    refused(registry.import(&dir.path().join("base.gguf"), &good, &NoProgress).await, "--base");
    let file = path.join("adapter_model.safetensors");
    let result = registry.import_adapter(&file, (&good, &base), &NoProgress).await;
    refused(result, "give the folder");
    fs::rename(&file, path.join("adapter_model.bin")).unwrap();
    refused(registry.import_adapter(&path, (&good, &base), &NoProgress).await, "pickle");
    fs::remove_file(path.join("adapter_model.bin")).unwrap();
    refused(registry.import_adapter(&path, (&good, &base), &NoProgress).await, "is missing");

    let path = adapter(dir.path(), "weights");
    let checked = registry.clone().with_check(Arc::new(|_: &_| Err("field \"r\"".to_owned())));
    let result = checked.import_adapter(&path, (&good, &base), &NoProgress).await;
    refused(result, "field \"r\"");
    assert_eq!(registry.adapters_blocking().unwrap(), []);
}

#[tokio::test]
async fn a_damaged_manifest_is_told_and_left_out_of_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, base) = registry(dir.path()).await;
    let names = ["a", "b"].map(|adapter| base.name.with_adapter(adapter).unwrap());
    let path = adapter(dir.path(), "weights");
    for name in &names {
        registry.import_adapter(&path, (name, &base), &NoProgress).await.unwrap();
    }
    fs::write(dir.path().join("models/manifests/base@a.json"), "{").unwrap();
    let error = registry.adapter_blocking(&names[0]).unwrap_err();
    assert!(matches!(error, RegistryError::Damaged { .. }), "{error}");
    let left: Vec<_> = registry.adapters_blocking().unwrap();
    assert_eq!(left.iter().map(|manifest| &manifest.name).collect::<Vec<_>>(), [&names[1]]);
}
