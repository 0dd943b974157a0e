//! Where the server is and how to speak to it.
//!
//! Invariant: no connection is reused, unless that is asked for.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Bodies other than streams are not read past this.
const MAX_BODY_BYTES: u64 = 16 << 20;
/// Connections that are kept, where they are.
const MAX_KEPT: usize = 1024;

/// A server that speaks OpenAI's HTTP API.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `http://host:port`, without `/v1`.
    pub base_url: String,
    /// The model asked for.
    pub model: String,
    /// Sent as a bearer token.
    pub api_key: Option<String>,
    agent: ureq::Agent,
}

impl Endpoint {
    /// No request is sent yet.
    pub fn new(base_url: &str, model: &str, api_key: Option<String>) -> Self {
        Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            model: model.to_owned(),
            api_key,
            agent: agent(0),
        }
    }

    /// The same over connections that are kept, as most clients keep them.
    pub fn kept_alive(self) -> Self {
        Self { agent: agent(MAX_KEPT), ..self }
    }

    /// The status of `GET path`; an error when nobody listens.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn status(&self, path: &str) -> Result<u16> {
        let request = self.agent.get(format!("{}{path}", self.base_url));
        Ok(request.call()?.status().as_u16())
    }

    /// The body of `GET path`.
    ///
    /// # Errors
    /// When the connection fails, the status is not 200, or the body is not UTF-8.
    pub fn get(&self, path: &str) -> Result<String> {
        let mut request = self.agent.get(format!("{}{path}", self.base_url));
        if let Some(key) = &self.api_key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        text_of(request.call().with_context(|| format!("GET {path}"))?, path)
    }

    /// The answer to `POST path` as JSON.
    ///
    /// # Errors
    /// When the connection fails, the status is not 200, or the body is not JSON.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let text = self.post_text(path, body)?;
        serde_json::from_str(&text).with_context(|| format!("the answer of {path} is not JSON"))
    }

    /// The same as it came.
    ///
    /// # Errors
    /// When the connection fails, the status is not 200, or the body is not UTF-8.
    pub fn post_text(&self, path: &str, body: &Value) -> Result<String> {
        text_of(self.send(path, body)?, path)
    }

    /// Sends a POST; the body of the answer is still to be read.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn send(&self, path: &str, body: &Value) -> Result<ureq::http::Response<ureq::Body>> {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.base_url))
            .header("Content-Type", "application/json");
        if let Some(key) = &self.api_key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        request.send(body.to_string()).with_context(|| format!("POST {path}"))
    }
}

fn agent(max_idle: usize) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .max_idle_connections(max_idle)
        .max_idle_connections_per_host(max_idle)
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(900)))
        .timeout_connect(Some(Duration::from_secs(10)))
        .build();
    config.into()
}

fn text_of(response: ureq::http::Response<ureq::Body>, path: &str) -> Result<String> {
    let status = response.status();
    let mut text = String::new();
    response.into_body().into_reader().take(MAX_BODY_BYTES).read_to_string(&mut text)?;
    if !status.is_success() {
        bail!("{path} answered {status}: {}", text.chars().take(500).collect::<String>());
    }
    Ok(text)
}
