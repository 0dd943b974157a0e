//! Requests to providers.
//!
//! Invariant: an answer has [`MAX_BYTES`] at most and comes within the limit of time; requests go
//! to `https` alone, or to this machine; no redirect is followed, so a secret goes nowhere else.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use reqwest::{RequestBuilder, StatusCode, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::LoginError;
use super::error::cut;
use crate::percent;

const MAX_BYTES: usize = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(15);
const OUR_NAME: &str = concat!("agentbase/", env!("CARGO_PKG_VERSION"));

/// What asks providers.
pub(super) struct Http {
    client: reqwest::Client,
}

impl Http {
    pub(super) fn new() -> Result<Self, LoginError> {
        Self::with_timeout(TIMEOUT)
    }

    pub(super) fn with_timeout(timeout: Duration) -> Result<Self, LoginError> {
        // An error means that the program has chosen another provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .build()
            .map_err(|error| LoginError::Config(format!("{error}; install ca-certificates")))?;
        Ok(Self { client })
    }

    /// The JSON at `url`, for who has `token`.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        url: &Url,
        token: Option<&str>,
    ) -> Result<T, LoginError> {
        let request = self.client.get(url.clone());
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        send(request, url).await
    }

    /// The JSON that answers a form, sent with a user and password if there are any.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        login: Option<(&str, &str)>,
    ) -> Result<T, LoginError> {
        let fields = form.iter().map(|(name, value)| format!("{name}={}", percent::encode(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        let request = self.client.post(url.clone()).body(body);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = match login {
            // RFC 6749, 2.3.1: encoded as in a form, both of them.
            Some((user, password)) => {
                request.basic_auth(percent::encode(user), Some(percent::encode(password)))
            }
            None => request,
        };
        send(request, url).await
    }
}

/// What OAuth2 servers say when they refuse; GitHub says so with status 200.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

async fn send<T: DeserializeOwned>(request: RequestBuilder, url: &Url) -> Result<T, LoginError> {
    let place = place(url);
    let request = request.header(ACCEPT, "application/json").header(USER_AGENT, OUR_NAME);
    let answer = |reason: String| LoginError::Answer { place: place.clone(), reason };
    let mut response = request.send().await.map_err(|error| unreachable(&error, url))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|error| unreachable(&error, url))? {
        if body.len() + bytes.len() > MAX_BYTES {
            return Err(answer(format!("it is larger than {MAX_BYTES} bytes")));
        }
        body.extend_from_slice(&bytes);
    }
    if let Ok(Refusal { error }) = serde_json::from_slice(&body) {
        return Err(answer(cut(&error)));
    }
    if status != StatusCode::OK {
        return Err(answer(format!("its status is {}", status.as_u16())));
    }
    // serde's errors may show what was sent, which may be a token.
    serde_json::from_slice(&body).map_err(|error| {
        answer(format!("it is not the JSON that was asked for, at column {}", error.column()))
    })
}

fn unreachable(error: &reqwest::Error, url: &Url) -> LoginError {
    if error.is_timeout() {
        let reason = "it took too long".to_owned();
        return LoginError::Unreachable { place: place(url), reason };
    }
    // The deepest cause says it best.
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    LoginError::Unreachable { place: place(url), reason: cut(&cause.to_string()) }
}

fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// An address that requests may go to.
pub(super) fn url(text: &str) -> Result<Url, LoginError> {
    let config = |what: &str| LoginError::Config(format!("{} {what}", cut(text)));
    let url = Url::parse(text).map_err(|_| config("is no address: write https://…"))?;
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && is_here) {
        return Err(config("does not begin with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(config("has a user or a fragment: leave them out"));
    }
    Ok(url)
}
