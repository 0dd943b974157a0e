//! Users, invitations, service accounts and roles.

use serde_json::{Value, json};

use crate::world::{World, operator};

const USERS: &str = "/v1/organization/users";
const INVITES: &str = "/v1/organization/invites";
const ROLES: &str = "/api/v1/organization/roles";

#[tokio::test]
async fn members_get_other_roles_and_leave() {
    let world = World::new().await;
    let list = world.get(USERS).await.ok();
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
    let path = format!("{USERS}/{}", world.a.developer);
    let shown = world.get(&path).await.ok();
    assert_eq!(
        shown,
        json!({"object": "organization.user", "id": world.a.developer,
        "name": "alpha developer", "email": "alpha.developer@example.com", "role": "developer",
        "added_at": shown["added_at"]})
    );
    assert!(shown["added_at"].is_i64());
    // OpenAI's name of it, which is read and told.
    let changed = world.post(&path, json!({"role": "reader"})).await.ok();
    assert_eq!(changed["role"], "reader");
    let allowed = operator(&world.a.id);
    let member = world.store.member(&allowed, &world.a.developer).await.unwrap();
    assert_eq!(member.role, "viewer");
    let deleted = world.delete(&path).await.ok();
    assert_eq!(
        deleted,
        json!({"object": "organization.user.deleted", "id": world.a.developer,
        "deleted": true})
    );
    assert_eq!(world.get(&path).await.error().0, 404);
    let last = world.delete(&format!("{USERS}/{}", world.a.owner)).await;
    assert_eq!(last.error().0, 400);
    assert!(last.text.contains("last owner"), "{}", last.text);
}

#[tokio::test]
async fn a_project_has_users_with_roles_of_their_own() {
    let world = World::new().await;
    let path = format!("/v1/organization/projects/{}/users", world.a.project);
    let list = world.get(&path).await.ok();
    let first = &list["data"][0];
    assert_eq!(
        *first,
        json!({"object": "organization.project.user", "id": world.a.developer,
        "name": "alpha developer", "email": "alpha.developer@example.com", "role": "member",
        "added_at": first["added_at"]})
    );
    let body = json!({"user_id": world.a.owner, "role": "owner"});
    let added = world.post(&path, body.clone()).await.ok();
    assert_eq!((&added["id"], &added["role"]), (&json!(world.a.owner), &json!("owner")));
    assert_eq!(world.post(&path, body).await.error().1.as_deref(), Some("already_exists"));
    let one = format!("{path}/{}", world.a.owner);
    assert_eq!(world.post(&one, json!({"role": "member"})).await.ok()["role"], "member");
    assert_eq!(world.get(&one).await.ok()["role"], "member");
    let deleted = world.delete(&one).await.ok();
    assert_eq!(deleted["object"], "organization.project.user.deleted");
    assert_eq!(world.get(&one).await.error().0, 404);
    let unknown = world.post(&path, json!({"user_id": "user-none", "role": "member"})).await;
    assert_eq!(unknown.error().0, 404);
    assert_eq!(world.get("/v1/organization/projects/proj_none/users").await.error().0, 404);
}

#[tokio::test]
async fn somebody_is_invited_by_mail_and_the_secret_is_in_the_mail_alone() {
    let world = World::new().await;
    let body = json!({"email": "New@Example.com", "role": "reader",
        "projects": [{"id": world.a.project, "role": "member"}]});
    let answer = world.post(INVITES, body).await;
    let made = answer.ok();
    let (email, organization, secret) = world.mails.0.lock().unwrap()[0].clone();
    assert_eq!((email.as_str(), organization.as_str()), ("new@example.com", "alpha inc"));
    assert!(!answer.text.contains(&secret));
    assert_eq!(
        made,
        json!({"object": "organization.invite", "id": made["id"],
        "email": "new@example.com", "role": "reader", "status": "pending",
        "created_at": made["created_at"], "invited_at": made["created_at"],
        "expires_at": made["created_at"].as_i64().unwrap() + 7 * 86_400, "accepted_at": null,
        "projects": [{"id": world.a.project, "role": "member"}]})
    );
    let one = format!("{INVITES}/{}", made["id"].as_str().unwrap());
    assert_eq!(world.get(&one).await.ok(), made);
    assert_eq!(world.get(INVITES).await.ok()["data"].as_array().unwrap().len(), 2);
    let deleted = world.delete(&one).await.ok();
    assert_eq!(deleted["object"], "organization.invite.deleted");
    assert_eq!(world.get(&one).await.error().0, 404);
    let bad = world.post(INVITES, json!({"email": "nobody", "role": "reader"})).await;
    assert_eq!(bad.error().2.as_deref(), Some("email"));
    let unknown = world.post(INVITES, json!({"email": "a@b.c", "role": "king"})).await;
    assert_eq!(unknown.error().0, 404);
    // What could not be sent is not left behind.
    let unsent = json!({"email": "unreachable@example.com", "role": "reader"});
    let failed = world.post(INVITES, unsent).await;
    assert_eq!((failed.error().0, failed.error().1.as_deref()), (503, Some("mail_failed")));
    assert!(!world.get(INVITES).await.text.contains("unreachable"));
}

#[tokio::test]
async fn a_service_account_comes_with_a_key_and_goes_with_it() {
    let world = World::new().await;
    let path = format!("/v1/organization/projects/{}/service_accounts", world.a.project);
    let made = world.post(&path, json!({"name": "deploy"})).await.ok();
    let secret = made["api_key"]["value"].as_str().unwrap();
    assert_eq!(
        made,
        json!({"object": "organization.project.service_account", "id": made["id"],
        "name": "deploy", "role": "member", "created_at": made["created_at"],
        "api_key": {"object": "organization.project.service_account.api_key",
            "id": made["api_key"]["id"], "name": "deploy", "created_at": made["created_at"],
            "value": secret}})
    );
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    let shown = world.get(&one).await;
    assert!(!shown.text.contains(secret) && shown.ok()["api_key"].is_null());
    assert_eq!(world.get(&path).await.ok()["data"].as_array().unwrap().len(), 2);
    let kept = "/v1/responses/resp_none";
    assert_eq!(world.ask(secret, "GET", kept, Value::Null).await.status.as_u16(), 404);
    let deleted = world.delete(&one).await.ok();
    assert_eq!(deleted["object"], "organization.project.service_account.deleted");
    assert_eq!(world.ask(secret, "GET", kept, Value::Null).await.status.as_u16(), 401);
    assert_eq!(world.get(&one).await.error().0, 404);
}

#[tokio::test]
async fn roles_are_made_of_permissions() {
    let world = World::new().await;
    let list = world.get(ROLES).await.ok();
    let names: Vec<&Value> =
        list["data"].as_array().unwrap().iter().map(|role| &role["name"]).collect();
    assert_eq!(names, ["owner", "admin", "developer", "viewer", "alpha-clerk"]);
    assert_eq!(list["data"][0]["predefined_role"], true);
    let body = json!({"name": "auditor", "permissions": ["audit.read", "usage.read"]});
    let made = world.post(ROLES, body).await.ok();
    assert_eq!(made["predefined_role"], false);
    assert_eq!(made["permissions"].as_array().unwrap().len(), 2);
    let one = format!("{ROLES}/auditor");
    assert_eq!(world.get(&one).await.ok(), made);
    for bad in [
        json!({"name": "owner", "permissions": ["usage.read"]}),
        json!({"name": "x", "permissions": ["usage.eat"]}),
        json!({"name": "x", "permissions": ["platform.run"]}),
        json!({"name": "x y", "permissions": []}),
    ] {
        assert_eq!(world.post(ROLES, bad.clone()).await.error().0, 400, "{bad}");
    }
    let path = format!("{USERS}/{}", world.a.developer);
    world.post(&path, json!({"role": "auditor"})).await.ok();
    assert_eq!(world.delete(&one).await.error().0, 400);
    world.post(&path, json!({"role": "developer"})).await.ok();
    assert_eq!(world.delete(&one).await.ok()["object"], "role.deleted");
    assert_eq!(world.get(&one).await.error().0, 404);
}
