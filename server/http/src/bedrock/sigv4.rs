//! AWS's Signature Version 4, as a server checks it.
//!
//! Invariant: a request passes only if its method, path, query, signed headers and body are those
//! that were signed, by the secret, at most [`MAX_SKEW_S`] ago or ahead. Signatures are compared in
//! constant time.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use chrono::NaiveDateTime;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::errors::forbidden;
use crate::ApiError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The end of every scope.
const TERMINATOR: &str = "aws4_request";
const MAX_SKEW_S: u64 = 15 * 60;
/// What must be signed for a signature to mean anything.
const REQUIRED: [&str; 2] = ["host", "x-amz-date"];

/// What a request says of its signature.
pub(super) struct Signature {
    pub(super) access_key_id: String,
    /// The day, the region and the service it is for.
    scope: [String; 3],
    timestamp: String,
    signed_headers: String,
    mac: [u8; 32],
}

/// Whether a request is signed, by this or another of AWS's algorithms.
pub(crate) fn is_signed(headers: &HeaderMap) -> bool {
    text(headers, header::AUTHORIZATION.as_str()).is_some_and(|value| value.starts_with("AWS4-"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

impl Signature {
    /// Reads a request's signature. What can be refused without secret and body is refused.
    pub(super) fn of(headers: &HeaderMap, service: &str, now: u64) -> Result<Self, ApiError> {
        if headers.contains_key("x-amz-security-token") {
            let message = "Session tokens are not supported: sign with a key's own pair.";
            return Err(forbidden("UnrecognizedClientException", message));
        }
        let value = text(headers, header::AUTHORIZATION.as_str()).unwrap_or_default();
        let signature = Self::parse(value, text(headers, "x-amz-date")).map_err(|problem| {
            let message = format!("The Authorization header is no signature: {problem}.");
            forbidden("IncompleteSignatureException", message)
        })?;
        let [day, _, signed_service] = &signature.scope;
        if signed_service != service || !signature.timestamp.starts_with(day.as_str()) {
            let message =
                format!("The credential must be for '{service}' and the day of 'x-amz-date'.");
            return Err(forbidden("InvalidSignatureException", message));
        }
        let signed_at = NaiveDateTime::parse_from_str(&signature.timestamp, "%Y%m%dT%H%M%SZ");
        let signed_at = signed_at.ok().and_then(|at| u64::try_from(at.and_utc().timestamp()).ok());
        if signed_at.is_none_or(|at| at.abs_diff(now) > MAX_SKEW_S) {
            let message = format!(
                "Signature expired: 'x-amz-date' must be within {} minutes of the server's time.",
                MAX_SKEW_S / 60
            );
            return Err(forbidden("InvalidSignatureException", message));
        }
        Ok(signature)
    }

    fn parse(value: &str, timestamp: Option<&str>) -> Result<Self, &'static str> {
        let (algorithm, rest) = value.split_once(' ').ok_or("it ends after the algorithm")?;
        if algorithm != ALGORITHM {
            return Err("the algorithm must be AWS4-HMAC-SHA256");
        }
        let (mut credential, mut signed_headers, mut mac) = (None, None, None);
        for field in rest.split(',') {
            match field.trim().split_once('=') {
                Some(("Credential", value)) => credential = Some(value),
                Some(("SignedHeaders", value)) => signed_headers = Some(value),
                Some(("Signature", value)) => mac = from_hex(value),
                _ => return Err("it may have Credential, SignedHeaders and Signature only"),
            }
        }
        let credential = credential.ok_or("Credential is missing")?;
        // From its end: ids may hold slashes.
        let parts: Vec<&str> = credential.rsplitn(5, '/').collect();
        let [TERMINATOR, service, region, day, access_key_id] = parts[..] else {
            return Err("Credential must be ID/DAY/REGION/SERVICE/aws4_request");
        };
        let signed_headers = signed_headers.ok_or("SignedHeaders is missing")?;
        let names: Vec<&str> = signed_headers.split(';').collect();
        // In order and in small letters, so that no header is canonicalised more than once.
        let is_in_order = names.is_sorted_by(|a, b| a < b);
        if !is_in_order || signed_headers.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err("SignedHeaders must be in small letters and in alphabetical order");
        }
        if !REQUIRED.iter().all(|required| names.contains(required)) {
            return Err("SignedHeaders must hold 'host' and 'x-amz-date'");
        }
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            scope: [day, region, service].map(str::to_owned),
            timestamp: timestamp.ok_or("the header 'x-amz-date' is missing")?.to_owned(),
            signed_headers: signed_headers.to_owned(),
            mac: mac.ok_or("Signature must be 64 hexadecimal digits")?,
        })
    }

    /// Whether one of the secrets signed this very request.
    pub(super) fn check(
        &self,
        secrets: &[Arc<str>],
        head: &Parts,
        body: &[u8],
    ) -> Result<(), ApiError> {
        let invalid = |message: &str| Err(forbidden("InvalidSignatureException", message));
        let payload = to_hex(&Sha256::digest(body));
        if head.headers.get("x-amz-content-sha256").is_some_and(|told| *told != *payload) {
            return invalid("'x-amz-content-sha256' must be the SHA-256 of the body.");
        }
        let request = Sha256::digest(canonical_request(head, &self.signed_headers, &payload));
        let [day, region, service] = &self.scope;
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{day}/{region}/{service}/{TERMINATOR}\n{}",
            self.timestamp,
            to_hex(&request)
        );
        let is_signed_by = |secret: &Arc<str>| {
            let mut key = format!("AWS4{secret}").into_bytes();
            for part in [day.as_str(), region, service, TERMINATOR] {
                key = hmac(&key, part).finalize().into_bytes().to_vec();
            }
            hmac(&key, &to_sign).verify_slice(&self.mac).is_ok()
        };
        if !secrets.iter().any(is_signed_by) {
            return invalid(
                "The signature does not match the request. Check the secret access key, and that \
                 nothing between client and server changes the request.",
            );
        }
        Ok(())
    }
}

fn hmac(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(text.as_bytes());
    mac
}

/// The request as both sides write it down.
fn canonical_request(head: &Parts, signed_headers: &str, payload: &str) -> Vec<u8> {
    let (path, query) = (canonical_path(head.uri.path()), canonical_query(&head.uri));
    let mut text = format!("{}\n{path}\n{query}\n", head.method).into_bytes();
    for name in signed_headers.split(';') {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        let mut values: Vec<&[u8]> =
            head.headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
        // HTTP/2 has no such header.
        if let (true, "host", Some(authority)) = (values.is_empty(), name, head.uri.authority()) {
            values.push(authority.as_str().as_bytes());
        }
        let values: Vec<Vec<u8>> = values.into_iter().map(single_spaced).collect();
        text.extend(values.join(&b','));
        text.push(b'\n');
    }
    text.extend_from_slice(format!("\n{signed_headers}\n{payload}").as_bytes());
    text
}

/// Without spaces around it, and with one where there are several.
fn single_spaced(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t'));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(&b' ')
}

/// Without `.`, `..` and empty segments, and escaped once more than it was sent.
fn canonical_path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(escaped(segment)),
        }
    }
    let is_folder = path.ends_with('/') && !segments.is_empty();
    format!("/{}{}", segments.join("/"), if is_folder { "/" } else { "" })
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}

/// In order; escaped as it was sent.
fn canonical_query(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, idx) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[idx..idx + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
