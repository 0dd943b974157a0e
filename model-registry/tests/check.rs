//! A model that cannot be run is not stored, and does not replace one that can.

use std::{fs, sync::Arc};

use model_registry::{ModelName, NoProgress, Registry, RegistryError};

#[tokio::test]
async fn what_the_check_refuses_leaves_the_registry_as_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("m.gguf");
    let gguf = |tail: &str| [b"GGUF\x03\0\0\0", tail.as_bytes()].concat();
    let registry = Registry::open_local(&dir.path().join("models")).expect("opens");
    let registry = registry.with_check(Arc::new(|files| {
        let bytes = fs::read(&files["model.gguf"]).map_err(|error| error.to_string())?;
        if bytes.ends_with(b"bad") { Err("it is bad".to_owned()) } else { Ok(()) }
    }));
    let name: ModelName = "m".parse().expect("a name");

    fs::write(&file, gguf("good")).expect("writes");
    let good = registry.import(&file, &name, &NoProgress).await.expect("it is good");
    fs::write(&file, gguf("bad")).expect("writes");
    let refused = registry.import(&file, &name, &NoProgress).await;
    assert!(matches!(&refused, Err(RegistryError::Unfit { reason, .. }) if reason == "it is bad"));
    assert_eq!(registry.get(&name).await.expect("still there").digest, good.digest);
    registry.files(&good).await.expect("its files are whole");
}
