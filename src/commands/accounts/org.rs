//! `agentbase org …`.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use server_accounts::{DEFAULT, Kind, new_id};
use server_identity::EmailAddress;
use server_store::{Organization, Store};
use tokio::sync::mpsc;

use super::shown;
use crate::accounts::{allowed, open};
use crate::cli::OrgCommand;
use crate::table::Table;
use crate::when::Shown;

/// Lines of an export that are read ahead.
const MAX_WAITING: usize = 64;

/// Runs the chosen subcommand.
///
/// # Errors
/// If there is no such organization, or the database fails.
pub(in crate::commands) async fn run(command: OrgCommand, data_dir: &Path) -> Result<()> {
    match command {
        OrgCommand::Create { name, id, json, database } => {
            let id = id.unwrap_or_else(|| new_id(Kind::Organization));
            let store = open(&database, data_dir).await?;
            let made = store.create_organization(&allowed(&id)?, &name).await?;
            store.create_project(&allowed(&id)?, Some(DEFAULT), "Default").await?;
            if json {
                return outln!("{}", as_json(&made));
            }
            outln!("{id}")
        }
        OrgCommand::List { json, database } => {
            let store = open(&database, data_dir).await?;
            let may = allowed("")?;
            let read = async |page| store.organizations(&may, &page).await;
            list(&super::all(read, |it: &Organization| it.id.as_str()).await?, json)
        }
        OrgCommand::Limit { id, limits, database } => {
            let limits = limits.data()?;
            let store = open(&database, data_dir).await?;
            store.set_organization_limits(&allowed(&id)?, &limits).await?;
            outln!("{id}: {}", shown(&limits))
        }
        OrgCommand::Suspend { id, reason, database } => {
            let store = open(&database, data_dir).await?;
            store.suspend_organization(&allowed(&id)?, Some(&reason)).await?;
            outln!("{id} is suspended: {reason}")
        }
        OrgCommand::Resume { id, database } => {
            let store = open(&database, data_dir).await?;
            store.suspend_organization(&allowed(&id)?, None).await?;
            outln!("{id} goes on")
        }
        OrgCommand::BillingEmail { id, email, database } => {
            let email = email.map(|email| EmailAddress::parse(&email)).transpose()?;
            let email = email.map(|email| email.key());
            let store = open(&database, data_dir).await?;
            store.set_billing_email(&allowed(&id)?, email.as_deref()).await?;
            match email {
                Some(email) => outln!("{id}: letters about invoices go to {email}, too"),
                None => outln!("{id}: letters about invoices go to its owners"),
            }
        }
        OrgCommand::Archive { id, database } => {
            if id == DEFAULT {
                bail!("the organization '{DEFAULT}' stays: each start makes it");
            }
            let store = open(&database, data_dir).await?;
            store.archive_organization(&allowed(&id)?).await?;
            outln!("{id} is archived")
        }
        OrgCommand::Export { id, database } => export(&open(&database, data_dir).await?, &id).await,
        OrgCommand::Delete { id, confirm, database } => {
            if id != confirm {
                bail!("--confirm names '{confirm}', not '{id}': nothing was deleted");
            }
            let store = open(&database, data_dir).await?;
            let num = store.delete_organization(&allowed(&id)?).await?;
            outln!("{id} is gone, with {num} rows of the database")
        }
    }
}

async fn export(store: &Store, id: &str) -> Result<()> {
    let (sender, lines) = mpsc::channel(MAX_WAITING);
    let may = allowed(id)?;
    let (told, printed) = tokio::join!(store.export_organization(&may, sender), print(lines));
    printed?;
    told?;
    Ok(())
}

/// Prints lines until there are no more, or nobody reads them.
async fn print(mut lines: mpsc::Receiver<String>) -> Result<()> {
    while let Some(line) = lines.recv().await {
        outln!("{line}")?;
    }
    Ok(())
}

fn list(organizations: &[Organization], json: bool) -> Result<()> {
    if json {
        let all: Vec<Value> = organizations.iter().map(as_json).collect();
        return outln!("{}", serde_json::to_string_pretty(&all)?);
    }
    let mut table = Table::new(["ID", "NAME", "MADE", "STATE", "LIMITS"]);
    for it in organizations {
        let state = match (&it.archived_at, &it.suspended) {
            (Some(_), _) => "archived".to_owned(),
            (None, Some(reason)) => format!("suspended: {reason}"),
            (None, None) => "in force".to_owned(),
        };
        let made = Shown(it.created_at * 1000).to_string();
        table.push([it.id.clone(), it.name.clone(), made, state, shown(&it.limits)]);
    }
    table.print("no organizations")
}

fn as_json(it: &Organization) -> Value {
    json!({
        "id": it.id,
        "name": it.name,
        "created_at": it.created_at,
        "archived_at": it.archived_at,
        "suspended": it.suspended,
        "requires_two_factors": it.requires_two_factors,
        "limits": it.limits,
    })
}
