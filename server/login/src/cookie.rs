//! Cookies: of a session, and of a login with another provider that was begun.
//!
//! Invariant: no script reads them, no other site sends them with a request that changes anything,
//! and they go over TLS alone (or to this very machine).

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// With `__Host-` a browser takes it from this very host over TLS alone.
pub(crate) const SESSION: &str = "__Host-agentbase-session";
/// The same of a login that was begun.
pub(crate) const PENDING: &str = "__Host-agentbase-login";

/// A header of an answer.
pub(crate) type SetCookie = [(HeaderName, HeaderValue); 1];

/// Sets a cookie for so many seconds. Values are ours, and have no letter that may not be in one.
pub(crate) fn set(name: &str, value: &str, max_age_s: u64) -> SetCookie {
    let text =
        format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; Secure; SameSite=Lax");
    let value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
    [(SET_COOKIE, value)]
}

/// Makes the browser forget a cookie.
pub(crate) fn clear(name: &str) -> SetCookie {
    set(name, "", 0)
}

/// The value of a cookie that was sent.
pub(crate) fn sent<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|it| it.split_once('='));
    pairs.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; xb=2;b = 3"));
        headers.append(COOKIE, HeaderValue::from_static("c=x=y"));
        assert_eq!(sent(&headers, "b"), Some("3"));
        assert_eq!(sent(&headers, "c"), Some("x=y"));
        assert_eq!(sent(&headers, "d"), None);
    }
}
