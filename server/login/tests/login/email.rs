//! Another address of an account.

use serde_json::{Value, json};

use crate::world::{Answer, PASSWORD, World, code};

const NEW: &str = "ada@new.example.org";

async fn begin(world: &World, session: &str, email: &str, more: Value) -> Answer {
    let mut body = json!({"email": email, "password": PASSWORD});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.ask(session, "POST", "/api/v1/me/email", body).await
}

async fn confirm(world: &World, token: &str) -> Answer {
    world.post("/api/v1/auth/change-email", json!({ "token": token })).await
}

#[tokio::test]
async fn an_address_counts_when_its_link_was_opened_and_the_old_one_is_told() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let session = world.session(&email).await;
    let begun = begin(&world, &session, "Ada@New.example.org", json!({})).await;
    assert_eq!((begun.status.as_u16(), &begun.ok()["status"]), (202, &json!("check_your_mail")));
    let token = world.token(NEW, 1).await;
    let letter = world.letters(NEW, 1).await.pop().unwrap();
    assert!(letter.contains("/change-email?token=abe_"), "{letter}");
    // Nothing has changed yet, and its owner asked for nothing.
    assert_eq!(world.get(&session, "/api/v1/me").await.ok()["email"], email.as_str());
    world.letters(&email, 1).await;
    assert_eq!(world.log_in(NEW).await.error(), (401, "invalid_credentials".into()));
    // A link to set a password, which the old address has.
    world.post("/api/v1/auth/password/forgot", json!({ "email": email })).await.ok();
    let reset = world.token(&email, 2).await;

    let no_token = confirm(&world, "abe_x").await;
    assert_eq!(no_token.error(), (400, "invalid_token".into()));
    assert_eq!(confirm(&world, &token).await.ok()["status"], "email_changed");
    assert_eq!(confirm(&world, &token).await.error(), (400, "invalid_token".into()));
    assert_eq!(world.get(&session, "/api/v1/me").await.ok()["email"], NEW);
    let told = world.letters(&email, 3).await.pop().unwrap();
    assert!(told.contains("has changed") && !told.contains("token="), "{told}");
    world.log_in(NEW).await.ok();
    assert_eq!(world.log_in(&email).await.error(), (401, "invalid_credentials".into()));
    let body = json!({"token": reset, "password": "staple of the other horse"});
    let old = world.post("/api/v1/auth/password/reset", body).await;
    assert_eq!(old.error(), (400, "invalid_token".into()));
}

#[tokio::test]
async fn it_takes_who_the_account_is_of() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let session = world.session(&email).await;
    let wrong = begin(&world, &session, NEW, json!({"password": "wrong horse"})).await;
    assert_eq!(wrong.error(), (401, "invalid_credentials".into()));
    let own = begin(&world, &session, &email, json!({})).await;
    assert_eq!(own.json()["error"]["param"], "email");
    let none = begin(&world, &session, "ada", json!({})).await;
    assert_eq!(none.json()["error"]["param"], "email");
    let (secret, _) = world.set_up(&session).await;
    let missing = begin(&world, &session, NEW, json!({})).await;
    assert_eq!(missing.json()["error"]["param"], "totp");
    world.letters(NEW, 0).await;
    begin(&world, &session, NEW, json!({"totp": code(&secret, 1)})).await.ok();
    world.letters(NEW, 1).await;
}

#[tokio::test]
async fn an_address_of_another_account_is_not_taken_nor_told() {
    let world = World::open().await;
    let (ada, bob) = (world.somebody("ada").await, world.somebody("bob").await);
    let session = world.session(&ada).await;
    let known = begin(&world, &session, &bob, json!({})).await;
    let unknown = begin(&world, &session, NEW, json!({})).await;
    assert_eq!((known.status, &known.text), (unknown.status, &unknown.text));
    let letter = world.letters(&bob, 2).await.pop().unwrap();
    assert!(letter.contains("account at Agentbase already") && !letter.contains("token="));
    // Somebody else was faster.
    let token = world.token(NEW, 1).await;
    let body = json!({"email": NEW, "password": PASSWORD, "name": "Other"});
    world.post("/api/v1/auth/sign-up", body).await.ok();
    world.letters(NEW, 2).await;
    assert_eq!(confirm(&world, &token).await.error(), (409, "already_exists".into()));
    assert_eq!(world.get(&session, "/api/v1/me").await.ok()["email"], ada.as_str());
}
