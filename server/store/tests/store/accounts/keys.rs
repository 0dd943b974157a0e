//! Keys and their secrets.

use std::time::Duration;

use server_accounts::{Allowed, KeyHash, KeyKind, KeySecret, LimitsData, Scopes};
use server_store::{ImportedKey, KeyUpdate, NewAdminKey, NewKey, StoreError};

use super::{actions, all, behind, is_invalid, make_key, may, may_in, new_key, populated};
use crate::{On, Opened, is_missing, page};

crate::on_both! {
    a_key_is_made_changed_and_revoked,
    what_cannot_be_is_refused,
    others_see_and_change_nothing,
    admin_keys_are_apart,
    a_rotated_key_has_two_secrets_at_most,
    keys_of_earlier_versions_are_taken_in_once,
    keys_note_when_they_were_used_last,
}

fn models(model: &str) -> Scopes {
    Scopes { models: vec![model.to_owned()], ..Scopes::default() }
}

async fn a_key_is_made_changed_and_revoked(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let new = NewKey { scopes: models("m'\""), ..new_key("p", "It's \"mine\"") };
    let (key, secret) = store.create_key(&may("a"), &new).await.unwrap();
    assert!(key.id.starts_with("key_") && key.kind == KeyKind::Project && key.project == "p");
    assert_eq!((key.name.as_str(), &key.scopes), ("It's \"mine\"", &new.scopes));
    assert_eq!((key.owner.as_str(), key.redacted.clone()), ("user:user-1", secret.redacted()));
    assert_eq!(store.key(&may("a"), &key.id).await.unwrap(), key);
    let changes = store.changes(0).await.unwrap();
    let [change] = &changes.keys[..] else { panic!("{changes:?}") };
    assert!(change.secrets[0].hash == secret.hash());
    assert_eq!(change.secrets[0].aws_secret, Some(secret.aws_secret()));

    let update = KeyUpdate { name: Some("new".to_owned()), ..KeyUpdate::default() };
    store.update_key(&may("a"), &key.id, &update).await.unwrap();
    let end = Some(Some(9_000_000_000));
    let update = KeyUpdate { scopes: Some(models("n")), expires_at: end, ..KeyUpdate::default() };
    store.update_key(&may("a"), &key.id, &update).await.unwrap();
    let limits = LimitsData { requests_per_minute: Some(3), ..LimitsData::default() };
    store.set_key_limits(&may("a"), &key.id, &limits).await.unwrap();
    let now = store.key(&may("a"), &key.id).await.unwrap();
    assert_eq!((now.name.as_str(), now.expires_at), ("new", Some(9_000_000_000)));
    assert_eq!((&now.scopes, &now.limits), (&models("n"), &limits));
    let update = KeyUpdate { expires_at: Some(None), ..KeyUpdate::default() };
    store.update_key(&may("a"), &key.id, &update).await.unwrap();
    assert_eq!(store.key(&may("a"), &key.id).await.unwrap().expires_at, None);

    for _ in 0..2 {
        store.revoke_key(&may("a"), &key.id).await.unwrap();
    }
    assert!(store.key(&may("a"), &key.id).await.unwrap().revoked_at.is_some());
    assert!(store.keys(&may("a"), Some("p"), false, &all()).await.unwrap().rows.is_empty());
    assert_eq!(store.keys(&may("a"), None, true, &all()).await.unwrap().rows.len(), 1);
    assert!(is_invalid(store.update_key(&may("a"), &key.id, &update).await));
    assert!(is_invalid(store.set_key_limits(&may("a"), &key.id, &limits).await));
    assert!(is_invalid(store.rotate_key(&may("a"), &key.id, Duration::ZERO).await));
    let actions = actions(store, "a").await;
    let (created, updated) = ("api_key.created", "api_key.updated");
    let expected = [created, updated, updated, "rate_limit.updated", updated, "api_key.deleted"];
    assert_eq!(actions[3..], expected);
    let log = store.audit_log(&may("a"), &Default::default(), &all()).await.unwrap();
    assert!(log.rows.iter().all(|record| {
        let detail = &record.detail;
        !detail.contains(&secret.expose()[3..]) && !detail.contains(&secret.aws_secret())
    }));
}

async fn what_cannot_be_is_refused(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let fine = new_key("p", "name");
    let endpoints = Scopes { endpoints: vec!["no path".to_owned()], ..Scopes::default() };
    let quota = server_accounts::QuotaData {
        meter: "apples".to_owned(),
        period: "day".to_owned(),
        units: 1,
    };
    let limits = LimitsData { quotas: vec![quota], ..LimitsData::default() };
    let owner = |owner: &str| NewKey { owner: owner.to_owned(), ..fine.clone() };
    for new in [
        new_key("p", ""),
        new_key("p", &"n".repeat(257)),
        owner("someone"),
        owner("user:"),
        NewKey { expires_at: Some(1), ..fine.clone() },
        NewKey { scopes: endpoints.clone(), ..fine.clone() },
        NewKey { limits: limits.clone(), ..fine.clone() },
    ] {
        assert!(is_invalid(store.create_key(&may("a"), &new).await), "{new:?}");
    }
    assert!(is_missing(store.create_key(&may("a"), &new_key("r", "name")).await));
    assert!(is_missing(store.create_key(&may("c"), &fine).await));
    let key = make_key(store, "a", "p").await;
    let update = KeyUpdate { scopes: Some(endpoints), ..KeyUpdate::default() };
    assert!(is_invalid(store.update_key(&may("a"), &key.id, &update).await));
    assert!(is_invalid(store.set_key_limits(&may("a"), &key.id, &limits).await));
    let long = Duration::from_secs(91 * 86_400);
    assert!(is_invalid(store.rotate_key(&may("a"), &key.id, long).await));
    assert_eq!(actions(store, "a").await.len(), 4);
}

async fn others_see_and_change_nothing(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (key, other) = (make_key(store, "a", "p").await, make_key(store, "a", "q").await);
    let before = store.revision().await.unwrap();
    let (update, limits) = (KeyUpdate::default(), LimitsData::default());
    let reads: [Allowed<may::ReadKeys>; 2] = [may("b"), may_in("a", "q")];
    let writes: [Allowed<may::WriteKeys>; 2] = [may("b"), may_in("a", "q")];
    for (read, write) in reads.iter().zip(&writes) {
        assert!(is_missing(store.key(read, &key.id).await));
        assert!(is_missing(store.update_key(write, &key.id, &update).await));
        assert!(is_missing(store.rotate_key(write, &key.id, Duration::ZERO).await));
        assert!(is_missing(store.revoke_key(write, &key.id).await));
        let after = store.keys(read, None, true, &page(Some(&key.id), 9, false)).await;
        assert!(matches!(after, Err(StoreError::NotListed)));
    }
    assert!(is_missing(store.set_key_limits(&may("b"), &key.id, &limits).await));
    assert!(is_missing(store.set_key_limits(&may_in("a", "q"), &key.id, &limits).await));
    assert!(is_missing(store.create_key(&may_in("a", "q"), &new_key("p", "name")).await));
    assert!(is_missing(store.keys(&may_in("a", "q"), Some("p"), true, &all()).await));
    let seen = store.keys(&may_in("a", "q"), None, true, &all()).await.unwrap().rows;
    assert_eq!(seen, [other]);
    assert!(store.keys(&may("b"), None, true, &all()).await.unwrap().rows.is_empty());
    assert_eq!(store.revision().await.unwrap(), before);
}

async fn admin_keys_are_apart(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    behind(on, &opened, "INSERT INTO roles VALUES ('a', 'clerk', 'usage.read')").await;
    let new = |role: &str| NewAdminKey {
        name: "name".to_owned(),
        owner: "operator".to_owned(),
        role: role.to_owned(),
        ..NewAdminKey::default()
    };
    let (key, secret) = store.create_admin_key(&may("a"), &new("clerk")).await.unwrap();
    assert_eq!((key.kind, key.project.as_str(), key.role.as_str()), (KeyKind::Admin, "", "clerk"));
    assert!(secret.expose().starts_with("ab-admin-"));
    store.create_admin_key(&may("b"), &new("owner")).await.unwrap();
    assert!(is_invalid(store.create_admin_key(&may("b"), &new("clerk")).await));
    assert!(is_missing(store.create_admin_key(&may("c"), &new("owner")).await));
    assert!(is_missing(store.create_admin_key(&may_in("a", "p"), &new("owner")).await));
    // Who sees keys of projects does not see them, nor the other way round.
    assert!(is_missing(store.key(&may("a"), &key.id).await));
    assert!(is_missing(store.revoke_key(&may("a"), &key.id).await));
    let of_project = make_key(store, "a", "p").await;
    assert!(is_missing(store.admin_key(&may("a"), &of_project.id).await));
    assert!(is_missing(store.revoke_admin_key(&may("a"), &of_project.id).await));
    assert_eq!(store.keys(&may("a"), None, true, &all()).await.unwrap().rows, [of_project]);
    assert_eq!(store.admin_key(&may("a"), &key.id).await.unwrap(), key);
    let listed = store.admin_keys(&may("a"), &all()).await.unwrap().rows;
    assert_eq!(listed, std::slice::from_ref(&key));
    assert!(is_missing(store.admin_keys(&may_in("a", "p"), &all()).await));
    assert!(is_missing(store.revoke_admin_key(&may("b"), &key.id).await));
    store.revoke_admin_key(&may("a"), &key.id).await.unwrap();
    assert!(store.admin_keys(&may("a"), &all()).await.unwrap().rows.is_empty());
    let last = actions(store, "a").await.pop();
    assert_eq!(last.as_deref(), Some("api_key.deleted"));
}

async fn a_rotated_key_has_two_secrets_at_most(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (key, first) = store.create_key(&may("a"), &new_key("p", "name")).await.unwrap();
    let secrets = async || {
        let mut secrets = store.changes(0).await.unwrap().keys.remove(0).secrets;
        secrets.sort_by_key(|secret| secret.expires_at.unwrap_or(i64::MAX));
        secrets.into_iter().map(|secret| (secret.hash, secret.expires_at)).collect::<Vec<_>>()
    };
    let hour = Duration::from_secs(3600);
    let second = store.rotate_key(&may("a"), &key.id, hour).await.unwrap();
    let [(old, Some(end)), (new, None)] = secrets().await[..] else { panic!("not two") };
    assert!(old == first.hash() && new == second.hash() && end >= key.created_at + 3600);
    let shown = store.key(&may("a"), &key.id).await.unwrap().redacted;
    assert_eq!(shown, second.redacted());
    let third = store.rotate_key(&may("a"), &key.id, hour).await.unwrap();
    let hashes: Vec<KeyHash> = secrets().await.into_iter().map(|(hash, _)| hash).collect();
    assert_eq!(hashes, [second.hash(), third.hash()]);
    // Without an overlap the old one ends at once.
    let last = store.rotate_key(&may("a"), &key.id, Duration::ZERO).await.unwrap();
    assert_eq!(secrets().await, [(last.hash(), None)]);
    assert_eq!(actions(store, "a").await[4..], ["api_key.updated"; 3]);
}

async fn keys_of_earlier_versions_are_taken_in_once(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let secret = KeySecret::from_text("ab-made-elsewhere");
    let key = |id: &str, secret: &KeySecret| ImportedKey {
        project: "p".to_owned(),
        id: id.to_owned(),
        hash: secret.hash(),
        aws_secret: None,
        created_at: 7,
    };
    assert!(store.import_key(&may("a"), &key("key_1", &secret)).await.unwrap());
    let other = KeySecret::generate();
    let num = store.changes(0).await.unwrap();
    for (organization, id, secret) in [
        ("a", "key_1", &secret),
        ("a", "key_1", &other),
        ("b", "key_1", &other),
        ("b", "k", &secret),
    ] {
        let taken = store.import_key(&may(organization), &key(id, secret)).await.unwrap();
        assert!(!taken, "{organization} {id}");
    }
    assert_eq!(store.revision().await.unwrap(), num.revision);
    let found = store.key(&may("a"), "key_1").await.unwrap();
    assert_eq!((found.created_at, found.name.as_str(), found.project.as_str()), (7, "key_1", "p"));
    assert!(is_missing(store.import_key(&may("c"), &key("key_2", &other)).await));

    for _ in 0..2 {
        let given = store.give_aws_secret(&secret).await.unwrap();
        assert_eq!(given.as_deref(), Some("key_1"));
    }
    assert_eq!(store.give_aws_secret(&other).await.unwrap(), None);
    let mut changes = store.changes(num.revision).await.unwrap();
    assert_eq!(changes.keys.remove(0).secrets[0].aws_secret, Some(secret.aws_secret()));
    store.revoke_key(&may("a"), "key_1").await.unwrap();
    assert_eq!(store.give_aws_secret(&secret).await.unwrap(), None);
    // What was revoked does not come again.
    assert!(!store.import_key(&may("a"), &key("key_3", &secret)).await.unwrap());
    let expected = ["api_key.created", "api_key.updated", "api_key.deleted"];
    assert_eq!(actions(store, "a").await[3..], expected);
}

async fn keys_note_when_they_were_used_last(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (key, other) = (make_key(store, "a", "p").await, make_key(store, "b", "p").await);
    let revision = store.revision().await.unwrap();
    let used = |organization: &str, id: &str, at| (organization.to_owned(), id.to_owned(), at);
    let mut many = vec![used("a", &key.id, 50), used("b", &other.id, 60), used("b", &key.id, 70)];
    many.extend((0..600).map(|idx| used("c", &format!("key_{idx}"), 1)));
    store.touch_keys(&many).await.unwrap();
    store.touch_keys(&[used("a", &key.id, 40)]).await.unwrap();
    store.touch_keys(&[]).await.unwrap();
    assert_eq!(store.key(&may("a"), &key.id).await.unwrap().used_at, Some(50));
    assert_eq!(store.key(&may("b"), &other.id).await.unwrap().used_at, Some(60));
    assert_eq!(store.revision().await.unwrap(), revision);
    // Those who tell of it and those who change keys do not wait for each other in a circle.
    let (forth, back) = (many.clone(), many.iter().rev().cloned().collect::<Vec<_>>());
    let touch = async |used: &[(String, String, i64)]| {
        for _ in 0..5 {
            store.touch_keys(used).await.unwrap();
        }
    };
    let change = async |organization: &str, id: &str| {
        for _ in 0..5 {
            let limits = LimitsData::default();
            store.set_key_limits(&may(organization), id, &limits).await.unwrap();
        }
    };
    tokio::join!(touch(&forth), touch(&back), change("a", &key.id), change("b", &other.id));
    assert_eq!(store.key(&may("a"), &key.id).await.unwrap().used_at, Some(50));
}
