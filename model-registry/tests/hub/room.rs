//! What the disk has no room for, as far as the hub tells sizes.
#![cfg(unix)]

use model_registry::RegistryError;
use serde_json::json;

use super::{
    Place,
    server::{COMMIT, Hub},
};

#[tokio::test]
async fn what_does_not_fit_is_refused_before_it_is_fetched() {
    const EACH: u64 = 4 << 40;
    let shards: Vec<String> = (0..64).map(|i| format!("s{i}.safetensors")).collect();
    let entries: Vec<String> = shards.iter().map(|name| format!("\"{name}\":\"{name}\"")).collect();
    let index = format!("{{\"weight_map\":{{{}}}}}", entries.join(","));
    let files: [(&str, &[u8]); 3] = [
        ("config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("model.safetensors.index.json", index.as_bytes()),
    ];
    let place = Place::new(Hub::start(&files).await);
    let mut siblings: Vec<_> = files.iter().map(|(name, _)| json!({"rfilename": name})).collect();
    siblings.extend(shards.iter().map(|name| json!({"rfilename": name, "size": EACH})));
    let info = json!({"sha": COMMIT, "siblings": siblings});
    place.hub.set().info = Some(info.to_string().into());
    let error = place.pull("hf:org/repo", None).await.unwrap_err();
    // Nobody has told the sizes of the others.
    let RegistryError::NoRoom { needed, .. } = error else { panic!("{error}") };
    assert_eq!(needed, 64 * EACH);
    assert!(place.hub.sent(".safetensors").is_empty() && place.hub.sent("config.json").is_empty());
}
