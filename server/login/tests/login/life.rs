//! From the first letter to the last.

use serde_json::{Value, json};
use server_accounts::may;

use crate::world::{PASSWORD, World, code, operator, text};

#[tokio::test]
async fn a_life() {
    let world = World::open().await;
    let email = "Ada@example.org";
    let body = json!({"email": email, "password": PASSWORD, "name": "Ada",
        "organization": "Engines & Co"});
    let answer = world.post("/api/v1/auth/sign-up", body).await;
    assert_eq!((answer.status.as_u16(), &answer.ok()["status"]), (202, &json!("check_your_mail")));
    let email = "ada@example.org";
    let token = world.token(email, 1).await;
    let letter = &world.letters(email, 1).await[0];
    assert!(letter.contains("/verify-email?token=") && letter.contains("Engines+%26+Co"));
    // Not before the address is known to be hers.
    let early = world.log_in(email).await;
    assert_eq!(early.error(), (403, "email_not_verified".into()));
    let verify = json!({"token": token, "organization": "Engines & Co"});
    world.post("/api/v1/auth/verify-email", verify.clone()).await.ok();
    let again = world.post("/api/v1/auth/verify-email", verify).await;
    assert_eq!(again.error(), (400, "invalid_token".into()));

    let begun = world.log_in(email).await;
    assert_eq!(begun.headers["cache-control"], "no-store");
    let begun = begun.ok();
    let session = text(&begun["session_token"]);
    assert_eq!((&begun["required"], &begun["expires_in"]), (&Value::Null, &json!(900)));
    let mine = world.get(&session, "/api/v1/me/organizations").await.ok();
    let mine = &mine["data"][0];
    assert_eq!((&mine["name"], &mine["role"]), (&json!("Engines & Co"), &json!("owner")));
    let organization = text(&mine["id"]);
    let project = world.store.project(&operator(&organization), "default").await.unwrap();
    assert_eq!(project.organization, organization);
    let body = json!({ "organization": organization });
    let refreshed = world.ask(&session, "POST", "/api/v1/auth/refresh", body).await.ok();
    assert_eq!(refreshed["session_token"], Value::Null);
    let access = text(&refreshed["access_token"]);
    let actor = world.login.actor(&access, None).await.unwrap();
    assert!(actor.allow::<may::WriteAdminKeys>(&organization).is_ok());
    let itself = world.ask(&access, "POST", "/api/v1/auth/refresh", json!({})).await;
    assert_eq!(itself.error(), (401, "invalid_session".into()));

    let (secret, codes) = world.set_up(&session).await;
    assert_eq!(codes.len(), 10);
    let missing = world.log_in(email).await;
    assert_eq!(missing.error(), (401, "second_factor_required".into()));
    let totp = json!({"totp": code(&secret, 1)});
    world.log_in_with(email, totp.clone()).await.ok();
    let used = world.log_in_with(email, totp).await;
    assert_eq!(used.error(), (401, "invalid_second_factor".into()));
    let recovery = json!({"recovery_code": codes[0].to_lowercase()});
    let second = text(&world.log_in_with(email, recovery.clone()).await.ok()["session_token"]);
    let used = world.log_in_with(email, recovery).await;
    assert_eq!(used.error(), (401, "invalid_second_factor".into()));
    assert_eq!(world.get(&second, "/api/v1/me").await.ok()["recovery_codes_left"], 9);

    reset(&world, email).await;
    for ended in [&session, &second, &access] {
        let answer = world.get(ended, "/api/v1/me").await;
        assert_eq!(answer.error(), (401, "invalid_session".into()));
        assert!(world.login.actor(ended, Some(&organization)).await.is_err());
    }
    let old = world.log_in_with(email, json!({"recovery_code": codes[1]})).await;
    assert_eq!(old.error(), (401, "invalid_credentials".into()));
    let new = json!({"password": "staple of the other horse", "recovery_code": codes[1]});
    world.log_in_with(email, new).await.ok();
}

async fn reset(world: &World, email: &str) {
    world.post("/api/v1/auth/password/forgot", json!({ "email": email })).await.ok();
    let token = world.token(email, 2).await;
    let reset = |password: &str| {
        let body = json!({"token": token, "password": password});
        world.post("/api/v1/auth/password/reset", body)
    };
    // What is no password uses no link up.
    for bad in ["short", "ada@example.org", "password123"] {
        let error = reset(bad).await.json();
        assert_eq!(error["error"]["param"], "password", "{bad} {error}");
    }
    reset("staple of the other horse").await.ok();
    let again = reset("staple of the other horse").await;
    assert_eq!(again.error(), (400, "invalid_token".into()));
}

#[tokio::test]
async fn a_link_is_for_its_own_purpose() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    world.post("/api/v1/auth/password/forgot", json!({ "email": email })).await.ok();
    let token = world.token(&email, 2).await;
    let verify = world.post("/api/v1/auth/verify-email", json!({ "token": token })).await;
    assert_eq!(verify.error(), (400, "invalid_token".into()));
    let as_session = world.get(&token, "/api/v1/me").await;
    assert_eq!(as_session.error(), (401, "invalid_session".into()));
}
