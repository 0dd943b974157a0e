//! The audit log.

use futures_util::future::join_all;
use server_accounts::{Actor, ChainBreak};
use server_store::{AuditError, AuditFilter, StoreError};

use super::{actions, all, behind, make_key, may, may_in, populated};
use crate::{On, Opened, page};

crate::on_both! {
    it_is_read_by_what_who_and_where,
    it_is_each_organizations_own,
    what_was_changed_behind_its_back_is_found,
    what_was_taken_out_is_found,
    those_who_write_at_once_keep_it_whole,
    a_long_one_is_verified_in_parts,
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

async fn it_is_read_by_what_who_and_where(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let owner = server_accounts::Role::find_usual("owner").unwrap();
    let actor = Actor::user("user-7", "a", owner, Default::default()).from_address("::1\0");
    let key = super::new_key("p", "key");
    let key = store.create_key(&actor.allow("a").unwrap(), &key).await.unwrap().0;
    let found =
        async |filter: AuditFilter| store.audit_log(&may("a"), &filter, &all()).await.unwrap().rows;
    let log = found(AuditFilter::default()).await;
    assert_eq!(log.len(), 4);
    let last = &log[3];
    assert_eq!((last.action.as_str(), last.target.as_str()), ("api_key.created", &*key.id));
    assert_eq!(
        (last.actor.as_str(), last.address.as_deref()),
        ("user:user-7", Some("::1\u{fffd}"))
    );
    assert_eq!((last.project.as_deref(), last.position), (Some("p"), 4));
    for filter in [
        AuditFilter { actions: texts(&["api_key.created", "x"]), ..Default::default() },
        AuditFilter { actors: texts(&["user:user-7"]), ..Default::default() },
        AuditFilter { targets: texts(&[&key.id]), ..Default::default() },
    ] {
        assert_eq!(found(filter).await, std::slice::from_ref(last));
    }
    let of_project = AuditFilter { projects: texts(&["p"]), ..Default::default() };
    assert_eq!(found(of_project).await.len(), 2);
    let nothing = AuditFilter { until_ms: Some(log[0].at), ..Default::default() };
    assert!(found(nothing).await.is_empty());
    let since = AuditFilter { since_ms: Some(log[0].at), ..Default::default() };
    assert_eq!(found(since).await.len(), 4);
    let injected = AuditFilter { actors: texts(&["') OR (1 = 1"]), ..Default::default() };
    assert!(found(injected).await.is_empty());
    let newest = page(None, 1, true);
    let first = store.audit_log(&may("a"), &AuditFilter::default(), &newest).await.unwrap();
    assert_eq!((&first.rows[0], first.has_more), (last, true));
    let after = page(Some(&last.id), 9, true);
    let rest = store.audit_log(&may("a"), &AuditFilter::default(), &after).await.unwrap();
    assert_eq!((rest.rows.len(), rest.has_more), (3, false));
    let too_many = AuditFilter { targets: vec![String::new(); 101], ..Default::default() };
    assert!(super::is_invalid(store.audit_log(&may("a"), &too_many, &all()).await));
}

async fn it_is_each_organizations_own(on: On) {
    let Opened { store, .. } = &populated(on).await;
    make_key(store, "b", "p").await;
    assert_eq!((actions(store, "a").await.len(), actions(store, "b").await.len()), (3, 4));
    assert!(actions(store, "c").await.is_empty());
    let organizations = store.audited_organizations(&may("")).await.unwrap();
    assert_eq!(organizations, ["a", "b"]);
    // Who may in a project sees what was done there.
    let in_project = may_in::<may::ReadAudit>("b", "p");
    let seen = store.audit_log(&in_project, &AuditFilter::default(), &all()).await.unwrap().rows;
    assert!(seen.len() == 2 && seen.iter().all(|record| record.project.as_deref() == Some("p")));
    let verified = store.verify_audit(&in_project).await;
    assert!(matches!(verified, Err(AuditError::Store(StoreError::NotFound { .. }))));
}

async fn what_was_changed_behind_its_back_is_found(on: On) {
    let opened = populated(on).await;
    let change = "UPDATE audit_log SET actor = 'user:x' WHERE organization_id = 'a'
        AND position = 2";
    behind(on, &opened, change).await;
    let broken = opened.store.verify_audit(&may("a")).await;
    assert!(matches!(broken, Err(AuditError::Broken(ChainBreak::Changed { position: 2, .. }))));
    assert_eq!(opened.store.verify_audit(&may("b")).await.unwrap(), 3);
}

async fn what_was_taken_out_is_found(on: On) {
    let opened = populated(on).await;
    let remove = "DELETE FROM audit_log WHERE organization_id = 'b' AND position = 2";
    behind(on, &opened, remove).await;
    let broken = opened.store.verify_audit(&may("b")).await;
    let is_meant = |it: &ChainBreak| matches!(it, ChainBreak::Missing { expected: 2, .. });
    assert!(matches!(&broken, Err(AuditError::Broken(it)) if is_meant(it)), "{broken:?}");
    assert_eq!(opened.store.verify_audit(&may("a")).await.unwrap(), 3);
    // Its end is as good as its middle, and all of it as good as its end.
    for cut in [
        "DELETE FROM audit_log WHERE organization_id = 'a' AND position = 3",
        "DELETE FROM audit_log WHERE organization_id = 'a'",
    ] {
        behind(on, &opened, cut).await;
        let broken = opened.store.verify_audit(&may("a")).await;
        let is_meant = |it: &ChainBreak| matches!(it, ChainBreak::Cut { end: 3, .. });
        assert!(matches!(&broken, Err(AuditError::Broken(it)) if is_meant(it)), "{broken:?}");
    }
    let audited = opened.store.audited_organizations(&may("")).await.unwrap();
    assert!(audited.contains(&"a".to_owned()), "{audited:?}");
}

async fn those_who_write_at_once_keep_it_whole(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let writes = (0..24).map(|idx| {
        let organization = if idx % 3 == 0 { "b" } else { "a" };
        async move {
            match idx % 2 {
                0 => drop(make_key(store, organization, "p").await),
                _ => drop(store.create_project(&may(organization), None, "n").await.unwrap()),
            }
        }
    });
    join_all(writes).await;
    assert_eq!((actions(store, "a").await.len(), actions(store, "b").await.len()), (19, 11));
}

async fn a_long_one_is_verified_in_parts(on: On) {
    let opened = populated(on).await;
    let store = &opened.store;
    for _ in 0..300 {
        for why in [Some("why"), None] {
            store.suspend_organization(&may("a"), why).await.unwrap();
        }
    }
    assert_eq!(store.verify_audit(&may("a")).await.unwrap(), 603);
    let change = "UPDATE audit_log SET hash = '' WHERE organization_id = 'a' AND position = 600";
    behind(on, &opened, change).await;
    let broken = store.verify_audit(&may("a")).await;
    assert!(matches!(broken, Err(AuditError::Broken(ChainBreak::Changed { position: 600, .. }))));
}
