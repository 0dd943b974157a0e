//! `agentbase provision …`.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use server_store::{NewProvision, Provision};

use super::known;
use crate::accounts::{allowed, open_of};
use crate::cli::{NewProvisionArgs, ProvisionCommand};
use crate::table::Table;
use crate::when::{Shown, check_end, now_ms, seconds};

/// Runs the chosen subcommand.
///
/// # Errors
/// If there is no such project or provision, or the database fails.
pub(in crate::commands) async fn run(command: ProvisionCommand, data_dir: &Path) -> Result<()> {
    match command {
        ProvisionCommand::Create(args) => create(&args, data_dir).await,
        ProvisionCommand::List { json, org } => {
            let store = open_of(&org, data_dir).await?;
            let may = allowed(&org.org)?;
            let read = async |page| store.provisions(&may, &page).await;
            list(&super::all(read, |it: &Provision| it.id.as_str()).await?, json)
        }
        ProvisionCommand::End { id, org } => {
            let store = open_of(&org, data_dir).await?;
            let ended = store.end_provision(&allowed(&org.org)?, &id).await?;
            outln!("{id} ends at {}", Shown(ended.until.unwrap_or_default()))
        }
    }
}

async fn create(args: &NewProvisionArgs, data_dir: &Path) -> Result<()> {
    let now = now_ms();
    let (from, until) = (args.from.map(|it| it.after(now)), args.until.map(|it| it.after(now)));
    check_end(from, until, now)?;
    let (project, model, units) = (args.project.as_str(), args.model.as_str(), args.units);
    let new = NewProvision { project, model, units, from, until };
    let store = open_of(&args.org, data_dir).await?;
    let made = store.create_provision(&allowed(&args.org.org)?, &new).await?;
    if args.json {
        outln!("{}", as_json(&made))?
    } else {
        outln!("{}", made.id)?
    }
    known::warn_of_provision(&store, data_dir, &made).await
}

fn list(provisions: &[Provision], json: bool) -> Result<()> {
    if json {
        let all: Vec<Value> = provisions.iter().map(as_json).collect();
        return outln!("{}", serde_json::to_string_pretty(&all)?);
    }
    let mut table = Table::new(["ID", "PROJECT", "MODEL", "UNITS", "FROM", "UNTIL"]);
    for it in provisions {
        table.push([
            it.id.clone(),
            it.project.clone(),
            it.model.clone(),
            it.units.to_string(),
            Shown(it.from).to_string(),
            it.until.map_or("-".to_owned(), |until| Shown(until).to_string()),
        ]);
    }
    table.print("no provisions; make one with `agentbase provision create MODEL --units N`")
}

fn as_json(it: &Provision) -> Value {
    json!({
        "id": it.id,
        "organization": it.organization,
        "project": it.project,
        "model": it.model,
        "units": it.units,
        "from": seconds(it.from),
        "until": it.until.map(seconds),
        "created_at": it.created_at,
    })
}
