//! `/invitation`: into an organization, with an account or with a new one.

use axum::extract::{Request, State};
use axum::http::Uri;
use server_http::ApiError;
use server_identity::{EmailAddress, Purpose, UnixSeconds};
use server_store::User;

use super::html::{Field, Form, Page};
use super::sent::Sent;
use crate::Login;
use crate::attempts::{Client, seconds};
use crate::body::{email, no_such_token, token};
use crate::factors::Shown;
use crate::routes::sign_up::{check_mode, chosen, name};

const TITLE: &str = "Accept your invitation";
const ACTION: &str = "/invitation";

/// Who was invited: to whoever has the letter it is told whether they have an account.
struct Invited {
    hash: String,
    email: EmailAddress,
    user: Option<User>,
}

pub(super) async fn show(State(login): State<Login>, uri: Uri) -> Page {
    let sent = Sent::of_query(&uri);
    match login.invited(&sent).await {
        Ok(invited) => Page::form(TITLE, &login.form(&sent, &invited)),
        Err(error) => Page::refused(TITLE, &error, None),
    }
}

pub(super) async fn done(State(login): State<Login>, client: Client, request: Request) -> Page {
    let found = async {
        let sent = Sent::of_body(request).await?;
        let invited = login.invited(&sent).await?;
        Ok((sent, invited))
    };
    let (sent, invited) = match found.await {
        Ok(found) => found,
        Err(error) => return Page::refused(TITLE, &error, None),
    };
    match login.take(&client, &sent, &invited).await {
        Ok(()) => Page::done(TITLE, "You are a member now: log in."),
        Err(error) => Page::refused(TITLE, &error, Some(&login.form(&sent, &invited))),
    }
}

impl Login {
    async fn invited(&self, sent: &Sent) -> Result<Invited, ApiError> {
        let hash = token(Purpose::Invitation, sent.get("token"))?;
        let now = seconds(UnixSeconds::now());
        let address = self.0.store.invited_by_hash(&hash, now).await?.ok_or_else(no_such_token)?;
        let user = self.0.store.user_by_email(&address).await?;
        Ok(Invited { hash, email: email(&address)?, user })
    }

    async fn take(&self, client: &Client, sent: &Sent, it: &Invited) -> Result<(), ApiError> {
        let password = sent.get("password");
        if it.user.is_some() {
            let (totp, recovery_code) = (sent.find("totp"), sent.find("recovery_code"));
            let shown = Shown { totp, recovery_code };
            let user = self.let_in(client, (&it.email.key(), password), shown).await?;
            return self.accept(&user.id, &it.hash).await.map(drop);
        }
        check_mode(self.0.settings.sign_up, true)?;
        let name = name("name", sent.get("name"))?;
        let password = chosen(password, (&it.email, &name))?;
        let place = self.0.hashing.place()?;
        let token = sent.get("token");
        self.sign_up_invited(client, (&it.email, name), token, (place, password)).await
    }

    fn form(&self, sent: &Sent, Invited { email, user, .. }: &Invited) -> Form {
        let token = sent.get("token").trim();
        let mut form = Form::new(ACTION, "Accept").hidden("token", token);
        form = match user {
            Some(user) => {
                let text = format!("Log in as {} to accept.", email.as_str());
                let form = form.saying(&text).field(&Field::PASSWORD);
                match user.totp_enabled_at {
                    Some(_) => form.field(&Field::CODE).field(&Field::RECOVERY_CODE),
                    None => form,
                }
            }
            None => {
                let text = format!("This makes an account for {}.", email.as_str());
                form.saying(&text).field(&Field::NAME).field(&Field::NEW_PASSWORD)
            }
        };
        for provider in &self.0.settings.providers {
            // The token is of letters that need no other form in a path.
            let path = format!("/api/v1/auth/oidc/{}?invitation={token}", provider.id);
            form = form.link(&path, &format!("Log in with {}", provider.id));
        }
        form
    }
}
