//! Roles.

use server_accounts::{Role, may as permission};
use server_store::{NewInvitation, NewServiceAccount, ProjectRole, StoreError};

use super::{exists, is_denied, join, leave_of};
use crate::accounts::{actions, is_invalid, may, may_in, populated};
use crate::{On, Opened, is_missing};

crate::on_both! {
    usual_roles_come_first_and_an_organizations_own_are_its_own,
    nobody_makes_a_role_that_may_more_than_they,
    a_role_that_somebody_has_stays,
}

fn role(name: &str, permission: &str) -> Role {
    Role::custom(name, [permission]).unwrap()
}

async fn usual_roles_come_first_and_an_organizations_own_are_its_own(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (clerk, auditor) = (role("clerk", "billing.read"), role("auditor", "audit.read"));
    store.create_role(&may("a"), &clerk).await.unwrap();
    store.create_role(&may("a"), &auditor).await.unwrap();
    assert!(exists(store.create_role(&may("a"), &clerk).await));
    let usual = Role { name: "owner".to_owned(), ..clerk.clone() };
    assert!(is_invalid(store.create_role(&may("a"), &usual).await));
    assert!(is_missing(store.create_role(&may("none"), &clerk).await));
    assert!(is_missing(store.create_role(&may_in("a", "p"), &clerk).await));
    let expected: Vec<Role> =
        Role::usual().into_iter().chain([auditor.clone(), clerk.clone()]).collect();
    assert_eq!(store.roles(&may("a")).await.unwrap(), expected);
    assert_eq!(store.roles(&may("b")).await.unwrap(), Role::usual());
    assert_eq!(store.role(&may("a"), "clerk").await.unwrap(), clerk);
    assert_eq!(store.role(&may("b"), "admin").await.unwrap().name, "admin");
    assert!(is_missing(store.role(&may("b"), "clerk").await));
    assert!(is_missing(store.delete_role(&may("b"), "clerk").await));
    assert!(is_invalid(store.delete_role(&may("a"), "viewer").await));
    store.delete_role(&may("a"), "auditor").await.unwrap();
    assert!(is_missing(store.role(&may("a"), "auditor").await));
    assert_eq!(actions(store, "a").await[3..], ["role.created", "role.created", "role.deleted"]);
}

async fn nobody_makes_a_role_that_may_more_than_they(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let admin = join(store, "a", "ann", "admin").await;
    let allowed = leave_of::<permission::WriteMembers>(store, &admin, "a").await;
    store.create_role(&allowed, &role("auditor", "audit.read")).await.unwrap();
    assert!(is_denied(store.create_role(&allowed, &role("payer", "billing.write")).await));
    store.create_role(&may("a"), &role("payer", "billing.write")).await.unwrap();
    assert!(is_denied(store.delete_role(&allowed, "payer").await));
    for num in 2..100 {
        store.create_role(&may("a"), &role(&format!("r{num}"), "usage.read")).await.unwrap();
    }
    let more = store.create_role(&may("a"), &role("more", "usage.read")).await;
    assert!(matches!(more, Err(StoreError::TooMany { .. })));
}

async fn a_role_that_somebody_has_stays(on: On) {
    let Opened { store, .. } = &populated(on).await;
    for name in ["member", "guest", "invited", "robot"] {
        // In projects `member` is OpenAI's name of a usual role.
        let name = if name == "member" { "clerk" } else { name };
        store.create_role(&may("a"), &role(name, "usage.read")).await.unwrap();
    }
    let user = join(store, "a", "ann", "clerk").await;
    store.add_project_member(&may("a"), "p", &user.id, "guest").await.unwrap();
    let invitation = NewInvitation {
        email: "x@example.org".to_owned(),
        role: "viewer".to_owned(),
        projects: vec![ProjectRole { id: "p".to_owned(), role: "invited".to_owned() }],
        hash: "h".to_owned(),
        expires_at: i64::MAX,
    };
    let invitation = store.invite(&may("a"), &invitation).await.unwrap();
    let robot = NewServiceAccount {
        project: "p".to_owned(),
        name: "ci".to_owned(),
        role: "robot".to_owned(),
    };
    let (robot, ..) = store.create_service_account(&may("a"), &robot).await.unwrap();
    for name in ["clerk", "guest", "invited", "robot"] {
        let refused = store.delete_role(&may("a"), name).await;
        assert!(matches!(refused, Err(StoreError::InUse { .. })), "{name}");
    }
    store.delete_invitation(&may("a"), &invitation.id).await.unwrap();
    store.delete_service_account(&may("a"), "p", &robot.id).await.unwrap();
    store.remove_project_member(&may("a"), "p", &user.id).await.unwrap();
    store.set_member_role(&may("a"), &user.id, "viewer").await.unwrap();
    for name in ["clerk", "guest", "invited", "robot"] {
        store.delete_role(&may("a"), name).await.unwrap();
    }
}
