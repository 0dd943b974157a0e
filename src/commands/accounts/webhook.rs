//! `agentbase webhook …`.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use server_identity::WebhookSecret;
use server_store::{NewWebhook, Outgoing, Webhook};

use crate::accounts::{allowed, open_of};
use crate::cli::WebhookCommand;
use crate::table::Table;
use crate::when::Shown;

/// Runs the chosen subcommand.
///
/// # Errors
/// If there is no such webhook, or the database fails.
pub(in crate::commands) async fn run(command: WebhookCommand, data_dir: &Path) -> Result<()> {
    match command {
        WebhookCommand::Create { url, events, json, org } => {
            let store = open_of(&org, data_dir).await?;
            let secret = WebhookSecret::random();
            let new = NewWebhook { url: &url, secret: secret.reveal(), events: &events };
            let made = store.create_webhook(&allowed(&org.org)?, &new).await?;
            if json {
                return outln!("{}", json!({ "id": made.id, "secret": secret.reveal() }));
            }
            outln!("{}", made.id)?;
            outln!("Its secret (shown once, keep it): {}", secret.reveal())
        }
        WebhookCommand::List { json, org } => {
            let store = open_of(&org, data_dir).await?;
            let may = allowed(&org.org)?;
            let read = async |page| store.webhooks(&may, &page).await;
            list(&super::all(read, |it: &Webhook| it.id.as_str()).await?, json)
        }
        WebhookCommand::Delete { id, org } => {
            let store = open_of(&org, data_dir).await?;
            store.delete_webhook(&allowed(&org.org)?, &id).await?;
            outln!("deleted {id}")
        }
        WebhookCommand::Deliveries { failed, json, org } => {
            let store = open_of(&org, data_dir).await?;
            let may = allowed(&org.org)?;
            let read = async |page| store.outgoing(&may, failed, &page).await;
            deliveries(&super::all(read, |it: &Outgoing| it.id.as_str()).await?, json)
        }
    }
}

fn list(webhooks: &[Webhook], json: bool) -> Result<()> {
    if json {
        let as_json = |it: &Webhook| {
            json!({
                "id": it.id,
                "url": it.url,
                "events": it.events,
                "created_at": it.created_at,
                "disabled_at": it.disabled_at,
            })
        };
        let all: Vec<Value> = webhooks.iter().map(as_json).collect();
        return outln!("{}", serde_json::to_string_pretty(&all)?);
    }
    let mut table = Table::new(["ID", "URL", "EVENTS", "MADE", "STATE"]);
    for it in webhooks {
        let state = if it.disabled_at.is_some() { "disabled: it was gone" } else { "in force" };
        let made = Shown(it.created_at * 1000).to_string();
        table.push([it.id.clone(), it.url.clone(), it.events.join(", "), made, state.to_owned()]);
    }
    table.print("no webhooks; make one with `agentbase webhook create URL`")
}

fn deliveries(all: &[Outgoing], json: bool) -> Result<()> {
    if json {
        let as_json = |it: &Outgoing| {
            json!({
                "id": it.id,
                "kind": it.kind,
                "target": it.target,
                "event": it.event,
                "attempts": it.attempts,
                "created_at": it.created_at,
                "next_at": it.next_at,
                "done_at": it.done_at,
                "failed_at": it.failed_at,
                "last_error": it.last_error,
            })
        };
        let all: Vec<Value> = all.iter().map(as_json).collect();
        return outln!("{}", serde_json::to_string_pretty(&all)?);
    }
    let mut table = Table::new(["ID", "TO", "EVENT", "MADE", "TRIES", "STATE", "LAST ERROR"]);
    for it in all {
        let state = match (it.done_at, it.failed_at, it.next_at) {
            (Some(at), ..) => format!("delivered {}", Shown(at * 1000)),
            (None, Some(at), _) => format!("given up {}", Shown(at * 1000)),
            (None, None, next) => {
                next.map_or("waits".to_owned(), |at| format!("next try {}", Shown(at * 1000)))
            }
        };
        table.push([
            it.id.clone(),
            it.target.clone(),
            it.event.clone(),
            Shown(it.created_at * 1000).to_string(),
            it.attempts.to_string(),
            state,
            it.last_error.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.print("nothing was sent, and nothing waits")
}
