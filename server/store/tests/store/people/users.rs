//! Users, and logins elsewhere.

use server_accounts::may as permission;
use server_store::{NewUser, StoreError};

use super::{exists, is_revoked, join, key_of, sign_up};
use crate::accounts::{actions, is_invalid, may, populated};
use crate::people::sessions::session;
use crate::{On, Opened, is_missing};

crate::on_both! {
    an_address_is_one_users,
    a_login_is_checked_by_what_was_set,
    who_is_disabled_may_nothing_and_has_no_key,
    somebody_elsewhere_is_one_user_here,
}

async fn an_address_is_one_users(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let user = sign_up(store, "ann").await;
    assert!(user.id.starts_with("user-") && user.has_password, "{user:?}");
    assert_eq!(
        (user.email_verified_at, user.disabled_at, user.totp_enabled_at),
        (None, None, None)
    );
    let again = NewUser {
        email: "ann@example.org".to_owned(),
        name: "Other".to_owned(),
        password: None,
        email_verified: true,
    };
    assert!(exists(store.create_user(&again).await));
    let other = NewUser { email: "bob@example.org".to_owned(), ..again.clone() };
    let other = store.create_user(&other).await.unwrap();
    assert!(other.email_verified_at.is_some() && !other.has_password);
    let nameless = NewUser { email: "c@example.org".to_owned(), name: String::new(), ..again };
    assert!(is_invalid(store.create_user(&nameless).await));
    assert_eq!(store.user(&user.id).await.unwrap(), user);
    assert_eq!(store.user_by_email("ann@example.org").await.unwrap(), Some(user.clone()));
    assert_eq!(store.user_by_email("c@example.org").await.unwrap(), None);
    // Of two at once one gets it.
    let new = NewUser { email: "dan@example.org".to_owned(), ..nameless };
    let new = NewUser { name: "Dan".to_owned(), ..new };
    let (one, two) = tokio::join!(store.create_user(&new), store.create_user(&new));
    assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1);
    assert!(exists(one) || exists(two));
}

async fn a_login_is_checked_by_what_was_set(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let user = sign_up(store, "ann").await;
    store.set_password(&user.id, "$argon2id$other").await.unwrap();
    store.rename_user(&user.id, "Ann B.").await.unwrap();
    assert!(is_missing(store.verify_email(&user.id, "old@example.org").await));
    store.verify_email(&user.id, "ann@example.org").await.unwrap();
    store.begin_totp(&user.id, "TOTPSECRET").await.unwrap();
    let login = store.login_of("ann@example.org").await.unwrap().unwrap();
    assert_eq!(login.password.as_deref(), Some("$argon2id$other"));
    assert_eq!((login.totp_secret.as_deref(), login.totp_step), (Some("TOTPSECRET"), None));
    assert_eq!((&*login.user.id, &*login.user.name), (&*user.id, "Ann B."));
    assert!(login.user.email_verified_at.is_some());
    let shown = format!("{login:?}");
    assert!(!shown.contains("argon2id") && !shown.contains("TOTPSECRET"), "{shown}");
    assert!(store.login_of("bob@example.org").await.unwrap().is_none());
    for missing in [
        store.set_password("user-none", "x").await,
        store.rename_user("user-none", "x").await,
        store.verify_email("user-none", "ann@example.org").await,
        store.user("user-none").await.map(drop),
    ] {
        assert!(is_missing(missing));
    }
}

async fn who_is_disabled_may_nothing_and_has_no_key(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let user = join(store, "a", "ann", "owner").await;
    store.add_member(&may("b"), &user.id, "developer").await.unwrap();
    let other = join(store, "a", "bob", "developer").await;
    let keys = [key_of(store, &user, "a", "p").await, key_of(store, &user, "b", "q").await];
    let kept = key_of(store, &other, "a", "p").await;
    store.begin_session(&session("s", &user, "h")).await.unwrap();
    store.put_user_token("t", &user.id, "reset", &user.email, i64::MAX).await.unwrap();
    let platform = may::<permission::RunPlatform>("a");
    assert!(is_missing(store.disable_user(&platform, "user-none", true).await));
    store.disable_user(&platform, &user.id, true).await.unwrap();
    assert!(store.user(&user.id).await.unwrap().disabled_at.is_some());
    assert!(store.actor_of(&user.id, "a").await.unwrap().is_none());
    assert!(store.session_by_hash("h", 1).await.unwrap().is_none());
    assert!(is_missing(store.begin_session(&session("s2", &user, "h2")).await));
    assert!(store.take_user_token("t", "reset", 1).await.unwrap().is_none());
    for (organization, key) in ["a", "b"].into_iter().zip(&keys) {
        assert!(is_revoked(store, organization, key).await);
        assert_eq!(actions(store, organization).await.last().unwrap(), "user.updated");
    }
    assert!(!is_revoked(store, "a", &kept).await);
    store.disable_user(&platform, &user.id, false).await.unwrap();
    assert!(store.actor_of(&user.id, "a").await.unwrap().is_some());
    store.begin_session(&session("s2", &user, "h2")).await.unwrap();
    assert!(is_revoked(store, "a", &keys[0]).await);
}

async fn somebody_elsewhere_is_one_user_here(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let (ann, bob) = (sign_up(store, "ann").await, sign_up(store, "bob").await);
    store.link_identity(&ann.id, "https://a.example", "7").await.unwrap();
    store.link_identity(&ann.id, "https://b.example", "7").await.unwrap();
    assert!(exists(store.link_identity(&bob.id, "https://a.example", "7").await));
    assert!(is_missing(store.link_identity("user-none", "https://a.example", "8").await));
    let found = store.user_of_identity("https://a.example", "7").await.unwrap();
    assert_eq!(found, Some(ann.id.clone()));
    assert_eq!(store.user_of_identity("https://a.example", "8").await.unwrap(), None);
    let all = store.identities(&ann.id).await.unwrap();
    assert_eq!(
        all.iter().map(|it| &*it.issuer).collect::<Vec<_>>(),
        ["https://a.example", "https://b.example"]
    );
    assert!(is_missing(store.unlink_identity(&bob.id, "https://a.example", "7").await));
    store.unlink_identity(&ann.id, "https://a.example", "7").await.unwrap();
    assert_eq!(store.user_of_identity("https://a.example", "7").await.unwrap(), None);
    for subject in 0..49 {
        store.link_identity(&ann.id, "https://c.example", &subject.to_string()).await.unwrap();
    }
    let more = store.link_identity(&ann.id, "https://c.example", "more").await;
    assert!(matches!(more, Err(StoreError::TooMany { .. })));
}
