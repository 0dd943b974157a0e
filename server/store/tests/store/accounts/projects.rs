//! Projects.

use server_accounts::{LimitsData, PrivacySettings, StorePrompts};
use server_store::{ProjectUpdate, StoreError};

use super::{actions, all, is_invalid, make_key, may, may_in, populated};
use crate::{On, Opened, is_missing, page};

crate::on_both! {
    they_are_made_listed_and_changed,
    an_archived_one_has_no_keys_any_more,
    the_one_of_keys_that_name_none_stays,
    what_it_says_of_what_is_stored_is_told_to_servers_and_logged,
    others_see_and_change_nothing,
}

async fn they_are_made_listed_and_changed(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let made = store.create_project(&may("a"), None, "x'; DROP TABLE projects").await.unwrap();
    assert!(made.id.starts_with("proj_") && made.organization == "a");
    assert_eq!(made.name, "x'; DROP TABLE projects");
    assert_eq!(store.project(&may("a"), &made.id).await.unwrap(), made);
    let again = store.create_project(&may("a"), Some("p"), "again").await;
    assert!(matches!(again, Err(StoreError::Exists { what: "project", .. })));
    assert!(is_invalid(store.create_project(&may("a"), Some("\n"), "name").await));
    for name in ["", "a\0", "a\nb", "\u{1b}[31mred", "\u{85}"] {
        assert!(is_invalid(store.create_project(&may("a"), None, name).await), "{name:?}");
        let update = ProjectUpdate { name: Some(name.to_owned()), ..ProjectUpdate::default() };
        assert!(is_invalid(store.update_project(&may("a"), &made.id, &update).await), "{name:?}");
    }
    assert!(is_missing(store.create_project(&may("c"), None, "name").await));

    let settings = Some("{\"keeps\":true}".to_owned());
    let update = ProjectUpdate { settings, ..ProjectUpdate::default() };
    store.update_project(&may("a"), "p", &update).await.unwrap();
    let update = ProjectUpdate { name: Some("P".to_owned()), ..ProjectUpdate::default() };
    store.update_project(&may("a"), "p", &update).await.unwrap();
    let limits = LimitsData { concurrent_requests: Some(2), ..LimitsData::default() };
    store.set_project_limits(&may("a"), "p", &limits).await.unwrap();
    let now = store.project(&may("a"), "p").await.unwrap();
    assert_eq!((now.name.as_str(), now.settings.as_str()), ("P", "{\"keeps\":true}"));
    assert_eq!(now.limits, limits);
    assert_eq!(store.project(&may("b"), "p").await.unwrap().name, "Name");

    store.archive_project(&may("a"), "q").await.unwrap();
    let active = store.projects(&may("a"), false, &all()).await.unwrap().rows;
    assert_eq!(active.len(), 2);
    let listed = store.projects(&may("a"), true, &all()).await.unwrap().rows;
    assert_eq!(listed.len(), 3);
    // A page goes on after one that is not on it any more.
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let query = page(after.as_deref(), 1, true);
        let next = store.projects(&may("a"), true, &query).await.unwrap();
        ids.extend(next.rows.iter().map(|project| project.id.clone()));
        after = ids.last().cloned();
        if !next.has_more {
            break;
        }
    }
    ids.reverse();
    assert_eq!(ids, listed.iter().map(|project| project.id.clone()).collect::<Vec<_>>());
    assert!(store.projects(&may("a"), false, &page(Some("q"), 9, false)).await.is_ok());
    let actions = actions(store, "a").await;
    let expected = ["project.updated", "project.updated", "rate_limit.updated", "project.archived"];
    assert_eq!(actions[actions.len() - 4..], expected);
}

async fn an_archived_one_has_no_keys_any_more(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (gone, stays) = (make_key(store, "a", "p").await, make_key(store, "a", "q").await);
    let others = make_key(store, "b", "p").await;
    let since = store.revision().await.unwrap();
    for _ in 0..2 {
        store.archive_project(&may("a"), "p").await.unwrap();
    }
    assert!(store.key(&may("a"), &gone.id).await.unwrap().revoked_at.is_some());
    assert!(store.key(&may("a"), &stays.id).await.unwrap().revoked_at.is_none());
    assert!(store.key(&may("b"), &others.id).await.unwrap().revoked_at.is_none());
    let changes = store.changes(since).await.unwrap();
    assert_eq!((changes.projects.len(), changes.keys.len()), (1, 1));
    assert!(changes.projects[0].is_archived && changes.keys[0].is_revoked);
    let key = super::new_key("p", "late");
    assert!(is_invalid(store.create_key(&may("a"), &key).await));
    let update = ProjectUpdate { name: Some("P".to_owned()), ..ProjectUpdate::default() };
    assert!(is_invalid(store.update_project(&may("a"), "p", &update).await));
    let limits = LimitsData::default();
    assert!(is_invalid(store.set_project_limits(&may("a"), "p", &limits).await));
    let actions = actions(store, "a").await;
    assert_eq!(actions.iter().filter(|action| *action == "project.archived").count(), 1);
}

async fn the_one_of_keys_that_name_none_stays(on: On) {
    let Opened { store, .. } = &populated(on).await;
    assert!(is_missing(store.archive_project(&may("a"), "default").await));
    store.create_project(&may("a"), Some("default"), "Default").await.unwrap();
    let key = make_key(store, "a", "default").await;
    let before = store.revision().await.unwrap();
    let refused = store.archive_project(&may("a"), "default").await.unwrap_err();
    assert_eq!(refused.to_string(), "the project 'default' stays: what names no project is in it");
    assert_eq!(store.revision().await.unwrap(), before);
    assert!(store.key(&may("a"), &key.id).await.unwrap().revoked_at.is_none());
}

async fn others_see_and_change_nothing(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let update = ProjectUpdate { name: Some("P".to_owned()), ..ProjectUpdate::default() };
    let limits = LimitsData { concurrent_requests: Some(2), ..LimitsData::default() };
    let before = store.revision().await.unwrap();
    assert!(is_missing(store.project(&may("c"), "p").await));
    assert!(is_missing(store.project(&may_in("a", "q"), "p").await));
    assert!(is_missing(store.update_project(&may("c"), "p", &update).await));
    assert!(is_missing(store.update_project(&may_in("a", "q"), "p", &update).await));
    assert!(is_missing(store.set_project_limits(&may_in("a", "q"), "p", &limits).await));
    assert!(is_missing(store.archive_project(&may_in("a", "q"), "p").await));
    assert!(is_missing(store.archive_project(&may("a"), "r").await));
    assert!(is_missing(store.create_project(&may_in("a", "q"), None, "name").await));
    let seen = store.projects(&may_in("a", "q"), true, &all()).await.unwrap().rows;
    assert_eq!(seen.iter().map(|project| project.id.as_str()).collect::<Vec<_>>(), ["q"]);
    let after = store.projects(&may_in("a", "q"), true, &page(Some("p"), 9, false)).await;
    assert!(matches!(after, Err(StoreError::NotListed)));
    assert!(store.projects(&may("c"), true, &all()).await.unwrap().rows.is_empty());
    assert_eq!(store.revision().await.unwrap(), before);
}

async fn what_it_says_of_what_is_stored_is_told_to_servers_and_logged(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let before = store.revision().await.unwrap();
    let privacy =
        PrivacySettings { store_prompts: Some(StorePrompts::WhenAsked), retention_days: Some(7) };
    let (store_prompts, retention_days) = (Some(privacy.store_prompts), Some(Some(7)));
    let update = ProjectUpdate { store_prompts, retention_days, ..ProjectUpdate::default() };
    store.update_project(&may("a"), "p", &update).await.unwrap();
    assert_eq!(store.project(&may("a"), "p").await.unwrap().privacy, privacy);
    assert_eq!(store.project(&may("b"), "p").await.unwrap().privacy, Default::default());
    let changes = store.changes(before).await.unwrap();
    let told: Vec<_> = changes.projects.iter().map(|it| (it.id.as_str(), it.privacy)).collect();
    assert_eq!(told, [("p", privacy)]);
    // What is not named stays, and what is unset is as the server has it.
    let update = ProjectUpdate { store_prompts: Some(None), ..ProjectUpdate::default() };
    store.update_project(&may("a"), "p", &update).await.unwrap();
    let now = store.project(&may("a"), "p").await.unwrap().privacy;
    assert_eq!(now, PrivacySettings { store_prompts: None, retention_days: Some(7) });
    for days in [0, 3_651] {
        let retention_days = Some(Some(days));
        let update = ProjectUpdate { retention_days, ..ProjectUpdate::default() };
        assert!(is_invalid(store.update_project(&may("a"), "p", &update).await));
    }
    let log = store.audit_log(&may("a"), &Default::default(), &all()).await.unwrap();
    let details: Vec<_> = log.rows.iter().rev().take(2).map(|it| it.detail.as_str()).collect();
    assert!(details[1].contains("\"when_asked\"") && details[1].contains("7"), "{details:?}");
    assert!(details[0].contains("\"store_prompts\":null"), "{details:?}");
}
