//! What was sent to one webhook.

use server_accounts::may as permission;
use server_store::{Outgoing, Page, StoreError};

use crate::accounts::{all, may, may_in, populated};
use crate::alerts::{alert, fire, webhook};
use crate::{On, Opened, is_missing, page};

crate::on_both! {
    they_are_listed_by_their_webhook,
}

fn ids(page: &Page<Outgoing>) -> Vec<&str> {
    page.rows.iter().map(|row| row.id.as_str()).collect()
}

async fn they_are_listed_by_their_webhook(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (one, other) = (webhook(store, "a", &[]).await, webhook(store, "a", &[]).await);
    let theirs = webhook(store, "b", &[]).await;
    let alert = alert(store, "a").await;
    // Each to a mailbox, too.
    for number in 1..=3 {
        assert_eq!(fire(store, &alert, &[50], number).await, 3);
    }
    let listed = store.deliveries(&may("a"), &one.id, false, &all()).await.unwrap();
    let is_its = |row: &Outgoing| row.kind == "webhook" && row.target == one.id;
    assert!(listed.rows.len() == 3 && listed.rows.iter().all(is_its), "{listed:?}");
    let first = store.deliveries(&may("a"), &one.id, false, &page(None, 2, false)).await.unwrap();
    assert_eq!((ids(&first), first.has_more), (ids(&listed)[..2].to_vec(), true));
    let after = page(Some(ids(&first)[1]), 2, false);
    let next = store.deliveries(&may("a"), &one.id, false, &after).await.unwrap();
    assert_eq!((ids(&next), next.has_more), (ids(&listed)[2..].to_vec(), false));
    // What went elsewhere is no place on the list.
    let elsewhere = store.deliveries(&may("a"), &other.id, false, &after).await;
    assert!(matches!(elsewhere, Err(StoreError::NotListed)));

    let at = listed.rows[0].created_at + 1;
    for delivery in store.take_deliveries(at, 9).await.unwrap() {
        if delivery.id == listed.rows[0].id {
            store.failed(&delivery, at, "status 410", true).await.unwrap();
        }
    }
    let failed = store.deliveries(&may("a"), &one.id, true, &all()).await.unwrap();
    assert_eq!(ids(&failed), [listed.rows[0].id.as_str()]);
    assert!(store.deliveries(&may("a"), &other.id, true, &all()).await.unwrap().rows.is_empty());

    assert!(is_missing(store.deliveries(&may("a"), &theirs.id, false, &all()).await));
    assert!(is_missing(store.deliveries(&may("b"), &one.id, false, &all()).await));
    let narrow = may_in::<permission::WriteWebhooks>("a", "p");
    assert!(is_missing(store.deliveries(&narrow, &one.id, false, &all()).await));
    store.delete_webhook(&may("a"), &one.id).await.unwrap();
    assert!(is_missing(store.deliveries(&may("a"), &one.id, false, &all()).await));
}
