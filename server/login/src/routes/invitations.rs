//! `/api/v1/invitations`

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use server_http::ApiError;
use server_identity::{Purpose, UnixSeconds};

use crate::Login;
use crate::attempts::seconds;
use crate::body::{Body, no_such_token, token};
use crate::openapi::Refusals;
use crate::who::Asker;
use crate::wire::me::Membership;
use crate::wire::sign_up::AcceptInvitationRequest;

pub(super) fn routes() -> Router<Login> {
    Router::new().route("/api/v1/invitations/accept", post(accept))
}

/// Makes whoever is logged in a member of the organization that they were invited to.
#[utoipa::path(post, path = "/api/v1/invitations/accept", tag = "Invitations",
    operation_id = "accept_invitation", request_body = AcceptInvitationRequest,
    responses((status = 200, description = "They are a member", body = Membership), Refusals))]
pub(crate) async fn accept(
    State(login): State<Login>,
    Asker(asker, _): Asker,
    Body(body): Body<AcceptInvitationRequest>,
) -> Result<Json<Membership>, ApiError> {
    let user = asker.user.id;
    let member = login.accept(&user, &token(Purpose::Invitation, &body.token)?).await?;
    Ok(Json(Membership { object: "organization.user", id: user, role: member.role }))
}

impl Login {
    /// Takes an invitation by its hash.
    pub(crate) async fn accept(
        &self,
        user: &str,
        hash: &str,
    ) -> Result<server_store::Member, ApiError> {
        let now = seconds(UnixSeconds::now());
        match self.0.store.accept_invitation(hash, user, now).await {
            Err(server_store::StoreError::NotFound { .. }) => Err(no_such_token()),
            accepted => Ok(accepted?),
        }
    }
}
