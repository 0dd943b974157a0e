//! Commands on accounts, prices and usage: on the database, whether a server runs or not.

pub(super) mod alert;
pub(super) mod audit;
pub(super) mod commitment;
pub(super) mod key;
mod known;
pub(super) mod org;
pub(super) mod price;
pub(super) mod project;
pub(super) mod provision;
pub(super) mod usage;
pub(super) mod user;
pub(super) mod webhook;

use anyhow::Result;
use server_accounts::LimitsData;
use server_store::{Page, PageQuery, StoreError};

/// What a list reads at once.
const PAGE: u32 = 500;

/// All rows of a list, a page at a time; `id` is what the next page comes after.
async fn all<T>(
    read: impl AsyncFn(PageQuery) -> Result<Page<T>, StoreError>,
    id: fn(&T) -> &str,
) -> Result<Vec<T>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let next = read(PageQuery { after, limit: PAGE, descending: false }).await?;
        all.extend(next.rows);
        if !next.has_more {
            return Ok(all);
        }
        after = all.last().map(|row| id(row).to_owned());
    }
}

/// Limits as a cell of a table.
fn shown(limits: &LimitsData) -> String {
    let mut parts = Vec::new();
    for (name, value) in [
        ("requests/min", limits.requests_per_minute),
        ("input tokens/min", limits.input_tokens_per_minute),
        ("output tokens/min", limits.output_tokens_per_minute),
        ("at once", limits.concurrent_requests),
    ] {
        parts.extend(value.map(|value| format!("{value} {name}")));
    }
    parts.extend(limits.budgets.iter().map(|it| format!("{} money/{}", it.amount, it.period)));
    parts.extend(limits.quotas.iter().map(|it| format!("{} {}/{}", it.units, it.meter, it.period)));
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}
