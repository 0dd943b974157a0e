//! `agentbase project …`.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use server_accounts::{LimitsData, PrivacySettings};
use server_store::{Project, ProjectUpdate};

use super::shown;
use crate::accounts::{allowed, open_of};
use crate::cli::ProjectCommand;
use crate::table::Table;
use crate::when::Shown;

/// Runs the chosen subcommand.
///
/// # Errors
/// If there is no such project, or the database fails.
pub(in crate::commands) async fn run(command: ProjectCommand, data_dir: &Path) -> Result<()> {
    match command {
        ProjectCommand::Create { name, id, limits, json, org } => {
            let limits = limits.data()?;
            let store = open_of(&org, data_dir).await?;
            let made = store.create_project(&allowed(&org.org)?, id.as_deref(), &name).await?;
            if limits != LimitsData::default() {
                store.set_project_limits(&allowed(&org.org)?, &made.id, &limits).await?;
            }
            if json {
                return outln!("{}", as_json(&Project { limits, ..made }));
            }
            outln!("{}", made.id)
        }
        ProjectCommand::List { all, json, org } => {
            let store = open_of(&org, data_dir).await?;
            let may = allowed(&org.org)?;
            let read = async |page| store.projects(&may, all, &page).await;
            list(&super::all(read, |it: &Project| it.id.as_str()).await?, json)
        }
        ProjectCommand::Limit { id, limits, org } => {
            let limits = limits.data()?;
            let store = open_of(&org, data_dir).await?;
            store.set_project_limits(&allowed(&org.org)?, &id, &limits).await?;
            outln!("{id}: {}", shown(&limits))
        }
        ProjectCommand::Privacy { id, store_prompts, retention_days, org } => {
            let store = open_of(&org, data_dir).await?;
            let update = ProjectUpdate {
                store_prompts: store_prompts.map(|said| said.0),
                retention_days: retention_days.map(|said| said.0),
                ..ProjectUpdate::default()
            };
            if update != ProjectUpdate::default() {
                store.update_project(&allowed(&org.org)?, &id, &update).await?;
            }
            let it = store.project(&allowed(&org.org)?, &id).await?;
            let [prompts, days] = privacy(&it.privacy);
            outln!("{id}: prompts are stored: {prompts}; for days: {days}")
        }
        ProjectCommand::Archive { id, org } => {
            let store = open_of(&org, data_dir).await?;
            store.archive_project(&allowed(&org.org)?, &id).await?;
            outln!("{id} is archived, and its keys are revoked")
        }
    }
}

fn list(projects: &[Project], json: bool) -> Result<()> {
    if json {
        let all: Vec<Value> = projects.iter().map(as_json).collect();
        return outln!("{}", serde_json::to_string_pretty(&all)?);
    }
    let mut table = Table::new(["ID", "NAME", "MADE", "STATE", "STORE PROMPTS", "DAYS", "LIMITS"]);
    for it in projects {
        let state = if it.archived_at.is_some() { "archived" } else { "in force" };
        let made = Shown(it.created_at * 1000).to_string();
        let [prompts, days] = privacy(&it.privacy);
        let (id, name, state) = (it.id.clone(), it.name.clone(), state.to_owned());
        table.push([id, name, made, state, prompts, days, shown(&it.limits)]);
    }
    table.print("no projects; make one with `agentbase project create NAME`")
}

/// Whether prompts are stored, and for how many days; `default` is as the server has it.
fn privacy(said: &PrivacySettings) -> [String; 2] {
    let default = || "default".to_owned();
    let prompts = said.store_prompts.map_or_else(default, |it| it.to_string());
    [prompts, said.retention_days.map_or_else(default, |days| days.to_string())]
}

fn as_json(it: &Project) -> Value {
    json!({
        "id": it.id,
        "name": it.name,
        "organization": it.organization,
        "created_at": it.created_at,
        "archived_at": it.archived_at,
        "store_prompts": it.privacy.store_prompts,
        "retention_days": it.privacy.retention_days,
        "limits": it.limits,
    })
}
