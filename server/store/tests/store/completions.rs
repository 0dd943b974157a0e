//! Chat completions that are kept.

use server_store::{Completion, CompletionFilter, Store, StoreError};

use crate::{On, Opened, brief, is_missing, of, others, page};

crate::on_both! {
    they_are_listed_by_time_and_found_by_metadata,
    within_a_second_they_stay_in_the_order_they_came_in,
    they_are_updated_and_deleted_by_their_project,
    what_expired_is_not_listed,
}

fn completion(id: &str, created_at: i64) -> Completion {
    Completion {
        id: id.to_owned(),
        created_at,
        model: "m".to_owned(),
        body: format!("body of {id}"),
        messages: "[]".to_owned(),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn listed(store: &Store, filter: &CompletionFilter, after: Option<&str>) -> Vec<String> {
    store.completions(&of("a"), filter, &page(after, 9, false)).await.unwrap().rows
}

async fn they_are_listed_by_time_and_found_by_metadata(on: On) {
    let opened = Opened::new(on).await;
    let store = &opened.store;
    // Two of the same second.
    for (id, time, metadata) in [
        ("c2", 20, pairs(&[("k", "v"), ("other", "1")])),
        ("c1", 10, pairs(&[("k", "v")])),
        ("c3", 20, pairs(&[("k", "w")])),
    ] {
        store.add_completion(&of("a"), &completion(id, time), &metadata).await.unwrap();
    }
    let all = CompletionFilter::default();
    assert_eq!(listed(store, &all, None).await, ["body of c1", "body of c2", "body of c3"]);
    assert_eq!(listed(store, &all, Some("c2")).await, ["body of c3"]);
    let down = store.completions(&of("a"), &all, &page(Some("c3"), 1, true)).await.unwrap();
    assert_eq!((down.rows, down.has_more), (vec!["body of c2".to_owned()], true));
    let with = |metadata| CompletionFilter { metadata, ..CompletionFilter::default() };
    let found = listed(store, &with(pairs(&[("k", "v")])), None).await;
    assert_eq!(found, ["body of c1", "body of c2"]);
    let found = listed(store, &with(pairs(&[("k", "v"), ("other", "1")])), None).await;
    assert_eq!(found, ["body of c2"]);
    assert!(listed(store, &with(pairs(&[("k", "' OR 1 = 1 --")])), None).await.is_empty());
    let other = CompletionFilter { model: Some("n".to_owned()), ..CompletionFilter::default() };
    assert!(listed(store, &other, None).await.is_empty());
}

async fn within_a_second_they_stay_in_the_order_they_came_in(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    for id in ["z", "a", "m"] {
        store.add_completion(&of("a"), &completion(id, 7), &[]).await.unwrap();
        // Others' do not come between.
        for other in &others() {
            store.add_completion(other, &completion(id, 7), &[]).await.unwrap();
        }
    }
    let all = CompletionFilter::default();
    assert_eq!(listed(store, &all, None).await, ["body of z", "body of a", "body of m"]);
    assert_eq!(listed(store, &all, Some("z")).await, ["body of a", "body of m"]);
    store.delete_completion(&of("a"), "a").await.unwrap();
    store.add_completion(&of("a"), &completion("b", 7), &[]).await.unwrap();
    let down = store.completions(&of("a"), &all, &page(None, 9, true)).await.unwrap();
    assert_eq!(down.rows, ["body of b", "body of m", "body of z"]);
}

async fn they_are_updated_and_deleted_by_their_project(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    store.add_completion(&of("a"), &completion("c", 1), &pairs(&[("k", "v")])).await.unwrap();
    let new = Completion { body: "new".to_owned(), ..completion("c", 1) };
    for other in &others() {
        assert!(is_missing(store.completion(other, "c").await));
        assert!(is_missing(store.update_completion(other, &new, &[]).await));
        assert!(is_missing(store.delete_completion(other, "c").await));
        let all = CompletionFilter { metadata: pairs(&[("k", "v")]), ..Default::default() };
        assert!(
            store.completions(other, &all, &page(None, 9, false)).await.unwrap().rows.is_empty()
        );
        let of_another = store.completions(other, &all, &page(Some("c"), 9, false)).await;
        assert!(matches!(of_another, Err(StoreError::NotListed)));
    }
    store.update_completion(&of("a"), &new, &pairs(&[("l", "w")])).await.unwrap();
    assert_eq!(store.completion(&of("a"), "c").await.unwrap(), new);
    let with = |name: &str, value: &str| CompletionFilter {
        metadata: pairs(&[(name, value)]),
        ..CompletionFilter::default()
    };
    assert!(listed(store, &with("k", "v"), None).await.is_empty());
    assert_eq!(listed(store, &with("l", "w"), None).await, ["new"]);
    assert_eq!(store.used("a").await.unwrap(), (1, 5));
    store.delete_completion(&of("a"), "c").await.unwrap();
    assert!(is_missing(store.completion(&of("a"), "c").await));
    assert_eq!(store.used("a").await.unwrap(), (0, 0));
}

async fn what_expired_is_not_listed(on: On) {
    let Opened { store, .. } = &Opened::with(on, brief()).await;
    store.add_completion(&of("a"), &completion("c", 1), &pairs(&[("k", "v")])).await.unwrap();
    assert!(listed(store, &CompletionFilter::default(), None).await.is_empty());
    assert_eq!(store.sweep_batch().await.unwrap(), 1);
    assert_eq!(store.used("a").await.unwrap(), (0, 0));
}
