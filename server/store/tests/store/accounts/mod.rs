//! Organizations and what belongs to them: for whom, and with a line of the log each.

mod audit;
mod changes;
mod keys;
mod organizations;
mod projects;

use server_accounts::{Actor, Allowed, Demand, ProjectGrant, Role, may};
use server_store::{Key, NewKey, PageQuery, Store, StoreError};
use sqlx::{Connection, SqliteConnection};

use crate::{On, Opened, page, postgres};

/// Leave of whoever may all.
pub(crate) fn may<P: Demand>(organization: &str) -> Allowed<P> {
    Actor::operator().allow(organization).unwrap()
}

/// Leave of somebody who may all in one project, and nothing outside of it.
pub(crate) fn may_in<P: Demand>(organization: &str, project: &str) -> Allowed<P> {
    let nothing = Role { name: "none".to_owned(), permissions: [].into() };
    let all = Role::find_usual("owner").unwrap().permissions;
    let grants = ProjectGrant::from([(project.to_owned(), all)]);
    Actor::user("user-1", organization, nothing, grants).allow(organization).unwrap()
}

/// A database with two organizations, `a` and `b`, that have the projects `p` and `q` each.
pub(crate) async fn populated(on: On) -> Opened {
    let opened = Opened::new(on).await;
    for organization in ["a", "b"] {
        opened.store.create_organization(&may(organization), "Name").await.unwrap();
        for project in ["p", "q"] {
            let allowed = may(organization);
            opened.store.create_project(&allowed, Some(project), "Name").await.unwrap();
        }
    }
    opened
}

pub(crate) fn new_key(project: &str, name: &str) -> NewKey {
    NewKey {
        project: project.to_owned(),
        name: name.to_owned(),
        owner: "user:user-1".to_owned(),
        ..NewKey::default()
    }
}

pub(crate) async fn make_key(store: &Store, organization: &str, project: &str) -> Key {
    store.create_key(&may(organization), &new_key(project, "key")).await.unwrap().0
}

/// The whole list, a page.
pub(crate) fn all() -> PageQuery {
    page(None, 1_000, false)
}

/// What was noted of an organization, in its order; its chain holds.
pub(crate) async fn actions(store: &Store, organization: &str) -> Vec<String> {
    let allowed = may::<may::ReadAudit>(organization);
    let log = store.audit_log(&allowed, &Default::default(), &all()).await.unwrap();
    let num = store.verify_audit(&allowed).await.unwrap();
    assert_eq!(num, log.rows.len() as u64);
    log.rows.into_iter().map(|record| record.action).collect()
}

pub(crate) fn is_invalid<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Invalid { .. }))
}

/// Does something behind the store's back.
pub(crate) async fn behind(on: On, opened: &Opened, sql: &'static str) {
    match on {
        On::Sqlite => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(opened.path());
            let mut other = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
        }
        On::Postgres => {
            let mut other = postgres::connect(&opened.database).await;
            let see = "SELECT set_config('app.every_tenant', 'on', false)";
            sqlx::query(see).execute(&mut other).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
        }
    }
}
