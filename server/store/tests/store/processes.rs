//! Several processes on one database, as far as a store can tell: each has opened it for itself.

use server_store::{Completion, Conversation, Limits, PageQuery, Response};

use crate::{On, Opened, brief, is_missing, item, of, response};

crate::on_both! {
    what_another_process_works_on_has_not_failed,
    writers_of_one_tenant_take_turns,
    sweepers_do_not_get_in_each_others_way,
}

async fn what_another_process_works_on_has_not_failed(on: On) {
    let opened = Opened::new(on).await;
    let running = Response { status: "in_progress".to_owned(), ..response("r", None) };
    opened.store.add_response(&of("a"), &running, &[]).await.unwrap();
    let beside = opened.beside().await;
    assert_eq!(beside.response(&of("a"), "r").await.unwrap().status, "in_progress");
    beside.close().await;
    // It is over when its own process is.
    let opened = opened.reopen(Limits::default()).await;
    assert_eq!(opened.store.response(&of("a"), "r").await.unwrap().status, "failed");
}

/// Each changes what the others do, in another order: none fails, and what is counted is right.
async fn writers_of_one_tenant_take_turns(on: On) {
    let opened = Opened::new(on).await;
    let stores = [opened.store.clone(), opened.beside().await];
    let conversation =
        Conversation { id: "c".to_owned(), created_at: 7, metadata: "{}".to_owned() };
    opened.store.add_conversation(&of("a"), &conversation, &[]).await.unwrap();
    let mut tasks = Vec::new();
    for writer in 0..4 {
        let store = stores[writer % 2].clone();
        tasks.push(tokio::spawn(async move {
            for idx in 0..10 {
                let id = format!("{writer}-{idx}");
                let joined =
                    Response { conversation_id: Some("c".to_owned()), ..response(&id, None) };
                store.add_response(&of("a"), &joined, &[item(&format!("r{id}"))]).await.unwrap();
                store.add_items(&of("a"), "c", &[item(&format!("i{id}"))]).await.unwrap();
                let completion = Completion { id: id.clone(), ..Completion::default() };
                store.add_completion(&of("a"), &completion, &[]).await.unwrap();
                store.delete_item(&of("a"), "c", &format!("r{id}")).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let items = stores[1].all_items(&of("a"), "c").await.unwrap();
    assert_eq!(items.len(), 40);
    let query = PageQuery { after: None, limit: 100, descending: false };
    let completions = stores[1].completions(&of("a"), &Default::default(), &query).await.unwrap();
    assert_eq!(completions.rows.len(), 40);
    assert_eq!(stores[0].used("a").await.unwrap().0, 1 + 3 * 40);
    stores[1].close().await;
}

async fn sweepers_do_not_get_in_each_others_way(on: On) {
    let opened = Opened::with(on, brief()).await;
    let beside = opened.beside().await;
    for tenant in ["a", "b", "c"] {
        for idx in 0..20 {
            let made = response(&format!("r{idx}"), None);
            opened.store.add_response(&of(tenant), &made, &[]).await.unwrap();
        }
    }
    let (one, other) = tokio::join!(opened.store.sweep_batch(), beside.sweep_batch());
    assert_eq!(one.unwrap() + other.unwrap(), 60);
    for tenant in ["a", "b", "c"] {
        assert_eq!(opened.store.used(tenant).await.unwrap(), (0, 0));
        assert!(is_missing(opened.store.response(&of(tenant), "r0").await));
    }
    beside.close().await;
}
