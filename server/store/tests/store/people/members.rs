//! Members.

use server_accounts::{Role, may as permission};
use server_store::{NewAdminKey, OrganizationUpdate};

use super::{exists, is_denied, is_last_owner, is_revoked, join, key_of, leave_of, sign_up};
use crate::accounts::{actions, all, may, may_in, populated};
use crate::{On, Opened, is_missing, page};

crate::on_both! {
    members_are_added_listed_and_removed,
    what_a_member_may_is_what_its_role_and_projects_say,
    an_organization_keeps_an_owner,
    of_two_owners_who_remove_each_other_one_stays,
    nobody_changes_who_may_more,
    keys_end_with_what_their_owner_may,
    another_organization_gets_nothing,
}

async fn members_are_added_listed_and_removed(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let users = [join(store, "a", "ann", "owner").await, join(store, "a", "bob", "viewer").await];
    assert!(exists(store.add_member(&may("a"), &users[0].id, "viewer").await));
    assert!(is_missing(store.add_member(&may("a"), "user-none", "viewer").await));
    let other = sign_up(store, "cid").await;
    assert!(is_missing(store.add_member(&may("a"), &other.id, "none").await));
    assert!(is_missing(store.add_member(&may("none"), &other.id, "viewer").await));
    assert!(is_missing(store.add_member(&may_in("a", "p"), &other.id, "viewer").await));
    let first = store.members(&may("a"), &page(None, 1, false)).await.unwrap();
    let second = page(Some(&first.rows[0].user.id), 1, false);
    let second = store.members(&may("a"), &second).await.unwrap();
    assert!(first.has_more && !second.has_more);
    let mut listed = [&first.rows[0].user, &second.rows[0].user];
    listed.sort_by_key(|user| &user.name);
    assert_eq!(listed, [&users[0], &users[1]]);
    let member = store.set_member_role(&may("a"), &users[1].id, "developer").await.unwrap();
    assert_eq!((&member.user, &*member.role), (&users[1], "developer"));
    assert_eq!(store.member(&may("a"), &users[1].id).await.unwrap(), member);
    assert!(is_missing(store.set_member_role(&may("a"), &users[1].id, "none").await));
    assert!(is_missing(store.set_member_role(&may("a"), &other.id, "viewer").await));
    store.remove_member(&may("a"), &users[1].id).await.unwrap();
    assert!(is_missing(store.remove_member(&may("a"), &users[1].id).await));
    assert!(is_missing(store.member(&may("a"), &users[1].id).await));
    let told = actions(store, "a").await;
    assert_eq!(told[3..], ["user.added", "user.added", "user.updated", "user.deleted"]);
}

async fn what_a_member_may_is_what_its_role_and_projects_say(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let user = join(store, "a", "ann", "viewer").await;
    store.add_member(&may("b"), &user.id, "owner").await.unwrap();
    store.add_project_member(&may("a"), "p", &user.id, "member").await.unwrap();
    let own = Role::custom("auditor", ["audit.read"]).unwrap();
    store.create_role(&may("a"), &own).await.unwrap();
    store.add_project_member(&may("a"), "q", &user.id, "auditor").await.unwrap();
    let actor = super::actor(store, &user, "a").await;
    assert_eq!(actor.permissions(), &Role::find_usual("viewer").unwrap().permissions);
    assert!(actor.allow_in::<permission::WriteKeys>("a", "p").is_ok());
    assert!(actor.allow_in::<permission::WriteKeys>("a", "q").is_err());
    assert!(actor.allow_in::<permission::ReadAudit>("a", "q").is_ok());
    assert!(actor.allow::<permission::WriteMembers>("a").is_err());
    assert!(actor.allow::<permission::ReadUsage>("b").is_err());
    store.archive_project(&may("a"), "p").await.unwrap();
    let actor = super::actor(store, &user, "a").await;
    assert!(actor.allow_in::<permission::WriteKeys>("a", "p").is_err());
    let of = store.organizations_of(&user.id).await.unwrap();
    let of: Vec<(&str, &str)> = of.iter().map(|it| (&*it.id, &*it.role)).collect();
    assert_eq!(of, [("a", "viewer"), ("b", "owner")]);
    let two = OrganizationUpdate { requires_two_factors: Some(true), ..Default::default() };
    store.update_organization(&may("b"), &two).await.unwrap();
    let of = store.organizations_of(&user.id).await.unwrap();
    assert_eq!(of.iter().map(|it| it.requires_two_factors).collect::<Vec<_>>(), [false, true]);
    store.archive_organization(&may("b")).await.unwrap();
    assert!(store.actor_of(&user.id, "b").await.unwrap().is_none());
    assert_eq!(store.organizations_of(&user.id).await.unwrap().len(), 1);
    assert!(store.actor_of("user-none", "a").await.unwrap().is_none());
}

async fn an_organization_keeps_an_owner(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let ann = join(store, "a", "ann", "owner").await;
    let bob = join(store, "a", "bob", "admin").await;
    assert!(is_last_owner(store.remove_member(&may("a"), &ann.id).await));
    assert!(is_last_owner(store.set_member_role(&may("a"), &ann.id, "admin").await));
    store.set_member_role(&may("a"), &ann.id, "owner").await.unwrap();
    store.set_member_role(&may("a"), &bob.id, "owner").await.unwrap();
    // One who may do nothing counts for nothing.
    store.disable_user(&may("a"), &bob.id, true).await.unwrap();
    assert!(is_last_owner(store.remove_member(&may("a"), &ann.id).await));
    store.disable_user(&may("a"), &bob.id, false).await.unwrap();
    store.remove_member(&may("a"), &ann.id).await.unwrap();
    assert!(is_last_owner(store.remove_member(&may("a"), &bob.id).await));
}

async fn of_two_owners_who_remove_each_other_one_stays(on: On) {
    let Opened { store, .. } = &populated(on).await;
    for round in 0..5 {
        let ann = join(store, "a", &format!("ann{round}"), "owner").await;
        let bob = join(store, "a", &format!("bob{round}"), "owner").await;
        let by_ann = leave_of::<permission::WriteMembers>(store, &ann, "a").await;
        let by_bob = leave_of::<permission::WriteMembers>(store, &bob, "a").await;
        let (one, two) = tokio::join!(
            store.remove_member(&by_ann, &bob.id),
            store.set_member_role(&by_bob, &ann.id, "viewer"),
        );
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let members = store.members(&may("a"), &all()).await.unwrap().rows;
        let owners: Vec<&str> = members
            .iter()
            .filter(|member| member.role == "owner")
            .map(|member| &*member.user.id)
            .collect();
        let (stays, other) = if one.is_ok() { (&ann, &bob) } else { (&bob, &ann) };
        assert_eq!(owners, [&stays.id]);
        // Room for the next two.
        store.delete_user(&other.id).await.unwrap();
        store.delete_user(&stays.id).await.unwrap();
        assert!(store.members(&may("a"), &all()).await.unwrap().rows.is_empty());
    }
    actions(store, "a").await;
}

async fn nobody_changes_who_may_more(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let owner = join(store, "a", "ann", "owner").await;
    join(store, "a", "abe", "owner").await;
    let admin = join(store, "a", "bob", "admin").await;
    let viewer = join(store, "a", "cid", "viewer").await;
    let allowed = leave_of::<permission::WriteMembers>(store, &admin, "a").await;
    let other = sign_up(store, "dan").await;
    assert!(is_denied(store.add_member(&allowed, &other.id, "owner").await));
    assert!(is_denied(store.set_member_role(&allowed, &viewer.id, "owner").await));
    assert!(is_denied(store.set_member_role(&allowed, &admin.id, "owner").await));
    assert!(is_denied(store.set_member_role(&allowed, &owner.id, "viewer").await));
    assert!(is_denied(store.remove_member(&allowed, &owner.id).await));
    store.add_member(&allowed, &other.id, "admin").await.unwrap();
    store.remove_member(&allowed, &viewer.id).await.unwrap();
}

async fn keys_end_with_what_their_owner_may(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let ann = join(store, "a", "ann", "owner").await;
    let bob = join(store, "a", "bob", "owner").await;
    store.add_member(&may("b"), &bob.id, "owner").await.unwrap();
    let kept = key_of(store, &ann, "a", "p").await;
    let elsewhere = key_of(store, &bob, "b", "p").await;
    let keys = [key_of(store, &bob, "a", "p").await, key_of(store, &bob, "a", "q").await];
    let admin_key = |role: &str| NewAdminKey {
        name: "key".to_owned(),
        owner: format!("user:{}", bob.id),
        role: role.to_owned(),
        ..NewAdminKey::default()
    };
    let (strong, _) = store.create_admin_key(&may("a"), &admin_key("owner")).await.unwrap();
    let (weak, _) = store.create_admin_key(&may("a"), &admin_key("developer")).await.unwrap();
    let is_over =
        async |id: &str| store.admin_key(&may("a"), id).await.unwrap().revoked_at.is_some();
    // Lowered, what its keys may beyond that ends.
    store.set_member_role(&may("a"), &bob.id, "developer").await.unwrap();
    assert!(is_over(&strong.id).await && !is_over(&weak.id).await);
    assert!(!is_revoked(store, "a", &keys[0]).await);
    store.add_project_member(&may("a"), "q", &bob.id, "member").await.unwrap();
    store.set_member_role(&may("a"), &bob.id, "viewer").await.unwrap();
    assert!(is_over(&weak.id).await);
    assert!(is_revoked(store, "a", &keys[0]).await && !is_revoked(store, "a", &keys[1]).await);
    let before = store.revision().await.unwrap();
    store.remove_member(&may("a"), &bob.id).await.unwrap();
    assert!(is_revoked(store, "a", &keys[1]).await);
    let changed = store.changes(before).await.unwrap().keys;
    assert_eq!(changed.iter().map(|key| &key.id).collect::<Vec<_>>(), [&keys[1]]);
    assert!(!is_revoked(store, "a", &kept).await && !is_revoked(store, "b", &elsewhere).await);
}

async fn another_organization_gets_nothing(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let user = join(store, "a", "ann", "owner").await;
    join(store, "a", "bob", "owner").await;
    assert!(is_missing(store.member(&may("b"), &user.id).await));
    assert!(is_missing(store.set_member_role(&may("b"), &user.id, "viewer").await));
    assert!(is_missing(store.remove_member(&may("b"), &user.id).await));
    assert!(store.members(&may("b"), &all()).await.unwrap().rows.is_empty());
    let after = store.members(&may("b"), &page(Some(&user.id), 9, false)).await;
    assert!(matches!(after, Err(server_store::StoreError::NotListed)));
    assert!(store.actor_of(&user.id, "b").await.unwrap().is_none());
    assert_eq!(store.member(&may("a"), &user.id).await.unwrap().role, "owner");
}
