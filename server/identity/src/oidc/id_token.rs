//! What an `id_token` says (OpenID Connect Core 1.0, 2 and 3.1.3.7).
//!
//! Invariant: nothing of it is used before its signature was checked.

use serde::Deserialize;
use serde_json::Value;

use super::keys::Algorithm;
use super::{Identity, LoginError};
use crate::jws::Jws;
use crate::{EmailAddress, UnixSeconds};

const MAX_BYTES: usize = 16 << 10;
/// How far the provider's clock may be off.
const CLOCK_SKEW_SECONDS: u64 = 60;
const MAX_SUBJECT_BYTES: usize = 255;
const MAX_NAME_CHARS: usize = 200;

/// Which key it is signed by.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: Algorithm,
    pub(super) kid: Option<String>,
    /// What must be understood; we understand none of it.
    crit: Option<Value>,
}

/// The parts of a token with its header, nothing of it checked.
pub(super) fn parse(token: &str) -> Result<(Jws<'_>, Header), LoginError> {
    let jws = Jws::parse(token, MAX_BYTES).ok_or(LoginError::Token("it has no usable form"))?;
    let header: Header = serde_json::from_slice(&jws.header)
        .map_err(|_| LoginError::Token("it is signed by neither RS256 nor ES256"))?;
    if header.crit.is_some() {
        return Err(LoginError::Token("it has extensions that are not known here"));
    }
    Ok((jws, header))
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: u64,
    iat: u64,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<Verified>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Some providers write it as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Verified {
    Bool(bool),
    Text(String),
}

/// What a token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now: UnixSeconds,
}

/// Who it is, by the payload of a token whose signature holds.
pub(super) fn identity(payload: &[u8], expected: &Expected<'_>) -> Result<Identity, LoginError> {
    let claims: Claims = serde_json::from_slice(payload)
        .map_err(|_| LoginError::Token("it lacks claims that it must have"))?;
    check(&claims, expected)?;
    let email = claims.email.and_then(|email| EmailAddress::parse(&email).ok());
    let is_verified = claims.email_verified.is_some_and(|verified| match verified {
        Verified::Bool(verified) => verified,
        Verified::Text(text) => text == "true",
    });
    Ok(Identity {
        issuer: claims.iss,
        subject: claims.sub,
        email_verified: is_verified && email.is_some(),
        email,
        name: name(claims.name),
    })
}

fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), LoginError> {
    let wrong = |what| Err(LoginError::Token(what));
    let (is_for_us, is_for_others) = match &claims.aud {
        Audience::One(client) => (client == expected.client, false),
        Audience::Several(clients) => {
            let is_us = |client: &String| client == expected.client;
            (clients.iter().any(is_us), !clients.iter().all(is_us))
        }
    };
    let party = claims.azp.as_deref();
    let now = expected.now.0;
    if claims.iss != expected.issuer {
        return wrong("it is of another issuer");
    }
    if !is_for_us || party.is_some_and(|party| party != expected.client) {
        return wrong("it is for another client");
    }
    if is_for_others && party.is_none() {
        return wrong("it is for several clients and does not say which asked for it");
    }
    if claims.exp.saturating_add(CLOCK_SKEW_SECONDS) <= now {
        return wrong("it has expired");
    }
    if claims.iat > now.saturating_add(CLOCK_SKEW_SECONDS) {
        return wrong("it is from the future");
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return wrong("it is not of this login");
    }
    if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT_BYTES {
        return wrong("it names nobody");
    }
    Ok(())
}

/// One line that can be shown.
pub(super) fn name(name: Option<String>) -> Option<String> {
    let name = name?;
    let shown = name.trim().chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS);
    Some(shown.collect::<String>()).filter(|name| !name.is_empty())
}
