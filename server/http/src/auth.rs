//! Who asks. The check itself is the composition root's; here it meets HTTP.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use server_accounts::{KeyError, Scopes};
use server_metering::{Endpoint, IdError, Tag};

use crate::observe::RequestId;
use crate::ticket::{Asked, Ticket};
use crate::{ApiError, AppState, Caller, anthropic, meter};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What a client groups its requests by, in reports of usage.
const TAG: HeaderName = HeaderName::from_static("x-agentbase-tag");
/// Seconds to wait for the database that has the keys.
const RETRY_S: u32 = 5;

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No key was sent.
    #[error(
        "You didn't provide an API key. Provide it in an Authorization header: \
         `Authorization: Bearer YOUR_KEY`."
    )]
    Missing,
    /// The key is not known, or no longer.
    #[error("Incorrect API key provided.")]
    Invalid,
    /// Signed with a key that is not known, or no longer.
    #[error("The AWS access key id is not known here.")]
    UnknownAccessKey,
    /// The key has no secret to sign with.
    #[error(
        "This API key was made before requests could be signed with it. Run `agentbase key aws` \
         with it and restart the server, or send the key itself as a bearer token."
    )]
    NoSecret,
    /// The key's time is over.
    #[error("This API key has expired: make another one, or set a later end.")]
    Expired,
    /// The key is for something else, or whoever it belongs to may not go on.
    #[error("{0}")]
    Forbidden(String),
    /// Keys cannot be checked.
    #[error("API keys cannot be checked at the moment: try again.")]
    Unavailable,
}

/// Where a request comes from: an extension of each that came by a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let message = error.to_string();
        match error {
            AuthError::Forbidden(_) => forbidden("insufficient_permissions", message),
            AuthError::Unavailable => Self::unavailable("keys_unavailable", message, RETRY_S),
            _ => Self::unauthorized(message),
        }
    }
}

fn forbidden(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::refused(StatusCode::FORBIDDEN, code, message)
}

/// A key that the accounts do not let in.
impl From<KeyError> for AuthError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown => Self::Invalid,
            KeyError::Expired => Self::Expired,
            KeyError::NoSecret => Self::NoSecret,
            KeyError::Stale => Self::Unavailable,
            KeyError::Archived | KeyError::Suspended(_) => Self::Forbidden(error.to_string()),
        }
    }
}

/// A key that no account can have.
impl From<IdError> for AuthError {
    fn from(error: IdError) -> Self {
        tracing::warn!(%error, "a key is refused");
        Self::Invalid
    }
}

/// Whose signature it is, and what it is made with.
#[derive(Clone)]
pub struct Signer {
    /// Who signs.
    pub caller: Caller,
    /// The AWS secret access keys that hold, two while a key is rotated. It has no `Debug`: nothing
    /// may log them.
    pub secrets: Vec<Arc<str>>,
}

/// Says who a key belongs to. Called on every request: it must be quick and must not block.
pub trait Authenticate: Send + Sync {
    /// `bearer` is the token of the `Authorization` header, if there is one.
    ///
    /// # Errors
    /// [`AuthError`] if the caller is not let in.
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError>;

    /// Who signs with the AWS access key `id`. Nobody, where keys have no such form.
    ///
    /// # Errors
    /// [`AuthError`] if no signature by this id is let in.
    fn signer(&self, id: &str) -> Result<Signer, AuthError> {
        let _ = id;
        Err(AuthError::UnknownAccessKey)
    }

    /// Looks whether keys were made just now; asked before a key that is not known is refused.
    fn refresh(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {})
    }

    /// Whether keys can be checked at the moment. Asked by every probe: it must not ask a database.
    fn can_check(&self) -> bool {
        true
    }

    /// Whether everybody is let in. Then only programs and pages of this machine are served, since
    /// no key keeps a page from elsewhere out.
    fn is_open(&self) -> bool {
        false
    }
}

/// Lets everybody in as one tenant; for loopback and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuth;

impl Authenticate for NoAuth {
    fn check(&self, _bearer: Option<&str>) -> Result<Caller, AuthError> {
        Ok(Caller::of_tenant("local", "none")?)
    }

    fn is_open(&self) -> bool {
        true
    }
}

/// Whose key it is; one that is not known may have been made just now.
pub(crate) async fn checked(state: &AppState, bearer: Option<&str>) -> Result<Caller, AuthError> {
    let auth = state.auth();
    match auth.check(bearer) {
        Err(AuthError::Invalid) => {
            auth.refresh().await;
            auth.check(bearer)
        }
        checked => checked,
    }
}

/// Lets a request pass with its [`Caller`], or answers 401 before its body is read.
pub(crate) async fn require_caller(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = checked(&state, key(request.headers())).await?;
    admit(&state, caller, request, next).await
}

/// Lets a request pass as `caller`'s.
pub(crate) async fn admit(
    state: &AppState,
    caller: Caller,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    tracing::Span::current().record("key_id", &*caller.key_id);
    check_scopes(&caller.scopes, &request)?;
    let ticket = ticket(state, &caller, &request)?;
    let is_anthropics = anthropic::is_meant(&request);
    request.extensions_mut().insert(caller);
    let mut response = Arc::clone(&ticket).scope(next.run(request)).await;
    if let Some(rates) = ticket.rates() {
        meter::tell(response.headers_mut(), rates, is_anthropics);
    }
    Ok(response)
}

/// What goes with the request to its end.
fn ticket(state: &AppState, caller: &Caller, request: &Request) -> Result<Arc<Ticket>, ApiError> {
    let max = state.limits().request_timeout;
    let ticket = Ticket::new(state.tickets(), caller.whose(), request.headers(), max)?;
    if let Some(RequestId(id)) = request.extensions().get() {
        ticket.name(id);
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    ticket.note(Asked {
        // Routes are short.
        endpoint: Endpoint::new(route.unwrap_or("other")).map_err(|_| ApiError::internal())?,
        tag: tag(request.headers())?,
        scopes: Arc::clone(&caller.scopes),
    });
    Ok(ticket)
}

/// What a key may be used for, as far as the request's head tells.
///
/// # Errors
/// 403, if the key is for other endpoints or networks.
pub fn check_scopes(scopes: &Scopes, request: &Request) -> Result<(), ApiError> {
    let path = request.uri().path();
    if !scopes.allow_endpoint(path) {
        let path: String = path.chars().take(128).collect();
        let message = format!("This API key is not allowed to use {path}.");
        return Err(forbidden("insufficient_permissions", message));
    }
    let peer = request.extensions().get().map(|Peer(address)| *address);
    if !scopes.allow_address(peer) {
        let message = "This API key is not allowed to be used from your network address.";
        return Err(forbidden("ip_not_authorized", message));
    }
    Ok(())
}

/// What the client groups its requests by.
fn tag(headers: &HeaderMap) -> Result<Option<Tag>, ApiError> {
    let Some(value) = headers.get(TAG) else { return Ok(None) };
    match value.to_str().map(Tag::new) {
        Ok(Ok(tag)) => Ok(Some(tag)),
        _ => {
            let message = format!("Invalid value for '{TAG}': give it 1 to 256 ASCII characters.");
            Err(ApiError::invalid(Some(TAG.as_str()), message))
        }
    }
}

/// The key of a request. Anthropic's clients have a header of their own for it.
pub fn key(headers: &HeaderMap) -> Option<&str> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    text(header::AUTHORIZATION).and_then(bearer_token).or_else(|| text(X_API_KEY))
}

fn bearer_token(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::bearer_token;

    #[test]
    fn only_bearer_tokens_are_taken() {
        assert_eq!(bearer_token("Bearer abc"), Some("abc"));
        assert_eq!(bearer_token("bearer  abc "), Some("abc"));
        assert_eq!(bearer_token("Basic abc"), None);
        assert_eq!(bearer_token("abc"), None);
    }
}
