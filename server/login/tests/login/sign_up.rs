//! Who may sign up, and what others learn of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use server_identity::{Purpose, Secret};
use server_login::{OrganizationFounded, SignUp};
use server_store::NewInvitation;

use crate::world::{PASSWORD, World, operator};

fn body(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "name": "Ada"})
}

fn in_an_hour() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + 3600
}

/// Invites somebody to an organization; the token of the letter.
pub(crate) async fn invite_to(world: &World, organization: &str, email: &str) -> String {
    let secret = Secret::random(Purpose::Invitation);
    let new = NewInvitation {
        email: email.to_owned(),
        role: "developer".to_owned(),
        projects: Vec::new(),
        hash: secret.hash().to_hex(),
        expires_at: in_an_hour(),
    };
    world.store.invite(&operator(organization), &new).await.unwrap();
    secret.reveal().to_owned()
}

/// The same, to `org-a`.
pub(crate) async fn invite(world: &World, email: &str) -> String {
    invite_to(world, "org-a", email).await
}

#[tokio::test]
async fn answers_do_not_tell_who_has_an_account() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let known = world.post("/api/v1/auth/sign-up", body(&email)).await;
    let unknown = world.post("/api/v1/auth/sign-up", body("bob@example.org")).await;
    assert_eq!((known.status, &known.text), (unknown.status, &unknown.text));
    assert_eq!(known.status.as_u16(), 202);
    let letter = world.letters(&email, 2).await.pop().unwrap();
    assert!(letter.contains("account at Agentbase already") && !letter.contains("token="));
    world.letters("bob@example.org", 1).await;
    // Her password is still her own.
    world.log_in(&email).await.ok();

    let forgot = |email: &str| world.post("/api/v1/auth/password/forgot", json!({"email": email}));
    let (known, unknown) = (forgot(&email).await, forgot("nobody@example.org").await);
    assert_eq!((known.status, &known.text), (unknown.status, &unknown.text));
    world.letters(&email, 3).await;
    world.letters("nobody@example.org", 0).await;

    let wrong = |email: &str| {
        world.post("/api/v1/auth/login", json!({"email": email, "password": "wrong horse"}))
    };
    let (known, unknown) = (wrong(&email).await, wrong("nobody@example.org").await);
    assert_eq!((known.status, &known.text), (unknown.status, &unknown.text));
    assert_eq!(known.error(), (401, "invalid_credentials".into()));
}

#[tokio::test]
async fn an_address_that_was_not_confirmed_is_asked_again() {
    let world = World::open().await;
    let email = "ada@example.org";
    world.post("/api/v1/auth/sign-up", body(email)).await.ok();
    let first = world.token(email, 1).await;
    let mut other = body(email);
    other["password"] = json!("of somebody else");
    world.post("/api/v1/auth/sign-up", other).await.ok();
    let second = world.token(email, 2).await;
    // Only the latest link works.
    let old = world.post("/api/v1/auth/verify-email", json!({ "token": first })).await;
    assert_eq!(old.error(), (400, "invalid_token".into()));
    world.post("/api/v1/auth/verify-email", json!({ "token": second })).await.ok();
    // The password is the first one.
    world.log_in(email).await.ok();
}

#[tokio::test]
async fn links_end() {
    let world = World::with(|settings| {
        settings.sign_up = SignUp::Open;
        settings.verification_lifetime = Duration::ZERO;
        settings.reset_lifetime = Duration::ZERO;
    })
    .await;
    let email = "ada@example.org";
    world.post("/api/v1/auth/sign-up", body(email)).await.ok();
    let token = world.token(email, 1).await;
    let verify = world.post("/api/v1/auth/verify-email", json!({ "token": token })).await;
    assert_eq!(verify.error(), (400, "invalid_token".into()));
    world.post("/api/v1/auth/password/forgot", json!({ "email": email })).await.ok();
    let token = world.token(email, 2).await;
    let reset = json!({"token": token, "password": PASSWORD});
    let reset = world.post("/api/v1/auth/password/reset", reset).await;
    assert_eq!(reset.error(), (400, "invalid_token".into()));
}

#[tokio::test]
async fn an_organization_is_there_at_once_if_the_operator_says_so() {
    let world = World::with(|settings| {
        settings.sign_up = SignUp::Open;
        settings.organization = OrganizationFounded::AtOnce;
    })
    .await;
    let email = "ada@example.org";
    world.post("/api/v1/auth/sign-up", body(email)).await.ok();
    let token = world.token(email, 1).await;
    let before = world.organization(email).await;
    world.post("/api/v1/auth/verify-email", json!({ "token": token })).await.ok();
    assert_eq!(world.organization(email).await, before, "and no other one");
}

#[tokio::test]
async fn who_was_invited_signs_up_with_the_invitation() {
    let world = World::with(|_| {}).await;
    world.store.create_organization(&operator("org-a"), "A").await.unwrap();
    let refused = world.post("/api/v1/auth/sign-up", body("ada@example.org")).await;
    assert_eq!(refused.error(), (403, "invitation_required".into()));
    let token = invite(&world, "ada@example.org").await;
    let with = |email: &str, token: &str| {
        let mut body = body(email);
        body["invitation"] = json!(token);
        world.post("/api/v1/auth/sign-up", body)
    };
    // It is for her address alone.
    for (email, token) in [("eve@example.org", &*token), ("ada@example.org", "abi_x")] {
        assert_eq!(with(email, token).await.error(), (400, "invalid_token".into()));
    }
    assert!(world.store.user_by_email("eve@example.org").await.unwrap().is_none());
    let ready = with("Ada@Example.org", &token).await;
    assert_eq!((ready.status.as_u16(), &ready.ok()["status"]), (201, &json!("ready")));
    assert_eq!(world.organization("ada@example.org").await, "org-a");
    let again = with("ada@example.org", &token).await;
    assert_eq!(again.error(), (400, "invalid_token".into()));
    world.session("ada@example.org").await;
}

#[tokio::test]
async fn who_has_an_account_accepts_an_invitation_once() {
    let world = World::open().await;
    let (ada, bob) = (world.somebody("ada").await, world.somebody("bob").await);
    world.store.create_organization(&operator("org-a"), "A").await.unwrap();
    let token = invite(&world, &ada).await;
    let (ada, bob) = (world.session(&ada).await, world.session(&bob).await);
    let accept = async |session: &str| {
        let body = json!({ "token": token });
        world.ask(session, "POST", "/api/v1/invitations/accept", body).await
    };
    assert_eq!(accept(&bob).await.error(), (400, "invalid_token".into()));
    assert_eq!(accept(&ada).await.ok()["role"], "developer");
    assert_eq!(accept(&ada).await.error(), (400, "invalid_token".into()));
    let mine = world.get(&ada, "/api/v1/me/organizations").await.ok();
    assert_eq!(mine["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_signs_up_where_it_is_off() {
    let world = World::with(|settings| settings.sign_up = SignUp::Off).await;
    let mut body = body("ada@example.org");
    body["invitation"] = json!(Secret::random(Purpose::Invitation).reveal());
    let answer = world.post("/api/v1/auth/sign-up", body).await;
    assert_eq!(answer.error(), (403, "sign_up_disabled".into()));
}

#[tokio::test]
async fn what_cannot_be_is_told_by_its_field() {
    let world = World::open().await;
    let long = "x".repeat(257);
    let cases = [
        ("email", json!("ada")),
        ("email", json!("ada@example.org\nBcc: eve@example.org")),
        ("password", json!("short")),
        ("password", json!("password1")),
        ("password", json!("ada@example.org")),
        ("password", json!("x".repeat(1025))),
        ("name", json!("")),
        ("name", json!(long)),
        ("name", json!("a\nb")),
        ("organization", json!("")),
    ];
    for (param, value) in cases {
        let mut body = body("ada@example.org");
        body[param] = value.clone();
        let answer = world.post("/api/v1/auth/sign-up", body).await;
        assert_eq!(answer.status.as_u16(), 400, "{value}");
        assert_eq!(answer.json()["error"]["param"], param, "{value}");
    }
    let large = json!({"email": "x".repeat(20_000)});
    assert_eq!(world.post("/api/v1/auth/sign-up", large).await.status.as_u16(), 413);
}
