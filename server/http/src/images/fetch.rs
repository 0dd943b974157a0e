//! Images from the web, where the operator allows that.
//!
//! Invariant: the server connects only to addresses that anybody could reach, on every redirect
//! anew: a name is looked up once, every address that it has is checked, and the connection is made
//! to one of those. What comes is bounded in bytes and time.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, Url, header, redirect};
use tokio::sync::Semaphore;

use super::{addresses, data_url};
use crate::{ApiError, AppState, HttpLimits};

const USER_AGENT: &str = concat!("agentbase/", env!("CARGO_PKG_VERSION"));
const MAX_REDIRECTS: usize = 3;
/// Images that are fetched at once; more wait.
const MAX_FETCHES: usize = 16;
/// Of a URL that a client sends.
const MAX_URL_CHARS: usize = 8192;

/// What fetches images.
pub struct ImageUrls {
    client: Client,
    places: Semaphore,
    is_allowed: fn(IpAddr) -> bool,
}

/// Images from the web cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("images cannot be fetched: {0}; install ca-certificates")]
pub struct NoImageUrls(String);

/// Why an image was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Failure {
    #[error("it must begin with 'https://', 'http://' or 'data:'")]
    Scheme,
    #[error("it is no address")]
    Address,
    #[error("a user name or a password in an address is not sent anywhere")]
    Credentials,
    #[error("the server does not fetch from private, local or reserved addresses")]
    NotPublic,
    #[error("it redirects more than {} times", MAX_REDIRECTS)]
    Redirects,
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("it is larger than the {0} bytes that are read")]
    TooLarge(usize),
    #[error("it could not be fetched")]
    Unreachable,
    #[error("it did not come within {0:?}")]
    Late(Duration),
}

/// An address that is not allowed, out of the depths of the client.
#[derive(Debug, thiserror::Error)]
#[error("not a public address")]
struct NotPublic;

struct Checked(fn(IpAddr) -> bool);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let is_allowed = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let all: Vec<SocketAddr> = found.collect();
            if !all.iter().all(|address| is_allowed(address.ip())) {
                return Err(NotPublic.into());
            }
            Ok(Box::new(all.into_iter()) as Addrs)
        })
    }
}

impl ImageUrls {
    /// Fetches from public addresses.
    ///
    /// # Errors
    /// If there are no certificates to check others by.
    pub fn new() -> Result<Arc<Self>, NoImageUrls> {
        Self::with(addresses::is_public)
    }

    fn with(is_allowed: fn(IpAddr) -> bool) -> Result<Arc<Self>, NoImageUrls> {
        // An error means that the program has chosen another provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::none())
            // A proxy would look names up anew.
            .no_proxy()
            .dns_resolver(Arc::new(Checked(is_allowed)))
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| NoImageUrls(error.to_string()))?;
        Ok(Arc::new(Self { client, places: Semaphore::new(MAX_FETCHES), is_allowed }))
    }

    async fn get(&self, url: &str, limits: &HttpLimits) -> Result<Vec<u8>, Failure> {
        let timeout = limits.image_fetch_timeout;
        let fetched = tokio::time::timeout(timeout, async {
            let _place = self.places.acquire().await.map_err(|_| Failure::Unreachable)?;
            self.follow(url, limits.max_image_bytes).await
        });
        fetched.await.unwrap_or(Err(Failure::Late(timeout)))
    }

    async fn follow(&self, url: &str, max_bytes: usize) -> Result<Vec<u8>, Failure> {
        let mut url = Url::from_str(url).map_err(|_| Failure::Address)?;
        for _ in 0..=MAX_REDIRECTS {
            self.check(&url)?;
            let response = self.client.get(url.clone()).send().await.map_err(|e| failure(&e))?;
            if !response.status().is_redirection() {
                return read(response, max_bytes).await;
            }
            let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
            let to = to.filter(|to| to.len() <= MAX_URL_CHARS);
            url = to.and_then(|to| url.join(to).ok()).ok_or(Failure::Address)?;
        }
        Err(Failure::Redirects)
    }

    /// Names are checked when they are looked up; addresses, of which the client looks none up, are
    /// checked here.
    fn check(&self, url: &Url) -> Result<(), Failure> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Failure::Credentials);
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Failure::Address)?;
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match IpAddr::from_str(literal.unwrap_or(host)) {
            Ok(address) if !(self.is_allowed)(address) => Err(Failure::NotPublic),
            _ => Ok(()),
        }
    }
}

/// The body, as far as it is read.
async fn read(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, Failure> {
    if !response.status().is_success() {
        return Err(Failure::Status(response.status().as_u16()));
    }
    let declared = response.content_length().unwrap_or(0);
    if declared > max_bytes as u64 {
        return Err(Failure::TooLarge(max_bytes));
    }
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|_| Failure::Unreachable)? {
        if body.len() + bytes.len() > max_bytes {
            return Err(Failure::TooLarge(max_bytes));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

fn failure(error: &reqwest::Error) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<NotPublic>() {
            return Failure::NotPublic;
        }
        cause = error.source();
    }
    Failure::Unreachable
}

/// The bytes that a URL in the field `place` holds or leads to.
pub(super) async fn bytes(state: &AppState, place: &str, url: &str) -> Result<Vec<u8>, ApiError> {
    let limits = state.limits();
    let invalid = |what: &str| {
        let message = format!("The image in '{place}' cannot be had: {what}.");
        ApiError::invalid(Some(place), message).code("invalid_image_url")
    };
    if let Some(bytes) = data_url::bytes(url) {
        return bytes.map_err(invalid);
    }
    if url.len() > MAX_URL_CHARS {
        return Err(invalid("it is too long"));
    }
    let begins = |scheme: &str| {
        url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if !begins("http://") && !begins("https://") {
        return Err(invalid(&Failure::Scheme.to_string()));
    }
    let Some(urls) = state.image_urls() else {
        let message = format!(
            "The image in '{place}' is not fetched: this server does not fetch images. Send it as \
             'data:image/png;base64,…'."
        );
        return Err(ApiError::unsupported(place, message));
    };
    urls.get(url, limits).await.map_err(|failure| invalid(&failure.to_string()))
}

#[cfg(test)]
mod tests;
