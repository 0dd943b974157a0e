//! Second factors.

use server_store::StoreError;

use super::{exists, sign_up};
use crate::{On, Opened, is_missing};

crate::on_both! {
    a_step_is_taken_once,
    a_recovery_code_is_taken_once,
    a_second_factor_is_in_force_when_it_was_shown,
}

fn hashes(hashes: &[&str]) -> Vec<String> {
    hashes.iter().map(|hash| (*hash).to_owned()).collect()
}

async fn a_step_is_taken_once(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let user = &sign_up(store, "ann").await.id;
    assert!(!store.take_totp_step(user, 5).await.unwrap());
    store.begin_totp(user, "S").await.unwrap();
    assert!(!store.take_totp_step(user, 5).await.unwrap());
    store.enable_totp(user, 10, &[]).await.unwrap();
    assert!(!store.take_totp_step(user, 9).await.unwrap());
    assert!(!store.take_totp_step(user, 10).await.unwrap());
    let take = || store.take_totp_step(user, 11);
    let (a, b, c) = tokio::join!(take(), take(), take());
    let won = [a, b, c].into_iter().filter(|won| *won.as_ref().unwrap()).count();
    assert_eq!(won, 1);
    assert!(store.take_totp_step(user, 13).await.unwrap());
    assert!(!store.take_totp_step(user, 12).await.unwrap());
}

async fn a_recovery_code_is_taken_once(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let user = &sign_up(store, "ann").await.id;
    let other = &sign_up(store, "bob").await.id;
    assert!(is_missing(store.replace_recovery_codes(user, &hashes(&["x"])).await));
    store.begin_totp(user, "S").await.unwrap();
    store.enable_totp(user, 1, &hashes(&["x", "y", "z"])).await.unwrap();
    assert_eq!(store.recovery_codes_left(user).await.unwrap(), 3);
    assert!(!store.take_recovery_code(other, "x").await.unwrap());
    let take = || store.take_recovery_code(user, "x");
    let (a, b, c) = tokio::join!(take(), take(), take());
    let won = [a, b, c].into_iter().filter(|won| *won.as_ref().unwrap()).count();
    assert_eq!(won, 1);
    assert!(!take().await.unwrap());
    assert!(!store.take_recovery_code(user, "w").await.unwrap());
    assert_eq!(store.recovery_codes_left(user).await.unwrap(), 2);
    store.replace_recovery_codes(user, &hashes(&["v"])).await.unwrap();
    assert!(!store.take_recovery_code(user, "y").await.unwrap());
    assert_eq!(store.recovery_codes_left(user).await.unwrap(), 1);
    let many: Vec<String> = (0..101).map(|num| num.to_string()).collect();
    let many = store.replace_recovery_codes(user, &many).await;
    assert!(matches!(many, Err(StoreError::TooMany { .. })));
    assert!(store.take_recovery_code(user, "v").await.unwrap());
}

async fn a_second_factor_is_in_force_when_it_was_shown(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let user = &sign_up(store, "ann").await.id;
    assert!(is_missing(store.enable_totp(user, 1, &[]).await));
    assert!(is_missing(store.begin_totp("user-none", "S").await));
    store.begin_totp(user, "S").await.unwrap();
    store.begin_totp(user, "T").await.unwrap();
    assert_eq!(store.user(user).await.unwrap().totp_enabled_at, None);
    store.enable_totp(user, 1, &hashes(&["x"])).await.unwrap();
    assert!(store.user(user).await.unwrap().totp_enabled_at.is_some());
    // Whoever has a session cannot replace it without showing it.
    assert!(exists(store.begin_totp(user, "U").await));
    assert!(is_missing(store.enable_totp(user, 2, &[]).await));
    let login = store.login_of("ann@example.org").await.unwrap().unwrap();
    assert_eq!((login.totp_secret.as_deref(), login.totp_step), (Some("T"), Some(1)));
    store.disable_totp(user).await.unwrap();
    let login = store.login_of("ann@example.org").await.unwrap().unwrap();
    assert_eq!(
        (login.totp_secret, login.totp_step, login.user.totp_enabled_at),
        (None, None, None)
    );
    assert_eq!(store.recovery_codes_left(user).await.unwrap(), 0);
    assert!(is_missing(store.disable_totp("user-none").await));
}
