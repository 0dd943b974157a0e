//! `/api/v1/auth/oidc`: logins with other providers, in a browser.
//!
//! Invariant: only the browser that began a login ends it, within ten minutes. An account is found
//! by who somebody is at the provider, and by their address once, if the provider says that it is
//! theirs and is trusted with that. An invitation is taken by who has the address it was sent to.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use server_http::ApiError;
use server_identity::oidc::{Callback, Identity, LoginError, Pending};
use server_identity::{Password, Purpose, Secret, UnixSeconds};
use server_store::{NewUser, StoreError, User};

use crate::attempts::{Client, seconds};
use crate::body::{In, no_such_token, token};
use crate::founding::cut_name;
use crate::openapi::Refusals;
use crate::wire::All;
use crate::wire::me::{LoginProvider, LoginProviders};
use crate::{Login, NamedProvider, OrganizationFounded, SignUp, cookie};

/// What its cookie is signed for.
const PURPOSE: &str = "oidc";
const MAX_LOGIN: Duration = Duration::from_secs(600);
const RETRY_S: u32 = 5;

/// What the cookie holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    provider: String,
    pending: Pending,
    /// The hash of the token of one.
    invitation: Option<String>,
}

pub(super) fn routes() -> Router<Login> {
    Router::new()
        .route("/api/v1/auth/oidc", get(list))
        .route("/api/v1/auth/oidc/{provider}", get(begin))
        .route("/api/v1/auth/oidc/{provider}/callback", get(callback))
}

/// The providers that people may log in with.
#[utoipa::path(get, path = "/api/v1/auth/oidc", tag = "Login", operation_id = "list_providers",
    security(()),
    responses((status = 200, description = "Them", body = LoginProviders), Refusals))]
pub(crate) async fn list(State(login): State<Login>) -> Json<All<LoginProvider>> {
    let told = |it: &NamedProvider| LoginProvider {
        id: it.id.clone(),
        issuer: it.provider.issuer().to_owned(),
    };
    All::new(login.0.settings.providers.iter().map(told).collect())
}

/// Sends a browser to a provider.
#[utoipa::path(get, path = "/api/v1/auth/oidc/{provider}", tag = "Login",
    operation_id = "begin_provider_login", security(()), params(("provider" = String, Path),
        ("invitation" = Option<String>, Query, description = "The token of an invitation, which \
            makes whoever comes back a member, and lets them have an account")),
    responses((status = 303, description = "To the provider"), Refusals))]
pub(crate) async fn begin(
    State(login): State<Login>,
    In(id): In<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let NamedProvider { provider, .. } = login.provider(&id)?;
    let invitation = field(&uri, "invitation").map(|it| token(Purpose::Invitation, &it));
    let invitation = invitation.transpose()?;
    let now = UnixSeconds::now();
    let redirect = format!("{}/api/v1/auth/oidc/{id}/callback", login.0.settings.site_url);
    let begun = provider.begin(&redirect, now).await;
    let (url, pending) = begun.map_err(|error| failed(&id, &error))?;
    let kept = serde_json::to_vec(&Kept { provider: id, pending, invitation });
    let kept = kept.map_err(|_| ApiError::internal())?;
    let value = login.0.cookies.sign(PURPOSE, &kept, now.after(MAX_LOGIN));
    let set = cookie::set(cookie::PENDING, &value, MAX_LOGIN.as_secs());
    Ok((StatusCode::SEE_OTHER, set, [(header::LOCATION, url)]).into_response())
}

/// Lets in who comes back from a provider, with a cookie, and sends the browser on.
#[utoipa::path(get, path = "/api/v1/auth/oidc/{provider}/callback", tag = "Login",
    operation_id = "end_provider_login", security(()),
    params(("provider" = String, Path), ("state" = Option<String>, Query),
        ("code" = Option<String>, Query), ("error" = Option<String>, Query),
        ("iss" = Option<String>, Query)),
    responses((status = 303, description = "They are in"), Refusals))]
pub(crate) async fn callback(
    State(login): State<Login>,
    client: Client,
    headers: HeaderMap,
    In(id): In<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let named = login.provider(&id)?;
    let now = UnixSeconds::now();
    let kept = cookie::sent(&headers, cookie::PENDING);
    let kept = kept.and_then(|value| login.0.cookies.open(PURPOSE, value, now));
    let kept: Option<Kept> = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
    let kept = kept.filter(|kept| kept.provider == id);
    let kept = kept.ok_or_else(|| failed(&id, &LoginError::State))?;
    login.begin_from(&client)?;
    let answer = read(uri.query().unwrap_or_default());
    let identity = named.provider.finish(&kept.pending, &answer, now).await;
    let identity = identity.map_err(|error| failed(&id, &error))?;
    let invitation = kept.invitation.as_deref();
    let user = login.user_of(&identity, named.trust_email, invitation).await?;
    login.succeeded_from(&client);
    // A second factor of ours is still due.
    let begun = login.begin_session(&user, false, &client).await?;
    let secret = begun.secret.ok_or_else(ApiError::internal)?;
    let [session] = login.session_cookie(&secret);
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, login.0.settings.home.clone())])
        .into_response();
    let [cleared] = cookie::clear(cookie::PENDING);
    response.headers_mut().append(session.0, session.1);
    response.headers_mut().append(cleared.0, cleared.1);
    Ok(response)
}

impl Login {
    fn provider(&self, id: &str) -> Result<&NamedProvider, ApiError> {
        let mut providers = self.0.settings.providers.iter();
        providers.find(|provider| provider.id == id).ok_or_else(|| {
            let message = "There is no such provider here.";
            ApiError::refused(StatusCode::NOT_FOUND, "not_found", message)
        })
    }

    /// Who somebody of a provider is here.
    async fn user_of(
        &self,
        who: &Identity,
        trust_email: bool,
        invitation: Option<&str>,
    ) -> Result<User, ApiError> {
        let store = &self.0.store;
        let (user, is_linked) = match store.user_of_identity(&who.issuer, &who.subject).await? {
            Some(id) => (store.user(&id).await?, true),
            None => (self.user_by_address(who, trust_email, invitation).await?, false),
        };
        if user.disabled_at.is_some() {
            return Err(no_account());
        }
        match invitation {
            Some(hash) => self.join(&user.id, hash).await?,
            // Here, too, should a server have ended between the account and its organization.
            None if !is_linked => self.found_at(OrganizationFounded::Verified, &user, None).await?,
            None => {}
        }
        if !is_linked {
            store.link_identity(&user.id, &who.issuer, &who.subject).await?;
        }
        Ok(user)
    }

    /// Takes an invitation; who is a member already stays one.
    async fn join(&self, user: &str, hash: &str) -> Result<(), ApiError> {
        match self.0.store.accept_invitation(hash, user, seconds(UnixSeconds::now())).await {
            Err(StoreError::NotFound { .. }) => Err(no_such_token()),
            Ok(_) | Err(StoreError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn user_by_address(
        &self,
        who: &Identity,
        trust_email: bool,
        invitation: Option<&str>,
    ) -> Result<User, ApiError> {
        let store = &self.0.store;
        let address = who.email.as_ref().filter(|_| who.email_verified && trust_email);
        let address = address.ok_or_else(no_account)?.key();
        if let Some(user) = store.user_by_email(&address).await? {
            if user.email_verified_at.is_none() {
                // Who made the account need not be who has the address: they are not let in.
                let nobodys = Secret::random(Purpose::PasswordReset);
                let typed = Password::typed(nobodys.reveal()).map_err(|_| ApiError::internal())?;
                let hash = self.0.hashing.place()?.hash(typed).await?;
                store.set_password(&user.id, &hash).await?;
                store.end_sessions(&user.id, None).await?;
                store.verify_email(&user.id, &address).await?;
            }
            return Ok(user);
        }
        self.check_may_sign_up(&address, invitation).await?;
        let name = who.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let name = cut_name(name.unwrap_or(&address)).to_owned();
        let new = NewUser { email: address, name, password: None, email_verified: true };
        Ok(store.create_user(&new).await?)
    }

    /// Refuses an account to who may not have one.
    async fn check_may_sign_up(
        &self,
        address: &str,
        invitation: Option<&str>,
    ) -> Result<(), ApiError> {
        let invitation = match (self.0.settings.sign_up, invitation) {
            (SignUp::Open, None) => return Ok(()),
            (SignUp::Off, _) | (SignUp::InvitedOnly, None) => return Err(no_account()),
            (SignUp::Open | SignUp::InvitedOnly, Some(hash)) => hash,
        };
        let now = seconds(UnixSeconds::now());
        let invited = self.0.store.invited_by_hash(invitation, now).await?;
        if invited.as_deref() == Some(address) { Ok(()) } else { Err(no_such_token()) }
    }
}

/// A field of a query.
fn field(uri: &Uri, name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    fields.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// What the provider sent the browser back with.
fn read(query: &str) -> Callback {
    let mut callback = Callback::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = value.into_owned();
        match &*name {
            "state" => callback.state = value,
            "code" => callback.code = Some(value),
            "error" => callback.error = Some(value),
            "iss" => callback.iss = Some(value),
            _ => {}
        }
    }
    callback
}

fn no_account() -> ApiError {
    let message = "You have no account here: sign up, or ask for an invitation, first.";
    ApiError::refused(StatusCode::FORBIDDEN, "no_account", message)
}

fn failed(provider: &str, error: &LoginError) -> ApiError {
    let message = format!("The login failed: {error}.");
    match error {
        LoginError::State => ApiError::refused(StatusCode::BAD_REQUEST, "invalid_state", message),
        LoginError::Denied(_) => ApiError::refused(StatusCode::FORBIDDEN, "login_denied", message),
        error => {
            // Nothing of tokens or codes is in it.
            tracing::warn!(provider, %error, "a login with a provider failed");
            let message = "The login with this provider does not work at this moment.";
            ApiError::unavailable("provider_unavailable", message, RETRY_S)
        }
    }
}
