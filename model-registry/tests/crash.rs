//! A process killed in the middle of imports leaves the old state or the new one.
//!
//! The test starts itself again as a child, which imports two versions of a model in turn, and
//! kills it (SIGKILL on Unix) at moments spread over the whole cycle.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use model_registry::{ModelName, NoProgress, Registry};

const CHILD_DIR: &str = "MODEL_REGISTRY_CRASH_TEST_DIR";
const TEST: &str = "a_killed_import_leaves_the_old_state_or_the_new_one";
const KILLS: u64 = 24;
const MAX_CHILD_IMPORTS: usize = 2_000;

#[tokio::test]
async fn a_killed_import_leaves_the_old_state_or_the_new_one() {
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        return import_in_turn(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let versions = write_versions(dir.path());
    let root = dir.path().join("models");
    let name: ModelName = "m".parse().unwrap();
    let mut seen = BTreeSet::new();
    for kill in 0..KILLS {
        kill_child_after(dir.path(), Duration::from_millis(20 + kill * 37 % 130));
        let registry = Registry::open_local(&root).unwrap();
        assert_eq!(
            fs::read_dir(root.join("staging")).unwrap().count(),
            0,
            "staging was not cleaned"
        );
        // None is the old state only as long as no import has ever finished.
        let Some(manifest) = registry.list().await.unwrap().pop() else {
            assert!(seen.is_empty(), "the model is gone");
            continue;
        };
        let files = registry.files(&manifest).await.unwrap();
        let matches = |version: &&PathBuf| {
            files
                .iter()
                .all(|(file, at)| fs::read(at).unwrap() == fs::read(version.join(file)).unwrap())
        };
        let version = versions.iter().find(matches).expect("the model is a mixture");
        seen.insert(version.clone());
    }
    assert!(!seen.is_empty(), "no import finished in any round");
    // What the crashes left behind is taken over or deleted by the next import.
    let registry = Registry::open_local(&root).unwrap();
    registry.import(&versions[0], &name, &NoProgress).await.unwrap();
    registry.remove(&name).await.unwrap();
    let left = fs::read_dir(root.join("blobs/sha256")).unwrap();
    assert_eq!(left.flat_map(|d| fs::read_dir(d.unwrap().path()).unwrap()).count(), 0);
}

/// The child: it never ends by itself before it has imported very often.
async fn import_in_turn(dir: &Path) {
    let registry = Registry::open_local(&dir.join("models")).unwrap();
    let name = "m".parse().unwrap();
    for idx in 0..MAX_CHILD_IMPORTS {
        let version = dir.join(format!("v{}", idx % 2));
        registry.import(&version, &name, &NoProgress).await.unwrap();
    }
}

fn write_versions(dir: &Path) -> Vec<PathBuf> {
    let versions = (0..2).map(|version| {
        let path = dir.join(format!("v{version}"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("config.json"), format!("{{\"version\":{version}}}")).unwrap();
        fs::write(path.join("tokenizer.json"), "{\"shared\":true}").unwrap();
        fs::write(path.join("model.safetensors"), vec![version as u8; 3 << 20]).unwrap();
        path
    });
    versions.collect()
}

fn kill_child_after(dir: &Path, delay: Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(delay);
    assert!(child.try_wait().unwrap().is_none(), "the child ended before it was killed");
    child.kill().unwrap();
    child.wait().unwrap();
}
