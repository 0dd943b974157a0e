//! Which web pages may use the server from a browser (CORS).
//!
//! Invariant: a preflight is answered without a key, and says nothing but what is allowed; without
//! origins no header of CORS is ever sent.

use std::time::Duration;

use axum::http::HeaderValue;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders};

use crate::meter::RATE_HEADERS;

/// How long a browser keeps what it was allowed.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The origins of those pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsOrigins(Vec<HeaderValue>);

/// Not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no origin: it is a scheme and a host, such as https://app.example, or *")]
pub struct NoOrigin(String);

impl CorsOrigins {
    /// Those given; `*` allows all.
    ///
    /// # Errors
    /// One is not an origin.
    pub fn new(origins: &[String]) -> Result<Self, NoOrigin> {
        let origin = |text: &String| {
            let text = text.trim();
            let value = HeaderValue::from_str(text).ok().filter(|_| is_origin(text));
            value.ok_or_else(|| NoOrigin(text.to_owned()))
        };
        Ok(Self(origins.iter().map(origin).collect::<Result<_, _>>()?))
    }

    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        if self.0.is_empty() {
            return None;
        }
        let origins = match self.0.iter().any(|origin| origin == "*") {
            true => AllowOrigin::any(),
            false => AllowOrigin::list(self.0.clone()),
        };
        let told = [
            "x-request-id",
            "request-id",
            "openai-processing-ms",
            "retry-after",
            "idempotent-replayed",
        ];
        let told = told.into_iter().chain(RATE_HEADERS);
        let told = told.map(axum::http::HeaderName::from_static);
        let layer = CorsLayer::new()
            .allow_origin(origins)
            .allow_methods(AllowMethods::mirror_request())
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(ExposeHeaders::list(told))
            .max_age(MAX_AGE);
        Some(layer)
    }
}

/// As browsers write it: no path, not even an empty one.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_host = |host: &str| {
        !host.is_empty() && !host.contains(|c: char| "/?#@*".contains(c) || c.is_whitespace())
    };
    text == "*" || host.is_some_and(is_host)
}

#[cfg(test)]
mod tests {
    use super::CorsOrigins;

    #[test]
    fn origins_are_told_from_addresses() {
        let is_fine = |text: &str| CorsOrigins::new(&[text.to_owned()]).is_ok();
        for origin in ["*", "https://app.example", "http://localhost:3000", "http://[::1]:80"] {
            assert!(is_fine(origin), "{origin}");
        }
        for other in ["", "app.example", "https://", "https://a/", "https://*.a", "null", "a\nb"] {
            assert!(!is_fine(other), "{other}");
        }
        assert!(CorsOrigins::default().layer().is_none());
    }
}
