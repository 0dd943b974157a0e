//! Invitations.

use server_accounts::{Role, may as permission};
use server_store::{NewInvitation, ProjectRole, StoreError};

use super::sessions::now;
use super::{exists, is_denied, join, leave_of, sign_up};
use crate::accounts::{actions, all, may, may_in, populated};
use crate::{On, Opened, is_missing, page};

crate::on_both! {
    who_is_invited_becomes_a_member_once,
    an_invitation_is_its_addresss_and_ends,
    invitations_are_an_organizations,
    nobody_invites_to_more_than_they_may,
    no_address_is_told_to_the_log,
}

fn new(email: &str, hash: &str) -> NewInvitation {
    NewInvitation {
        email: email.to_owned(),
        role: "viewer".to_owned(),
        projects: vec![ProjectRole { id: "p".to_owned(), role: "member".to_owned() }],
        hash: hash.to_owned(),
        expires_at: now() + 1000,
    }
}

async fn who_is_invited_becomes_a_member_once(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let invited = store.invite(&may("a"), &new("ann@example.org", "h")).await.unwrap();
    assert!(invited.id.starts_with("invite-"), "{invited:?}");
    assert_eq!((&*invited.role, &*invited.invited_by), ("viewer", "operator"));
    assert_eq!(invited.projects, new("", "").projects);
    let user = sign_up(store, "ann").await;
    let accept = || store.accept_invitation("h", &user.id, now());
    let (one, two, three) = tokio::join!(accept(), accept(), accept());
    let won: Vec<_> = [one, two, three].into_iter().filter_map(Result::ok).collect();
    assert_eq!(won.len(), 1);
    assert_eq!((&won[0].user, &*won[0].role), (&user, "viewer"));
    assert!(is_missing(accept().await));
    let actor = super::actor(store, &user, "a").await;
    assert!(actor.allow_in::<permission::UseModels>("a", "p").is_ok());
    assert!(actor.allow_in::<permission::UseModels>("a", "q").is_err());
    let found = store.invitation(&may("a"), &invited.id).await.unwrap();
    assert!(found.accepted_at.is_some());
    assert!(is_missing(store.delete_invitation(&may("a"), &invited.id).await));
    assert_eq!(actions(store, "a").await[3..], ["invite.sent", "invite.accepted", "user.added"]);
    // Once removed, the same link lets nobody in again.
    store.remove_member(&may("a"), &user.id).await.unwrap();
    assert!(is_missing(accept().await));
}

async fn an_invitation_is_its_addresss_and_ends(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let (ann, bob) = (sign_up(store, "ann").await, sign_up(store, "bob").await);
    let invited = store.invite(&may("a"), &new("ann@example.org", "h")).await.unwrap();
    let invited_by = |hash, at| store.invited_by_hash(hash, at);
    let address = invited_by("h", now()).await.unwrap();
    assert_eq!(address.as_deref(), Some("ann@example.org"));
    assert_eq!(invited_by("other", now()).await.unwrap(), None);
    assert_eq!(invited_by("h", invited.expires_at).await.unwrap(), None);
    assert!(is_missing(store.accept_invitation("h", &bob.id, now()).await));
    assert!(is_missing(store.accept_invitation("other", &ann.id, now()).await));
    assert!(is_missing(store.accept_invitation("h", "user-none", now()).await));
    let over = store.accept_invitation("h", &ann.id, invited.expires_at).await;
    assert!(is_missing(over));
    store.disable_user(&may("a"), &ann.id, true).await.unwrap();
    assert!(is_missing(store.accept_invitation("h", &ann.id, now()).await));
    store.disable_user(&may("a"), &ann.id, false).await.unwrap();
    store.archive_project(&may("a"), "p").await.unwrap();
    store.accept_invitation("h", &ann.id, now()).await.unwrap();
    assert_eq!(invited_by("h", now()).await.unwrap(), None);
    let again = NewInvitation { projects: Vec::new(), ..new("ann@example.org", "h2") };
    assert!(exists(store.invite(&may("a"), &again).await));
    // A project that is no more is left out.
    let grants = super::actor(store, &ann, "a").await;
    assert!(grants.allow::<permission::UseModels>("a").is_err());
    let mut past = new("bob@example.org", "h3");
    past.projects.clear();
    let open = NewInvitation { hash: "h4".to_owned(), ..past.clone() };
    past.expires_at = now() - 1;
    store.invite(&may("a"), &past).await.unwrap();
    // One that is over makes room for another one.
    store.invite(&may("a"), &open).await.unwrap();
    assert!(exists(
        store.invite(&may("a"), &NewInvitation { hash: "h5".to_owned(), ..open }).await
    ));
    assert!(is_missing(store.accept_invitation("h3", &bob.id, now()).await));
    store.accept_invitation("h4", &bob.id, now()).await.unwrap();
}

async fn invitations_are_an_organizations(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let mut made = Vec::new();
    for name in ["ann", "bob"] {
        let invited = new(&format!("{name}@example.org"), name);
        made.push(store.invite(&may("a"), &invited).await.unwrap());
    }
    made.sort_by(|one, two| (one.created_at, &one.id).cmp(&(two.created_at, &two.id)));
    let first = store.invitations(&may("a"), &page(None, 1, false)).await.unwrap();
    let second = store.invitations(&may("a"), &page(Some(&made[0].id), 1, false)).await.unwrap();
    assert_eq!((&first.rows[..], first.has_more), (&made[..1], true));
    assert_eq!((&second.rows[..], second.has_more), (&made[1..], false));
    let id = &made[0].id;
    assert_eq!(store.invitation(&may("a"), id).await.unwrap(), made[0]);
    assert!(is_missing(store.invitation(&may("b"), id).await));
    assert!(is_missing(store.delete_invitation(&may("b"), id).await));
    assert!(store.invitations(&may("b"), &all()).await.unwrap().rows.is_empty());
    assert!(is_missing(store.invitations(&may_in("a", "p"), &all()).await));
    store.delete_invitation(&may("a"), id).await.unwrap();
    assert!(is_missing(store.invitation(&may("a"), id).await));
    let user = sign_up(store, made[0].email.split('@').next().unwrap()).await;
    let gone = store.accept_invitation(&user.name, &user.id, now()).await;
    assert!(is_missing(gone));
    assert_eq!(actions(store, "a").await.last().unwrap(), "invite.deleted");
}

async fn nobody_invites_to_more_than_they_may(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let admin = join(store, "a", "ann", "admin").await;
    let allowed = leave_of::<permission::WriteMembers>(store, &admin, "a").await;
    let invite = NewInvitation { role: "owner".to_owned(), ..new("x@example.org", "h") };
    assert!(is_denied(store.invite(&allowed, &invite).await));
    let payer = Role::custom("payer", ["billing.write"]).unwrap();
    store.create_role(&may("a"), &payer).await.unwrap();
    let mut invite = new("x@example.org", "h");
    invite.projects[0].role = "payer".to_owned();
    assert!(is_denied(store.invite(&allowed, &invite).await));
    invite.projects[0].role = "none".to_owned();
    assert!(is_missing(store.invite(&allowed, &invite).await));
    invite.projects = vec![ProjectRole { id: "none".to_owned(), role: "member".to_owned() }];
    assert!(is_missing(store.invite(&allowed, &invite).await));
    invite.projects = vec![new("", "").projects[0].clone(); 101];
    assert!(matches!(store.invite(&allowed, &invite).await, Err(StoreError::TooMany { .. })));
    assert!(is_missing(store.invite(&may("none"), &new("x@example.org", "h")).await));
    let invited = store.invite(&allowed, &new("x@example.org", "h")).await.unwrap();
    assert_eq!(invited.invited_by, format!("user:{}", admin.id));
}

async fn no_address_is_told_to_the_log(on: On) {
    let Opened { store, .. } = &populated(on).await;
    store.invite(&may("a"), &new("ann@example.org", "h")).await.unwrap();
    let user = sign_up(store, "ann").await;
    store.accept_invitation("h", &user.id, now()).await.unwrap();
    store.delete_user(&user.id).await.unwrap();
    let log = store.audit_log(&may("a"), &Default::default(), &all()).await.unwrap();
    assert!(!log.rows.is_empty() && !format!("{log:?}").contains("ann@"), "{log:?}");
}
