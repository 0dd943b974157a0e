//! Service accounts.

use std::time::Instant;

use server_accounts::{Directory, KeyError, KeySecret, may as permission};
use server_store::{NewServiceAccount, Store};

use super::{is_denied, join, leave_of};
use crate::accounts::{actions, all, is_invalid, may, may_in, populated};
use crate::{On, Opened, is_missing, page};

crate::on_both! {
    an_account_comes_with_a_key_that_ends_with_it,
    accounts_are_their_projects,
}

fn new(project: &str, name: &str, role: &str) -> NewServiceAccount {
    let (project, name, role) = (project.to_owned(), name.to_owned(), role.to_owned());
    NewServiceAccount { project, name, role }
}

/// Whether a server lets the key in.
async fn check(store: &Store, secret: &KeySecret) -> Result<(), KeyError> {
    let (directory, now) = (Directory::default(), Instant::now());
    directory.apply(store.changes(0).await.unwrap());
    directory.confirm(now);
    directory.check(secret.expose(), (now, 1)).map(drop)
}

async fn an_account_comes_with_a_key_that_ends_with_it(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let made = store.create_service_account(&may("a"), &new("p", "ci", "member")).await.unwrap();
    let (account, key, secret) = made;
    assert!(account.id.starts_with("svc_acct_"), "{account:?}");
    assert_eq!((&*account.name, &*account.role), ("ci", "developer"));
    let kept = store.create_service_account(&may("a"), &new("p", "cd", "member")).await.unwrap();
    let found = store.key(&may("a"), &key).await.unwrap();
    assert_eq!(found.owner, format!("service_account:{}", account.id));
    assert_eq!((&*found.name, &*found.project), ("ci", "p"));
    assert_eq!(check(store, &secret).await, Ok(()));
    store.delete_service_account(&may("a"), "p", &account.id).await.unwrap();
    assert_eq!(check(store, &secret).await, Err(KeyError::Unknown));
    assert_eq!(check(store, &kept.2).await, Ok(()));
    assert!(store.key(&may("a"), &key).await.unwrap().revoked_at.is_some());
    assert!(is_missing(store.service_account(&may("a"), "p", &account.id).await));
    assert!(is_missing(store.delete_service_account(&may("a"), "p", &account.id).await));
    let told = actions(store, "a").await;
    let made = "service_account.created";
    assert_eq!(told[3..], [made, made, "service_account.deleted"]);
}

async fn accounts_are_their_projects(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let mut made = Vec::new();
    for name in ["ci", "cd"] {
        let new = new("p", name, "member");
        made.push(store.create_service_account(&may("a"), &new).await.unwrap().0);
    }
    made.sort_by(|one, two| (one.created_at, &one.id).cmp(&(two.created_at, &two.id)));
    let first = store.service_accounts(&may("a"), "p", &page(None, 1, false)).await.unwrap();
    assert_eq!((&first.rows[..], first.has_more), (&made[..1], true));
    let second = page(Some(&made[0].id), 1, false);
    let second = store.service_accounts(&may("a"), "p", &second).await.unwrap();
    assert_eq!((&second.rows[..], second.has_more), (&made[1..], false));
    assert_eq!(store.service_account(&may("a"), "p", &made[0].id).await.unwrap(), made[0]);
    for (organization, project) in [("a", "q"), ("b", "p")] {
        let (allowed, id) = (may(organization), &made[0].id);
        assert!(is_missing(store.service_account(&allowed, project, id).await));
        let list = store.service_accounts(&allowed, project, &all()).await.unwrap();
        assert!(list.rows.is_empty());
        let gone = store.delete_service_account(&may(organization), project, id).await;
        assert!(is_missing(gone));
    }
    let there = may_in("a", "q");
    assert!(is_missing(store.create_service_account(&there, &new("p", "x", "member")).await));
    store.create_service_account(&there, &new("q", "x", "member")).await.unwrap();
    assert!(is_missing(store.create_service_account(&may("a"), &new("n", "x", "member")).await));
    assert!(is_missing(store.create_service_account(&may("a"), &new("p", "x", "none")).await));
    assert!(is_invalid(store.create_service_account(&may("a"), &new("p", "", "member")).await));
    let user = join(store, "a", "ann", "developer").await;
    let allowed = leave_of::<permission::WriteKeys>(store, &user, "a").await;
    assert!(is_denied(store.create_service_account(&allowed, &new("p", "x", "owner")).await));
    store.create_service_account(&allowed, &new("p", "x", "member")).await.unwrap();
}
