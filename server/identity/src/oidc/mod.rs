//! Logins with other providers: OpenID Connect (Google, any issuer) and GitHub's OAuth2.
//!
//! Invariant: the authorization-code flow with PKCE (RFC 7636), state and nonce, and nothing else.
//! Who somebody is comes from an `id_token` whose signature, issuer, audience, end and nonce were
//! checked (OpenID Connect Core 1.0, 3.1.3.7), or from GitHub's API with the token of this very
//! login. All answers are bounded in size and time, and no redirect is followed.
//!
//! [`Provider::begin`] gives an address for the browser and a [`Pending`], which the caller keeps
//! for this browser alone; [`Provider::finish`] takes it and what the browser came back with.

mod cache;
mod error;
mod flow;
mod github;
mod http;
mod id_token;
mod issuer;
mod keys;

use serde::{Deserialize, Serialize};

use self::github::GitHub;
use self::http::Http;
use self::issuer::Issuer;
use crate::{EmailAddress, SecretHash, UnixSeconds};

pub use self::error::LoginError;

/// The issuer of Google's accounts.
const GOOGLE: &str = "https://accounts.google.com";
/// A login takes a person's time, and no more.
const MAX_LOGIN_SECONDS: u64 = 10 * 60;
const MAX_CODE_BYTES: usize = 4096;

/// What a provider knows us by. It has no `Debug`.
pub struct Client {
    id: String,
    secret: Option<String>,
}

impl Client {
    /// As the provider gave them; public clients have no secret.
    #[must_use]
    pub fn new(id: &str, secret: Option<&str>) -> Self {
        Self { id: id.to_owned(), secret: secret.map(str::to_owned) }
    }
}

/// Who somebody is, as a provider says. The same person has the same issuer and subject always;
/// the rest may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Which provider says so.
    pub issuer: String,
    /// Whom the provider means.
    pub subject: String,
    /// If the provider tells.
    pub email: Option<EmailAddress>,
    /// Whether the provider says that the address is theirs. An account that exists should be
    /// joined by address only if it does and the provider is trusted with that.
    pub email_verified: bool,
    /// What they are called.
    pub name: Option<String>,
}

/// A login that was begun: to be kept for the browser that began it (in a cookie of a
/// [`crate::CookieKey`] that no script reads, or beside its [`crate::Purpose::LoginState`] token),
/// and used once. It has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pending {
    issuer: String,
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
    begun: u64,
}

/// What the browser came back with: the query of the redirect.
#[derive(Clone, Default, Deserialize)]
pub struct Callback {
    /// The state that the browser was sent with.
    #[serde(default)]
    pub state: String,
    /// What the tokens are had for.
    pub code: Option<String>,
    /// Instead of a code: `access_denied` and the like.
    pub error: Option<String>,
    /// Which provider it was (RFC 9207), if it says so.
    pub iss: Option<String>,
}

/// Somebody who knows who people are. It can be shared.
pub struct Provider {
    client: Client,
    http: Http,
    kind: Kind,
}

enum Kind {
    OpenId(Box<Issuer>),
    GitHub(Box<GitHub>),
}

impl Provider {
    /// Google's accounts.
    ///
    /// # Errors
    /// [`LoginError::Config`] if there are no certificates to check others by.
    pub fn google(client: Client) -> Result<Self, LoginError> {
        Self::openid(GOOGLE, client)
    }

    /// Any OpenID Connect issuer: the address below which `/.well-known/openid-configuration` is.
    /// It is the operator's to choose: the server sends requests there.
    ///
    /// # Errors
    /// [`LoginError::Config`] if it does not begin with `https://` (or is on this machine).
    pub fn openid(issuer: &str, client: Client) -> Result<Self, LoginError> {
        let kind = Kind::OpenId(Box::new(Issuer::new(issuer)?));
        Ok(Self { client, http: Http::new()?, kind })
    }

    /// GitHub, which has OAuth2 without OpenID Connect.
    ///
    /// # Errors
    /// [`LoginError::Config`], as for Google.
    pub fn github(client: Client) -> Result<Self, LoginError> {
        let kind = Kind::GitHub(Box::new(GitHub::public()?));
        Ok(Self { client, http: Http::new()?, kind })
    }

    /// A GitHub Enterprise server at `address`.
    ///
    /// # Errors
    /// [`LoginError::Config`], as for any issuer.
    pub fn github_enterprise(address: &str, client: Client) -> Result<Self, LoginError> {
        let kind = Kind::GitHub(Box::new(GitHub::at(address)?));
        Ok(Self { client, http: Http::new()?, kind })
    }

    /// What its identities are of.
    #[must_use]
    pub fn issuer(&self) -> &str {
        match &self.kind {
            Kind::OpenId(issuer) => issuer.name(),
            Kind::GitHub(github) => github.issuer(),
        }
    }

    /// The address that the browser is sent to, and what to keep until it is back at
    /// `redirect_uri`, which the provider knows of our client.
    ///
    /// # Errors
    /// If the provider cannot be asked where that is.
    pub async fn begin(
        &self,
        redirect_uri: &str,
        now: UnixSeconds,
    ) -> Result<(String, Pending), LoginError> {
        let pending = flow::pending(self.issuer(), redirect_uri, now);
        let url = match &self.kind {
            Kind::OpenId(issuer) => issuer.authorization_url(&self.http, &self.client, &pending),
            Kind::GitHub(github) => {
                return Ok((github.authorization_url(&self.client, &pending), pending));
            }
        };
        Ok((url.await?, pending))
    }

    /// Who came back.
    ///
    /// # Errors
    /// Why that is not known.
    pub async fn finish(
        &self,
        pending: &Pending,
        callback: &Callback,
        now: UnixSeconds,
    ) -> Result<Identity, LoginError> {
        // Compared by their hashes, so that the time tells nothing of the state.
        let is_same = SecretHash::of(&pending.state) == SecretHash::of(&callback.state);
        let is_late = now.since(UnixSeconds(pending.begun)).as_secs() > MAX_LOGIN_SECONDS;
        let is_other = callback.iss.as_deref().is_some_and(|iss| iss != self.issuer());
        if !is_same || is_late || is_other || pending.issuer != self.issuer() {
            return Err(LoginError::State);
        }
        if let Some(error) = &callback.error {
            return Err(LoginError::Denied(error::cut(error)));
        }
        let code = callback.code.as_deref().filter(|code| code.len() <= MAX_CODE_BYTES);
        let code = code.ok_or(LoginError::State)?;
        match &self.kind {
            Kind::OpenId(issuer) => {
                let token = issuer.id_token(&self.http, &self.client, pending, code).await?;
                issuer.identity(&self.http, &self.client, pending, (&token, now)).await
            }
            Kind::GitHub(github) => github.identity(&self.http, &self.client, pending, code).await,
        }
    }
}

#[cfg(test)]
mod tests;
