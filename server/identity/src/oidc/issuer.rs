//! An OpenID Connect provider: where its endpoints are (Discovery 1.0) and what it signs with.
//!
//! Invariant: what an issuer says of itself is used only if it says that it is that issuer. A token
//! of a key that is not known makes the keys be fetched anew, once.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::cache::Cache;
use super::http::Http;
use super::id_token::Expected;
use super::keys::{KeySet, Keys};
use super::{Client, Identity, LoginError, Pending, flow, http, id_token};
use crate::UnixSeconds;

const MAX_AGE: Duration = Duration::from_secs(60 * 60);
const SCOPE: &str = "openid email profile";

/// Any of them.
pub(super) struct Issuer {
    name: String,
    discovery: Url,
    endpoints: Cache<Endpoints>,
    keys: Cache<Keys>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

struct Endpoints {
    authorization: Url,
    token: Url,
    keys: Url,
    /// How the secret is sent: as a password, or in the form.
    takes_basic: bool,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Issuer {
    pub(super) fn new(issuer: &str) -> Result<Self, LoginError> {
        let base = http::url(issuer)?;
        if base.query().is_some() {
            return Err(LoginError::Config(format!("{issuer} has a query: leave it out")));
        }
        let base = issuer.trim_end_matches('/');
        let discovery = http::url(&format!("{base}/.well-known/openid-configuration"))?;
        Ok(Self { name: issuer.to_owned(), discovery, endpoints: Cache::new(), keys: Cache::new() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn authorization_url(
        &self,
        http: &Http,
        client: &Client,
        pending: &Pending,
    ) -> Result<String, LoginError> {
        let endpoint = &self.endpoints(http).await?.authorization;
        Ok(flow::authorization_url(endpoint, client, pending, SCOPE, Some(&pending.nonce)))
    }

    /// The token that `code` is good for, not checked.
    pub(super) async fn id_token(
        &self,
        http: &Http,
        client: &Client,
        pending: &Pending,
        code: &str,
    ) -> Result<String, LoginError> {
        let endpoints = self.endpoints(http).await?;
        let mut form = flow::token_form(pending, code);
        let login = match client.secret.as_deref() {
            Some(secret) if endpoints.takes_basic => Some((&*client.id, secret)),
            secret => {
                form.push(("client_id", &client.id));
                form.extend(secret.map(|secret| ("client_secret", secret)));
                None
            }
        };
        let tokens: Tokens = http.post(&endpoints.token, &form, login).await?;
        Ok(tokens.id_token)
    }

    /// Whom `token` is of, if it is to be believed at the time beside it.
    pub(super) async fn identity(
        &self,
        http: &Http,
        client: &Client,
        pending: &Pending,
        (token, now): (&str, UnixSeconds),
    ) -> Result<Identity, LoginError> {
        let (jws, header) = id_token::parse(token)?;
        let url = &self.endpoints(http).await?.keys;
        let verify = |keys: &Keys| {
            keys.verify(header.kid.as_deref(), header.alg, jws.signed.as_bytes(), &jws.signature)
        };
        let keys = self.keys.get(MAX_AGE, fetch_keys(http, url)).await?;
        let holds = match verify(&keys) {
            Some(holds) => holds,
            None => {
                let keys = self.keys.renew(&keys, fetch_keys(http, url)).await?;
                verify(&keys).ok_or(LoginError::Token("it is signed by a key that is not known"))?
            }
        };
        if !holds {
            return Err(LoginError::Token("its signature is wrong"));
        }
        let nonce = &pending.nonce;
        let expected = Expected { issuer: &self.name, client: &client.id, nonce, now };
        id_token::identity(&jws.payload, &expected)
    }

    async fn endpoints(&self, http: &Http) -> Result<Arc<Endpoints>, LoginError> {
        let fetch = async {
            let metadata: Metadata = http.get(&self.discovery, None).await?;
            self.read(metadata)
        };
        self.endpoints.get(MAX_AGE, fetch).await
    }

    fn read(&self, metadata: Metadata) -> Result<Endpoints, LoginError> {
        if metadata.issuer != self.name {
            let other = super::error::cut(&metadata.issuer);
            let hint = format!("the issuer at {} calls itself {other}: write it so", self.name);
            return Err(LoginError::Config(hint));
        }
        // Without a list it is as a password (Discovery 1.0, 3).
        let methods = metadata.token_endpoint_auth_methods_supported;
        Ok(Endpoints {
            authorization: http::url(&metadata.authorization_endpoint)?,
            token: http::url(&metadata.token_endpoint)?,
            keys: http::url(&metadata.jwks_uri)?,
            takes_basic: methods.is_none_or(|m| m.iter().any(|m| m == "client_secret_basic")),
        })
    }
}

async fn fetch_keys(http: &Http, url: &Url) -> Result<Keys, LoginError> {
    let set: KeySet = http.get(url, None).await?;
    Ok(Keys::read(set))
}
