//! The parts of the authorization-code flow that are the same everywhere (RFC 6749, 7636).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use reqwest::Url;

use super::{Client, Pending};
use crate::{SecretHash, UnixSeconds, random};

/// A login with new secrets, each of 256 bits.
pub(super) fn pending(issuer: &str, redirect_uri: &str, now: UnixSeconds) -> Pending {
    let secret = || BASE64URL.encode(random::bytes::<32>());
    Pending {
        issuer: issuer.to_owned(),
        state: secret(),
        nonce: secret(),
        verifier: secret(),
        redirect_uri: redirect_uri.to_owned(),
        begun: now.0,
    }
}

/// `endpoint` with what the provider has to know of the login; `nonce` for OpenID Connect alone.
pub(super) fn authorization_url(
    endpoint: &Url,
    client: &Client,
    pending: &Pending,
    scope: &str,
    nonce: Option<&str>,
) -> String {
    let challenge = BASE64URL.encode(SecretHash::of(&pending.verifier).0);
    let mut url = endpoint.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &client.id)
        .append_pair("redirect_uri", &pending.redirect_uri)
        .append_pair("scope", scope)
        .append_pair("state", &pending.state)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(nonce.map(|nonce| ("nonce", nonce)));
    url.into()
}

/// What tokens are asked for with.
pub(super) fn token_form<'a>(pending: &'a Pending, code: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &pending.redirect_uri),
        ("code_verifier", &pending.verifier),
    ]
}
