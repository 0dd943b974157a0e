//! Pulling from a hub: what is fetched, how a cut download goes on, what is refused.

mod room;
mod server;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model_registry::{
    Format, HubOptions, HubSource, Manifest, ModelName, NoProgress, Progress, Registry,
    RegistryError,
};
use server::{COMMIT, Hub};

const WEIGHTS: &str = "model.safetensors";

fn name() -> ModelName {
    "m".parse().unwrap()
}

/// Bytes that differ everywhere, so that a piece put in the wrong place shows.
fn weights() -> Vec<u8> {
    (0..1_000_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

async fn hub_with_weights() -> Arc<Hub> {
    let files: [(&str, &[u8]); 5] = [
        ("config.json", b"{}"),
        ("tokenizer.json", b"{\"t\":1}"),
        (WEIGHTS, &weights()),
        ("README.md", b"read me"),
        ("pytorch_model.bin", b"pickle"),
    ];
    Hub::start(&files).await
}

/// Counts the bytes of all files.
#[derive(Default)]
struct Seen {
    bytes: AtomicU64,
}

impl Progress for Seen {
    fn start(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    fn finish(&self) {}
}

struct Place {
    dir: tempfile::TempDir,
    hub: Arc<Hub>,
}

impl Place {
    fn new(hub: Arc<Hub>) -> Place {
        Place { dir: tempfile::tempdir().unwrap(), hub }
    }

    fn registry(&self) -> Registry {
        Registry::open_local(&self.dir.path().join("models")).unwrap()
    }

    async fn pull(&self, source: &str, token: Option<&str>) -> Result<Manifest, RegistryError> {
        let source: HubSource = source.parse().unwrap();
        let options = self.hub.options(token);
        self.registry().pull(&source, &name(), &options, &NoProgress).await
    }

    async fn pull_error(&self, source: &str) -> String {
        self.pull(source, None).await.unwrap_err().to_string()
    }

    async fn stored(&self, manifest: &Manifest, file: &str) -> Vec<u8> {
        fs::read(&self.registry().files(manifest).await.unwrap()[file]).unwrap()
    }

    fn is_staging_empty(&self) -> bool {
        let staging: &Path = &self.dir.path().join("models/staging");
        fs::read_dir(staging).unwrap().next().is_none()
    }
}

#[tokio::test]
async fn a_pull_fetches_the_model_and_keeps_the_token_from_other_hosts() {
    let place = Place::new(hub_with_weights().await);
    place.hub.set().wanted_token = Some("hf_secret");
    let manifest = place.pull("hf:org/repo@refs/pr/1", Some("hf_secret")).await.unwrap();
    assert_eq!(manifest.source, format!("hf:org/repo@{COMMIT}"));
    assert_eq!((manifest.format, manifest.files.len()), (Format::SafeTensors, 3));
    assert_eq!(place.stored(&manifest, WEIGHTS).await, weights());
    assert!(place.is_staging_empty());

    let asked = place.hub.set().asked.clone();
    assert!(asked.iter().all(|a| !a.path.contains("README") && !a.path.ends_with(".bin")));
    for request in asked {
        let token = (!request.path.starts_with("/cdn/")).then(|| "Bearer hf_secret".to_owned());
        assert_eq!(request.authorization, token, "{}", request.path);
    }
    // Pulled again, the large file is known to be stored.
    let again = place.pull("hf:org/repo", Some("hf_secret")).await.unwrap();
    assert_eq!(again, manifest);
    assert_eq!(place.hub.sent(WEIGHTS).len(), 1);
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_was() {
    let place = Place::new(hub_with_weights().await);
    place.hub.set().cuts = vec![1_500_000, 1_000_000];
    let manifest = place.pull("hf:org/repo", None).await.unwrap();
    assert_eq!(place.stored(&manifest, WEIGHTS).await, weights());
    let sent = place.hub.sent(WEIGHTS);
    let ranges: Vec<Option<&str>> = sent.iter().map(|a| a.range.as_deref()).collect();
    assert_eq!(ranges, [None, Some("bytes=1500000-"), Some("bytes=2500000-")]);
    let total: usize = sent.iter().map(|a| a.bytes_sent).sum();
    assert_eq!(total, weights().len(), "a byte was sent twice");
}

#[tokio::test]
async fn a_pull_that_gave_up_is_taken_up_by_the_next_process() {
    let place = Place::new(hub_with_weights().await);
    place.hub.set().cuts = vec![3_000_000, 0, 0, 0, 0, 0];
    let error = place.pull_error("hf:org/repo").await;
    assert!(error.contains(WEIGHTS) && error.contains("3000000 of 4000000 bytes"), "{error}");
    assert!(place.registry().list().await.unwrap().is_empty());
    assert!(!place.is_staging_empty());

    place.hub.set().asked.clear();
    let manifest = place.pull("hf:org/repo", None).await.unwrap();
    assert_eq!(place.stored(&manifest, WEIGHTS).await, weights());
    let sent = place.hub.sent(WEIGHTS);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].range.as_deref(), Some("bytes=3000000-"));
    assert!(place.hub.sent("config.json").is_empty(), "a whole file was fetched again");
    assert!(place.is_staging_empty());
}

#[tokio::test]
async fn a_silent_connection_counts_as_cut() {
    let place = Place::new(hub_with_weights().await);
    place.hub.set().cuts = vec![2_000_000];
    place.hub.set().stalls = true;
    let stall_timeout = Duration::from_millis(200);
    let options = HubOptions { stall_timeout, ..place.hub.options(None) };
    let source = "hf:org/repo".parse().unwrap();
    let pulled = place.registry().pull(&source, &name(), &options, &NoProgress).await;
    assert_eq!(place.stored(&pulled.unwrap(), WEIGHTS).await, weights());
    assert_eq!(place.hub.sent(WEIGHTS)[1].range.as_deref(), Some("bytes=2000000-"));
}

#[tokio::test]
async fn a_dropped_pull_lets_go_and_is_taken_up_again() {
    let place = Place::new(hub_with_weights().await);
    place.hub.set().cuts = vec![2_000_000];
    place.hub.set().stalls = true;
    let (registry, options) = (place.registry(), place.hub.options(None));
    let source: HubSource = "hf:org/repo".parse().unwrap();
    let seen = Arc::new(Seen::default());
    let first = tokio::spawn({
        let (source, options, seen) = (source.clone(), options.clone(), Arc::clone(&seen));
        let registry = registry.clone();
        async move { registry.pull(&source, &name(), &options, &*seen).await }
    });
    while seen.bytes.load(Ordering::Relaxed) < 2_000_000 {
        tokio::task::yield_now().await;
    }
    let busy = registry.pull(&source, &name(), &options, &NoProgress).await.unwrap_err();
    assert!(matches!(busy, RegistryError::Busy { .. }), "{busy}");
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let manifest = registry.pull(&source, &name(), &options, &NoProgress).await.unwrap();
    assert_eq!(place.stored(&manifest, WEIGHTS).await, weights());
    assert!(place.hub.sent(WEIGHTS)[1].range.is_some());
}

#[tokio::test]
async fn failures_that_pass_are_waited_out_and_a_hub_without_ranges_works() {
    let place = Place::new(hub_with_weights().await);
    place.hub.set().failures = vec![503, 429, 500];
    place.hub.set().cuts = vec![1_000_000];
    place.hub.set().ignores_ranges = true;
    let manifest = place.pull("hf:org/repo", None).await.unwrap();
    assert_eq!(place.stored(&manifest, WEIGHTS).await, weights());
}

#[tokio::test]
async fn content_that_is_not_what_was_announced_is_refused() {
    let place = Place::new(hub_with_weights().await);
    place.hub.set().false_sha256 = Some("ab".repeat(32));
    let error = place.pull_error("hf:org/repo").await;
    assert!(error.contains("wrong content") && error.contains(WEIGHTS), "{error}");
    place.hub.set().false_sha256 = Some("AB".to_owned());
    assert!(place.pull_error("hf:org/repo").await.contains("malformed"));
    place.hub.set().false_sha256 = None;
    for size_error in [-1, 1] {
        place.hub.set().size_error = size_error;
        let error = place.pull_error("hf:org/repo").await;
        assert!(error.contains("announced"), "{error}");
    }
    assert!(place.registry().list().await.unwrap().is_empty());
    // Nothing of the wrong content is gone on with.
    place.hub.set().size_error = 0;
    let manifest = place.pull("hf:org/repo", None).await.unwrap();
    assert_eq!(place.stored(&manifest, WEIGHTS).await, weights());
}

#[tokio::test]
async fn who_is_not_let_in_learns_why() {
    let place = Place::new(hub_with_weights().await);
    let error = place.pull_error("hf:org/other").await;
    assert!(error.contains("org/other was not found"), "{error}");
    let error = place.pull_error("hf:org/repo@v9").await;
    assert!(error.contains("\"v9\""), "{error}");
    place.hub.set().wanted_token = Some("hf_right");
    let error = place.pull_error("hf:org/repo").await;
    assert!(error.contains("401") && error.contains("set HF_TOKEN"), "{error}");
    let error = place.pull("hf:org/repo", Some("hf_wrong")).await.unwrap_err();
    assert!(error.to_string().contains("may not read it"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hf_wrong"));

    let options =
        HubOptions { endpoint: "http://127.0.0.1:1".to_owned(), ..place.hub.options(None) };
    let source = "hf:org/repo".parse().unwrap();
    let error = place.registry().pull(&source, &name(), &options, &NoProgress).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1") && error.contains("refused"), "{error}");
    for endpoint in ["file:///etc", "hub", "http://user:secret@127.0.0.1:1"] {
        let options = HubOptions { endpoint: endpoint.to_owned(), ..options.clone() };
        let error = place.registry().pull(&source, &name(), &options, &NoProgress).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("HF_ENDPOINT") && !error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_gguf_is_the_only_one_or_the_one_named() {
    let gguf = |tail: &[u8]| [b"GGUF\x03\0\0\0", tail].concat();
    let (q4, q8) = (gguf(b"four"), gguf(b"eight"));
    let hub = Hub::start(&[("q/m-Q4_0.gguf", &q4), ("README.md", b"x")]).await;
    let place = Place::new(hub);
    let manifest = place.pull("hf:org/repo", None).await.unwrap();
    assert_eq!(manifest.format, Format::Gguf);
    assert_eq!(place.stored(&manifest, "model.gguf").await, q4);

    place.hub.set().files.insert("m-Q8_0.gguf".to_owned(), q8.clone());
    let error = place.pull_error("hf:org/repo").await;
    assert!(error.contains("m-Q8_0.gguf, q/m-Q4_0.gguf"), "{error}");
    let error = place.pull_error("hf:org/repo:m-Q2_K.gguf").await;
    assert!(error.contains("it has no m-Q2_K.gguf"), "{error}");
    let manifest = place.pull("hf:org/repo:m-Q8_0.gguf", None).await.unwrap();
    assert_eq!(place.stored(&manifest, "model.gguf").await, q8);
    assert_eq!(manifest.source, format!("hf:org/repo:m-Q8_0.gguf@{COMMIT}"));

    place.hub.set().files.insert("bad.gguf".to_owned(), b"not a GGUF file".to_vec());
    let error = place.pull_error("hf:org/repo:bad.gguf").await;
    assert!(error.contains("bad.gguf: it is no GGUF file"), "{error}");
}

#[tokio::test]
async fn an_unusable_repository_is_refused_before_its_weights_come() {
    let index = br#"{"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}}"#;
    let files: [(&str, &[u8]); 4] = [
        ("config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("model.safetensors.index.json", index),
        ("s1.safetensors", b"one"),
    ];
    let place = Place::new(Hub::start(&files).await);
    let error = place.pull_error("hf:org/repo").await;
    assert!(error.contains("s2.safetensors is missing"), "{error}");
    assert!(place.hub.sent("s1.safetensors").is_empty());

    place.hub.set().files.insert("s2.safetensors".to_owned(), b"two".to_vec());
    let manifest = place.pull("hf:org/repo", None).await.unwrap();
    assert_eq!(place.stored(&manifest, "s2.safetensors").await, b"two");
    assert_eq!(manifest.files.len(), 5);

    place.hub.set().files = [("pytorch_model.bin".to_owned(), b"pickle".to_vec())].into();
    assert!(place.pull_error("hf:org/repo").await.contains("pickle"));
    for info in ["", "[]", "{\"sha\":\"../x\",\"siblings\":[]}", &"[".repeat(1_000_000)] {
        place.hub.set().info = Some(info.to_owned().into());
        let error = place.pull_error("hf:org/repo").await;
        assert!(error.contains("file list"), "{error}");
    }
    place.hub.set().info = Some(vec![b' '; 17 << 20].into());
    assert!(place.pull_error("hf:org/repo").await.contains("longer than"));
}
