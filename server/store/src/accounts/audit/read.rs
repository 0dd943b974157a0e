//! The audit log, read and verified.

use server_accounts::{Allowed, AuditRecord, ChainBreak, may, verify};

use crate::accounts::check::whole;
use crate::accounts::list::{List, Part};
use crate::page::{Page, PageQuery};
use crate::sql::query;
use crate::{Store, StoreError};

/// Entries of one list of a filter.
const MAX_WANTED: usize = 100;
/// Records that are verified at once.
const BATCH: i64 = 500;

const COLUMNS: &str = "organization_id, position, id, at, actor, address, action, target,
    project_id, detail, hash";
const NEXT: &str = "SELECT organization_id, position, id, at, actor, address, action, target,
    project_id, detail, hash
    FROM audit_log WHERE organization_id = $1 AND position > $2 ORDER BY position LIMIT $3";
/// Each organization once, by a look into the index for each.
const ORGANIZATIONS: &str = "WITH RECURSIVE o (id) AS (
        SELECT MIN(organization_id) FROM audit_log
        UNION ALL
        SELECT (SELECT MIN(organization_id) FROM audit_log WHERE organization_id > o.id)
        FROM o WHERE o.id IS NOT NULL)
    SELECT id FROM o WHERE id IS NOT NULL
    UNION SELECT organization_id FROM audit_heads ORDER BY 1";
const HEAD: &str = "SELECT position, hash FROM audit_heads WHERE organization_id = $1";

/// Which records to list; an empty list of a kind allows all of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// What was done.
    pub actions: Vec<String>,
    /// By whom: `user:user-…`, `key:key_…`, `operator`.
    pub actors: Vec<String>,
    /// To which ids.
    pub targets: Vec<String>,
    /// In which projects.
    pub projects: Vec<String>,
    /// Not before this Unix time in milliseconds.
    pub since_ms: Option<i64>,
    /// Before this one.
    pub until_ms: Option<i64>,
}

/// Why a log is not verified.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was changed.
    #[error(transparent)]
    Broken(#[from] ChainBreak),
}

type Row = (
    String,
    i64,
    String,
    i64,
    String,
    Option<String>,
    String,
    String,
    Option<String>,
    String,
    String,
);

fn read(row: Row) -> AuditRecord {
    let (organization, position, id, at, actor, address, action, target, project, detail, hash) =
        row;
    AuditRecord {
        organization,
        position,
        id,
        at,
        actor,
        address,
        action,
        target,
        project,
        detail,
        hash,
    }
}

impl AuditFilter {
    fn part(&self) -> Result<Part, StoreError> {
        let mut part = Part::default();
        for (column, wanted) in [
            ("action", &self.actions),
            ("actor", &self.actors),
            ("target", &self.targets),
            ("project_id", &self.projects),
        ] {
            if wanted.len() > MAX_WANTED {
                let why = format!("it names more than {MAX_WANTED} of one kind");
                return Err(StoreError::invalid("filter", why));
            }
            if !wanted.is_empty() {
                part = part.and_any(column, wanted);
            }
        }
        if let Some(since) = self.since_ms {
            part = part.sql(" AND at >= ").number(since);
        }
        if let Some(until) = self.until_ms {
            part = part.sql(" AND at < ").number(until);
        }
        Ok(part)
    }
}

impl Store {
    /// A page of an organization's log, in the order of its chain; of the projects that this is
    /// allowed in, where that is not all.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the record that the page comes after is not there,
    /// [`StoreError::Invalid`] if the filter names too much.
    pub async fn audit_log(
        &self,
        allowed: &Allowed<may::ReadAudit>,
        filter: &AuditFilter,
        query: &PageQuery,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let mut scope = Part::default().sql("organization_id = ").text(allowed.organization());
        if let Some(projects) = allowed.projects() {
            scope = scope.and_any("project_id", projects);
        }
        let list = List {
            what: "audit record",
            columns: COLUMNS,
            table: "audit_log",
            order: "position",
            scope,
            filter: filter.part()?,
        };
        let size = |row: &Row| row.9.len();
        Ok(self.page_of(allowed.organization(), &list, query, size).await?.map(read))
    }

    /// Verifies all of an organization's log, and says how many records it has.
    ///
    /// # Errors
    /// [`AuditError::Broken`] where it was changed first; [`StoreError::NotFound`] unless this is
    /// allowed in the whole organization.
    pub async fn verify_audit(&self, allowed: &Allowed<may::ReadAudit>) -> Result<u64, AuditError> {
        let organization = whole(allowed)?;
        let mut last = (0, String::new());
        let mut has_grown = false;
        loop {
            let work = async {
                let mut transaction = self.read(organization).await?;
                let rows = query!(&mut transaction, fetch_all, NEXT, organization, last.0, BATCH)?;
                Ok(rows)
            };
            let rows: Vec<Row> = self.in_time(work).await?;
            if rows.is_empty() {
                let head = self.audit_head(organization).await?;
                if last == head {
                    return Ok(u64::try_from(last.0).unwrap_or(0));
                }
                // Lines that came meanwhile are there by now.
                if has_grown || head.0 <= last.0 {
                    let organization = organization.to_owned();
                    return Err(ChainBreak::Cut { organization, end: head.0, found: last.0 }.into());
                }
                has_grown = true;
                continue;
            }
            let records: Vec<AuditRecord> = rows.into_iter().map(read).collect();
            last = verify(last, &records)?;
        }
    }

    /// Where an organization's chain ended last.
    async fn audit_head(&self, organization: &str) -> Result<(i64, String), StoreError> {
        let work = async {
            let mut transaction = self.read(organization).await?;
            Ok(query!(&mut transaction, fetch_optional, HEAD, organization)?)
        };
        let head: Option<(i64, String)> = self.in_time(work).await?;
        Ok(head.unwrap_or_default())
    }

    /// The organizations that have a log.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn audited_organizations(
        &self,
        _: &Allowed<may::RunPlatform>,
    ) -> Result<Vec<String>, StoreError> {
        let work = async {
            let mut transaction = self.read_every().await?;
            Ok(query!(&mut transaction, fetch_all, ORGANIZATIONS)?)
        };
        let rows: Vec<(String,)> = self.in_time(work).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}
