//! Images from the web, where the operator allows that.
//!
//! Invariant: the server connects only to addresses that anybody could reach, on every redirect
//! anew: a name is looked up once, every address that it has is checked, and the connection is made
//! to one of those. What comes is bounded in bytes and time.

#[cfg(test)]
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use reqwest::{Response, Url, header};
use tokio::sync::Semaphore;

use super::data_url;
use crate::outbound::{NoOutbound, Outbound, OutboundError};
use crate::{ApiError, AppState, HttpLimits};

const MAX_REDIRECTS: usize = 3;
/// Images that are fetched at once; more wait.
const MAX_FETCHES: usize = 16;
/// Of a URL that a client sends.
const MAX_URL_CHARS: usize = 8192;

/// What fetches images.
pub struct ImageUrls {
    web: Outbound,
    places: Semaphore,
}

/// Images from the web cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("images cannot be fetched: {0}; install ca-certificates")]
pub struct NoImageUrls(String);

/// Why an image was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Web(#[from] OutboundError),
    #[error("it redirects more than {} times", MAX_REDIRECTS)]
    Redirects,
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("it is larger than the {0} bytes that are read")]
    TooLarge(usize),
}

impl ImageUrls {
    /// Fetches from public addresses.
    ///
    /// # Errors
    /// If there are no certificates to check others by.
    pub fn new() -> Result<Arc<Self>, NoImageUrls> {
        Self::by(Outbound::to_public())
    }

    #[cfg(test)]
    fn with(is_allowed: fn(IpAddr) -> bool) -> Result<Arc<Self>, NoImageUrls> {
        Self::by(Outbound::with(is_allowed))
    }

    fn by(web: Result<Outbound, NoOutbound>) -> Result<Arc<Self>, NoImageUrls> {
        let web = web.map_err(|NoOutbound(why)| NoImageUrls(why))?;
        Ok(Arc::new(Self { web, places: Semaphore::new(MAX_FETCHES) }))
    }

    async fn get(&self, url: &str, limits: &HttpLimits) -> Result<Vec<u8>, Failure> {
        let timeout = limits.image_fetch_timeout;
        let fetched = tokio::time::timeout(timeout, async {
            let _place = self.places.acquire().await.map_err(|_| OutboundError::Unreachable)?;
            self.follow(url, limits.max_image_bytes).await
        });
        fetched.await.unwrap_or(Err(OutboundError::Late(timeout).into()))
    }

    async fn follow(&self, url: &str, max_bytes: usize) -> Result<Vec<u8>, Failure> {
        let mut url = Url::from_str(url).map_err(|_| OutboundError::Address)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.web.get(&url).await?;
            if !response.status().is_redirection() {
                return read(response, max_bytes).await;
            }
            let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
            let to = to.filter(|to| to.len() <= MAX_URL_CHARS);
            url = to.and_then(|to| url.join(to).ok()).ok_or(OutboundError::Address)?;
        }
        Err(Failure::Redirects)
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
    while let Some(bytes) = response.chunk().await.map_err(|_| OutboundError::Unreachable)? {
        if body.len() + bytes.len() > max_bytes {
            return Err(Failure::TooLarge(max_bytes));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
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
        return Err(invalid(&OutboundError::Scheme.to_string()));
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
