//! Sessions: in headers, in cookies, and their ends.

use std::time::Duration;

use axum::http::Request;
use serde_json::{Value, json};
use server_login::SignUp;

use crate::world::{SITE, World, text};

const COOKIE: &str = "__Host-agentbase-session";

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_user_alone() {
    let world = World::open().await;
    let (ada, bob) = (world.somebody("ada").await, world.somebody("bob").await);
    let (first, second) = (world.log_in(&ada).await.ok(), world.log_in(&ada).await.ok());
    let (one, two) = (text(&first["session_token"]), text(&second["session_token"]));
    let bobs = world.session(&bob).await;
    let list = world.get(&two, "/api/v1/me/sessions").await.ok();
    let list = list["data"].as_array().unwrap();
    assert_eq!(list.len(), 2);
    let current: Vec<&Value> = list.iter().filter(|it| it["is_current"] == true).collect();
    assert_eq!((current.len(), &current[0]["id"]), (1, &second["session_id"]));
    assert!(!list.iter().any(|it| it.to_string().contains("abs_")));

    let path = format!("/api/v1/me/sessions/{}", text(&first["session_id"]));
    let others = world.ask(&bobs, "DELETE", &path, Value::Null).await;
    assert_eq!(others.error(), (404, "not_found".into()));
    world.get(&one, "/api/v1/me").await.ok();
    world.ask(&two, "DELETE", &path, Value::Null).await.ok();
    assert_eq!(world.get(&one, "/api/v1/me").await.error(), (401, "invalid_session".into()));
    let access = text(&first["access_token"]);
    assert_eq!(world.get(&access, "/api/v1/me").await.error(), (401, "invalid_session".into()));

    let third = world.session(&ada).await;
    world.ask(&third, "DELETE", "/api/v1/me/sessions", Value::Null).await.ok();
    assert_eq!(world.get(&two, "/api/v1/me").await.status.as_u16(), 401);
    world.ask(&third, "POST", "/api/v1/auth/logout", Value::Null).await.ok();
    assert_eq!(world.get(&third, "/api/v1/me").await.status.as_u16(), 401);
    world.get(&bobs, "/api/v1/me").await.ok();
}

#[tokio::test]
async fn sessions_and_access_tokens_end() {
    let world = World::with(|settings| {
        settings.sign_up = SignUp::Open;
        settings.session_lifetime = Duration::ZERO;
    })
    .await;
    let email = world.somebody("ada").await;
    let begun = world.log_in(&email).await.ok();
    for token in ["session_token", "access_token"] {
        let answer = world.get(&text(&begun[token]), "/api/v1/me").await;
        assert_eq!(answer.error(), (401, "invalid_session".into()), "{token}");
    }
    let world = World::with(|settings| {
        settings.sign_up = SignUp::Open;
        settings.access_lifetime = Duration::ZERO;
    })
    .await;
    let email = world.somebody("ada").await;
    let begun = world.log_in(&email).await.ok();
    world.get(&text(&begun["session_token"]), "/api/v1/me").await.ok();
    let over = world.get(&text(&begun["access_token"]), "/api/v1/me").await;
    assert_eq!(over.error(), (401, "invalid_session".into()));
    assert!(over.text.contains("expired"), "{}", over.text);
}

#[tokio::test]
async fn what_is_no_token_is_nobodys() {
    let world = World::open().await;
    let other = World::open().await;
    let email = other.somebody("ada").await;
    world.somebody("ada").await;
    let begun = other.log_in(&email).await.ok();
    let access = text(&begun["access_token"]);
    let session = text(&begun["session_token"]);
    let cut = &session[..session.len() - 1];
    for token in [&*access, &session, cut, "", "ab-admin-x", "a.b.c"] {
        let answer = world.get(token, "/api/v1/me").await;
        assert_eq!(answer.error(), (401, "invalid_session".into()), "{token}");
    }
    let none = world.send(Request::get("/api/v1/me"), &Value::Null).await;
    assert_eq!(none.error(), (401, "invalid_session".into()));
}

#[tokio::test]
async fn a_cookie_is_for_the_servers_own_pages() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let body = json!({"email": email, "password": crate::world::PASSWORD, "cookie": true});
    let log_in = |origin: Option<&str>| {
        let request = Request::post("/api/v1/auth/login");
        let request = origin.into_iter().fold(request, |it, origin| it.header("origin", origin));
        world.send(request, &body)
    };
    for origin in [None, Some("https://evil.example"), Some("null")] {
        assert_eq!(log_in(origin).await.error(), (403, "wrong_origin".into()), "{origin:?}");
    }
    let begun = log_in(Some(SITE)).await;
    assert_eq!(begun.ok()["session_token"], Value::Null);
    let cookie = format!("a=b; {}", begun.cookie(COOKIE));
    let ask = |method: &str, path: &str, origin: Option<&str>| {
        let request = Request::builder().method(method).uri(path).header("cookie", &cookie);
        let request = origin.into_iter().fold(request, |it, origin| it.header("origin", origin));
        world.send(request, &Value::Null)
    };
    assert_eq!(ask("GET", "/api/v1/me", None).await.ok()["email"], email);
    for origin in [None, Some("https://evil.example"), Some("https://ai.example.org.evil.example")]
    {
        let answer = ask("DELETE", "/api/v1/me/sessions", origin).await;
        assert_eq!(answer.error(), (403, "wrong_origin".into()), "{origin:?}");
    }
    ask("DELETE", "/api/v1/me/sessions", Some(SITE)).await.ok();
    let out = ask("POST", "/api/v1/auth/logout", Some(SITE)).await;
    assert_eq!(out.cookie(COOKIE), format!("{COOKIE}="));
    assert_eq!(ask("GET", "/api/v1/me", None).await.error(), (401, "invalid_session".into()));
}
