//! GitHub: OAuth2, and its API for who the token is of.
//!
//! Invariant: an address is told only if it is the primary one and GitHub has verified it.

use reqwest::Url;
use serde::Deserialize;

use super::http::Http;
use super::{Client, Identity, LoginError, Pending, flow, http, id_token};
use crate::EmailAddress;

const PUBLIC: &str = "https://github.com";
const PUBLIC_API: &str = "https://api.github.com";
const SCOPE: &str = "read:user user:email";

/// Where it is.
pub(super) struct GitHub {
    issuer: String,
    authorization: Url,
    token: Url,
    user: Url,
    emails: Url,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Email {
    email: String,
    primary: bool,
    verified: bool,
}

impl GitHub {
    pub(super) fn public() -> Result<Self, LoginError> {
        Self::new(PUBLIC, PUBLIC_API)
    }

    /// An Enterprise server, whose API is below `/api/v3`.
    pub(super) fn at(address: &str) -> Result<Self, LoginError> {
        let base = address.trim_end_matches('/');
        Self::new(base, &format!("{base}/api/v3"))
    }

    fn new(base: &str, api: &str) -> Result<Self, LoginError> {
        Ok(Self {
            issuer: base.to_owned(),
            authorization: http::url(&format!("{base}/login/oauth/authorize"))?,
            token: http::url(&format!("{base}/login/oauth/access_token"))?,
            user: http::url(&format!("{api}/user"))?,
            emails: http::url(&format!("{api}/user/emails?per_page=100"))?,
        })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn authorization_url(&self, client: &Client, pending: &Pending) -> String {
        flow::authorization_url(&self.authorization, client, pending, SCOPE, None)
    }

    pub(super) async fn identity(
        &self,
        http: &Http,
        client: &Client,
        pending: &Pending,
        code: &str,
    ) -> Result<Identity, LoginError> {
        let mut form = flow::token_form(pending, code);
        form.push(("client_id", &client.id));
        form.extend(client.secret.as_deref().map(|secret| ("client_secret", secret)));
        let Tokens { access_token } = http.post(&self.token, &form, None).await?;
        let user: User = http.get(&self.user, Some(&access_token)).await?;
        let emails: Vec<Email> = http.get(&self.emails, Some(&access_token)).await?;
        let primary = emails.into_iter().find(|email| email.primary && email.verified);
        let email = primary.and_then(|primary| EmailAddress::parse(&primary.email).ok());
        Ok(Identity {
            issuer: self.issuer.clone(),
            subject: user.id.to_string(),
            email_verified: email.is_some(),
            email,
            name: id_token::name(user.name).or_else(|| id_token::name(Some(user.login))),
        })
    }
}
