//! What people may in an organization, for other APIs.

use axum::http::{HeaderMap, Method};
use server_accounts::Actor;
use server_http::ApiError;
use server_identity::Purpose;

use crate::Login;
use crate::sessions::no_organization;
use crate::who::{Anyone, lacking};
use crate::wire::session::Due;

impl Login {
    /// Whether a bearer token is a person's: a session's or an access token, and no API key.
    #[must_use]
    pub fn is_meant(credential: &str) -> bool {
        let is_session = credential.starts_with(Purpose::Session.prefix());
        is_session || credential.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// What whoever has a session's token or an access token may in an organization. Where none is
    /// named it is that of the access token, or the only one they belong to.
    ///
    /// # Errors
    /// 401 if nobody has it, 403 if the organization requires a second factor that was not shown,
    /// 404 if they are no member of the organization.
    pub async fn actor(
        &self,
        credential: &str,
        organization: Option<&str>,
    ) -> Result<Actor, ApiError> {
        let anyone = self.known(credential).await?;
        self.actor_of(&anyone, organization).await
    }

    /// The same of whoever sent a request, in a header or in a cookie.
    ///
    /// # Errors
    /// The same, and 403 if a page of another site sent the cookie.
    pub async fn actor_of_request(
        &self,
        method: &Method,
        headers: &HeaderMap,
        organization: Option<&str>,
    ) -> Result<Actor, ApiError> {
        let anyone = self.whose(method, headers).await?;
        self.actor_of(&anyone, organization).await
    }

    async fn actor_of(
        &self,
        anyone: &Anyone,
        organization: Option<&str>,
    ) -> Result<Actor, ApiError> {
        let (user, two_factors) = (&anyone.user, anyone.session.two_factors);
        let standing = self.standing(user, two_factors).await?;
        let organization = match organization.or(anyone.organization.as_deref()) {
            Some(id) => standing.organizations.iter().find(|it| it.id == id).ok_or(id),
            None => match &standing.organizations[..] {
                [only] => Ok(only),
                _ => return Err(unnamed()),
            },
        };
        let organization = organization.map_err(no_organization)?;
        match standing.due {
            // What another organization requires is no matter of this one.
            Some(Due::SecondFactorSetup) if !organization.requires_two_factors => {}
            Some(due) => return Err(lacking(due)),
            None => {}
        }
        let actor = self.0.store.actor_of(&user.id, &organization.id).await?;
        actor.ok_or_else(|| no_organization(&organization.id))
    }
}

fn unnamed() -> ApiError {
    let message = "Which organization is this about? Get an access token for one, at \
                   /api/v1/auth/refresh.";
    ApiError::invalid(Some("organization"), message)
}
