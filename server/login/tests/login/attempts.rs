//! How often somebody may try.

use axum::http::header::RETRY_AFTER;
use serde_json::json;

use crate::world::{World, code};

const LOGIN: &str = "/api/v1/auth/login";

#[tokio::test]
async fn an_account_is_locked_for_a_while_whether_it_is_there_or_not() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    for email in [&*email, "nobody@example.org"] {
        let mut statuses = Vec::new();
        let mut last = None;
        // More than five waits begin at a second: some of these wait, however slow this machine is.
        for _ in 0..12 {
            let body = json!({"email": email, "password": "wrong horse"});
            let answer = world.post(LOGIN, body).await;
            statuses.push(answer.status.as_u16());
            last = Some(answer);
        }
        assert_eq!(statuses[..5], [401; 5]);
        assert_eq!(statuses[11], 429, "{statuses:?}");
        let last = last.unwrap();
        assert_eq!(last.error(), (429, "too_many_attempts".into()));
        assert!(last.headers[RETRY_AFTER].to_str().unwrap().parse::<u32>().unwrap() >= 1);
    }
    // The right password does not help.
    assert_eq!(world.log_in(&email).await.error(), (429, "too_many_attempts".into()));
    // A new one does: whoever has the mailbox is let in.
    world.post("/api/v1/auth/password/forgot", json!({ "email": email })).await.ok();
    let token = world.token(&email, 2).await;
    let reset = json!({"token": token, "password": crate::world::PASSWORD});
    world.post("/api/v1/auth/password/reset", reset).await.ok();
    world.log_in(&email).await.ok();
}

#[tokio::test]
async fn a_network_address_is_locked_across_accounts() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let mut statuses = Vec::new();
    for num in 0..12 {
        let email = format!("guess{num}@example.org");
        let body = json!({"email": email, "password": "wrong horse"});
        statuses.push(world.post_from("192.0.2.7", LOGIN, body).await.status.as_u16());
    }
    assert_eq!((&statuses[..5], statuses[11]), (&[401; 5][..], 429), "{statuses:?}");
    let right = json!({"email": email, "password": crate::world::PASSWORD});
    let other = world.post_from("192.0.2.8", LOGIN, right.clone()).await;
    assert_eq!(other.status.as_u16(), 200);
    // A proxy beside the server is nobody's address.
    for num in 0..12 {
        let body = json!({"email": format!("guess{num}@example.net"), "password": "wrong horse"});
        assert_eq!(world.post_from("127.0.0.1", LOGIN, body).await.status.as_u16(), 401);
    }
}

#[tokio::test]
async fn letters_are_asked_for_as_seldom() {
    let world = World::open().await;
    let mut statuses = Vec::new();
    for num in 0..12 {
        let body = json!({"email": format!("guess{num}@example.org")});
        let answer = world.post_from("192.0.2.7", "/api/v1/auth/password/forgot", body).await;
        statuses.push(answer.status.as_u16());
    }
    assert_eq!((&statuses[..5], statuses[11]), (&[202; 5][..], 429), "{statuses:?}");
}

#[tokio::test]
async fn codes_are_guessed_no_oftener_by_who_knows_the_password() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let session = world.session(&email).await;
    let (secret, _) = world.set_up(&session).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        // The password alone does not take attempts back.
        world.log_in(&email).await;
        let wrong = json!({"totp": "00000a"});
        statuses.push(world.log_in_with(&email, wrong).await.status.as_u16());
    }
    assert_eq!((statuses[0], statuses[5]), (401, 429), "{statuses:?}");
    let right = json!({"totp": code(&secret, 1)});
    assert_eq!(world.log_in_with(&email, right).await.status.as_u16(), 429);
}
