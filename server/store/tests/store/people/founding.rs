//! Organizations of who signed up: whole, or not there.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use server_accounts::may as permission;
use server_store::{Store, StoreError};

use super::{exists, sign_up};
use crate::accounts::{actions, all, may};
use crate::{On, Opened, is_missing};

crate::on_both! {
    it_has_a_project_and_an_owner,
    cut_off_anywhere_it_is_whole_or_not_there,
    many_at_once_found_one,
}

/// What `work` gives, or nothing if it is cut off after it was asked so many times.
async fn cut<T>(work: impl Future<Output = T>, after: usize) -> Option<T> {
    let (mut work, mut left) = (pin!(work), after);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

async fn it_has_a_project_and_an_owner(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let user = sign_up(store, "ann").await;
    assert!(store.found_organization(&may("org-1"), &user.id, "Ann's").await.unwrap());
    let made = store.organizations_of(&user.id).await.unwrap();
    assert_eq!((made.len(), &*made[0].id, &*made[0].role), (1, "org-1", "owner"));
    assert_eq!(store.project(&may("org-1"), "default").await.unwrap().name, "Default project");
    let told = actions(store, "org-1").await;
    assert_eq!(told, ["organization.created", "project.created", "user.added"]);
    // One is enough, until it is no more.
    assert!(!store.found_organization(&may("org-2"), &user.id, "Ann's").await.unwrap());
    assert!(is_missing(store.organization(&may("org-2")).await));
    store.archive_organization(&may("org-1")).await.unwrap();
    let taken = store.found_organization(&may("org-1"), &user.id, "Ann's").await;
    assert!(exists(taken));
    assert!(store.found_organization(&may("org-3"), &user.id, "Ann's").await.unwrap());
    let nobody = store.found_organization(&may("org-4"), "user-none", "Nobody's").await;
    assert!(is_missing(nobody) && is_missing(store.organization(&may("org-4")).await));
    let nameless = store.found_organization(&may("org-4"), &user.id, "").await;
    assert!(matches!(nameless, Err(StoreError::Invalid { .. })));
}

async fn cut_off_anywhere_it_is_whole_or_not_there(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let mut num_cut = 0;
    // A database that answers at once leaves little to cut off.
    for round in 0..100 {
        num_cut += cut_off(store, round).await;
        if num_cut > 3 {
            return;
        }
    }
    panic!("it was cut off {num_cut} times");
}

/// Founds an organization that is cut off later and later, until it is there; how often it was.
async fn cut_off(store: &Store, round: usize) -> usize {
    let user = sign_up(store, &format!("ann{round}")).await;
    for polls in 1.. {
        let id = format!("org-{round}-{polls}");
        let founding = may(&id);
        let founded = cut(store.found_organization(&founding, &user.id, "Ann's"), polls).await;
        // Waits for what the database still does of it.
        store.rename_user(&user.id, "Ann").await.unwrap();
        let is_there = store.organization(&may(&id)).await.is_ok();
        let project = store.project(&may(&id), "default").await;
        let members = store.members(&may::<permission::ReadMembers>(&id), &all()).await.unwrap();
        assert_eq!((project.is_ok(), members.rows.len() == 1), (is_there, is_there), "{polls}");
        assert_eq!(actions(store, &id).await.len(), if is_there { 3 } else { 0 });
        if is_there || founded.is_some() {
            return polls - 1;
        }
    }
    unreachable!("it is there some time");
}

async fn many_at_once_found_one(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let user = sign_up(store, "ann").await;
    let ids: Vec<String> = (0..6).map(|num| format!("org-{num}")).collect();
    let founding = ids
        .iter()
        .map(async |id| store.found_organization(&may(id), &user.id, "Ann's").await.unwrap());
    let founded = futures_util::future::join_all(founding).await;
    assert_eq!(founded.iter().filter(|is_founded| **is_founded).count(), 1);
    assert_eq!(store.organizations_of(&user.id).await.unwrap().len(), 1);
}
