//! Short-lived access tokens (JWT, HS256), which say who calls without a look at the database.
//!
//! Invariant: a token is believed only if it is signed by one of two keys of ours, with the one
//! algorithm there is, names its end, and lives for [`MAX_LIFETIME`] at most. What a session may is
//! asked anew when the next token is made.
//!
//! Of our own because it is one algorithm and a hundred lines; the usual crate brings RSA and two
//! elliptic curves in Rust, or AWS's library in C.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::jws::{self, Jws};
use crate::{UnixSeconds, random};

/// Of an access token.
pub const MAX_LIFETIME: Duration = Duration::from_secs(15 * 60);

const MAX_TOKEN_BYTES: usize = 2048;
const MIN_KEY_BYTES: usize = 32;
/// How far the clocks of two servers may be apart.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
const KID_BYTES: usize = 9;

/// Why a token was not made or is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not the form of one of our tokens.
    #[error("the access token is malformed: log in again")]
    Malformed,
    /// Signed by nobody that is known here.
    #[error("the access token's signature is wrong or its key was replaced: log in again")]
    Signature,
    /// Its end has come.
    #[error("the access token has expired: get a new one with the refresh token")]
    Expired,
    /// It is from another server, from the future or lives for too long.
    #[error("the access token is not valid here: log in again")]
    Claims,
    /// Of a key.
    #[error("a signing key must have {} random bytes or more", MIN_KEY_BYTES)]
    ShortKey,
}

/// What signs tokens. It has no `Debug`.
pub struct TokenKey {
    id: String,
    key: hmac::Key,
}

impl TokenKey {
    /// Of random bytes that only servers know.
    ///
    /// # Errors
    /// [`TokenError::ShortKey`].
    pub fn new(bytes: &[u8]) -> Result<Self, TokenError> {
        if bytes.len() < MIN_KEY_BYTES {
            return Err(TokenError::ShortKey);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        // The same on every server that has the key; tells nothing of it.
        let id = hmac::sign(&key, b"agentbase access token key id");
        Ok(Self { id: BASE64URL.encode(&id.as_ref()[..KID_BYTES]), key })
    }

    /// Bytes for a new one, to be kept.
    #[must_use]
    pub fn random_bytes() -> [u8; MIN_KEY_BYTES] {
        random::bytes()
    }
}

/// Whom a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The user's id.
    pub user: String,
    /// The session's id.
    pub session: String,
    /// The organization that the user works in, if one was chosen.
    pub organization: Option<String>,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Which server made it.
    pub iss: String,
    /// The user's id.
    pub sub: String,
    /// The session's id.
    pub sid: String,
    /// The organization's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: Algorithm,
    typ: Kind,
    kid: String,
}

#[derive(Serialize, Deserialize)]
enum Algorithm {
    #[serde(rename = "HS256")]
    Hs256,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "JWT")]
    Jwt,
}

/// Makes and checks access tokens.
pub struct AccessTokens {
    issuer: String,
    current: TokenKey,
    previous: Option<TokenKey>,
}

impl AccessTokens {
    /// Of the server at `issuer`, its address. Tokens are signed by `current`; those of `previous`
    /// are believed too, which it takes for [`MAX_LIFETIME`] after a new key.
    #[must_use]
    pub fn new(issuer: &str, current: TokenKey, previous: Option<TokenKey>) -> Self {
        Self { issuer: issuer.to_owned(), current, previous }
    }

    /// A token for `subject` that ends after `lifetime`, or after [`MAX_LIFETIME`] if that is less.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] if the ids are so long that it would be refused.
    pub fn issue(
        &self,
        subject: Subject,
        now: UnixSeconds,
        lifetime: Duration,
    ) -> Result<String, TokenError> {
        let header = Header { alg: Algorithm::Hs256, typ: Kind::Jwt, kid: self.current.id.clone() };
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: subject.user,
            sid: subject.session,
            org: subject.organization,
            iat: now.0,
            exp: now.after(lifetime.min(MAX_LIFETIME)).0,
        };
        let signed = jws::to_sign(&json(&header)?, &json(&claims)?);
        let signature = hmac::sign(&self.current.key, signed.as_bytes());
        let token = jws::with_signature(&signed, signature.as_ref());
        if token.len() > MAX_TOKEN_BYTES { Err(TokenError::Malformed) } else { Ok(token) }
    }

    /// What `token` says, if it is to be believed.
    ///
    /// # Errors
    /// Why it is not.
    pub fn verify(&self, token: &str, now: UnixSeconds) -> Result<Claims, TokenError> {
        let parts = Jws::parse(token, MAX_TOKEN_BYTES).ok_or(TokenError::Malformed)?;
        let header: Header =
            serde_json::from_slice(&parts.header).map_err(|_| TokenError::Malformed)?;
        let keys = [Some(&self.current), self.previous.as_ref()];
        let key = keys.into_iter().flatten().find(|key| key.id == header.kid);
        let key = key.ok_or(TokenError::Signature)?;
        hmac::verify(&key.key, parts.signed.as_bytes(), &parts.signature)
            .map_err(|_| TokenError::Signature)?;
        let claims: Claims =
            serde_json::from_slice(&parts.payload).map_err(|_| TokenError::Malformed)?;
        let lifetime = claims.exp.checked_sub(claims.iat).ok_or(TokenError::Claims)?;
        let is_ours = claims.iss == self.issuer
            && lifetime <= MAX_LIFETIME.as_secs()
            && claims.iat <= now.after(CLOCK_SKEW).0;
        if !is_ours {
            return Err(TokenError::Claims);
        }
        if claims.exp <= now.0 { Err(TokenError::Expired) } else { Ok(claims) }
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, TokenError> {
    serde_json::to_vec(value).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests;
