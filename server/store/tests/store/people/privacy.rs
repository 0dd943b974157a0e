//! What is stored of a user, told and removed.

use futures_util::future::join_all;
use serde_json::Value;
use server_store::{LoginFailures, NewInvitation};

use super::sessions::{now, session};
use super::{is_last_owner, is_revoked, join, key_of, sign_up};
use crate::accounts::{actions, all, may, populated};
use crate::{On, Opened, is_missing};

crate::on_both! {
    all_that_is_stored_is_told_but_no_secret,
    nothing_is_left_but_what_the_log_says,
    a_last_owner_of_others_stays,
    the_operator_abandons_an_organization_only_if_that_is_meant,
    many_at_once_do_not_wait_for_each_other_in_a_circle,
    who_is_added_while_being_deleted_is_gone_or_was_not_added,
}

fn invitation(email: &str) -> NewInvitation {
    NewInvitation {
        email: email.to_owned(),
        role: "viewer".to_owned(),
        projects: Vec::new(),
        hash: "SECRET-invitation".to_owned(),
        expires_at: now() + 1000,
    }
}

async fn all_that_is_stored_is_told_but_no_secret(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let user = join(store, "a", "ann", "owner").await;
    join(store, "a", "bob", "viewer").await;
    store.set_password(&user.id, "SECRET-password").await.unwrap();
    store.begin_totp(&user.id, "SECRET-totp").await.unwrap();
    store.enable_totp(&user.id, 1, &["SECRET-code".to_owned()]).await.unwrap();
    store.link_identity(&user.id, "https://a.example", "subject-7").await.unwrap();
    store.begin_session(&session("sess_1", &user, "SECRET-session")).await.unwrap();
    let (hash, email) = ("SECRET-token", &user.email);
    store.put_user_token(hash, &user.id, "reset", email, i64::MAX).await.unwrap();
    let count = |it: LoginFailures| Ok::<_, ()>(LoginFailures { num: 3, ..it });
    store.record_login_failure(email, count).await.unwrap().unwrap();
    store.add_project_member(&may("a"), "p", &user.id, "member").await.unwrap();
    store.invite(&may("b"), &invitation(email)).await.unwrap();
    let key = key_of(store, &user, "a", "p").await;
    let told = store.export_user(&user.id).await.unwrap();
    assert!(!told.contains("SECRET") && !told.contains("bob@"), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let (of, by) = (&told["organizations"], |list: &Value, name: &str| list[0][name].clone());
    assert_eq!(told["user"]["email"], email.as_str());
    assert_eq!(told["recovery_codes"].as_array().unwrap().len(), 1);
    assert_eq!(by(&told["identities"], "subject"), "subject-7");
    assert_eq!(by(&told["sessions"], "id"), "sess_1");
    assert_eq!(by(&told["tokens"], "purpose"), "reset");
    assert_eq!(by(&told["login_failures"], "num"), 3);
    assert_eq!(by(&of["memberships"], "role"), "owner");
    assert_eq!(by(&of["project_memberships"], "project_id"), "p");
    assert_eq!(by(&of["invitations"], "organization_id"), "b");
    assert_eq!(by(&of["keys"], "id"), key.as_str());
    assert_eq!(of["audit_log"].as_array().unwrap().len(), 2);
    assert!(is_missing(store.export_user("user-none").await));
}

async fn nothing_is_left_but_what_the_log_says(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let user = join(store, "a", "ann", "developer").await;
    let other = join(store, "b", "bob", "owner").await;
    store.add_member(&may("b"), &user.id, "owner").await.unwrap();
    store.begin_session(&session("s", &user, "h")).await.unwrap();
    store.link_identity(&user.id, "https://a.example", "7").await.unwrap();
    let keys = [key_of(store, &user, "a", "p").await, key_of(store, &user, "b", "p").await];
    let count = |it: LoginFailures| Ok::<_, ()>(LoginFailures { num: 3, ..it });
    store.record_login_failure(&user.email, count).await.unwrap().unwrap();
    store.delete_user(&user.id).await.unwrap();
    assert!(is_missing(store.delete_user(&user.id).await));
    assert!(is_missing(store.user(&user.id).await));
    assert!(store.session_by_hash("h", now()).await.unwrap().is_none());
    assert_eq!(store.user_of_identity("https://a.example", "7").await.unwrap(), None);
    assert_eq!(store.login_failures(&user.email).await.unwrap().num, 0);
    for (organization, key) in ["a", "b"].into_iter().zip(&keys) {
        assert!(is_missing(store.member(&may(organization), &user.id).await));
        assert!(is_revoked(store, organization, key).await);
        assert_eq!(actions(store, organization).await.last().unwrap(), "user.deleted");
        let log = store.audit_log(&may(organization), &Default::default(), &all()).await.unwrap();
        assert_eq!(log.rows.last().unwrap().actor, format!("user:{}", user.id));
    }
    assert!(store.member(&may("b"), &other.id).await.is_ok());
    // The address is free again, and what was sent to it before is not its new user's.
    sign_up(store, "ann").await;
    store.invite(&may("b"), &invitation("cid@example.org")).await.unwrap();
    let invited = sign_up(store, "cid").await;
    store.delete_user(&invited.id).await.unwrap();
    assert!(store.invitations(&may("b"), &all()).await.unwrap().rows.is_empty());
    let again = sign_up(store, "cid").await;
    let accepted = store.accept_invitation("SECRET-invitation", &again.id, now()).await;
    assert!(is_missing(accepted));
}

async fn a_last_owner_of_others_stays(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let user = join(store, "a", "ann", "owner").await;
    store.add_member(&may("b"), &user.id, "owner").await.unwrap();
    let other = join(store, "b", "bob", "admin").await;
    let key = key_of(store, &user, "a", "p").await;
    assert!(is_last_owner(store.delete_user(&user.id).await));
    // Nothing of it was done.
    assert_eq!(store.member(&may("a"), &user.id).await.unwrap().role, "owner");
    assert!(!is_revoked(store, "a", &key).await);
    store.set_member_role(&may("b"), &other.id, "owner").await.unwrap();
    store.delete_user(&user.id).await.unwrap();
    assert!(store.members(&may("a"), &all()).await.unwrap().rows.is_empty());
}

async fn the_operator_abandons_an_organization_only_if_that_is_meant(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let ann = join(store, "a", "ann", "owner").await;
    let bob = join(store, "b", "bob", "owner").await;
    let cid = join(store, "b", "cid", "viewer").await;
    let platform = &may("a");
    assert!(is_last_owner(store.delete_user_as_operator(platform, &ann.id, false).await));
    assert_eq!(store.member(&may("a"), &ann.id).await.unwrap().role, "owner");
    store.delete_user_as_operator(platform, &ann.id, true).await.unwrap();
    let log = store.audit_log(&may("a"), &Default::default(), &all()).await.unwrap();
    let last = log.rows.last().unwrap();
    assert_eq!((last.action.as_str(), last.actor.as_str()), ("user.deleted", "operator"));
    assert_eq!(last.target, ann.id);
    // Others are never left without an owner, however it is meant.
    assert!(is_last_owner(store.delete_user_as_operator(platform, &bob.id, true).await));
    // Who has nothing to look after goes at once, and so does whoever has what is over.
    store.delete_user_as_operator(platform, &cid.id, false).await.unwrap();
    store.archive_organization(&may("b")).await.unwrap();
    store.delete_user_as_operator(platform, &bob.id, false).await.unwrap();
}

async fn who_is_added_while_being_deleted_is_gone_or_was_not_added(on: On) {
    let Opened { store, .. } = &populated(on).await;
    for round in 0..5 {
        let user = join(store, "a", &format!("ann{round}"), "viewer").await;
        let allowed = may("b");
        let (deleted, added) = tokio::join!(
            store.delete_user(&user.id),
            store.add_member(&allowed, &user.id, "viewer"),
        );
        deleted.unwrap();
        let told = actions(store, "b").await;
        let count = |name: &str| told.iter().filter(|action| *action == name).count();
        assert_eq!(count("user.added"), count("user.deleted"));
        assert!(added.is_ok() || is_missing(added));
        assert!(store.members(&may("b"), &all()).await.unwrap().rows.is_empty());
    }
}

/// Each is in both organizations, and has keys in both, so each change takes all turns.
async fn many_at_once_do_not_wait_for_each_other_in_a_circle(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (mut users, mut keys) = (Vec::new(), Vec::new());
    for num in 0..6 {
        let user = join(store, "b", &format!("ann{num}"), "developer").await;
        store.add_member(&may("a"), &user.id, "developer").await.unwrap();
        keys.push(("a", key_of(store, &user, "a", "p").await));
        keys.push(("b", key_of(store, &user, "b", "p").await));
        users.push(user);
    }
    let platform = &may("a");
    let disabled = users[..3].iter().map(|user| store.disable_user(platform, &user.id, true));
    let deleted = users[3..].iter().map(|user| store.delete_user(&user.id));
    let others = (0..6).map(async |num| {
        let organization = if num % 2 == 0 { "a" } else { "b" };
        let role = server_accounts::Role::custom(&format!("r{num}"), ["usage.read"]).unwrap();
        store.create_role(&may(organization), &role).await
    });
    let (disabled, deleted, others) =
        tokio::join!(join_all(disabled), join_all(deleted), join_all(others));
    for done in disabled.into_iter().chain(deleted).chain(others) {
        done.unwrap();
    }
    for (organization, key) in &keys {
        assert!(is_revoked(store, organization, key).await);
    }
    for organization in ["a", "b"] {
        let told = actions(store, organization).await;
        let count = |name: &str| told.iter().filter(|action| *action == name).count();
        assert_eq!((count("user.updated"), count("user.deleted")), (3, 3));
    }
}
