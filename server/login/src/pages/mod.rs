//! What the links of letters lead to until a panel takes its place: plain forms, without scripts.
//!
//! Invariant: opening a link changes nothing, since programs that read mail open links, too. A page
//! loads nothing and leads nowhere else, and no `Referer` has its token.

mod html;
mod invitation;
mod sent;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::routing::get;
use server_http::ApiError;

use self::html::{Field, Form, Page};
use self::sent::Sent;
use crate::Login;
use crate::attempts::Client;

/// All pages.
pub(crate) fn all() -> Router<Login> {
    Router::new()
        .route("/verify-email", get(verify_email).post(verify_email_done))
        .route("/change-email", get(change_email).post(change_email_done))
        .route("/reset-password", get(reset_password).post(reset_password_done))
        .route("/forgot-password", get(forgot_password).post(forgot_password_done))
        .route("/invitation", get(invitation::show).post(invitation::done))
}

const CONFIRM: &str = "Confirm your e-mail address";
const CHANGE: &str = "Confirm your new e-mail address";
const RESET: &str = "Set a new password";

async fn verify_email(uri: Uri) -> Page {
    Page::form(CONFIRM, &verify_form(&Sent::of_query(&uri)))
}

async fn verify_email_done(State(login): State<Login>, request: Request) -> Page {
    let done = async |sent: &Sent| {
        login.verify_email(sent.get("token"), sent.find("organization")).await?;
        Ok("Your address is confirmed: you can log in now.")
    };
    answer(CONFIRM, request, done, verify_form).await
}

fn verify_form(sent: &Sent) -> Form {
    let form = Form::new("/verify-email", "Confirm").hidden("token", sent.get("token"));
    match sent.find("organization") {
        Some(name) => form.hidden("organization", name),
        None => form,
    }
}

async fn change_email(uri: Uri) -> Page {
    Page::form(CHANGE, &change_form(&Sent::of_query(&uri)))
}

async fn change_email_done(State(login): State<Login>, request: Request) -> Page {
    let done = async |sent: &Sent| {
        login.change_email(sent.get("token")).await?;
        Ok("This is your account's address now: log in with it.")
    };
    answer(CHANGE, request, done, change_form).await
}

fn change_form(sent: &Sent) -> Form {
    Form::new("/change-email", "Confirm").hidden("token", sent.get("token"))
}

async fn reset_password(uri: Uri) -> Page {
    Page::form(RESET, &reset_form(&Sent::of_query(&uri)))
}

async fn reset_password_done(State(login): State<Login>, request: Request) -> Page {
    let done = async |sent: &Sent| {
        login.reset_password(sent.get("token"), sent.get("password")).await?;
        Ok("Your new password is set: log in with it. All your sessions have ended.")
    };
    answer(RESET, request, done, reset_form).await
}

fn reset_form(sent: &Sent) -> Form {
    let form = Form::new("/reset-password", "Set it").hidden("token", sent.get("token"));
    form.field(&Field::NEW_PASSWORD)
}

async fn forgot_password() -> Page {
    Page::form(RESET, &forgot_form(&Sent::default()))
}

async fn forgot_password_done(
    State(login): State<Login>,
    client: Client,
    request: Request,
) -> Page {
    let done = async |sent: &Sent| {
        login.forgot_password(&client, sent.get("email"))?;
        Ok("If there is an account with this address, a letter with a link is on its way.")
    };
    answer(RESET, request, done, forgot_form).await
}

fn forgot_form(_: &Sent) -> Form {
    Form::new("/forgot-password", "Send me a link").field(&Field::EMAIL)
}

/// Does what a form asks for, and says that it is done; or why it is not, above the form.
async fn answer(
    title: &'static str,
    request: Request,
    work: impl AsyncFnOnce(&Sent) -> Result<&'static str, ApiError>,
    again: impl FnOnce(&Sent) -> Form,
) -> Page {
    let sent = match Sent::of_body(request).await {
        Ok(sent) => sent,
        Err(error) => return Page::refused(title, &error, None),
    };
    match work(&sent).await {
        Ok(text) => Page::done(title, text),
        Err(error) => Page::refused(title, &error, Some(&again(&sent))),
    }
}
