//! Who is let in, and when no longer.

use super::*;
use crate::{KeySecret, LimitsData, StorePrompts};

fn organization(id: &str) -> OrganizationChange {
    let limits = LimitsData::default();
    OrganizationChange { id: id.to_owned(), is_archived: false, suspended: None, limits }
}

fn project(id: &str, is_archived: bool) -> ProjectChange {
    let (organization, limits) = ("o".to_owned(), LimitsData::default());
    let privacy = PrivacySettings::default();
    ProjectChange { organization, id: id.to_owned(), is_archived, limits, privacy }
}

fn key(id: &str, secrets: &[(&KeySecret, Option<i64>)]) -> KeyChange {
    let secret = |(secret, expires_at): &(&KeySecret, Option<i64>)| SecretChange {
        hash: secret.hash(),
        aws_secret: Some(secret.aws_secret()),
        expires_at: *expires_at,
    };
    KeyChange {
        organization: "o".to_owned(),
        project: "p".to_owned(),
        id: id.to_owned(),
        kind: KeyKind::Project,
        role: Role::find_usual("viewer").unwrap(),
        scopes: Scopes::default(),
        limits: LimitsData::default(),
        is_revoked: false,
        expires_at: Some(100),
        secrets: secrets.iter().map(secret).collect(),
    }
}

fn known(keys: Vec<KeyChange>) -> (Directory, Instant) {
    let (directory, now) = (Directory::default(), Instant::now());
    let (organizations, projects) = (vec![organization("o")], vec![project("p", false)]);
    directory.apply(Changes { revision: 1, organizations, projects, keys });
    directory.confirm(now);
    (directory, now)
}

#[test]
fn a_key_is_let_in_while_it_and_what_it_belongs_to_are_in_force() {
    let secret = KeySecret::generate();
    let (directory, now) = known(vec![key("key_1", &[(&secret, None)])]);
    let check =
        |unix| directory.check(secret.expose(), (now, unix)).map(|known| known.path.key.clone());
    assert_eq!(check(99).unwrap().as_str(), "key_1");
    assert_eq!(check(100).unwrap_err(), KeyError::Expired);
    let other = directory.check(KeySecret::generate().expose(), (now, 0));
    assert_eq!(other.unwrap_err(), KeyError::Unknown);
    let late = directory.check(secret.expose(), (now + MAX_AGE, 0));
    assert_eq!(late.unwrap_err(), KeyError::Stale);
    assert!(directory.is_recent(now) && !directory.is_recent(now + MAX_AGE));
    directory.confirm(now + MAX_AGE);
    assert!(directory.is_recent(now + MAX_AGE));
    directory.confirm(now);

    let projects =
        |is_archived| Changes { projects: vec![project("p", is_archived)], ..Changes::default() };
    directory.apply(projects(true));
    assert_eq!(check(0).unwrap_err(), KeyError::Archived);
    directory.apply(projects(false));
    let suspended =
        OrganizationChange { suspended: Some("an invoice is due".to_owned()), ..organization("o") };
    let organizations = |it| Changes { organizations: vec![it], ..Changes::default() };
    directory.apply(organizations(suspended));
    assert!(matches!(check(0), Err(KeyError::Suspended(_))));
    directory.apply(organizations(organization("o")));
    assert!(check(0).is_ok());
    let revoked = KeyChange { is_revoked: true, ..key("key_1", &[(&secret, None)]) };
    directory.apply(Changes { keys: vec![revoked], ..Changes::default() });
    assert_eq!(check(0).unwrap_err(), KeyError::Unknown);
    assert_eq!(directory.num_keys(), 0);
}

#[test]
fn a_rotated_key_has_two_secrets_until_the_overlap_ends() {
    let (old, new) = (KeySecret::generate(), KeySecret::generate());
    let (directory, now) = known(vec![key("key_1", &[(&old, Some(50)), (&new, None)])]);
    let is_in = |secret: &KeySecret, unix| directory.check(secret.expose(), (now, unix)).is_ok();
    assert!(is_in(&old, 49) && is_in(&new, 49));
    assert!(!is_in(&old, 50) && is_in(&new, 50));
    let signer = |unix| directory.signer("AKAB1", (now, unix)).unwrap().1;
    assert_eq!((signer(49).len(), signer(50).len()), (2, 1));
    assert_eq!(&*signer(50)[0], new.aws_secret());
    assert_eq!(directory.signer("AKAB2", (now, 0)).unwrap_err(), KeyError::Unknown);
}

#[test]
fn who_may_not_go_on_is_let_in_to_pay_and_for_nothing_else() {
    let secret = KeySecret::generate();
    let (directory, now) = known(vec![key("key_1", &[(&secret, Some(9))])]);
    let suspended =
        OrganizationChange { suspended: Some("unpaid".to_owned()), ..organization("o") };
    directory.apply(Changes { organizations: vec![suspended], ..Changes::default() });
    let refused = directory.check(secret.expose(), (now, 0)).unwrap_err();
    assert_eq!(refused, KeyError::Suspended("unpaid".to_owned()));
    let path = &directory.check_payer(secret.expose(), (now, 0)).unwrap().path;
    assert_eq!(path.organization.as_str(), "o");
    assert_eq!(directory.check_payer(secret.expose(), (now, 9)).unwrap_err(), KeyError::Unknown);
    assert_eq!(directory.check_payer("ab-x", (now, 0)).unwrap_err(), KeyError::Unknown);
}

#[test]
fn nobody_is_let_in_before_the_database_was_asked() {
    let directory = Directory::default();
    let checked = directory.check("ab-x", (Instant::now(), 0));
    assert_eq!(checked.unwrap_err(), KeyError::Stale);
}

#[test]
fn a_project_s_privacy_is_what_it_said_last() {
    let (directory, _) = known(Vec::new());
    let path = |project: &str| Path {
        organization: OrganizationId::new("o").unwrap(),
        project: ProjectId::new(project).unwrap(),
        key: KeyId::new("k").unwrap(),
    };
    assert_eq!(directory.privacy(&path("p")), PrivacySettings::default());
    let privacy =
        PrivacySettings { store_prompts: Some(StorePrompts::WhenAsked), retention_days: Some(2) };
    let projects = vec![ProjectChange { privacy, ..project("p", false) }];
    directory.apply(Changes { projects, ..Changes::default() });
    assert_eq!(directory.privacy(&path("p")), privacy);
    assert_eq!(directory.privacy(&path("other")), PrivacySettings::default());
}
