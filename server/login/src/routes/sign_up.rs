//! `/api/v1/auth/sign-up` and `/api/v1/auth/verify-email`

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use server_http::ApiError;
use server_identity::mail::Letter;
use server_identity::{EmailAddress, Password, Purpose, Secret, UnixSeconds};
use server_store::{NewUser, StoreError, User};

use crate::attempts::{Client, seconds};
use crate::body::{Body, email, no_such_token, token};
use crate::founding::MAX_NAME_BYTES;
use crate::hashing::{Place, unfit};
use crate::letters::ErrandError;
use crate::openapi::Refusals;
use crate::wire::AuthStatus;
use crate::wire::sign_up::{SignUpRequest, VerifyEmailRequest};
use crate::{Login, OrganizationFounded, SignUp};

/// What the store calls its tokens.
const PURPOSE: &str = "verify_email";

pub(super) fn routes() -> Router<Login> {
    Router::new()
        .route("/api/v1/auth/sign-up", post(sign_up))
        .route("/api/v1/auth/verify-email", post(verify_email))
}

/// Makes an account. The answer is the same whether the address has one or not; its owner learns it
/// from a letter. With an invitation the account is ready at once.
#[utoipa::path(post, path = "/api/v1/auth/sign-up", tag = "Login", operation_id = "sign_up",
    request_body = SignUpRequest, security(()), responses(
        (status = 201, description = "The account is ready: log in", body = AuthStatus),
        (status = 202, description = "A letter is on its way", body = AuthStatus), Refusals))]
pub(crate) async fn sign_up(
    State(login): State<Login>,
    client: Client,
    Body(body): Body<SignUpRequest>,
) -> Result<(StatusCode, Json<AuthStatus>), ApiError> {
    check_mode(login.0.settings.sign_up, body.invitation.is_some())?;
    let email = email(&body.email)?;
    let name = name("name", &body.name)?;
    let organization = body.organization.as_deref().map(|it| self::name("organization", it));
    let organization = organization.transpose()?;
    let password = chosen(&body.password, (&email, &name))?;
    let place = login.0.hashing.place()?;
    if let Some(invitation) = &body.invitation {
        login.sign_up_invited(&client, (&email, name), invitation, (place, password)).await?;
        return Ok((StatusCode::CREATED, AuthStatus::new("ready")));
    }
    let errand = login.0.letters.errand()?;
    login.begin_letter(&client)?;
    let password = Some(place.hash(password).await?);
    let new = NewUser { email: email.key(), name, password, email_verified: false };
    errand.run(async move { login.sign_up_or_tell(&new, organization.as_deref()).await });
    Ok((StatusCode::ACCEPTED, AuthStatus::new("check_your_mail")))
}

/// Takes the token of a link: the address is its user's, who can log in now.
#[utoipa::path(post, path = "/api/v1/auth/verify-email", tag = "Login",
    operation_id = "verify_email", request_body = VerifyEmailRequest, security(()),
    responses((status = 200, description = "It is", body = AuthStatus), Refusals))]
pub(crate) async fn verify_email(
    State(login): State<Login>,
    Body(body): Body<VerifyEmailRequest>,
) -> Result<Json<AuthStatus>, ApiError> {
    login.verify_email(&body.token, body.organization.as_deref()).await?;
    Ok(AuthStatus::new("verified"))
}

/// A password that is to be one's own.
pub(crate) fn chosen(
    text: &str,
    (email, name): (&EmailAddress, &str),
) -> Result<Password, ApiError> {
    Password::chosen(text, &[email.as_str(), name]).map_err(|error| unfit("password", &error))
}

pub(crate) fn check_mode(mode: SignUp, is_invited: bool) -> Result<(), ApiError> {
    let (code, message) = match mode {
        SignUp::Open => return Ok(()),
        SignUp::InvitedOnly if is_invited => return Ok(()),
        SignUp::InvitedOnly => {
            ("invitation_required", "Accounts here are for who was invited: send 'invitation'.")
        }
        SignUp::Off => ("sign_up_disabled", "Nobody can sign up here: ask the operator."),
    };
    Err(ApiError::refused(StatusCode::FORBIDDEN, code, message))
}

/// A name for people.
pub(crate) fn name(param: &str, text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    let is_fine = (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
    if is_fine {
        return Ok(text.to_owned());
    }
    let message = format!("Invalid '{param}': give it 1 to {MAX_NAME_BYTES} bytes on one line.");
    Err(ApiError::invalid(Some(param), message))
}

impl Login {
    /// Takes the token of a link, which may say what an organization is to be called.
    pub(crate) async fn verify_email(
        &self,
        text: &str,
        organization: Option<&str>,
    ) -> Result<(), ApiError> {
        let organization = organization.map(|it| name("organization", it)).transpose()?;
        let hash = token(Purpose::EmailVerification, text)?;
        let (store, now) = (&self.0.store, seconds(UnixSeconds::now()));
        let found = store.find_user_token(&hash, PURPOSE, now).await?;
        let (user, address) = found.ok_or_else(no_such_token)?;
        store.verify_email(&user, &address).await?;
        let user = store.user(&user).await?;
        self.found_at(OrganizationFounded::Verified, &user, organization.as_deref()).await?;
        // Last: a link whose request was cut off works once more.
        store.take_user_token(&hash, PURPOSE, now).await?.map(drop).ok_or_else(no_such_token)
    }

    /// Makes an account of whoever has an invitation, which shows that the address is theirs.
    pub(crate) async fn sign_up_invited(
        &self,
        client: &Client,
        (email, name): (&EmailAddress, String),
        invitation: &str,
        (place, password): (Place, Password),
    ) -> Result<(), ApiError> {
        self.begin_from(client)?;
        let hash = token(Purpose::Invitation, invitation)?;
        let now = seconds(UnixSeconds::now());
        let invited = self.0.store.invited_by_hash(&hash, now).await?;
        if invited.is_none_or(|invited| invited != email.key()) {
            return Err(no_such_token());
        }
        let password = Some(place.hash(password).await?);
        let new = NewUser { email: email.key(), name, password, email_verified: true };
        let user = match self.0.store.create_user(&new).await {
            Err(StoreError::Exists { .. }) => {
                let message = "You have an account already: log in, and accept the invitation.";
                return Err(ApiError::refused(StatusCode::CONFLICT, "already_exists", message));
            }
            made => made?,
        };
        self.accept(&user.id, &hash).await?;
        self.succeeded_from(client);
        Ok(())
    }

    /// Makes an account and asks whether the address is right, or tells its owner that there is
    /// one. One whose address nobody has confirmed stays as it is, and is asked again.
    async fn sign_up_or_tell(
        &self,
        new: &NewUser,
        organization: Option<&str>,
    ) -> Result<(), ErrandError> {
        let store = &self.0.store;
        let user = match store.create_user(new).await {
            Ok(user) => {
                self.found_at(OrganizationFounded::AtOnce, &user, organization).await?;
                user
            }
            Err(StoreError::Exists { .. }) => {
                let Some(user) = store.user_by_email(&new.email).await? else { return Ok(()) };
                if user.disabled_at.is_some() {
                    return Ok(());
                }
                if user.email_verified_at.is_some() {
                    return self.send_has_account(&user.email).await;
                }
                user
            }
            Err(error) => return Err(error.into()),
        };
        self.send_verification(&user, organization).await
    }

    /// Tells the owner of an address that there is an account with it.
    pub(crate) async fn send_has_account(&self, email: &str) -> Result<(), ErrandError> {
        let letters = &self.0.letters;
        let letter = Letter::has_account(&letters.site(), &letters.page("forgot-password"))?;
        letters.send(email, &letter).await
    }

    async fn send_verification(
        &self,
        user: &User,
        organization: Option<&str>,
    ) -> Result<(), ErrandError> {
        let letters = &self.0.letters;
        let lifetime = self.0.settings.verification_lifetime;
        let secret = Secret::random(Purpose::EmailVerification);
        let end = seconds(UnixSeconds::now().after(lifetime));
        let (hash, id) = (secret.hash().to_hex(), &user.id);
        self.0.store.put_user_token(&hash, id, PURPOSE, &user.email, end).await?;
        let mut link = letters.page_with("verify-email", &secret);
        if let Some(name) = organization {
            link.push_str("&organization=");
            link.extend(form_urlencoded::byte_serialize(name.as_bytes()));
        }
        let letter = Letter::verification(&letters.site(), &link, lifetime)?;
        letters.send(&user.email, &letter).await
    }
}
