//! What servers ask for that share a database.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use server_accounts::{Changes, Directory, LimitsData, Permission};
use server_store::{NewAdminKey, Store};

use super::{behind, make_key, may, new_key, populated};
use crate::{On, Opened};

crate::on_both! {
    they_are_all_that_changed_and_nothing_else,
    another_store_sees_them,
    roles_of_admin_keys_are_resolved,
    what_is_not_understood_lets_nobody_in,
    many_keys_are_read_at_once,
}

/// Ids of organizations, projects and keys.
fn ids(changes: &Changes) -> [Vec<String>; 3] {
    let mut ids = [
        changes.organizations.iter().map(|it| it.id.clone()).collect::<Vec<_>>(),
        changes.projects.iter().map(|it| format!("{}/{}", it.organization, it.id)).collect(),
        changes.keys.iter().map(|it| it.id.clone()).collect(),
    ];
    ids.iter_mut().for_each(|ids| ids.sort());
    ids
}

async fn news(store: &Store, since: &mut i64) -> [Vec<String>; 3] {
    let changes = store.changes(*since).await.unwrap();
    *since = changes.revision;
    ids(&changes)
}

async fn they_are_all_that_changed_and_nothing_else(on: On) {
    let opened = Opened::new(on).await;
    let nothing = opened.store.changes(0).await.unwrap();
    assert_eq!((nothing.revision, nothing.organizations.len()), (0, 0));
    let Opened { store, .. } = &populated(on).await;
    let none: [Vec<String>; 3] = Default::default();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let mut since = 0;
    let first = news(store, &mut since).await;
    assert_eq!(first, [texts(&["a", "b"]), texts(&["a/p", "a/q", "b/p", "b/q"]), vec![]]);
    assert_eq!(since, store.revision().await.unwrap());
    assert_eq!(news(store, &mut since).await, none);

    let key = make_key(store, "a", "p").await;
    assert_eq!(news(store, &mut since).await, [vec![], vec![], vec![key.id.clone()]]);
    let limits = LimitsData { requests_per_minute: Some(5), ..LimitsData::default() };
    store.set_project_limits(&may("b"), "q", &limits).await.unwrap();
    store.suspend_organization(&may("a"), Some("why")).await.unwrap();
    let changes = store.changes(since).await.unwrap();
    assert_eq!(ids(&changes), [texts(&["a"]), texts(&["b/q"]), vec![]]);
    assert_eq!(changes.projects[0].limits, limits);
    assert_eq!(changes.organizations[0].suspended.as_deref(), Some("why"));
    since = changes.revision;

    // What fails changes nothing.
    store.create_key(&may("a"), &new_key("p", "")).await.unwrap_err();
    store.create_project(&may("a"), Some("p"), "again").await.unwrap_err();
    assert_eq!(news(store, &mut since).await, none);
    store.revoke_key(&may("a"), &key.id).await.unwrap();
    let changes = store.changes(since).await.unwrap();
    assert!(changes.keys[0].is_revoked && changes.keys[0].secrets.is_empty());
    assert!(store.changes(0).await.unwrap().keys.is_empty());
}

async fn another_store_sees_them(on: On) {
    let opened = populated(on).await;
    let (store, beside) = (&opened.store, opened.beside().await);
    let directory = Directory::default();
    let mut since = 0;
    let mut poll = async || {
        let changes = beside.changes(since).await.unwrap();
        since = changes.revision;
        directory.apply(changes);
    };
    poll().await;
    let (key, secret) = store.create_key(&may("a"), &new_key("p", "key")).await.unwrap();
    poll().await;
    let now = Instant::now();
    directory.confirm(now);
    let check = || directory.check(secret.expose(), (now, key.created_at));
    assert_eq!(check().unwrap().path.key.as_str(), key.id);
    store.rotate_key(&may("a"), &key.id, Duration::ZERO).await.unwrap();
    poll().await;
    assert!(check().is_err());
    // Both write, in turns.
    let writes = (0..20).map(|idx| {
        let store = if idx % 2 == 0 { store.clone() } else { beside.clone() };
        async move { make_key(&store, "a", "p").await.id }
    });
    let made: BTreeSet<String> = futures_util::future::join_all(writes).await.into_iter().collect();
    poll().await;
    assert_eq!((made.len(), directory.num_keys()), (20, 21));
    assert_eq!(super::actions(store, "a").await.len(), 3 + 2 + 20);
    beside.close().await;
}

async fn roles_of_admin_keys_are_resolved(on: On) {
    let opened = populated(on).await;
    let role = "INSERT INTO roles VALUES ('a', 'clerk', 'usage.read later.known platform.run'),
        ('b', 'clerk', 'keys.read')";
    behind(on, &opened, role).await;
    let store = &opened.store;
    for role in ["clerk", "viewer"] {
        let new = NewAdminKey {
            name: role.to_owned(),
            owner: "operator".to_owned(),
            role: role.to_owned(),
            ..NewAdminKey::default()
        };
        store.create_admin_key(&may("a"), &new).await.unwrap();
    }
    make_key(store, "a", "p").await;
    let roles = async || {
        let keys = store.changes(0).await.unwrap().keys;
        let mut roles: Vec<_> = keys.into_iter().map(|key| key.role).collect();
        roles.sort_by(|a, b| a.name.cmp(&b.name));
        roles.into_iter().map(|role| role.permissions).collect::<Vec<_>>()
    };
    let viewer = server_accounts::Role::find_usual("viewer").unwrap().permissions;
    let of_key = BTreeSet::from([Permission::UseModels]);
    let clerk = BTreeSet::from([Permission::ReadUsage]);
    assert_eq!(roles().await, [of_key.clone(), clerk, viewer.clone()]);
    behind(on, &opened, "DELETE FROM roles").await;
    assert_eq!(roles().await, [of_key, BTreeSet::new(), viewer]);
}

async fn what_is_not_understood_lets_nobody_in(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    for organization in ["a", "b"] {
        make_key(store, organization, "p").await;
    }
    let later = "UPDATE keys SET scopes = '{\"later\": 1}' WHERE organization_id = 'a';
        UPDATE projects SET limits = '{\"later\": 1}' WHERE organization_id = 'a' AND id = 'p';
        UPDATE organizations SET limits = 'x' WHERE id = 'a'";
    behind(on, &opened, later).await;
    let changes = store.changes(0).await.unwrap();
    for key in &changes.keys {
        assert_eq!(key.is_revoked, key.organization == "a");
    }
    for project in &changes.projects {
        let is_meant = project.organization == "a" && project.id == "p";
        assert_eq!(project.is_archived, is_meant);
    }
    for organization in &changes.organizations {
        assert_eq!(organization.suspended.is_some(), organization.id == "a");
    }
}

async fn many_keys_are_read_at_once(on: On) {
    let opened = populated(on).await;
    behind(on, &opened, MANY).await;
    let changes = opened.store.changes(0).await.unwrap();
    assert_eq!(changes.keys.len(), 20_000);
    assert!(changes.keys.iter().all(|key| key.secrets.len() == 1));
}

const MANY: &str = "WITH RECURSIVE
    n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO keys
        (organization_id, project_id, id, name, kind, owner, role, created_at, revision)
    SELECT 'a', 'p', 'key_' || i, 'n', 'project', 'operator', '', 7, 1 FROM n;
    INSERT INTO key_secrets (hash, organization_id, key_id, redacted, created_at)
    SELECT substr('0000000000000000000000000000000000000000000000000000000000000000' ||
        substr(id, 5), length(id) - 3, 64),
    organization_id, id, '', 7 FROM keys";
