//! What is sent by mail, and failed logins.

use server_store::LoginFailures;

use super::sign_up;
use crate::{On, Opened, is_missing};

crate::on_both! {
    what_was_sent_is_taken_once,
    attempts_at_once_are_counted_each,
}

async fn what_was_sent_is_taken_once(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let (ann, bob) = (sign_up(store, "ann").await, sign_up(store, "bob").await);
    let put = |hash, user, purpose| store.put_user_token(hash, user, purpose, "a@example.org", 100);
    assert!(is_missing(put("t0", "user-none", "reset").await));
    put("t1", &ann.id, "reset").await.unwrap();
    put("t2", &ann.id, "reset").await.unwrap();
    put("t3", &ann.id, "verify").await.unwrap();
    put("t4", &bob.id, "reset").await.unwrap();
    // Another one took its place.
    assert!(store.take_user_token("t1", "reset", 99).await.unwrap().is_none());
    assert!(store.take_user_token("t3", "reset", 99).await.unwrap().is_none());
    let sent = |purpose, now| store.find_user_token("t2", purpose, now);
    let found = sent("reset", 99).await.unwrap();
    assert_eq!(found, Some((ann.id.clone(), "a@example.org".to_owned())));
    assert_eq!(sent("verify", 99).await.unwrap(), None);
    assert_eq!(sent("reset", 100).await.unwrap(), None);
    let take = || store.take_user_token("t2", "reset", 99);
    let (a, b, c) = tokio::join!(take(), take(), take());
    let won: Vec<_> = [a, b, c].into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(won, [(ann.id.clone(), "a@example.org".to_owned())]);
    assert!(take().await.unwrap().is_none() && sent("reset", 99).await.unwrap().is_none());
    assert!(store.take_user_token("t3", "verify", 99).await.unwrap().is_some());
    // At its end it is over.
    assert!(store.take_user_token("t4", "reset", 100).await.unwrap().is_none());
}

async fn attempts_at_once_are_counted_each(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    assert_eq!(store.login_failures("x@example.org").await.unwrap(), LoginFailures::default());
    let attempt = |at| {
        let count = move |before: LoginFailures| match before.num {
            5.. => Err("wait"),
            num => Ok(LoginFailures { num: num + 1, last_at: at, blocked_until: 10 * (num + 1) }),
        };
        store.record_login_failure("x@example.org", count)
    };
    let (a, b, c, d) = tokio::join!(attempt(1), attempt(1), attempt(1), attempt(1));
    let mut counted: Vec<i64> =
        [a, b, c, d].into_iter().map(|counted| counted.unwrap().unwrap().num).collect();
    counted.sort_unstable();
    assert_eq!(counted, [1, 2, 3, 4]);
    attempt(7).await.unwrap().unwrap();
    // What is refused changes nothing.
    assert_eq!(attempt(8).await.unwrap(), Err("wait"));
    let failures = store.login_failures("x@example.org").await.unwrap();
    assert_eq!(failures, LoginFailures { num: 5, last_at: 7, blocked_until: 50 });
    assert_eq!(store.login_failures("y@example.org").await.unwrap().num, 0);
    store.clear_login_failures("x@example.org").await.unwrap();
    assert_eq!(store.login_failures("x@example.org").await.unwrap(), LoginFailures::default());
}
