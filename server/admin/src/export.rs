//! Long lists as files: CSV (RFC 4180), or a JSON object a line.
//!
//! Invariant: a page at a time is in memory, and a file that could not be read to its end is cut
//! off, which its client sees.

use std::future::Future;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use server_http::ApiError;
use server_store::{Page, PageQuery, StoreError};

use crate::query::Query;

/// Rows of a page.
const PAGE: u32 = 500;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    JsonLines,
}

/// A row of a file.
pub(crate) trait Exported: Serialize {
    /// The columns of a CSV file: names of fields.
    const COLUMNS: &'static [&'static str];

    /// What pages come after.
    fn id(&self) -> &str;
}

impl Format {
    /// What is asked for; lines of JSON, if nothing is.
    pub(crate) fn asked(query: &Query) -> Result<Self, ApiError> {
        let words = [("csv", Self::Csv), ("jsonl", Self::JsonLines)];
        Ok(query.one_of("format", &words)?.unwrap_or(Self::JsonLines))
    }

    fn head<T: Exported>(self) -> String {
        match self {
            Self::Csv => csv_line(T::COLUMNS),
            Self::JsonLines => String::new(),
        }
    }

    fn line<T: Exported>(self, row: &T) -> String {
        match self {
            Self::Csv => csv_line(&cells(row)),
            // Plain data: writing it cannot fail.
            Self::JsonLines => format!("{}\n", serde_json::to_string(row).unwrap_or_default()),
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::JsonLines => "application/jsonl",
        })
    }
}

/// A file of all that `read` gives, a page after another.
pub(crate) async fn file<T, F>(
    format: Format,
    read: impl Fn(PageQuery) -> F + Send + 'static,
) -> Result<Response, ApiError>
where
    T: Exported + Send,
    F: Future<Output = Result<Page<T>, StoreError>> + Send,
{
    let query = |after| PageQuery { after, limit: PAGE, descending: false };
    // What cannot be read at all is an error, and no file.
    let first = read(query(None)).await?;
    let (text, after) = lines(format, format.head::<T>(), &first);
    let rest =
        stream::try_unfold((Some(text), after, read), move |(text, after, read)| async move {
            if let Some(text) = text {
                return Ok(Some((text, (None, after, read))));
            }
            let Some(after) = after else { return Ok::<_, StoreError>(None) };
            let page = read(query(Some(after))).await.inspect_err(|error| {
                tracing::error!(%error, "a file is cut off");
            })?;
            let (text, after) = lines(format, String::new(), &page);
            Ok(Some((text, (None, after, read))))
        });
    let headers = [(header::CONTENT_TYPE, format.content_type())];
    Ok((headers, Body::from_stream(rest)).into_response())
}

/// A page's lines, and what the next page comes after.
fn lines<T: Exported>(
    format: Format,
    mut text: String,
    page: &Page<T>,
) -> (String, Option<String>) {
    for row in &page.rows {
        text.push_str(&format.line(row));
    }
    let last = page.rows.last().filter(|_| page.has_more);
    (text, last.map(|row| row.id().to_owned()))
}

/// What is in the columns; nothing, where a field is null.
fn cells<T: Exported>(row: &T) -> Vec<String> {
    let fields = serde_json::to_value(row).unwrap_or_default();
    let cell = |name: &&str| match &fields[*name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    T::COLUMNS.iter().map(cell).collect()
}

/// A line of CSV. A text that a spreadsheet would compute begins with an apostrophe.
fn csv_line(cells: &[impl AsRef<str>]) -> String {
    let cell = |cell: &str| {
        let cell = cell.replace('"', "\"\"");
        let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        format!("\"{guard}{cell}\"")
    };
    let cells: Vec<String> = cells.iter().map(|text| cell(text.as_ref())).collect();
    format!("{}\r\n", cells.join(","))
}

#[cfg(test)]
mod tests {
    use super::csv_line;

    #[test]
    fn cells_hold_whatever_a_text_has_and_compute_nothing() {
        let line = csv_line(&["a,b", "say \"hi\"\nyou", "=1+1", ""]);
        assert_eq!(line, "\"a,b\",\"say \"\"hi\"\"\nyou\",\"'=1+1\",\"\"\r\n");
    }
}
