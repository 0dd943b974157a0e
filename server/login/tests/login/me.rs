//! What people see and change of themselves, and what they may.

use serde_json::{Value, json};
use server_accounts::{Actor, ActorKind, may};
use server_login::Login;

use crate::world::{PASSWORD, World, operator, text};

#[tokio::test]
async fn names_and_passwords_are_changed() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let (session, other) = (world.session(&email).await, world.session(&email).await);
    let patch = |body: Value| world.ask(&session, "PATCH", "/api/v1/me", body);
    assert_eq!(patch(json!({"name": "Ada L."})).await.ok()["name"], "Ada L.");
    assert_eq!(patch(json!({"name": ""})).await.json()["error"]["param"], "name");
    let new = "staple of the other horse";
    let missing = patch(json!({ "password": new })).await;
    assert_eq!(missing.json()["error"]["param"], "current_password");
    let wrong = patch(json!({"password": new, "current_password": "wrong horse"})).await;
    assert_eq!(wrong.error(), (401, "invalid_credentials".into()));
    let short = patch(json!({"password": "short", "current_password": PASSWORD})).await;
    assert_eq!(short.json()["error"]["param"], "password");
    world.get(&other, "/api/v1/me").await.ok();
    patch(json!({"password": new, "current_password": PASSWORD})).await.ok();
    assert_eq!(world.get(&other, "/api/v1/me").await.status.as_u16(), 401);
    world.get(&session, "/api/v1/me").await.ok();
    assert_eq!(world.log_in(&email).await.status.as_u16(), 401);
    world.log_in_with(&email, json!({ "password": new })).await.ok();
}

#[tokio::test]
async fn who_asks_gets_all_that_is_stored_of_them_and_is_gone() {
    let world = World::open().await;
    let email = world.somebody("ada").await;
    let session = world.session(&email).await;
    let export = world.get(&session, "/api/v1/me/export").await;
    assert!(export.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let told = export.ok();
    assert_eq!((&told["user"]["email"], &told["user"]["name"]), (&json!(email), &json!("ada")));
    assert_eq!(told["sessions"].as_array().unwrap().len(), 1);
    assert!(!export.text.contains("argon2") && !export.text.contains("abs_"));

    let delete = |body: Value| world.ask(&session, "DELETE", "/api/v1/me", body);
    assert_eq!(delete(json!({})).await.json()["error"]["param"], "password");
    let wrong = delete(json!({"password": "wrong horse"})).await;
    assert_eq!(wrong.error(), (401, "invalid_credentials".into()));
    // The last owner of others stays.
    let organization = world.organization(&email).await;
    let bob = world.somebody("bob").await;
    let bob = world.store.user_by_email(&bob).await.unwrap().unwrap();
    let members = operator(&organization);
    world.store.add_member(&members, &bob.id, "developer").await.unwrap();
    let last = delete(json!({"password": PASSWORD})).await;
    assert_eq!(last.error(), (400, "last_owner".into()));
    world.store.set_member_role(&members, &bob.id, "owner").await.unwrap();
    delete(json!({"password": PASSWORD})).await.ok();
    assert!(world.store.user_by_email(&email).await.unwrap().is_none());
    assert_eq!(world.get(&session, "/api/v1/me").await.status.as_u16(), 401);
    assert_eq!(world.log_in(&email).await.error(), (401, "invalid_credentials".into()));
}

#[tokio::test]
async fn people_may_in_their_organizations_what_their_roles_say() {
    let world = World::open().await;
    let (ada, bob) = (world.somebody("ada").await, world.somebody("bob").await);
    let (of_ada, of_bob) = (world.organization(&ada).await, world.organization(&bob).await);
    let session = world.session(&ada).await;
    assert!(Login::is_meant(&session) && !Login::is_meant("ab-admin-abc"));
    let actor = world.login.actor(&session, None).await.unwrap();
    let user = world.store.user_by_email(&ada).await.unwrap().unwrap();
    assert_eq!((actor.kind(), actor.organization()), (&ActorKind::User(user.id.clone()), &*of_ada));
    let foreign = world.login.actor(&session, Some(&of_bob)).await.unwrap_err();
    assert!(foreign.to_string().starts_with("404"), "{foreign}");

    world.store.add_member(&operator(&of_bob), &user.id, "viewer").await.unwrap();
    let unnamed = world.login.actor(&session, None).await.unwrap_err();
    assert!(unnamed.to_string().contains("Which organization"), "{unnamed}");
    let may_read = |actor: &Actor| actor.allow::<may::ReadUsage>(&of_bob).is_ok();
    let may_write = |actor: &Actor| actor.allow::<may::WriteKeys>(&of_bob).is_ok();
    let named = world.login.actor(&session, Some(&of_bob)).await.unwrap();
    assert!(may_read(&named) && !may_write(&named));
    // An access token is for the organization that it was made for.
    let begun = world.log_in_with(&ada, json!({ "organization": of_bob })).await.ok();
    let access = text(&begun["access_token"]);
    assert!(Login::is_meant(&access));
    let actor = world.login.actor(&access, None).await.unwrap();
    assert_eq!(actor.organization(), of_bob);
    let body = json!({"organization": "org-other"});
    let other = world.ask(&session, "POST", "/api/v1/auth/refresh", body).await;
    assert_eq!(other.error(), (404, "not_found".into()));

    world.store.remove_member(&operator(&of_bob), &user.id).await.unwrap();
    assert!(world.login.actor(&access, None).await.is_err());
    world.store.disable_user(&operator(&of_ada), &user.id, true).await.unwrap();
    assert!(world.login.actor(&session, Some(&of_ada)).await.is_err());
    assert_eq!(world.log_in(&ada).await.error(), (401, "invalid_credentials".into()));
}
