//! Conversations and their items.

use server_store::{Conversation, Item, Limits, Response, Store, StoreError};

use crate::{On, Opened, brief, is_missing, item, of, others, page, response};

crate::on_both! {
    items_stay_in_order_page_by_page,
    projects_see_only_their_own,
    metadata_is_replaced_and_everything_goes_together,
    a_response_and_its_items_are_kept_together_or_not_at_all,
    a_conversation_is_bounded,
    what_expired_is_not_read_and_then_removed,
}

fn conversation(id: &str) -> Conversation {
    Conversation { id: id.to_owned(), created_at: 7, metadata: "{}".to_owned() }
}

async fn ids(store: &Store, after: Option<&str>, limit: u32, down: bool) -> (Vec<String>, bool) {
    let page = store.items(&of("a"), "c", &page(after, limit, down)).await.unwrap();
    (page.rows.into_iter().map(|item| item.id).collect(), page.has_more)
}

async fn items_stay_in_order_page_by_page(on: On) {
    let opened = Opened::new(on).await;
    let first = ["i1", "i2"].map(item);
    opened.store.add_conversation(&of("a"), &conversation("c"), &first).await.unwrap();
    opened.store.add_items(&of("a"), "c", &["i3", "i4"].map(item)).await.unwrap();
    let opened = opened.reopen(Limits::default()).await;
    let store = &opened.store;
    let named = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(store, None, 3, false).await, (named(&["i1", "i2", "i3"]), true));
    assert_eq!(ids(store, Some("i3"), 3, false).await, (named(&["i4"]), false));
    assert_eq!(ids(store, None, 2, true).await, (named(&["i4", "i3"]), true));
    assert_eq!(ids(store, Some("i3"), 2, true).await, (named(&["i2", "i1"]), false));
    let nowhere = store.items(&of("a"), "c", &page(Some("i9"), 2, false)).await;
    assert!(matches!(nowhere, Err(StoreError::NotListed)));
    assert!(is_missing(store.items(&of("a"), "none", &page(Some("i3"), 2, false)).await));
    // A place that is free again is not filled: what comes later is last.
    store.delete_item(&of("a"), "c", "i4").await.unwrap();
    store.add_items(&of("a"), "c", &[item("i5")]).await.unwrap();
    assert_eq!(ids(store, Some("i3"), 9, false).await, (named(&["i5"]), false));
    let all: Vec<String> =
        store.all_items(&of("a"), "c").await.unwrap().into_iter().map(|item| item.id).collect();
    assert_eq!(all, ["i1", "i2", "i3", "i5"]);
    assert_eq!(store.item(&of("a"), "c", "i5").await.unwrap(), "{\"id\":\"i5\"}");
}

async fn projects_see_only_their_own(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    store.add_conversation(&of("a"), &conversation("c"), &[item("i")]).await.unwrap();
    let before = store.used("a").await.unwrap();
    for other in &others() {
        assert!(is_missing(store.conversation(other, "c").await));
        assert!(is_missing(store.update_conversation(other, "c", "{}").await));
        assert!(is_missing(store.items(other, "c", &page(None, 9, false)).await));
        assert!(is_missing(store.all_items(other, "c").await));
        assert!(is_missing(store.item(other, "c", "i").await));
        assert!(is_missing(store.add_items(other, "c", &[item("j")]).await));
        assert!(is_missing(store.delete_item(other, "c", "i").await));
        assert!(is_missing(store.delete_conversation(other, "c").await));
        let joined = Response { conversation_id: Some("c".to_owned()), ..response("r", None) };
        assert!(is_missing(store.add_response(other, &joined, &[item("j")]).await));
        assert!(is_missing(store.response(other, "r").await), "kept by half");
        // The same ids are other things there.
        store.add_conversation(other, &conversation("c"), &[item("i")]).await.unwrap();
        store.delete_conversation(other, "c").await.unwrap();
    }
    assert_eq!(ids(store, None, 9, false).await.0, ["i"]);
    assert_eq!(store.used("a").await.unwrap(), before);
    assert_eq!(store.used("b").await.unwrap(), (0, 0));
}

async fn metadata_is_replaced_and_everything_goes_together(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    store.add_conversation(&of("a"), &conversation("c"), &["i1", "i2"].map(item)).await.unwrap();
    let updated = store.update_conversation(&of("a"), "c", "{\"k\":\"v\"}").await.unwrap();
    assert_eq!(updated, store.conversation(&of("a"), "c").await.unwrap());
    assert_eq!((updated.created_at, updated.metadata.as_str()), (7, "{\"k\":\"v\"}"));
    assert_eq!(store.used("a").await.unwrap(), (3, 9 + 11 + 11));
    store.delete_item(&of("a"), "c", "i1").await.unwrap();
    assert!(is_missing(store.item(&of("a"), "c", "i1").await));
    assert_eq!(store.used("a").await.unwrap(), (2, 9 + 11));
    store.delete_conversation(&of("a"), "c").await.unwrap();
    assert!(is_missing(store.conversation(&of("a"), "c").await));
    assert_eq!(store.used("a").await.unwrap(), (0, 0));
    // Nothing of the old items is left under the same name.
    store.add_conversation(&of("a"), &conversation("c"), &[]).await.unwrap();
    assert!(ids(store, None, 9, false).await.0.is_empty());
}

async fn a_response_and_its_items_are_kept_together_or_not_at_all(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    store.add_conversation(&of("a"), &conversation("c"), &[item("i1")]).await.unwrap();
    let joined =
        |id: &str| Response { conversation_id: Some("c".to_owned()), ..response(id, None) };
    store.add_response(&of("a"), &joined("r1"), &["i2", "i3"].map(item)).await.unwrap();
    assert_eq!(ids(store, None, 9, false).await.0, ["i1", "i2", "i3"]);
    let twice = store.add_response(&of("a"), &joined("r2"), &["i4", "i1"].map(item)).await;
    assert!(matches!(twice, Err(StoreError::Duplicate { id }) if id == "i1"));
    assert!(is_missing(store.response(&of("a"), "r2").await));
    assert_eq!(ids(store, None, 9, false).await.0, ["i1", "i2", "i3"]);
    store.delete_conversation(&of("a"), "c").await.unwrap();
    assert!(is_missing(store.add_response(&of("a"), &joined("r3"), &[item("i5")]).await));
}

async fn a_conversation_is_bounded(on: On) {
    let limits = Limits { max_conversation_items: 3, max_context_bytes: 30, ..Limits::default() };
    let Opened { store, .. } = &Opened::with(on, limits).await;
    store.add_conversation(&of("a"), &conversation("c"), &["i1", "i2"].map(item)).await.unwrap();
    let more = store.add_items(&of("a"), "c", &["i3", "i4"].map(item)).await;
    assert!(matches!(more, Err(StoreError::TooMany { max: 3, .. })));
    assert_eq!(store.all_items(&of("a"), "c").await.unwrap().len(), 2);
    store.add_items(&of("a"), "c", &[item("i3")]).await.unwrap();
    assert!(matches!(store.all_items(&of("a"), "c").await, Err(StoreError::TooLarge { .. })));
    let large = Item { id: "i".to_owned(), json: "x".repeat(20 << 20) };
    store.delete_item(&of("a"), "c", "i3").await.unwrap();
    assert!(matches!(
        store.add_items(&of("a"), "c", &[large]).await,
        Err(StoreError::TooLarge { what: "item", .. })
    ));
}

async fn what_expired_is_not_read_and_then_removed(on: On) {
    let opened = Opened::with(on, brief()).await;
    let added = opened.store.add_conversation(&of("a"), &conversation("c"), &[]).await;
    added.unwrap();
    assert!(is_missing(opened.store.conversation(&of("a"), "c").await));
    assert!(is_missing(opened.store.add_items(&of("a"), "c", &[item("i")]).await));
    assert_eq!(opened.store.sweep_batch().await.unwrap(), 1);
    assert_eq!(opened.store.used("a").await.unwrap(), (0, 0));
    assert_eq!(opened.store.sweep_batch().await.unwrap(), 0);
}
