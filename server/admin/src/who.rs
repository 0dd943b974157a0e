//! Who asks, and what they may.
//!
//! Invariant: only an admin key or a person of the organization gets to a handler, and what the
//! handler asks of the store, it asks with what their role allows.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use server_accounts::{
    Actor, ActorKind, Allowed, Demand, Denied, KeyError, KeyKind, KnownKey, Scopes,
};
use server_http::{ApiError, AuthError, Peer, check_scopes, sent_key, unix_time};

use crate::Admin;

/// Who asks: of the routes that [`guard`](crate::guard) stands before.
#[derive(Clone, Debug)]
pub struct Asker {
    actor: Actor,
    /// What a key may be used for.
    scopes: Arc<Scopes>,
}

impl Asker {
    /// Leave to do `P` wherever they may.
    ///
    /// # Errors
    /// 403, if it may nowhere.
    pub fn may<P: Demand>(&self) -> Result<Allowed<P>, ApiError> {
        self.actor.allow(self.actor.organization()).map_err(denied)
    }

    /// Leave to do `P` in a project.
    pub(crate) fn may_in<P: Demand>(&self, project: &str) -> Result<Allowed<P>, ApiError> {
        self.actor.allow_in(self.actor.organization(), project).map_err(denied)
    }

    /// The name of the role.
    pub(crate) fn role(&self) -> &str {
        self.actor.role()
    }

    /// What the key may be used for; of a person, anything.
    pub(crate) fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Whose a key is that they make: the person's, or whose the key is that asks, for those who
    /// may see admin keys.
    pub(crate) async fn owner(&self, admin: &Admin) -> Result<String, ApiError> {
        match self.actor.kind() {
            ActorKind::User(id) => Ok(format!("user:{id}")),
            ActorKind::Key(id) => Ok(admin.store.admin_key(&self.may()?, id).await?.owner),
            ActorKind::Operator => Ok("operator".to_owned()),
        }
    }

    /// The organization that this is about.
    pub(crate) fn organization(&self) -> &str {
        self.actor.organization()
    }
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // A route that nobody is asked on is a mistake of ours.
        parts.extensions.get().cloned().ok_or_else(ApiError::internal)
    }
}

/// Lets a request pass with its [`Asker`], or answers before its body is read.
pub(crate) async fn require_admin(
    State(admin): State<Admin>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let people = admin.people.as_ref();
    let Asker { actor, scopes } = match people.and_then(|it| it.known(&method, &headers)) {
        Some(person) => of_person(&admin, person.await?)?,
        None => {
            let secret = sent_key(&headers).ok_or(AuthError::Missing)?;
            let known = check(&admin, secret).await?;
            of_key(&admin, &known, &request)?
        }
    };
    let actor = match request.extensions().get::<Peer>() {
        Some(Peer(address)) => actor.from_address(address.to_canonical().to_string()),
        None => actor,
    };
    request.extensions_mut().insert(Asker { actor, scopes });
    let mut response = next.run(request).await;
    // Some answers have a secret, and none is for anybody else.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn of_person(admin: &Admin, actor: Actor) -> Result<Asker, ApiError> {
    if let ActorKind::User(id) = actor.kind() {
        tracing::Span::current().record("key_id", id.as_str());
    }
    match admin.directory.suspended(actor.organization()) {
        Some(why) if !admin.lets_suspended => Err(AuthError::from(KeyError::Suspended(why)).into()),
        _ => Ok(Asker { actor, scopes: Arc::default() }),
    }
}

fn of_key(admin: &Admin, known: &KnownKey, request: &Request) -> Result<Asker, ApiError> {
    let key = known.path.key.as_str();
    tracing::Span::current().record("key_id", key);
    if known.kind != KeyKind::Admin {
        let why = "this needs an admin key of the organization, and this is a project's key";
        return Err(insufficient(why));
    }
    check_scopes(&known.scopes, request)?;
    if let Some(on_use) = &admin.on_use {
        on_use(known);
    }
    let actor = Actor::key(key, known.path.organization.as_str(), known.role.clone());
    Ok(Asker { actor, scopes: Arc::clone(&known.scopes) })
}

/// Whose key it is; one that is not known may have been made just now.
async fn check(admin: &Admin, secret: &str) -> Result<Arc<KnownKey>, AuthError> {
    let check = || match (Instant::now(), unix_time()) {
        moment if admin.lets_suspended => admin.directory.check_payer(secret, moment),
        moment => admin.directory.check(secret, moment),
    };
    match (check(), &admin.refresh) {
        (Err(KeyError::Unknown), Some(auth)) => {
            auth.refresh().await;
            Ok(check()?)
        }
        (checked, _) => Ok(checked?),
    }
}

pub(crate) fn denied(error: Denied) -> ApiError {
    insufficient(&error.to_string())
}

fn insufficient(why: &str) -> ApiError {
    let message = format!("You have insufficient permissions for this operation: {why}.");
    ApiError::refused(StatusCode::FORBIDDEN, "insufficient_permissions", message)
}
