//! A small stand-in for the Hugging Face hub, on loopback.
//!
//! It answers as the real one does: `blobs=true` model information, `resolve` with a redirect of
//! large files to another host, `X-Repo-Commit`, `X-Linked-*`, `ETag`, ranges, `X-Error-Code`. And
//! it can be told to misbehave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use axum::http::{HeaderMap, Response, StatusCode};
use futures_util::stream::{self, StreamExt};
use model_registry::{HubOptions, HubToken};
use serde_json::json;
use sha2::{Digest, Sha256};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// One request that came, and what it was told.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) bytes_sent: usize,
}

/// What the hub holds and how it misbehaves.
#[derive(Default)]
pub(crate) struct Behaviour {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Answers of weights that end after so many bytes, one entry an answer.
    pub(crate) cuts: Vec<usize>,
    /// A cut answer does not end: its connection stays open and brings nothing more.
    pub(crate) stalls: bool,
    /// Statuses to answer requests for weights with, before any file.
    pub(crate) failures: Vec<u16>,
    pub(crate) wanted_token: Option<&'static str>,
    pub(crate) ignores_ranges: bool,
    /// Announce this hash of all weights.
    pub(crate) false_sha256: Option<String>,
    /// Announce sizes that are wrong by so much.
    pub(crate) size_error: i64,
    /// Answer the information route with this.
    pub(crate) info: Option<Bytes>,
    pub(crate) asked: Vec<Asked>,
}

/// The stand-in; it ends with the test's runtime.
pub(crate) struct Hub {
    behaviour: Arc<Mutex<Behaviour>>,
    pub(crate) endpoint: String,
    /// Where large files are redirected to: another port, so another host for a client.
    cdn: String,
}

impl Hub {
    pub(crate) async fn start(files: &[(&str, &[u8])]) -> Arc<Hub> {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
        let behaviour = Behaviour { files: files.collect(), ..Behaviour::default() };
        let (main, main_url) = listen().await;
        let (other, cdn) = listen().await;
        let behaviour = Arc::new(Mutex::new(behaviour));
        let hub = Arc::new(Hub { behaviour, endpoint: main_url, cdn });
        for listener in [main, other] {
            let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&hub));
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        hub
    }

    pub(crate) fn set(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap()
    }

    pub(crate) fn options(&self, token: Option<&str>) -> HubOptions {
        HubOptions {
            endpoint: self.endpoint.clone(),
            token: token.map(HubToken::new),
            retry_delay: Duration::from_millis(1),
            ..HubOptions::default()
        }
    }

    /// The requests for paths that end so and were answered with bytes.
    pub(crate) fn sent(&self, end: &str) -> Vec<Asked> {
        let asked = self.set().asked.clone();
        asked.into_iter().filter(|a| a.path.ends_with(end) && a.bytes_sent > 0).collect()
    }
}

async fn listen() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn answer(State(hub): State<Arc<Hub>>, request: Request) -> Response<Body> {
    let (path, headers) = (request.uri().path().to_owned(), request.headers());
    let header = |name| headers.get(name).map(|v: &axum::http::HeaderValue| v.to_str().unwrap());
    let mut hub_state = hub.set();
    hub_state.asked.push(Asked {
        path: path.clone(),
        range: header(RANGE).map(str::to_owned),
        authorization: header(AUTHORIZATION).map(str::to_owned),
        bytes_sent: 0,
    });
    let from_cdn = path.starts_with("/cdn/");
    if let (Some(wanted), false) = (hub_state.wanted_token, from_cdn)
        && header(AUTHORIZATION) != Some(&format!("Bearer {wanted}"))
    {
        return error(StatusCode::UNAUTHORIZED, "RepoNotFound");
    }
    if let Some(rest) = path.strip_prefix("/api/models/org/repo/revision/") {
        return match rest {
            "main" | "refs%2Fpr%2F1" | COMMIT => information(&hub_state),
            _ => error(StatusCode::NOT_FOUND, "RevisionNotFound"),
        };
    }
    let resolve = format!("/org/repo/resolve/{COMMIT}/");
    if let Some(name) = path.strip_prefix(&resolve).filter(|name| hub_state.is_large(name)) {
        let location = format!("{}/cdn/{name}", hub.cdn);
        let builder = Response::builder().status(StatusCode::FOUND).header("location", location);
        return builder.header("x-repo-commit", COMMIT).body(Body::empty()).unwrap();
    }
    match path.strip_prefix("/cdn/").or(path.strip_prefix(&resolve)) {
        Some(name) => file(&mut hub_state, name, headers),
        None => error(StatusCode::NOT_FOUND, "RepoNotFound"),
    }
}

impl Behaviour {
    fn is_large(&self, name: &str) -> bool {
        name.ends_with(".safetensors") || name.ends_with(".gguf")
    }
}

fn error(status: StatusCode, code: &str) -> Response<Body> {
    Response::builder().status(status).header("x-error-code", code).body(Body::empty()).unwrap()
}

fn information(hub: &Behaviour) -> Response<Body> {
    if let Some(info) = &hub.info {
        return Response::new(Body::from(info.clone()));
    }
    let siblings = hub.files.iter().map(|(name, bytes)| {
        let size = bytes.len() as i64 + hub.size_error;
        let mut sibling = json!({"rfilename": name, "blobId": "b", "size": size});
        if hub.is_large(name) {
            let sha256 = hub.false_sha256.clone();
            let sha256 = sha256.unwrap_or_else(|| format!("{:x}", Sha256::digest(bytes)));
            sibling["lfs"] = json!({"sha256": sha256, "size": size, "pointerSize": 134});
        }
        sibling
    });
    let info = json!({"id": "org/repo", "sha": COMMIT, "private": false,
        "siblings": siblings.collect::<Vec<_>>()});
    Response::new(Body::from(info.to_string()))
}

fn file(hub: &mut Behaviour, name: &str, headers: &HeaderMap) -> Response<Body> {
    let Some(bytes) = hub.files.get(name).cloned() else {
        return error(StatusCode::NOT_FOUND, "EntryNotFound");
    };
    if hub.is_large(name) && !hub.failures.is_empty() {
        return error(StatusCode::from_u16(hub.failures.remove(0)).unwrap(), "Failure");
    }
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    let from: usize = from.filter(|_| !hub.ignores_ranges).map_or(0, |from| from.parse().unwrap());
    if from >= bytes.len() {
        return error(StatusCode::RANGE_NOT_SATISFIABLE, "Range");
    }
    let rest = bytes[from..].to_vec();
    let mut builder = Response::builder()
        .header("etag", "\"e\"")
        .header("x-repo-commit", COMMIT)
        .header("x-linked-size", bytes.len())
        .header(CONTENT_LENGTH, rest.len());
    if !hub.ignores_ranges {
        builder = builder.header(ACCEPT_RANGES, "bytes");
    }
    if from > 0 {
        let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
        builder = builder.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range);
    }
    let cut = (hub.is_large(name) && !hub.cuts.is_empty()).then(|| hub.cuts.remove(0));
    let sent = cut.unwrap_or(rest.len()).min(rest.len());
    hub.asked.last_mut().unwrap().bytes_sent = sent;
    builder.body(body(rest, cut, hub.stalls)).unwrap()
}

/// The whole, or its beginning and then a broken connection, or a silent one.
fn body(bytes: Vec<u8>, cut: Option<usize>, stalls: bool) -> Body {
    let Some(cut) = cut else { return Body::from(bytes) };
    let beginning = Bytes::copy_from_slice(&bytes[..cut.min(bytes.len())]);
    let first = stream::iter([Ok(beginning)]);
    let broken = stream::once(async move {
        if stalls {
            std::future::pending::<()>().await;
        }
        // Let what was sent get out before the connection breaks.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::other("cut"))
    });
    Body::from_stream(first.chain(broken))
}
