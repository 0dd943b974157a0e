//! Lines of the ledger, as they are exported and looked up.

use server_accounts::{Allowed, may};
use server_metering::{Picos, Usage};
use sqlx::{Database, Encode, QueryBuilder, Type};

use super::cells::{Cells, METERS, NUM_METERS, usage_of};
use super::filter::{Scope, UsageFilter, check_range};
use super::query::UsageQuery;
use crate::page::{Page, PageQuery};
use crate::sql::{Bound, on};
use crate::{Store, StoreError};

/// What it is called in errors.
const WHAT: &str = "request";

/// A request that was billed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerLine {
    /// The request.
    pub request: String,
    /// Its project.
    pub project: String,
    /// Its key.
    pub key: String,
    /// The version of a model that worked.
    pub model: String,
    /// How it was served.
    pub tier: String,
    /// What was asked for.
    pub endpoint: String,
    /// What its client grouped it by.
    pub tag: Option<String>,
    /// How it ended, as [`Ending::name`](server_metering::Ending::name) says.
    pub ending: String,
    /// When it was let in, Unix milliseconds.
    pub opened_at: i64,
    /// When it ended.
    pub settled_at: i64,
    /// What was delivered.
    pub usage: Usage,
    /// What that cost, exactly.
    pub cost: Picos,
}

type Row = Cells<8, { 2 + NUM_METERS + 1 }>;

impl Store {
    /// A page of an organization's lines, in the order they were settled in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if there is no line that the page comes after; if it is no time, a
    /// filter is too long or the database fails.
    pub async fn ledger_lines(
        &self,
        allowed: &Allowed<may::ReadUsage>,
        query: &UsageQuery,
        page: &PageQuery,
    ) -> Result<Page<LedgerLine>, StoreError> {
        check_range(query.since, query.until)?;
        let scope = Scope::new(allowed, &query.filter)?;
        if let Some(after) = &page.after {
            let found = self.ledger_line(allowed, after).await;
            found.map_err(|error| error.of_cursor(WHAT))?;
        }
        let size = |row: &Row| row.texts.iter().map(String::len).sum::<usize>() + size_of::<Row>();
        let work = async {
            let mut transaction = self.read(allowed.organization()).await?;
            on!(&mut transaction, |connection| {
                let mut sql = select_page(&scope, query, page);
                let rows = sql.build_query_as().fetch(connection);
                Page::read(rows, page, size).await
            })
        };
        Ok(self.in_time(work).await?.map(read))
    }

    /// The line of a request.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, or it may not be read.
    pub async fn ledger_line(
        &self,
        allowed: &Allowed<may::ReadUsage>,
        request: &str,
    ) -> Result<LedgerLine, StoreError> {
        let filter = UsageFilter::default();
        let scope = Scope::new(allowed, &filter)?;
        let work = async {
            let mut transaction = self.read(allowed.organization()).await?;
            let row: Option<Row> = on!(&mut transaction, |connection| {
                let mut sql = select(&scope);
                sql.push(" AND request_id = ").push_bind(request.bound().into_owned());
                sql.build_query_as().fetch_optional(connection).await
            })?;
            Ok(row)
        };
        let row = self.in_time(work).await?;
        let not_found = || StoreError::NotFound { what: WHAT, id: request.to_owned() };
        row.map(read).ok_or_else(not_found)
    }
}

fn select<DB>(scope: &Scope<'_>) -> QueryBuilder<DB>
where
    DB: Database,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    let mut sql = QueryBuilder::new(format!(
        "SELECT request_id, project_id, key_id, model, tier, endpoint, tag, ending, opened_at,
        settled_at, {METERS}, cost FROM ledger"
    ));
    scope.push(&mut sql);
    sql
}

fn select_page<DB>(scope: &Scope<'_>, query: &UsageQuery, page: &PageQuery) -> QueryBuilder<DB>
where
    DB: Database,
    String: for<'q> Encode<'q, DB> + Type<DB>,
    i64: for<'q> Encode<'q, DB> + Type<DB>,
{
    let mut sql = select(scope);
    sql.push(" AND settled_at >= ").push_bind(query.since);
    sql.push(" AND settled_at < ").push_bind(query.until);
    let (compare, direction) = if page.descending { ("<", " DESC") } else { (">", "") };
    if let Some(after) = &page.after {
        sql.push(format_args!(" AND (settled_at, request_id) {compare} "));
        sql.push("(SELECT settled_at, request_id FROM ledger WHERE request_id = ");
        sql.push_bind(after.as_str().bound().into_owned()).push(")");
    }
    sql.push(format_args!(" ORDER BY settled_at{direction}, request_id{direction} LIMIT "));
    sql.push_bind(page.num_read());
    sql
}

fn read(row: Row) -> LedgerLine {
    let Row { texts, numbers } = row;
    let [request, project, key, model, tier, endpoint, tag, ending] = texts;
    LedgerLine {
        request,
        project,
        key,
        model,
        tier,
        endpoint,
        tag: Some(tag).filter(|tag| !tag.is_empty()),
        ending,
        opened_at: numbers[0],
        settled_at: numbers[1],
        usage: usage_of(&numbers[2..2 + NUM_METERS]),
        cost: Picos::new(numbers[2 + NUM_METERS].into()),
    }
}
