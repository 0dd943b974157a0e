//! Second factors, and organizations that require them.

use serde_json::{Value, json};
use server_accounts::may;

use crate::world::{PASSWORD, World, code, text};

#[tokio::test]
async fn an_organization_that_requires_two_factors_limits_a_session_to_setting_it_up() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let organization = world.organization(&email).await;
    let before = world.log_in(&email).await.ok();
    let access = text(&before["access_token"]);
    world.require(&organization, true).await;

    let begun = world.log_in(&email).await.ok();
    assert_eq!(begun["required"], "second_factor_setup");
    assert_eq!((&begun["access_token"], &begun["expires_in"]), (&Value::Null, &Value::Null));
    let session = text(&begun["session_token"]);
    let refused = (403, "second_factor_setup_required".to_owned());
    for token in [&session, &access] {
        for path in ["/api/v1/me/organizations", "/api/v1/me/sessions", "/api/v1/me/export"] {
            assert_eq!(world.get(token, path).await.error(), refused, "{path}");
        }
        let error = world.login.actor(token, Some(&organization)).await.unwrap_err();
        assert!(error.to_string().starts_with("403"), "{error}");
    }
    assert_eq!(world.get(&session, "/api/v1/me").await.ok()["required"], "second_factor_setup");
    let (_, codes) = world.set_up(&session).await;
    assert_eq!(world.get(&session, "/api/v1/me").await.ok()["required"], Value::Null);
    let refreshed = world.ask(&session, "POST", "/api/v1/auth/refresh", json!({})).await.ok();
    let access = text(&refreshed["access_token"]);
    for token in [&session, &access] {
        let actor = world.login.actor(token, Some(&organization)).await.unwrap();
        assert!(actor.allow::<may::WriteBilling>(&organization).is_ok());
    }
    // It stays as long as it is required.
    let body = json!({"password": PASSWORD, "recovery_code": codes[0]});
    let remove = || world.ask(&session, "DELETE", "/api/v1/me/totp", body.clone());
    assert_eq!(remove().await.error(), (403, "second_factor_required".into()));
    world.require(&organization, false).await;
    remove().await.ok();
    assert_eq!(world.get(&session, "/api/v1/me").await.ok()["has_second_factor"], false);
    world.log_in(&email).await.ok();
    // A factor that is gone does not count when it is required again.
    world.require(&organization, true).await;
    assert_eq!(world.get(&session, "/api/v1/me/organizations").await.error(), refused);
}

#[tokio::test]
async fn a_second_factor_is_confirmed_and_ends_other_sessions() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let (session, other) = (world.session(&email).await, world.session(&email).await);
    let setup = world.ask(&session, "POST", "/api/v1/me/totp", Value::Null).await.ok();
    let secret = text(&setup["secret"]);
    let uri = text(&setup["uri"]);
    assert!(uri.starts_with("otpauth://totp/Agentbase:ada%40example.org?secret="), "{uri}");
    // It is not asked for yet.
    world.log_in(&email).await.ok();
    let confirm = |code: String| {
        world.ask(&session, "POST", "/api/v1/me/totp/confirm", json!({ "code": code }))
    };
    assert_eq!(confirm("00000a".into()).await.error(), (401, "invalid_second_factor".into()));
    confirm(code(&secret, 0)).await.ok();
    assert_eq!(confirm(code(&secret, 1)).await.status.as_u16(), 400);
    let begin = world.ask(&session, "POST", "/api/v1/me/totp", Value::Null).await;
    assert_eq!(begin.error(), (409, "already_exists".into()));
    let message = text(&begin.json()["error"]["message"]);
    assert!(message.contains("second factor already"), "{message}");
    assert!(message.contains("recovery code") && !message.contains("another id"), "{message}");
    assert_eq!(world.get(&other, "/api/v1/me").await.error(), (401, "invalid_session".into()));
    assert_eq!(world.get(&session, "/api/v1/me").await.ok()["has_second_factor"], true);
}

#[tokio::test]
async fn other_recovery_codes_take_the_place_of_those_before() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let session = world.session(&email).await;
    let replace = |body: Value| world.ask(&session, "POST", "/api/v1/me/recovery-codes", body);
    assert_eq!(replace(json!({"password": PASSWORD})).await.status.as_u16(), 400);
    let (secret, old) = world.set_up(&session).await;
    let missing = replace(json!({"password": PASSWORD})).await;
    assert_eq!(missing.json()["error"]["param"], "totp");
    let wrong = replace(json!({"password": "wrong horse", "recovery_code": old[0]})).await;
    assert_eq!(wrong.error(), (401, "invalid_credentials".into()));
    let made = replace(json!({"password": PASSWORD, "totp": code(&secret, 1)})).await.ok();
    let new: Vec<_> = made["recovery_codes"].as_array().unwrap().iter().map(text).collect();
    assert_eq!((new.len(), made["object"].as_str()), (10, Some("auth.recovery_codes")));
    assert_eq!(world.get(&session, "/api/v1/me").await.ok()["recovery_codes_left"], 10);
    let with = |code: &str| world.log_in_with(&email, json!({ "recovery_code": code }));
    assert_eq!(with(&old[1]).await.error(), (401, "invalid_second_factor".into()));
    with(&new[0]).await.ok();
}

#[tokio::test]
async fn it_is_removed_by_who_has_both_factors() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let session = world.session(&email).await;
    let (secret, codes) = world.set_up(&session).await;
    let remove = |body: Value| world.ask(&session, "DELETE", "/api/v1/me/totp", body);
    let no_code = remove(json!({"password": PASSWORD})).await;
    assert_eq!(no_code.json()["error"]["param"], "totp");
    let no_password = remove(json!({"totp": code(&secret, 1)})).await;
    assert_eq!(no_password.json()["error"]["param"], "password");
    let wrong = remove(json!({"password": "wrong horse", "recovery_code": codes[0]})).await;
    assert_eq!(wrong.error(), (401, "invalid_credentials".into()));
    let wrong = remove(json!({"password": PASSWORD, "recovery_code": "x"})).await;
    assert_eq!(wrong.error(), (401, "invalid_second_factor".into()));
    remove(json!({"password": PASSWORD, "recovery_code": codes[0]})).await.ok();
    world.log_in(&email).await.ok();
}
