//! Models that are made on the registry's own disk.

use std::fs;
use std::path::Path;

use model_registry::{ModelName, NoProgress, Registry, Workspace};

fn make(workspace: &Workspace) {
    for (name, content) in
        [("config.json", "{}"), ("tokenizer.json", "{\"t\":1}"), ("model.safetensors", "weights")]
    {
        fs::write(workspace.dir().join(name), content).unwrap();
    }
}

fn staged(root: &Path) -> usize {
    fs::read_dir(root.join("staging")).unwrap().count()
}

#[tokio::test]
async fn what_is_made_is_imported_with_its_origin_and_nothing_is_left() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::open_local(root.path()).unwrap();
    let name: ModelName = "made".parse().unwrap();
    let workspace = registry.workspace().await.unwrap();
    assert_eq!(fs::read_dir(workspace.dir()).unwrap().count(), 0);
    // Others leave it alone while it is in use.
    Registry::open_local(root.path()).unwrap();
    make(&workspace);
    let origin = || (&name, "model:m@0".to_owned());
    let manifest = registry.import_made(&workspace, origin(), &NoProgress).await.unwrap();
    assert_eq!(manifest.source, "model:m@0");
    // Linked: what is done to the files that it was made of does not reach what is stored.
    fs::remove_file(workspace.dir().join("model.safetensors")).unwrap();
    workspace.close().await.unwrap();
    let files = registry.files(&manifest).await.unwrap();
    assert_eq!(fs::read(&files["model.safetensors"]).unwrap(), b"weights");
    assert_eq!(files.len(), 3);
    assert_eq!(staged(root.path()), 0);

    // The same once more is the same model, and stored once.
    let workspace = registry.workspace().await.unwrap();
    make(&workspace);
    let again = registry.import_made(&workspace, origin(), &NoProgress).await.unwrap();
    assert_eq!(again, manifest);
    workspace.close().await.unwrap();
}

#[tokio::test]
async fn what_nobody_owns_any_more_is_deleted() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::open_local(root.path()).unwrap();
    let workspace = registry.workspace().await.unwrap();
    make(&workspace);
    drop(workspace);
    assert_eq!(staged(root.path()), 1);
    Registry::open_local(root.path()).unwrap();
    assert_eq!(staged(root.path()), 0);
}
