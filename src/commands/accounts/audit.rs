//! `agentbase audit …`.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use server_accounts::AuditRecord;
use server_store::{AuditFilter, PageQuery};

use crate::accounts::{allowed, open, open_of};
use crate::cli::AuditCommand;
use crate::table::Table;
use crate::when::{Shown, seconds};

/// Lines that are read at once.
const PAGE: u32 = 1_000;

/// Runs the chosen subcommand.
///
/// # Errors
/// If a chain is broken, or the database fails.
pub(in crate::commands) async fn run(command: AuditCommand, data_dir: &Path) -> Result<()> {
    match command {
        AuditCommand::Verify { org, database } => {
            let store = open(&database, data_dir).await?;
            let organizations = match org {
                Some(org) => {
                    store.organization(&allowed(&org)?).await?;
                    vec![org]
                }
                None => store.audited_organizations(&allowed("")?).await?,
            };
            let mut is_whole = true;
            for organization in organizations {
                let name = if organization.is_empty() { "(the server)" } else { &organization };
                match store.verify_audit(&allowed(&organization)?).await {
                    Ok(num) => outln!("{name}: {num} lines, unbroken")?,
                    Err(error) => {
                        is_whole = false;
                        outln!("{name}: BROKEN: {error}")?;
                    }
                }
            }
            if is_whole { Ok(()) } else { bail!("the audit log was changed") }
        }
        AuditCommand::List { limit, org } => {
            let store = open_of(&org, data_dir).await?;
            let query = PageQuery { after: None, limit: limit.min(PAGE), descending: true };
            let filter = AuditFilter::default();
            let mut records = store.audit_log(&allowed(&org.org)?, &filter, &query).await?.rows;
            records.reverse();
            let mut table = Table::new(["WHEN", "WHO", "FROM", "WHAT", "TO", "DETAIL"]);
            for it in records {
                let from = it.address.unwrap_or_else(|| "-".to_owned());
                let when = Shown(it.at).to_string();
                table.push([when, it.actor, from, it.action, it.target, it.detail]);
            }
            table.print("nothing was changed yet")
        }
        AuditCommand::Export { org } => {
            let store = open_of(&org, data_dir).await?;
            let (may, filter) = (allowed(&org.org)?, AuditFilter::default());
            let mut after = None;
            loop {
                let query = PageQuery { after, limit: PAGE, descending: false };
                let page = store.audit_log(&may, &filter, &query).await?;
                for record in &page.rows {
                    outln!("{}", as_json(record))?;
                }
                if !page.has_more {
                    return Ok(());
                }
                after = page.rows.last().map(|record| record.id.clone());
            }
        }
    }
}

fn as_json(it: &AuditRecord) -> Value {
    let detail: Value = serde_json::from_str(&it.detail).unwrap_or(Value::Null);
    json!({
        "organization": it.organization,
        "position": it.position,
        "id": it.id,
        "at": seconds(it.at),
        // What its hash is made of.
        "at_ms": it.at,
        "actor": it.actor,
        "address": it.address,
        "action": it.action,
        "target": it.target,
        "project": it.project,
        "detail": detail,
        "hash": it.hash,
    })
}
