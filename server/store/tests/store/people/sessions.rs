//! Sessions.

use std::time::{SystemTime, UNIX_EPOCH};

use server_store::{NewSession, User};

use super::sign_up;
use crate::{On, Opened, is_missing};

crate::on_both! {
    a_session_is_found_by_its_hash_until_it_ends,
    its_use_is_noted_once_a_minute,
    the_oldest_of_too_many_goes,
    what_is_over_is_swept,
}

pub(crate) fn session(id: &str, user: &User, hash: &str) -> NewSession {
    NewSession {
        id: id.to_owned(),
        user: user.id.clone(),
        hash: hash.to_owned(),
        expires_at: i64::MAX,
        two_factors: false,
        address: Some("::1".to_owned()),
        agent: None,
    }
}

pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

async fn a_session_is_found_by_its_hash_until_it_ends(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let (ann, bob) = (sign_up(store, "ann").await, sign_up(store, "bob").await);
    let end = now() + 1000;
    let new = NewSession { expires_at: end, ..session("s1", &ann, "h1") };
    assert!(!format!("{new:?}").contains("h1"));
    store.begin_session(&new).await.unwrap();
    store.begin_session(&session("s2", &ann, "h2")).await.unwrap();
    store.begin_session(&session("s3", &ann, "h3")).await.unwrap();
    store.begin_session(&session("s4", &bob, "h4")).await.unwrap();
    let found = store.session_by_hash("h1", now()).await.unwrap().unwrap();
    assert_eq!((&*found.id, &found.user, found.two_factors), ("s1", &ann.id, false));
    assert_eq!((found.expires_at, found.address.as_deref()), (end, Some("::1")));
    assert!(store.session_by_hash("h1", end).await.unwrap().is_none());
    assert!(store.session_by_hash("s1", now()).await.unwrap().is_none());
    store.raise_session("s1").await.unwrap();
    assert!(store.session_by_hash("h1", now()).await.unwrap().unwrap().two_factors);
    assert!(!store.session_by_hash("h2", now()).await.unwrap().unwrap().two_factors);
    assert!(is_missing(store.raise_session("none").await));
    assert!(is_missing(store.end_session(&bob.id, "s1").await));
    store.end_session(&ann.id, "s1").await.unwrap();
    assert!(store.session_by_hash("h1", now()).await.unwrap().is_none());
    assert_eq!(store.sessions(&ann.id).await.unwrap().len(), 2);
    assert_eq!(store.end_sessions(&ann.id, Some("s3")).await.unwrap(), 1);
    assert_eq!(store.sessions(&ann.id).await.unwrap()[0].id, "s3");
    assert_eq!(store.end_sessions(&ann.id, None).await.unwrap(), 1);
    assert_eq!(store.sessions(&bob.id).await.unwrap().len(), 1);
    assert!(is_missing(
        store.begin_session(&NewSession { user: "user-none".to_owned(), ..new }).await
    ));
}

async fn its_use_is_noted_once_a_minute(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let user = sign_up(store, "ann").await;
    store.begin_session(&session("s", &user, "h")).await.unwrap();
    let begun = store.sessions(&user.id).await.unwrap()[0].used_at;
    for (at, noted) in [
        (begun + 59, begun),
        (begun + 60, begun + 60),
        (begun + 119, begun + 60),
        (begun, begun + 60),
    ] {
        assert_eq!(store.session_by_hash("h", at).await.unwrap().unwrap().used_at, noted);
        assert_eq!(store.sessions(&user.id).await.unwrap()[0].used_at, noted);
    }
}

async fn the_oldest_of_too_many_goes(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let user = sign_up(store, "ann").await;
    for num in 0..52 {
        let (id, hash) = (format!("s{num:02}"), format!("h{num:02}"));
        store.begin_session(&session(&id, &user, &hash)).await.unwrap();
    }
    let kept = store.sessions(&user.id).await.unwrap();
    assert_eq!(kept.len(), 50);
    // Those of one second go by their ids, and the newest never.
    assert!(kept.iter().any(|session| session.id == "s51"));
    assert!(store.session_by_hash("h00", now()).await.unwrap().is_none());
}

async fn what_is_over_is_swept(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let user = sign_up(store, "ann").await;
    let over = NewSession { expires_at: now() - 1, ..session("over", &user, "h1") };
    store.begin_session(&over).await.unwrap();
    store.begin_session(&session("on", &user, "h2")).await.unwrap();
    assert!(is_missing(store.raise_session("over").await));
    assert_eq!(store.sessions(&user.id).await.unwrap().len(), 1);
    store.put_user_token("t1", &user.id, "reset", &user.email, now() - 1).await.unwrap();
    store.put_user_token("t2", &user.id, "verify", &user.email, i64::MAX).await.unwrap();
    for (email, last_at) in [("old@example.org", 1), ("new@example.org", now())] {
        let count = |mut it: server_store::LoginFailures| {
            (it.num, it.last_at) = (3, last_at);
            Ok::<_, ()>(it)
        };
        store.record_login_failure(email, count).await.unwrap().unwrap();
    }
    assert_eq!(store.sweep_batch().await.unwrap(), 3);
    assert_eq!(store.sweep_batch().await.unwrap(), 0);
    assert!(is_missing(store.end_session(&user.id, "over").await));
    assert_eq!(store.login_failures("old@example.org").await.unwrap().num, 0);
    assert_eq!(store.login_failures("new@example.org").await.unwrap().num, 3);
    assert!(store.take_user_token("t2", "verify", now()).await.unwrap().is_some());
}
