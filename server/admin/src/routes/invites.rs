//! `/v1/organization/invites`

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use server_http::{ApiError, unix_time};
use server_store::{Invitation, NewInvitation, ProjectRole};

use crate::Admin;
use crate::body::{Body, In};
use crate::inviter::{InviteMail, Inviter};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::query::Query;
use crate::roles::in_organization;
use crate::who::Asker;
use crate::wire::DeletedObject;
use crate::wire::people::{Invite, InviteRequest};

/// A week, as OpenAI's.
const LIFETIME_S: i64 = 7 * 24 * 3600;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/organization/invites", get(list).post(create))
        .route("/v1/organization/invites/{invite_id}", get(retrieve).delete(delete))
}

/// Who was invited, in the order it was done in.
#[utoipa::path(get, path = "/v1/organization/invites", tag = "People",
    operation_id = "list_invites",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page of them", body = ListOf<Invite>), Refusals))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<ListOf<Invite>>, ApiError> {
    let (paging, now) = (query.paging(false)?, unix_time());
    let page = admin.store.invitations(&asker.may()?, &paging.page).await?;
    Ok(ListOf::page(page, &paging, |invitation| Invite::new(invitation, now)))
}

/// Invites somebody, by mail.
#[utoipa::path(post, path = "/v1/organization/invites", tag = "People",
    operation_id = "create_invite", request_body = InviteRequest,
    responses((status = 200, description = "It was sent", body = Invite), Refusals))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    asker: Asker,
    Body(request): Body<InviteRequest>,
) -> Result<Json<Invite>, ApiError> {
    let allowed = asker.may()?;
    let Some(inviter) = &admin.inviter else {
        let message =
            "This server sends no mail, so nobody can be invited: set up its mail server.";
        return Err(ApiError::unavailable("no_mail", message, 3600));
    };
    let email = inviter.address(&request.email);
    let email = email.map_err(|why| ApiError::invalid(Some("email"), why))?;
    let projects = request.projects.unwrap_or_default().into_iter();
    let secret = inviter.secret();
    let new = NewInvitation {
        email,
        role: in_organization(&request.role).to_owned(),
        projects: projects.map(|it| ProjectRole { id: it.id, role: it.role }).collect(),
        hash: secret.hash,
        expires_at: unix_time() + LIFETIME_S,
    };
    let invitation = admin.store.invite(&allowed, &new).await?;
    if let Err(error) = send(&admin, &asker, &**inviter, (&invitation, &secret.secret)).await {
        // Nobody has its secret, so nobody could accept it.
        admin.store.delete_invitation(&allowed, &invitation.id).await?;
        return Err(error);
    }
    Ok(Json(Invite::new(invitation, unix_time())))
}

async fn send(
    admin: &Admin,
    asker: &Asker,
    inviter: &dyn Inviter,
    (invitation, secret): (&Invitation, &str),
) -> Result<(), ApiError> {
    let name = match asker.may() {
        Ok(allowed) => admin.store.organization(&allowed).await?.name,
        Err(_) => asker.organization().to_owned(),
    };
    let mail = InviteMail {
        email: &invitation.email,
        organization: &name,
        secret,
        expires_at: invitation.expires_at,
    };
    inviter.send(mail).await.map_err(|error| {
        tracing::error!(%error, "an invitation could not be sent");
        ApiError::unavailable("mail_failed", "The mail could not be sent: nobody is invited.", 60)
    })
}

/// An invitation.
#[utoipa::path(get, path = "/v1/organization/invites/{invite_id}", tag = "People",
    operation_id = "retrieve_invite", params(("invite_id" = String, Path)),
    responses((status = 200, description = "It", body = Invite), Refusals))]
pub(crate) async fn retrieve(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<Invite>, ApiError> {
    Ok(Json(Invite::new(admin.store.invitation(&asker.may()?, &id).await?, unix_time())))
}

/// Takes an invitation back that was not accepted.
#[utoipa::path(delete, path = "/v1/organization/invites/{invite_id}", tag = "People",
    operation_id = "delete_invite", params(("invite_id" = String, Path)),
    responses((status = 200, description = "It is gone", body = DeletedObject), Refusals))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    asker: Asker,
    In(id): In<String>,
) -> Result<Json<DeletedObject>, ApiError> {
    admin.store.delete_invitation(&asker.may()?, &id).await?;
    Ok(DeletedObject::new("organization.invite.deleted", id))
}
