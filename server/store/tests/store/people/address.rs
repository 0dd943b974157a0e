//! Another address of a user.

use server_store::NewInvitation;

use super::sessions::now;
use super::{exists, join, sign_up};
use crate::accounts::{actions, may, populated};
use crate::{On, Opened};

crate::on_both! {
    it_counts_when_it_was_shown,
    an_address_has_one_user,
}

const PURPOSE: &str = "change_email";

async fn it_counts_when_it_was_shown(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let user = join(store, "a", "ann", "owner").await;
    let invited = NewInvitation {
        email: user.email.clone(),
        role: "viewer".to_owned(),
        projects: Vec::new(),
        hash: "invitation".to_owned(),
        expires_at: now() + 1000,
    };
    store.invite(&may("b"), &invited).await.unwrap();
    let put = async |hash: &str, purpose: &str, email: &str, end: i64| {
        store.put_user_token(hash, &user.id, purpose, email, end).await.unwrap();
    };
    put("over", PURPOSE, "new@example.org", now()).await;
    assert_eq!(store.change_email("over", PURPOSE, now()).await.unwrap(), None);
    put("hash", PURPOSE, "new@example.org", now() + 9).await;
    put("reset", "reset_password", &user.email, now() + 9).await;
    for (hash, purpose) in [("none", PURPOSE), ("hash", "reset_password")] {
        assert_eq!(store.change_email(hash, purpose, now()).await.unwrap(), None);
    }
    assert_eq!(store.user(&user.id).await.unwrap().email, user.email);
    let change = || store.change_email("hash", PURPOSE, now());
    let (one, two) = tokio::join!(change(), change());
    let mut told = [one.unwrap(), two.unwrap()];
    told.sort();
    assert_eq!(told, [None, Some(user.email.clone())]);
    let changed = store.user(&user.id).await.unwrap();
    assert_eq!(changed.email, "new@example.org");
    assert!(changed.email_verified_at.is_some());
    // What was sent to the old address lets nobody set a password any more.
    assert_eq!(store.find_user_token("reset", "reset_password", now()).await.unwrap(), None);
    assert_eq!(actions(store, "a").await.last().unwrap(), "user.updated");
    assert_eq!(actions(store, "b").await.last().unwrap(), "invite.sent");
    // The address is free.
    sign_up(store, "ann").await;
}

async fn an_address_has_one_user(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (ann, bob) = (sign_up(store, "ann").await, sign_up(store, "bob").await);
    store.put_user_token("1", &ann.id, PURPOSE, &bob.email, now() + 9).await.unwrap();
    assert!(exists(store.change_email("1", PURPOSE, now()).await));
    assert_eq!(store.user(&ann.id).await.unwrap().email, ann.email);
    // Two who want the same one at once.
    for (hash, user) in [("1", &ann), ("2", &bob)] {
        store.put_user_token(hash, &user.id, PURPOSE, "c@example.org", now() + 9).await.unwrap();
    }
    let (one, two) = tokio::join!(
        store.change_email("1", PURPOSE, now()),
        store.change_email("2", PURPOSE, now()),
    );
    assert_ne!(one.is_ok(), two.is_ok());
    assert!(exists(if one.is_ok() { two } else { one }));
}
