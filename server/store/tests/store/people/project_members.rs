//! Members of projects.

use server_accounts::may as permission;

use super::{exists, is_denied, is_revoked, join, key_of, leave_of, sign_up};
use crate::accounts::{actions, all, is_invalid, may, may_in, populated};
use crate::{On, Opened, is_missing, page};

crate::on_both! {
    a_member_has_a_role_in_a_project,
    who_is_mighty_in_a_project_gives_roles_there,
    a_key_goes_with_the_role_it_needs,
    what_is_of_another_project_or_organization_is_not_there,
}

async fn a_member_has_a_role_in_a_project(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let user = join(store, "a", "ann", "viewer").await;
    let member = store.add_project_member(&may("a"), "p", &user.id, "member").await.unwrap();
    assert_eq!((&member.user, &*member.role), (&user, "developer"));
    assert!(exists(store.add_project_member(&may("a"), "p", &user.id, "owner").await));
    let stranger = sign_up(store, "bob").await;
    assert!(is_missing(store.add_project_member(&may("a"), "p", &stranger.id, "member").await));
    assert!(is_missing(store.add_project_member(&may("a"), "none", &user.id, "member").await));
    assert!(is_missing(store.add_project_member(&may("a"), "q", &user.id, "none").await));
    let member = store.set_project_member_role(&may("a"), "p", &user.id, "owner").await.unwrap();
    assert_eq!(member.role, "admin");
    assert_eq!(store.project_member(&may("a"), "p", &user.id).await.unwrap(), member);
    let listed = store.project_members(&may("a"), "p", &all()).await.unwrap();
    assert_eq!((listed.rows, listed.has_more), (vec![member], false));
    let other = join(store, "a", "cid", "viewer").await;
    store.add_project_member(&may("a"), "p", &other.id, "member").await.unwrap();
    let first = store.project_members(&may("a"), "p", &page(None, 1, true)).await.unwrap();
    let second = page(Some(&first.rows[0].user.id), 1, true);
    let second = store.project_members(&may("a"), "p", &second).await.unwrap();
    assert!(first.has_more && !second.has_more && first.rows != second.rows);
    store.remove_project_member(&may("a"), "p", &user.id).await.unwrap();
    assert!(is_missing(store.remove_project_member(&may("a"), "p", &user.id).await));
    assert!(is_missing(store.project_member(&may("a"), "p", &user.id).await));
    let told = actions(store, "a").await;
    assert_eq!(told[4..6], ["user.added", "user.updated"]);
    assert_eq!(told.last().unwrap(), "user.deleted");
    store.archive_project(&may("a"), "q").await.unwrap();
    assert!(is_invalid(store.add_project_member(&may("a"), "q", &user.id, "member").await));
    // Who leaves the organization leaves its projects.
    store.remove_member(&may("a"), &other.id).await.unwrap();
    assert!(store.project_members(&may("a"), "p", &all()).await.unwrap().rows.is_empty());
}

async fn who_is_mighty_in_a_project_gives_roles_there(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let lead = join(store, "a", "ann", "viewer").await;
    let user = join(store, "a", "bob", "viewer").await;
    store.add_project_member(&may("a"), "p", &lead.id, "owner").await.unwrap();
    let allowed = leave_of::<permission::WriteMembers>(store, &lead, "a").await;
    store.add_project_member(&allowed, "p", &user.id, "owner").await.unwrap();
    store.set_project_member_role(&allowed, "p", &user.id, "member").await.unwrap();
    assert!(is_missing(store.add_project_member(&allowed, "q", &user.id, "member").await));
    assert!(is_missing(store.add_member(&allowed, &user.id, "viewer").await));
    // More than an administrator, none in a project is.
    let role = server_accounts::Role::custom("payer", ["billing.write"]).unwrap();
    store.create_role(&may("a"), &role).await.unwrap();
    assert!(is_denied(store.set_project_member_role(&allowed, "p", &user.id, "payer").await));
    store.set_project_member_role(&may("a"), "p", &user.id, "payer").await.unwrap();
    assert!(is_denied(store.remove_project_member(&allowed, "p", &user.id).await));
    assert!(is_denied(store.set_project_member_role(&allowed, "p", &user.id, "member").await));
}

async fn a_key_goes_with_the_role_it_needs(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let viewer = join(store, "a", "ann", "viewer").await;
    let developer = join(store, "a", "bob", "developer").await;
    for user in [&viewer, &developer] {
        store.add_project_member(&may("a"), "p", &user.id, "member").await.unwrap();
    }
    let keys = [key_of(store, &viewer, "a", "p").await, key_of(store, &developer, "a", "p").await];
    store.remove_project_member(&may("a"), "p", &viewer.id).await.unwrap();
    store.set_project_member_role(&may("a"), "p", &developer.id, "viewer").await.unwrap();
    store.remove_project_member(&may("a"), "p", &developer.id).await.unwrap();
    assert!(is_revoked(store, "a", &keys[0]).await);
    assert!(!is_revoked(store, "a", &keys[1]).await);
}

async fn what_is_of_another_project_or_organization_is_not_there(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let user = join(store, "a", "ann", "viewer").await;
    store.add_member(&may("b"), &user.id, "viewer").await.unwrap();
    store.add_project_member(&may("a"), "p", &user.id, "member").await.unwrap();
    for (organization, project) in [("a", "q"), ("b", "p")] {
        let allowed = may(organization);
        assert!(is_missing(store.project_member(&allowed, project, &user.id).await));
        let list = store.project_members(&allowed, project, &all()).await.unwrap();
        assert!(list.rows.is_empty());
        let allowed = may(organization);
        assert!(is_missing(store.remove_project_member(&allowed, project, &user.id).await));
        let set = store.set_project_member_role(&allowed, project, &user.id, "owner").await;
        assert!(is_missing(set));
    }
    let elsewhere = may_in("a", "q");
    assert!(is_missing(store.project_members(&elsewhere, "p", &all()).await));
    assert!(is_missing(store.project_member(&elsewhere, "p", &user.id).await));
    let role = store.project_member(&may("a"), "p", &user.id).await.unwrap().role;
    assert_eq!(role, "developer");
}
