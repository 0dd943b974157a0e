//! Organizations.

use server_accounts::LimitsData;
use server_store::{OrganizationUpdate, StoreError};

use super::{actions, all, is_invalid, may, may_in};
use crate::{On, Opened, is_missing, page};

crate::on_both! {
    they_are_made_once_and_listed,
    they_are_changed_suspended_and_archived,
    names_and_ids_are_within_bounds,
    who_may_in_a_project_changes_no_organization,
}

async fn they_are_made_once_and_listed(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let made = store.create_organization(&may("a"), "It's \"A\"").await.unwrap();
    assert_eq!((made.id.as_str(), made.name.as_str()), ("a", "It's \"A\""));
    assert!(made.created_at > 0 && made.archived_at.is_none() && !made.requires_two_factors);
    assert_eq!(store.organization(&may("a")).await.unwrap(), made);
    let again = store.create_organization(&may("a"), "other").await;
    assert!(matches!(again, Err(StoreError::Exists { what: "organization", .. })));
    assert!(is_missing(store.organization(&may("b")).await));
    store.create_organization(&may("b"), "B").await.unwrap();
    let every = may::<may::RunPlatform>("");
    let listed = store.organizations(&every, &all()).await.unwrap().rows;
    assert_eq!(listed.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let first = store.organizations(&every, &page(None, 1, true)).await.unwrap();
    assert_eq!((first.rows[0].id.as_str(), first.has_more), ("b", true));
    let next = store.organizations(&every, &page(Some("b"), 1, true)).await.unwrap();
    assert_eq!((next.rows[0].id.as_str(), next.has_more), ("a", false));
    let none = store.organizations(&every, &page(Some("c"), 1, true)).await;
    assert!(matches!(none, Err(StoreError::NotListed)));
    assert_eq!(actions(store, "a").await, ["organization.created"]);
}

async fn they_are_changed_suspended_and_archived(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    let before = store.create_organization(&may("a"), "A").await.unwrap();
    let update = OrganizationUpdate {
        requires_two_factors: Some(true),
        settings: Some("{\"token\":\"private\"}".to_owned()),
        ..OrganizationUpdate::default()
    };
    store.update_organization(&may("a"), &update).await.unwrap();
    let limits = LimitsData { requests_per_minute: Some(5), ..LimitsData::default() };
    store.set_organization_limits(&may("a"), &limits).await.unwrap();
    store.suspend_organization(&may("a"), Some("an invoice is due")).await.unwrap();
    let now = store.organization(&may("a")).await.unwrap();
    assert_eq!((now.name.as_str(), now.requires_two_factors), ("A", true));
    assert_eq!(now.settings, "{\"token\":\"private\"}");
    assert_eq!((now.suspended.as_deref(), &now.limits), (Some("an invoice is due"), &limits));
    store.suspend_organization(&may("a"), None).await.unwrap();
    for _ in 0..2 {
        store.archive_organization(&may("a")).await.unwrap();
    }
    let now = store.organization(&may("a")).await.unwrap();
    assert!(now.suspended.is_none() && now.archived_at.is_some_and(|at| at >= before.created_at));
    assert!(is_invalid(store.create_project(&may("a"), None, "late").await));
    let expected = [
        "organization.created",
        "organization.updated",
        "rate_limit.updated",
        "organization.updated",
        "organization.updated",
        "organization.archived",
    ];
    assert_eq!(actions(store, "a").await, expected);
    let log = store.audit_log(&may("a"), &Default::default(), &all()).await.unwrap().rows;
    let detail = "{\"changes_requested\":{\"requires_two_factors\":true,\"settings\":[\"token\"]}}";
    assert_eq!(log[1].detail, detail);
    assert!(log[3].detail.contains("an invoice is due"));
    // Of one that is not there nothing changes, and nothing is noted.
    assert!(is_missing(store.update_organization(&may("b"), &update).await));
    assert!(is_missing(store.set_organization_limits(&may("b"), &limits).await));
    assert!(is_missing(store.suspend_organization(&may("b"), None).await));
    assert!(is_missing(store.archive_organization(&may("b")).await));
    assert!(actions(store, "b").await.is_empty());
}

async fn names_and_ids_are_within_bounds(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    for id in ["", "-", "a\0", &"a".repeat(257)] {
        assert!(is_invalid(store.create_organization(&may(id), "name").await), "{id:?}");
    }
    for name in [String::new(), "n".repeat(257), "a\nb".to_owned()] {
        assert!(is_invalid(store.create_organization(&may("a"), &name).await), "{name:?}");
    }
    store.create_organization(&may("a"), &"n".repeat(256)).await.unwrap();
    let too_long = "n".repeat(20_000);
    for update in [
        OrganizationUpdate { name: Some(String::new()), ..Default::default() },
        OrganizationUpdate { settings: Some("[]".to_owned()), ..Default::default() },
        OrganizationUpdate {
            settings: Some(format!("{{\"a\":\"{too_long}\"}}")),
            ..Default::default()
        },
    ] {
        assert!(is_invalid(store.update_organization(&may("a"), &update).await));
    }
    assert!(is_invalid(store.suspend_organization(&may("a"), Some("")).await));
    let budget = |amount: &str| server_accounts::BudgetData {
        period: "day".to_owned(),
        amount: amount.to_owned(),
    };
    let limits = LimitsData { budgets: vec![budget("-1")], ..LimitsData::default() };
    assert!(is_invalid(store.set_organization_limits(&may("a"), &limits).await));
    assert_eq!(actions(store, "a").await, ["organization.created"]);
}

async fn who_may_in_a_project_changes_no_organization(on: On) {
    let Opened { store, .. } = &Opened::new(on).await;
    store.create_organization(&may("a"), "A").await.unwrap();
    let update = OrganizationUpdate { name: Some("B".to_owned()), ..Default::default() };
    assert!(is_missing(store.update_organization(&may_in("a", "p"), &update).await));
    let limits = LimitsData::default();
    assert!(is_missing(store.set_organization_limits(&may_in("a", "p"), &limits).await));
    assert_eq!(store.organization(&may_in("a", "p")).await.unwrap().name, "A");
    assert_eq!(actions(store, "a").await.len(), 1);
}
