//! Sessions: how they begin, what is still to be shown in one, and its access tokens.
//!
//! Invariant: a session that lacks a factor gets no access token.

use axum::Json;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use server_accounts::{Kind, new_id};
use server_http::ApiError;
use server_identity::{Purpose, Secret, Subject, UnixSeconds};
use server_store::{NewSession, OrganizationOf, User};

use crate::Login;
use crate::attempts::{Client, seconds};
use crate::cookie;
use crate::wire::session::{Due, SessionAnswer};

/// What a user is, and what is still to be shown.
pub(crate) struct Standing {
    pub(crate) organizations: Vec<OrganizationOf>,
    pub(crate) due: Option<Due>,
}

/// A session, as its answer needs it.
pub(crate) struct Begun {
    pub(crate) id: String,
    pub(crate) expires_at: i64,
    pub(crate) two_factors: bool,
    /// Of one that began just now.
    pub(crate) secret: Option<Secret>,
}

/// What whoever logs in wants.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// The secret goes into a cookie.
    pub(crate) cookie: bool,
    /// The access token is for this organization.
    pub(crate) organization: Option<&'a str>,
}

impl Login {
    /// Begins a session.
    pub(crate) async fn begin_session(
        &self,
        user: &User,
        two_factors: bool,
        client: &Client,
    ) -> Result<Begun, ApiError> {
        let secret = Secret::random(Purpose::Session);
        let expires_at = UnixSeconds::now().after(self.0.settings.session_lifetime);
        let new = NewSession {
            id: new_id(Kind::Session),
            user: user.id.clone(),
            hash: secret.hash().to_hex(),
            expires_at: seconds(expires_at),
            two_factors,
            address: client.address.map(|address| address.to_string()),
            agent: client.agent.clone(),
        };
        self.0.store.begin_session(&new).await?;
        let (id, expires_at) = (new.id, new.expires_at);
        Ok(Begun { id, expires_at, two_factors, secret: Some(secret) })
    }

    /// What a user is, in a session in which two factors were shown, or not.
    pub(crate) async fn standing(
        &self,
        user: &User,
        two_factors: bool,
    ) -> Result<Standing, ApiError> {
        let organizations = self.0.store.organizations_of(&user.id).await?;
        let is_required = organizations.iter().any(|it| it.requires_two_factors);
        let due = match (user.totp_enabled_at.is_some(), two_factors) {
            (true, true) => None,
            (true, false) => Some(Due::SecondFactor),
            (false, _) => is_required.then_some(Due::SecondFactorSetup),
        };
        Ok(Standing { organizations, due })
    }

    /// Tells a session to whose it is, with an access token if nothing is due.
    pub(crate) async fn tell(
        &self,
        user: &User,
        begun: Begun,
        wanted: Wanted<'_>,
    ) -> Result<Response, ApiError> {
        let standing = self.standing(user, begun.two_factors).await?;
        let is_theirs = |id: &str| standing.organizations.iter().any(|it| it.id == id);
        if let Some(id) = wanted.organization.filter(|id| !is_theirs(id)) {
            return Err(no_organization(id));
        }
        let settings = &self.0.settings;
        let access_token = match standing.due {
            Some(_) => None,
            None => {
                let subject = Subject {
                    user: user.id.clone(),
                    session: begun.id.clone(),
                    organization: wanted.organization.map(str::to_owned),
                };
                let lifetime = settings.access_lifetime;
                let token = self.0.tokens.issue(subject, UnixSeconds::now(), lifetime);
                Some(token.map_err(|_| ApiError::internal())?)
            }
        };
        let secret = begun.secret.filter(|_| !wanted.cookie);
        let answer = SessionAnswer {
            object: "auth.session",
            session_id: begun.id,
            session_token: secret.map(|secret| secret.reveal().to_owned()),
            session_expires_at: begun.expires_at,
            expires_in: access_token.is_some().then_some(settings.access_lifetime.as_secs()),
            access_token,
            token_type: "Bearer",
            required: standing.due,
        };
        Ok(Json(answer).into_response())
    }

    /// The header that gives a browser a session's secret to keep.
    pub(crate) fn session_cookie(&self, secret: &Secret) -> cookie::SetCookie {
        let seconds = self.0.settings.session_lifetime.as_secs();
        cookie::set(cookie::SESSION, secret.reveal(), seconds)
    }

    /// Refuses a page of another site that wants to use a cookie.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check_origin(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let is_own = origin.is_some_and(|it| it.eq_ignore_ascii_case(&self.0.settings.site_url));
        if method.is_safe() || is_own {
            return Ok(());
        }
        let message = "Cookies are for this server's own pages, which the 'Origin' does not name.";
        Err(ApiError::refused(StatusCode::FORBIDDEN, "wrong_origin", message))
    }
}

/// There is none, or it is nothing of theirs: which is not told.
pub(crate) fn no_organization(id: &str) -> ApiError {
    let id: String = id.chars().take(64).collect();
    let message = format!("Organization with id '{id}' not found.");
    ApiError::refused(StatusCode::NOT_FOUND, "not_found", message)
}
