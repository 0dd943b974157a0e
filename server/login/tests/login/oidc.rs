//! Logins with another provider.

use axum::http::Request;
use axum::http::header::LOCATION;
use serde_json::{Value, json};
use server_login::SignUp;
use server_store::NewUser;

use crate::provider::TestProvider;
use crate::sign_up::{invite, invite_to};
use crate::world::{Answer, World, code, operator, text};

const BEGIN: &str = "/api/v1/auth/oidc/test";
const SESSION: &str = "__Host-agentbase-session";
const PENDING: &str = "__Host-agentbase-login";

async fn world(provider: &TestProvider, sign_up: SignUp) -> World {
    World::with(|settings| {
        settings.sign_up = sign_up;
        settings.home = "/console".to_owned();
        settings.providers = vec![provider.named()];
    })
    .await
}

fn ada() -> Value {
    json!({"sub": "u-17", "email": "Ada@Example.org", "email_verified": true, "name": "Ada"})
}

/// Begins a login: where the browser is sent, and its cookie.
async fn begin(world: &World) -> (String, String) {
    let begun = world.send(Request::get(BEGIN), &Value::Null).await;
    assert_eq!(begun.status.as_u16(), 303, "{}", begun.text);
    (begun.headers[LOCATION].to_str().unwrap().to_owned(), begun.cookie(PENDING))
}

async fn back(world: &World, query: &str, cookie: &str) -> Answer {
    let request = Request::get(format!("{BEGIN}/callback?{query}")).header("cookie", cookie);
    world.send(request, &Value::Null).await
}

/// A whole login.
async fn log_in(world: &World, provider: &TestProvider, person: Value) -> Answer {
    let (url, cookie) = begin(world).await;
    assert!(url.starts_with(&provider.issuer) && url.contains("code_challenge="), "{url}");
    back(world, &provider.log_in(&url, person), &cookie).await
}

async fn me(world: &World, answer: &Answer) -> Value {
    assert_eq!(answer.status.as_u16(), 303, "{}", answer.text);
    assert_eq!(answer.headers[LOCATION], "/console");
    assert_eq!(answer.cookie(PENDING), format!("{PENDING}="));
    let request = Request::get("/api/v1/me").header("cookie", answer.cookie(SESSION));
    world.send(request, &Value::Null).await.ok()
}

#[tokio::test]
async fn who_comes_from_a_provider_gets_an_account_where_anybody_may() {
    let provider = TestProvider::start().await;
    let world = world(&provider, SignUp::Open).await;
    let listed = world.send(Request::get("/api/v1/auth/oidc"), &Value::Null).await.ok();
    assert_eq!(listed["data"], json!([{"id": "test", "issuer": provider.issuer}]));
    let first = me(&world, &log_in(&world, &provider, ada()).await).await;
    assert_eq!((&first["email"], &first["name"]), (&json!("ada@example.org"), &json!("Ada")));
    assert_eq!(first["has_password"], false);
    assert_eq!(first["identities"][0]["subject"], "u-17");
    world.organization("ada@example.org").await;
    // The same person, with another address there.
    let renamed = json!({"sub": "u-17", "email": "other@example.org", "email_verified": true});
    let second = me(&world, &log_in(&world, &provider, renamed).await).await;
    assert_eq!(second["id"], first["id"]);
    // Somebody else there is somebody else here.
    let other = json!({"sub": "u-18", "email": "bob@example.org", "email_verified": true});
    let other = me(&world, &log_in(&world, &provider, other).await).await;
    assert_ne!(other["id"], first["id"]);
}

#[tokio::test]
async fn an_account_is_joined_by_an_address_that_is_verified_on_both_sides() {
    let provider = TestProvider::start().await;
    let world = world(&provider, SignUp::Open).await;
    let email = world.somebody("ada").await;
    let session = world.session(&email).await;
    let id = world.get(&session, "/api/v1/me").await.ok()["id"].clone();
    let mut person = ada();
    person["email_verified"] = json!(false);
    let unverified = log_in(&world, &provider, person).await;
    assert_eq!(unverified.error(), (403, "no_account".into()));
    assert_eq!(me(&world, &log_in(&world, &provider, ada()).await).await["id"], id);
    world.log_in(&email).await.ok();

    // Who signed up with an address that is not theirs loses the account to whose it is.
    let body = json!({"email": "bob@example.org", "password": "of somebody else", "name": "x"});
    world.post("/api/v1/auth/sign-up", body.clone()).await.ok();
    world.token("bob@example.org", 1).await;
    let bob = json!({"sub": "u-18", "email": "bob@example.org", "email_verified": true});
    me(&world, &log_in(&world, &provider, bob).await).await;
    world.organization("bob@example.org").await;
    let theirs = world.post("/api/v1/auth/login", body).await;
    assert_eq!(theirs.error(), (401, "invalid_credentials".into()));
}

#[tokio::test]
async fn who_has_no_account_is_sent_away_where_it_takes_an_invitation() {
    let provider = TestProvider::start().await;
    let world = world(&provider, SignUp::InvitedOnly).await;
    let answer = log_in(&world, &provider, ada()).await;
    assert_eq!(answer.error(), (403, "no_account".into()));
    assert!(world.store.user_by_email("ada@example.org").await.unwrap().is_none());
    let new = NewUser {
        email: "ada@example.org".to_owned(),
        name: "Ada".to_owned(),
        password: None,
        email_verified: true,
    };
    let user = world.store.create_user(&new).await.unwrap();
    assert_eq!(me(&world, &log_in(&world, &provider, ada()).await).await["id"], user.id);
}

#[tokio::test]
async fn who_was_invited_gets_an_account_and_is_a_member() {
    let provider = TestProvider::start().await;
    let world = world(&provider, SignUp::InvitedOnly).await;
    world.store.create_organization(&operator("org-a"), "A").await.unwrap();
    let token = invite(&world, "ada@example.org").await;
    let with = async |token: &str, person: Value| {
        let request = Request::get(format!("{BEGIN}?invitation={token}"));
        let begun = world.send(request, &Value::Null).await;
        assert_eq!(begun.status.as_u16(), 303, "{}", begun.text);
        let (url, cookie) = (begun.headers[LOCATION].to_str().unwrap(), begun.cookie(PENDING));
        assert!(!url.contains(token) && !cookie.contains(token), "{url} {cookie}");
        back(&world, &provider.log_in(url, person), &cookie).await
    };
    let no_token = world.send(Request::get(format!("{BEGIN}?invitation=abi_x")), &Value::Null);
    assert_eq!(no_token.await.error(), (400, "invalid_token".into()));
    // It is for whoever has the address, and who the provider says has it.
    let eve = json!({"sub": "u-6", "email": "eve@example.org", "email_verified": true});
    assert_eq!(with(&token, eve).await.error(), (400, "invalid_token".into()));
    assert!(world.store.user_by_email("eve@example.org").await.unwrap().is_none());
    let mut unverified = ada();
    unverified["email_verified"] = json!(false);
    assert_eq!(with(&token, unverified).await.error(), (403, "no_account".into()));
    me(&world, &with(&token, ada()).await).await;
    assert_eq!(world.organization("ada@example.org").await, "org-a");
    assert_eq!(with(&token, ada()).await.error(), (400, "invalid_token".into()));
    me(&world, &log_in(&world, &provider, ada()).await).await;
    // Who has an account becomes a member so, too.
    world.store.create_organization(&operator("org-b"), "B").await.unwrap();
    let second = invite_to(&world, "org-b", "ada@example.org").await;
    me(&world, &with(&second, ada()).await).await;
    let user = world.store.user_by_email("ada@example.org").await.unwrap().unwrap();
    assert_eq!(world.store.organizations_of(&user.id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_gets_an_account_where_that_is_off() {
    let provider = TestProvider::start().await;
    let world = world(&provider, SignUp::Off).await;
    world.store.create_organization(&operator("org-a"), "A").await.unwrap();
    let token = invite(&world, "ada@example.org").await;
    let request = Request::get(format!("{BEGIN}?invitation={token}"));
    let begun = world.send(request, &Value::Null).await;
    let (url, cookie) = (begun.headers[LOCATION].to_str().unwrap(), begun.cookie(PENDING));
    let answer = back(&world, &provider.log_in(url, ada()), &cookie).await;
    assert_eq!(answer.error(), (403, "no_account".into()));
}

#[tokio::test]
async fn only_the_browser_that_began_a_login_ends_it() {
    let provider = TestProvider::start().await;
    let world = world(&provider, SignUp::Open).await;
    let (url, cookie) = begin(&world).await;
    let (_, others) = begin(&world).await;
    let query = provider.log_in(&url, ada());
    let wrong = query.replace("state=", "state=x");
    let changed = cookie.replacen("=", "=x", 1);
    let cases = [
        (&*wrong, &*cookie),
        (&query, &others),
        (&query, &changed),
        (&query, "a=b"),
        ("", &cookie),
    ];
    for (query, cookie) in cases {
        let answer = back(&world, query, cookie).await;
        assert_eq!(answer.error(), (400, "invalid_state".into()), "{query} {cookie}");
    }
    let denied = query.replace("code=", "error=access_denied&x=");
    assert_eq!(back(&world, &denied, &cookie).await.error(), (403, "login_denied".into()));
    let no_such_code = query.replace("code=", "code=x");
    let answer = back(&world, &no_such_code, &cookie).await;
    assert_eq!(answer.error(), (503, "provider_unavailable".into()));
    me(&world, &back(&world, &query, &cookie).await).await;
    let nobody = world.send(Request::get("/api/v1/auth/oidc/other"), &Value::Null).await;
    assert_eq!(nobody.error(), (404, "not_found".into()));
}

#[tokio::test]
async fn a_second_factor_of_ours_is_still_due() {
    let provider = TestProvider::start().await;
    let world = world(&provider, SignUp::Open).await;
    let email = world.somebody("ada").await;
    let session = world.session(&email).await;
    let (secret, codes) = world.set_up(&session).await;
    let answer = log_in(&world, &provider, ada()).await;
    assert_eq!(me(&world, &answer).await["required"], "second_factor");
    let cookie = answer.cookie(SESSION);
    let token = cookie.split_once('=').unwrap().1;
    let limited = world.get(token, "/api/v1/me/sessions").await;
    assert_eq!(limited.error(), (403, "second_factor_required".into()));
    let show = |body: Value| world.ask(token, "POST", "/api/v1/auth/second-factor", body);
    let wrong = show(json!({"recovery_code": codes[0].replace('-', "x")})).await;
    assert_eq!(wrong.error(), (401, "invalid_second_factor".into()));
    let shown = show(json!({"totp": code(&secret, 1)})).await.ok();
    assert_eq!(shown["required"], Value::Null);
    world.get(&text(&shown["access_token"]), "/api/v1/me/sessions").await.ok();
    world.get(token, "/api/v1/me/sessions").await.ok();
}
