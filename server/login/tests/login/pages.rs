//! The pages that letters lead to: a browser without scripts comes through.

use axum::http::Request;
use serde_json::{Value, json};
use server_login::SignUp;

use crate::provider::TestProvider;
use crate::sign_up::{invite, invite_to};
use crate::world::{Answer, PASSWORD, World, code, operator};

const OTHER: &str = "staple of the other horse";

async fn open(world: &World, path: &str) -> Answer {
    let page = world.send(Request::get(path), &Value::Null).await;
    for (name, part) in [
        ("content-type", "text/html"),
        ("content-security-policy", "default-src 'none'; form-action 'self'"),
        ("referrer-policy", "strict-origin"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        let value = page.headers[name].to_str().unwrap();
        assert!(value.starts_with(part), "{name}: {value}");
    }
    for foreign in ["<script", "<link", "<img", "style", "http://", "https://"] {
        assert!(!page.text.contains(foreign), "{}", page.text);
    }
    page
}

/// Says why it is refused, and has the form again.
fn is_refused(page: &Answer, status: u16, why: &str) {
    assert_eq!(page.status.as_u16(), status, "{}", page.text);
    assert!(page.text.contains("role=\"alert\"") && page.text.contains(why), "{}", page.text);
}

#[tokio::test]
async fn an_address_is_confirmed_by_a_button_and_not_by_opening_the_link() {
    let world = World::open().await;
    let email = "ada@example.org";
    let body = json!({"email": email, "password": PASSWORD, "name": "Ada",
        "organization": "Müller & <Co>"});
    world.post("/api/v1/auth/sign-up", body).await.ok();
    let token = world.token(email, 1).await;
    let letter = world.letters(email, 1).await.pop().unwrap();
    let link = letter.split("https://ai.example.org").find(|it| it.contains("token=")).unwrap();
    let link = link.split_whitespace().next().unwrap();
    for _ in 0..2 {
        let page = open(&world, link).await;
        assert!(page.text.contains(&format!("value=\"{token}\"")), "{}", page.text);
        assert!(page.text.contains("value=\"Müller &amp; &lt;Co&gt;\""), "{}", page.text);
    }
    assert_eq!(world.log_in(email).await.error(), (403, "email_not_verified".into()));
    let form = [("token", &*token), ("organization", "Müller & <Co>")];
    let done = world.submit("/verify-email", &form).await;
    assert!(done.status.is_success() && done.text.contains("is confirmed"), "{}", done.text);
    let session = world.session(email).await;
    let own = world.get(&session, "/api/v1/me/organizations").await.ok();
    assert_eq!(own["data"][0]["name"], "Müller & <Co>");
    is_refused(&world.submit("/verify-email", &form).await, 400, "is not valid, was used");
    let evil = open(&world, "/verify-email?token=%22%3E%3Cscript%3E&organization='x").await;
    assert!(evil.text.contains("&quot;&gt;&lt;script&gt;") && evil.text.contains("&#39;x"));
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let page = open(&world, "/forgot-password").await;
    assert!(page.text.contains("name=\"email\""), "{}", page.text);
    is_refused(&world.submit("/forgot-password", &[("email", "ada")]).await, 400, "email");
    let known = world.submit("/forgot-password", &[("email", &email)]).await;
    let unknown = world.submit("/forgot-password", &[("email", "no@example.org")]).await;
    assert_eq!((known.status, &known.text), (unknown.status, &unknown.text));
    let token = world.token(&email, 2).await;
    let page = open(&world, &format!("/reset-password?token={token}")).await;
    assert!(page.text.contains("type=\"password\""), "{}", page.text);
    let short = [("token", &*token), ("password", "short")];
    let short = world.submit("/reset-password", &short).await;
    is_refused(&short, 400, "password");
    assert!(short.text.contains(&token) && !short.text.contains("\"short\""), "{}", short.text);
    let form = [("token", &*token), ("password", OTHER)];
    let done = world.submit("/reset-password", &form).await;
    assert!(done.status.is_success() && !done.text.contains("<form"), "{}", done.text);
    world.log_in_with(&email, json!({ "password": OTHER })).await.ok();
}

#[tokio::test]
async fn another_address_is_confirmed() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let session = world.session(&email).await;
    let body = json!({"email": "new@example.org", "password": PASSWORD});
    world.ask(&session, "POST", "/api/v1/me/email", body).await.ok();
    let token = world.token("new@example.org", 1).await;
    open(&world, &format!("/change-email?token={token}")).await;
    let done = world.submit("/change-email", &[("token", &token)]).await;
    assert!(done.status.is_success(), "{}", done.text);
    world.log_in("new@example.org").await.ok();
}

#[tokio::test]
async fn who_is_invited_makes_an_account_or_logs_in() {
    let provider = TestProvider::start().await;
    let world = World::with(|settings| settings.providers = vec![provider.named()]).await;
    for id in ["org-a", "org-b"] {
        world.store.create_organization(&operator(id), id).await.unwrap();
    }
    let email = "ada@example.org";
    is_refused(&open(&world, "/invitation?token=abi_x").await, 400, "is not valid");
    let token = invite(&world, email).await;
    let page = open(&world, &format!("/invitation?token={token}")).await;
    assert!(page.text.contains("an account for ada@example.org"), "{}", page.text);
    let other_way = format!("/api/v1/auth/oidc/test?invitation={token}\"");
    assert!(page.text.contains(&other_way), "{}", page.text);
    let submit = async |token: &str, fields: &[(&str, &str)]| {
        world.submit("/invitation", &[&[("token", token)], fields].concat()).await
    };
    is_refused(&submit(&token, &[("password", PASSWORD)]).await, 400, "name");
    let fields = [("name", "Ada"), ("password", PASSWORD)];
    let done = submit(&token, &fields).await;
    assert!(done.status.is_success() && done.text.contains("a member now"), "{}", done.text);
    assert_eq!(world.organization(email).await, "org-a");
    is_refused(&submit(&token, &fields).await, 400, "is not valid");

    // With the account that there is, and its second factor.
    let (secret, _) = world.set_up(&world.session(email).await).await;
    let token = invite_to(&world, "org-b", email).await;
    let page = open(&world, &format!("/invitation?token={token}")).await;
    assert!(page.text.contains("Log in as ada@example.org"), "{}", page.text);
    is_refused(&submit(&token, &[("password", "wrong horse")]).await, 401, "is wrong");
    is_refused(&submit(&token, &[("password", PASSWORD)]).await, 401, "second factor");
    let code = code(&secret, 1);
    let done = submit(&token, &[("password", PASSWORD), ("totp", &code)]).await;
    assert!(done.status.is_success(), "{}", done.text);
    let user = world.store.user_by_email(email).await.unwrap().unwrap();
    assert_eq!(world.store.organizations_of(&user.id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_makes_an_account_where_that_is_off() {
    let world = World::with(|settings| settings.sign_up = SignUp::Off).await;
    world.store.create_organization(&operator("org-a"), "A").await.unwrap();
    let token = invite(&world, "ada@example.org").await;
    let form = [("token", &*token), ("name", "Ada"), ("password", PASSWORD)];
    is_refused(&world.submit("/invitation", &form).await, 403, "Nobody can sign up");
}

#[tokio::test]
async fn what_is_no_form_is_refused_and_other_pages_take_the_place_of_these() {
    let world = World::open().await;
    let json = world.post("/verify-email", json!({"token": "abv_x"})).await;
    is_refused(&json, 415, "takes a form");
    let large = "x".repeat(20_000);
    is_refused(&world.submit("/verify-email", &[("token", &large)]).await, 413, "larger");
    let world = World::with(|settings| settings.pages_url = "https://panel.example".into()).await;
    for path in ["/verify-email", "/invitation", "/forgot-password"] {
        let page = world.send(Request::get(path), &Value::Null).await;
        assert_eq!(page.status.as_u16(), 404, "{path}");
    }
}
