//! `agentbase alert …`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use server_identity::EmailAddress;
use server_metering::Period;
use server_store::{Alert, AlertOn, NewAlert};

use crate::accounts::{allowed, open_of};
use crate::cli::{AlertCommand, NewAlertArgs};
use crate::table::Table;
use crate::when::Shown;

/// Runs the chosen subcommand.
///
/// # Errors
/// If there is no such account or alert, or the database fails.
pub(in crate::commands) async fn run(command: AlertCommand, data_dir: &Path) -> Result<()> {
    match command {
        AlertCommand::Create(args) => create(&args, data_dir).await,
        AlertCommand::List { json, org } => {
            let store = open_of(&org, data_dir).await?;
            let may = allowed(&org.org)?;
            let read = async |page| store.alerts(&may, &page).await;
            list(&super::all(read, |it: &Alert| it.id.as_str()).await?, json)
        }
        AlertCommand::Delete { id, org } => {
            let store = open_of(&org, data_dir).await?;
            store.delete_alert(&allowed(&org.org)?, &id).await?;
            outln!("deleted {id}")
        }
    }
}

async fn create(args: &NewAlertArgs, data_dir: &Path) -> Result<()> {
    let period = Period::ALL.into_iter().find(|it| it.to_string() == args.period);
    let period = period.context("--period is day, month or total")?;
    let on = args.quota.map_or(AlertOn::Budget(period), |meter| AlertOn::Quota(meter, period));
    for address in &args.mail {
        EmailAddress::parse(address).with_context(|| format!("--mail {address}"))?;
    }
    let new = NewAlert {
        project: args.project.clone(),
        key: args.key.clone(),
        on,
        thresholds: args.at.clone(),
        by_webhook: args.webhook || args.mail.is_empty(),
        addresses: args.mail.clone(),
    };
    let store = open_of(&args.org, data_dir).await?;
    let made = store.create_alert(&allowed(&args.org.org)?, &new).await?;
    if args.json { outln!("{}", as_json(&made)) } else { outln!("{}", made.id) }
}

fn list(alerts: &[Alert], json: bool) -> Result<()> {
    if json {
        let all: Vec<Value> = alerts.iter().map(as_json).collect();
        return outln!("{}", serde_json::to_string_pretty(&all)?);
    }
    let mut table = Table::new(["ID", "ACCOUNT", "ON", "AT", "TELLS", "MADE"]);
    for it in alerts {
        let rule = &it.rule;
        let account = match (&rule.key, &rule.project) {
            (Some(key), _) => key.clone(),
            (None, Some(project)) => project.clone(),
            (None, None) => it.organization.clone(),
        };
        let at: Vec<String> = rule.thresholds.iter().map(|at| format!("{at} %")).collect();
        let webhooks = rule.by_webhook.then(|| "webhooks".to_owned());
        let tells: Vec<String> = webhooks.into_iter().chain(rule.addresses.clone()).collect();
        let on = format!("{}/{}", what(rule.on), rule.on.period());
        let made = Shown(it.created_at * 1000).to_string();
        table.push([it.id.clone(), account, on, at.join(", "), tells.join(", "), made]);
    }
    table.print("no alerts; make one with `agentbase alert create`")
}

fn what(on: AlertOn) -> String {
    match on {
        AlertOn::Budget(_) => "budget".to_owned(),
        AlertOn::Quota(meter, _) => meter.to_string(),
    }
}

fn as_json(it: &Alert) -> Value {
    let rule = &it.rule;
    json!({
        "id": it.id,
        "organization": it.organization,
        "project": rule.project,
        "key": rule.key,
        "on": what(rule.on),
        "period": rule.on.period().to_string(),
        "at": rule.thresholds,
        "webhook": rule.by_webhook,
        "mail": rule.addresses,
        "created_at": it.created_at,
    })
}
