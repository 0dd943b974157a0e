//! The two requests of the hub's API that a pull needs: what is in a repository, and a file.
//!
//! It follows <https://huggingface.co/docs/hub/api>: `/api/models/ORG/REPO/revision/REV` and
//! `/ORG/REPO/resolve/COMMIT/FILE`. Invariant: the token goes to the endpoint's host only (reqwest
//! drops it on a redirect elsewhere), and never from https to http.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue, RANGE};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;

use super::{HubOptions, HubSource, is_safe_path};
use crate::error::HubError;
use crate::limits::{MAX_IDLE_REQUESTS, MAX_INFO_BYTES, MAX_LISTED_FILES};
use crate::manifest::is_sha256;

const USER_AGENT: &str = concat!("agentbase/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A hub.
#[derive(Debug)]
pub(crate) struct HubClient {
    http: Client,
    endpoint: Url,
    token: Option<HeaderValue>,
    retry_delay: Duration,
}

/// A repository at one commit.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, RemoteFile>,
}

/// What the hub announced of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemoteFile {
    pub(crate) size: Option<u64>,
    /// Known of large files only.
    pub(crate) sha256: Option<String>,
}

/// A request failed: for good, or in a way that may pass.
#[derive(Debug)]
pub(crate) enum Failure {
    Final(HubError),
    MayPass(String),
}

impl HubClient {
    pub(crate) fn new(options: &HubOptions) -> Result<HubClient, HubError> {
        let wrong = |what: &str| HubError::Options(format!("{what} (HF_ENDPOINT)"));
        let endpoint = Url::parse(&options.endpoint)
            .map_err(|e| wrong(&format!("{:?} is no address of a hub: {e}", options.endpoint)))?;
        if !matches!(endpoint.scheme(), "http" | "https") || endpoint.cannot_be_a_base() {
            return Err(wrong(&format!("{:?} is no http address", options.endpoint)));
        }
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            // It would be printed with every error.
            return Err(wrong("the hub's address may hold no user name and no password"));
        }
        let token = options.token.as_ref().map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.secret()))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let token = token.transpose().map_err(|_: reqwest::header::InvalidHeaderValue| {
            HubError::Options("the hub's token (HF_TOKEN) has characters no token has".to_owned())
        })?;
        let http = http_client(&endpoint, options.stall_timeout)?;
        Ok(HubClient { http, endpoint, token, retry_delay: options.retry_delay })
    }

    /// What a repository holds, with sizes and, of large files, hashes.
    pub(crate) async fn repository(&self, source: &HubSource) -> Result<Repository, HubError> {
        let HubSource { org, repo, revision, .. } = source;
        let mut url = self.url(&["api", "models", org, repo, "revision", revision]);
        url.set_query(Some("blobs=true"));
        let what = format!("the file list of {} from {}", source.repository(), self.endpoint);
        let mut reason = String::new();
        for attempt in 0..MAX_IDLE_REQUESTS {
            self.pause(attempt).await;
            match self.json(&url, source).await {
                Ok(body) => return read_repository(&body, what),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::MayPass(failure)) => reason = failure,
            }
        }
        Err(HubError::Cut { what, reason })
    }

    /// Asks for a file from byte `from` on. Its answer has status 200, 206 or 416.
    pub(crate) async fn file(
        &self,
        (source, commit): (&HubSource, &str),
        file: &str,
        from: u64,
    ) -> Result<Response, Failure> {
        let mut segments = vec![source.org(), source.repo(), "resolve", commit];
        segments.extend(file.split('/'));
        let range = (from > 0).then(|| format!("bytes={from}-"));
        self.get(&self.url(&segments), source, range).await
    }

    /// Waits before the next try; not at all before the first.
    pub(crate) async fn pause(&self, failed: u32) {
        if failed > 0 {
            tokio::time::sleep(self.retry_delay * 2u32.saturating_pow(failed.min(8) - 1)).await;
        }
    }

    async fn json(&self, url: &Url, source: &HubSource) -> Result<Vec<u8>, Failure> {
        let mut response = self.get(url, source, None).await?;
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|e| may_pass(&e))? {
            if body.len() + bytes.len() > MAX_INFO_BYTES {
                return Err(Failure::Final(HubError::Answer {
                    what: format!("the file list of {}", source.repository()),
                    reason: format!("it is longer than {MAX_INFO_BYTES} bytes"),
                }));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    async fn get(
        &self,
        url: &Url,
        source: &HubSource,
        range: Option<String>,
    ) -> Result<Response, Failure> {
        let mut request = self.http.get(url.clone());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        let response = request.send().await.map_err(|e| may_pass(&e))?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                Ok(response)
            }
            status => Err(self.failure(status, &response, source)),
        }
    }

    fn failure(&self, status: StatusCode, response: &Response, source: &HubSource) -> Failure {
        let (repo, endpoint) = (source.repository(), self.endpoint.to_string());
        let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok());
        Failure::Final(match status.as_u16() {
            404 => HubError::NotFound { repo, revision: source.revision().to_owned(), endpoint },
            status @ (401 | 403) => HubError::Denied {
                repo,
                endpoint,
                status,
                hint: match (code, &self.token) {
                    (Some("GatedRepo"), Some(_)) => {
                        "its owner wants you to accept the terms on its page with the account \
                         that HF_TOKEN belongs to"
                    }
                    (Some("GatedRepo"), None) => {
                        "its owner wants you to accept the terms on its page; do that, then set \
                         HF_TOKEN to a token of your account"
                    }
                    (_, Some(_)) => {
                        "it does not exist, or the account that HF_TOKEN belongs to may not read it"
                    }
                    (_, None) => {
                        "it does not exist, or is not public; if it is yours, set HF_TOKEN"
                    }
                },
            },
            408 | 429 | 500..=599 => {
                return Failure::MayPass(format!("the hub answered with status {status}"));
            }
            _ => HubError::Answer {
                what: format!("{repo} from {endpoint}"),
                reason: format!("the hub answered with status {status}"),
            },
        })
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        // Only an address without a path has no segments, and `new` refused those.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

/// `reqwest`, which has no TLS of its own here, with ring.
fn http_client(endpoint: &Url, stall_timeout: Duration) -> Result<Client, HubError> {
    // An error means that the program has chosen another provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let is_https = endpoint.scheme() == "https";
    let builder = || {
        Client::builder()
            .user_agent(USER_AGENT)
            .https_only(is_https)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(stall_timeout)
    };
    let client = match builder().build() {
        // A machine without root certificates can still use a plain http endpoint.
        Err(_) if !is_https => builder().tls_certs_only([]).build(),
        client => client,
    };
    client.map_err(|e| {
        let reason = innermost(&e);
        HubError::Options(format!("https cannot be used ({reason}); install ca-certificates"))
    })
}

pub(crate) fn may_pass(error: &reqwest::Error) -> Failure {
    Failure::MayPass(match error.is_timeout() {
        true => "nothing arrived for too long".to_owned(),
        false => innermost(error),
    })
}

/// The deepest cause says it best: "connection refused" rather than "error sending request".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn read_repository(body: &[u8], what: String) -> Result<Repository, HubError> {
    #[derive(Deserialize)]
    struct Info {
        sha: String,
        siblings: Vec<Sibling>,
    }
    #[derive(Deserialize)]
    struct Sibling {
        rfilename: String,
        size: Option<u64>,
        lfs: Option<Lfs>,
    }
    #[derive(Deserialize)]
    struct Lfs {
        sha256: Option<String>,
    }
    let wrong = |reason: String| HubError::Answer { what: what.clone(), reason };
    let info: Info = serde_json::from_slice(body).map_err(|e| wrong(e.to_string()))?;
    if info.sha.is_empty() || !info.sha.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong("its commit is not hexadecimal".to_owned()));
    }
    if info.siblings.len() > MAX_LISTED_FILES {
        return Err(wrong(format!("it has more than {MAX_LISTED_FILES} files")));
    }
    let mut files = BTreeMap::new();
    // A file with a name that nobody could ask for is as good as absent.
    for file in info.siblings.into_iter().filter(|file| is_safe_path(&file.rfilename)) {
        let sha256 = file.lfs.and_then(|lfs| lfs.sha256);
        if sha256.as_deref().is_some_and(|sha256| !is_sha256(sha256)) {
            return Err(wrong(format!("the sha256 of {} is malformed", file.rfilename)));
        }
        files.insert(file.rfilename, RemoteFile { size: file.size, sha256 });
    }
    Ok(Repository { commit: info.sha, files })
}
