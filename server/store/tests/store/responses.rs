//! Responses and their chains.

use server_store::{Limits, Response, StoreError};

use crate::{On, Opened, brief, is_missing, item, of, others, response};

crate::on_both! {
    what_was_kept_is_there_after_reopening,
    projects_see_only_their_own,
    an_item_leads_to_the_response_that_made_it,
    a_chain_is_whole_or_refused,
    what_finished_never_changes,
    what_was_left_unfinished_has_failed_after_reopening,
    limits_are_the_tenants_own,
    what_expired_is_not_read_and_then_removed,
    a_project_has_its_own_time,
}

async fn what_was_kept_is_there_after_reopening(on: On) {
    let opened = Opened::new(on).await;
    opened.store.add_response(&of("a"), &response("r1", None), &[]).await.unwrap();
    opened.store.add_response(&of("a"), &response("r2", Some("r1")), &[]).await.unwrap();
    let opened = opened.reopen(Limits::default()).await;
    let kept = opened.store.response(&of("a"), "r2").await.unwrap();
    assert_eq!((kept.status.as_str(), kept.previous_id.as_deref()), ("completed", Some("r1")));
    assert_eq!((kept.body.as_str(), kept.input.as_str()), ("{\"id\":\"r2\"}", "[]"));
    let chain = opened.store.chain(&of("a"), "r2").await.unwrap();
    let bodies: Vec<&str> = chain.iter().map(|kept| kept.body.as_str()).collect();
    assert_eq!(bodies, ["{\"id\":\"r1\"}", "{\"id\":\"r2\"}"]);
}

async fn projects_see_only_their_own(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    store.add_response(&of("a"), &response("r1", None), &[]).await.unwrap();
    let running = Response { status: "queued".to_owned(), ..response("r2", Some("r1")) };
    store.add_response(&of("a"), &running, &[]).await.unwrap();
    for other in &others() {
        for id in ["r1", "r2"] {
            assert!(is_missing(store.response(other, id).await));
            assert!(is_missing(store.chain(other, id).await));
            assert!(is_missing(store.delete_response(other, id).await));
            assert!(!store.set_status(other, id, "cancelled").await.unwrap());
            assert!(!store.finish_response(other, &response(id, None), &[]).await.unwrap());
        }
        // The same id is another thing of another project, and it cannot follow theirs.
        store.add_response(other, &response("r3", Some("r1")), &[]).await.unwrap();
        assert!(is_missing(store.chain(other, "r3").await));
        store.add_response(other, &response("r1", None), &[]).await.unwrap();
        store.delete_response(other, "r1").await.unwrap();
    }
    assert!(store.response(&of("a"), "r1").await.is_ok());
    assert_eq!(store.response(&of("a"), "r2").await.unwrap().status, "queued");
}

async fn an_item_leads_to_the_response_that_made_it(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let made = Response { output_ids: vec!["i".to_owned()], ..response("r", None) };
    store.add_response(&of("a"), &made, &[]).await.unwrap();
    assert_eq!(store.maker(&of("a"), "i").await.unwrap().body, made.body);
    for other in &others() {
        assert!(is_missing(store.maker(other, "i").await));
    }
    store.delete_response(&of("a"), "r").await.unwrap();
    assert!(is_missing(store.maker(&of("a"), "i").await));
}

async fn a_chain_is_whole_or_refused(on: On) {
    let limits = Limits { max_chain: 3, ..Limits::default() };
    let Opened { store, .. } = &Opened::with(on, limits).await;
    store.add_response(&of("a"), &response("r0", None), &[]).await.unwrap();
    for (id, previous) in [("r1", "r0"), ("r2", "r1"), ("r3", "r2")] {
        store.add_response(&of("a"), &response(id, Some(previous)), &[]).await.unwrap();
    }
    assert_eq!(store.chain(&of("a"), "r2").await.unwrap().len(), 3);
    assert!(matches!(store.chain(&of("a"), "r3").await, Err(StoreError::TooMany { max: 3, .. })));
    store.delete_response(&of("a"), "r0").await.unwrap();
    assert!(is_missing(store.chain(&of("a"), "r2").await));
    // One that follows itself does not turn for ever.
    store.add_response(&of("a"), &response("loop", Some("loop")), &[]).await.unwrap();
    assert!(matches!(store.chain(&of("a"), "loop").await, Err(StoreError::TooMany { .. })));
}

async fn what_finished_never_changes(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let queued = Response { status: "queued".to_owned(), ..response("r", None) };
    store.add_response(&of("a"), &queued, &[]).await.unwrap();
    assert!(store.set_status(&of("a"), "r", "in_progress").await.unwrap());
    let done = Response { body: "done".to_owned(), ..response("r", None) };
    assert!(store.finish_response(&of("a"), &done, &[]).await.unwrap());
    assert_eq!(store.response(&of("a"), "r").await.unwrap().body, "done");
    assert!(!store.set_status(&of("a"), "r", "cancelled").await.unwrap());
    assert!(!store.finish_response(&of("a"), &queued, &[]).await.unwrap());
    assert_eq!(store.response(&of("a"), "r").await.unwrap().status, "completed");
    assert_eq!(store.used("a").await.unwrap(), (1, 6));
}

async fn what_was_left_unfinished_has_failed_after_reopening(on: On) {
    let opened = Opened::new(on).await;
    for (id, status) in [("r1", "queued"), ("r2", "in_progress"), ("r3", "completed")] {
        let response = Response { status: status.to_owned(), ..response(id, None) };
        opened.store.add_response(&of("a"), &response, &[]).await.unwrap();
    }
    let opened = opened.reopen(Limits::default()).await;
    for (id, status) in [("r1", "failed"), ("r2", "failed"), ("r3", "completed")] {
        assert_eq!(opened.store.response(&of("a"), id).await.unwrap().status, status);
    }
}

async fn limits_are_the_tenants_own(on: On) {
    let limits = Limits { max_rows: 2, max_object_bytes: 100, max_bytes: 150, ..Limits::default() };
    let Opened { store, .. } = &Opened::with(on, limits).await;
    let large = |id: &str, num| Response { body: "x".repeat(num), ..response(id, None) };
    let error = store.add_response(&of("a"), &large("r", 200), &[]).await;
    assert!(matches!(error, Err(StoreError::TooLarge { max: 100, .. })), "{error:?}");
    store.add_response(&of("a"), &large("r1", 98), &[]).await.unwrap();
    let error = store.add_response(&of("a"), &large("r2", 98), &[]).await;
    assert!(matches!(error, Err(StoreError::Full { what: "bytes", .. })), "{error:?}");
    assert!(is_missing(store.response(&of("a"), "r2").await));
    assert!(store.check_room("a", "response", 90).await.is_err());
    store.add_response(&of("b"), &large("r2", 98), &[]).await.unwrap();
    store.add_response(&of("a"), &large("r2", 8), &[]).await.unwrap();
    let error = store.add_response(&of("a"), &large("r3", 0), &[]).await;
    assert!(matches!(error, Err(StoreError::Full { what: "rows", used: 3, max: 2 })), "{error:?}");
    // Deleting makes room.
    store.delete_response(&of("a"), "r1").await.unwrap();
    store.add_response(&of("a"), &large("r3", 98), &[]).await.unwrap();
    assert_eq!(store.used("a").await.unwrap(), (2, 110));
}

async fn what_expired_is_not_read_and_then_removed(on: On) {
    let opened = Opened::with(on, brief()).await;
    for idx in 0..250 {
        let response = response(&format!("r{idx}"), None);
        opened.store.add_response(&of("a"), &response, &[item("i")]).await.unwrap();
    }
    assert!(is_missing(opened.store.response(&of("a"), "r0").await));
    assert!(is_missing(opened.store.chain(&of("a"), "r0").await));
    let opened = opened.reopen(Limits::default()).await;
    opened.store.add_response(&of("a"), &response("kept", None), &[]).await.unwrap();
    let mut batches = Vec::new();
    while let num @ 1.. = opened.store.sweep_batch().await.unwrap() {
        batches.push(num);
    }
    assert_eq!(batches, [100, 100, 50]);
    assert_eq!(opened.store.used("a").await.unwrap().0, 1);
    assert!(opened.store.response(&of("a"), "kept").await.is_ok());
}

async fn a_project_has_its_own_time(on: On) {
    let opened = Opened::new(on).await;
    let at_once = opened.store.keeping_for(Some(0));
    at_once.add_response(&of("a"), &response("r1", None), &[]).await.unwrap();
    assert!(is_missing(opened.store.response(&of("a"), "r1").await));
    opened
        .store
        .keeping_for(Some(3))
        .add_response(&of("a"), &response("r2", None), &[])
        .await
        .unwrap();
    at_once.keeping_for(None).add_response(&of("a"), &response("r3", None), &[]).await.unwrap();
    assert_eq!(opened.store.sweep_batch().await.unwrap(), 1);
    let days = "SELECT CAST((MAX(expires_at) - MIN(expires_at)) / 86400 AS BIGINT) FROM responses";
    assert_eq!(opened.count(days).await, 27);
}
