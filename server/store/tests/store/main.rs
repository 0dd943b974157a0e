//! Real databases: what is kept, for whom, and for how long. Every test runs on SQLite and on
//! PostgreSQL, a database of its own each.

mod accounts;
mod alerts;
mod backups;
mod billing;
mod completions;
mod conversations;
mod database;
#[path = "../databases/mod.rs"]
mod databases;
mod deleted;
mod deliveries;
mod leases;
mod ledger;
mod letters;
mod people;
mod postgres;
mod processes;
mod projects;
mod responses;
mod walls;
mod whole;

use std::path::PathBuf;
use std::time::Duration;

use server_metering::{OrganizationId, ProjectId, ProjectPath};
use server_store::{Database, Item, Limits, PageQuery, Response, Store, StoreError};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

pub(crate) use self::databases::{On, on_both};

pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) database: Database,
    folder: TempDir,
}

impl Opened {
    pub(crate) async fn with(on: On, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = match on {
            On::Sqlite => Database::File(folder.path().join("store.db")),
            On::Postgres => postgres::fresh().await,
        };
        let store = Store::open(&database, limits).await.unwrap();
        Self { store, database, folder }
    }

    pub(crate) async fn new(on: On) -> Self {
        Self::with(on, Limits::default()).await
    }

    /// SQLite's file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// Statements beside the store, for every tenant.
    pub(crate) async fn run(&self, sql: &'static str) {
        match &self.database {
            Database::File(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = options.connect().await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            Database::Postgres(_) => {
                let mut connection = postgres::connect_for_all(&self.database).await;
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }

    /// The number that a statement gives beside the store, for every tenant.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        match &self.database {
            Database::File(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = options.connect().await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
            Database::Postgres(_) => {
                let mut connection = postgres::connect_for_all(&self.database).await;
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
        }
    }

    /// The same database, opened by another process: as far as a store can tell.
    pub(crate) async fn beside(&self) -> Store {
        Store::open(&self.database, Limits::default()).await.unwrap()
    }

    /// The same database, opened anew.
    pub(crate) async fn reopen(self, limits: Limits) -> Self {
        self.store.close().await;
        let store = Store::open(&self.database, limits).await.unwrap();
        Self { store, ..self }
    }
}

/// The project `default` of an organization.
pub(crate) fn of(organization: &str) -> ProjectPath {
    project(organization, "default")
}

pub(crate) fn project(organization: &str, project: &str) -> ProjectPath {
    let (organization, project) = (OrganizationId::new(organization), ProjectId::new(project));
    ProjectPath { organization: organization.unwrap(), project: project.unwrap() }
}

/// Who is not to know of what the project `default` of `a` keeps.
pub(crate) fn others() -> [ProjectPath; 3] {
    [of("b"), project("a", "other"), project("b", "other")]
}

pub(crate) fn response(id: &str, previous: Option<&str>) -> Response {
    Response {
        id: id.to_owned(),
        created_at: 7,
        status: "completed".to_owned(),
        previous_id: previous.map(str::to_owned),
        conversation_id: None,
        body: format!("{{\"id\":\"{id}\"}}"),
        input: "[]".to_owned(),
        output_ids: Vec::new(),
    }
}

pub(crate) fn item(id: &str) -> Item {
    Item { id: id.to_owned(), json: format!("{{\"id\":\"{id}\"}}") }
}

pub(crate) fn page(after: Option<&str>, limit: u32, descending: bool) -> PageQuery {
    PageQuery { after: after.map(str::to_owned), limit, descending }
}

pub(crate) fn is_missing<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound { .. }))
}

pub(crate) fn brief() -> Limits {
    Limits { retention: Duration::ZERO, ..Limits::default() }
}
