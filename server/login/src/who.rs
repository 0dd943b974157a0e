//! Who asks.
//!
//! Invariant: a session that lacks a factor gets to handlers that take [`Anyone`] alone, which
//! serve to show or set up that factor and to log out. What was ended or disabled a moment ago is
//! nobody's, access tokens included.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use server_http::{ApiError, sent_key};
use server_identity::{Purpose, Secret, UnixSeconds};
use server_store::{Session, User};

use crate::attempts::seconds;
use crate::sessions::Standing;
use crate::wire::session::Due;
use crate::{Login, cookie};

/// How somebody showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// With the secret of a session.
    Secret,
    /// With the secret of a session, in a cookie.
    Cookie,
    /// With an access token.
    Token,
}

/// Whose session it is.
pub(crate) struct Anyone {
    pub(crate) user: User,
    pub(crate) session: Session,
    pub(crate) way: Way,
    /// The organization that an access token is for.
    pub(crate) organization: Option<String>,
}

/// Whose session it is, in which nothing is due.
pub(crate) struct Asker(pub(crate) Anyone, pub(crate) Standing);

impl FromRequestParts<Login> for Anyone {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, login: &Login) -> Result<Self, ApiError> {
        login.whose(&parts.method, &parts.headers).await
    }
}

impl FromRequestParts<Login> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, login: &Login) -> Result<Self, ApiError> {
        let anyone = Anyone::from_request_parts(parts, login).await?;
        let standing = login.standing(&anyone.user, anyone.session.two_factors).await?;
        match standing.due {
            None => Ok(Self(anyone, standing)),
            Some(due) => Err(lacking(due)),
        }
    }
}

impl Login {
    /// Whose a request is.
    pub(crate) async fn whose(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Anyone, ApiError> {
        if let Some(credential) = sent_key(headers) {
            return self.known(credential).await;
        }
        let sent = cookie::sent(headers, cookie::SESSION).ok_or_else(|| {
            let message = "You are not logged in: send a session's or an access token as a bearer \
                           token in the 'Authorization' header.";
            unknown(message)
        })?;
        self.check_origin(method, headers)?;
        Ok(Anyone { way: Way::Cookie, ..self.known(sent).await? })
    }

    /// Whose a session's token or an access token is.
    pub(crate) async fn known(&self, credential: &str) -> Result<Anyone, ApiError> {
        let store = &self.0.store;
        let now = UnixSeconds::now();
        let over = || unknown("The session has ended: log in again.");
        let (session, way, organization) = match Secret::parse(Purpose::Session, credential) {
            Some(secret) => {
                let found = store.session_by_hash(&secret.hash().to_hex(), seconds(now)).await?;
                (found.ok_or_else(over)?, Way::Secret, None)
            }
            None => {
                let claims = self.0.tokens.verify(credential, now);
                let claims = claims.map_err(|error| unknown(&format!("Not let in: {error}.")))?;
                let mut sessions = store.sessions(&claims.sub).await?.into_iter();
                let found = sessions.find(|session| session.id == claims.sid);
                (found.ok_or_else(over)?, Way::Token, claims.org)
            }
        };
        let user = match store.user(&session.user).await {
            Err(server_store::StoreError::NotFound { .. }) => return Err(over()),
            found => found?,
        };
        if user.disabled_at.is_some() {
            return Err(over());
        }
        Ok(Anyone { user, session, way, organization })
    }
}

fn unknown(message: &str) -> ApiError {
    ApiError::refused(StatusCode::UNAUTHORIZED, "invalid_session", message)
}

/// A factor is due.
pub(crate) fn lacking(due: Due) -> ApiError {
    let (code, message) = match due {
        Due::SecondFactor => {
            let message = "Show your second factor first, at /api/v1/auth/second-factor.";
            ("second_factor_required", message)
        }
        Due::SecondFactorSetup => {
            let message = "An organization of yours requires a second factor: set one up first, at \
                           /api/v1/me/totp.";
            ("second_factor_setup_required", message)
        }
    };
    ApiError::refused(StatusCode::FORBIDDEN, code, message)
}
