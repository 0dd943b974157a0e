//! `agentbase commitment …`.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use server_store::{Commitment, NewCommitment};

use crate::accounts::{allowed, open_of};
use crate::cli::CommitmentCommand;
use crate::table::Table;
use crate::when::{Shown, now_ms, seconds};

/// Runs the chosen subcommand.
///
/// # Errors
/// If there is no such organization or commitment, or the database fails.
pub(in crate::commands) async fn run(command: CommitmentCommand, data_dir: &Path) -> Result<()> {
    match command {
        CommitmentCommand::Create { amount, from, months, json, org } => {
            let from = from.map(|from| from.after(now_ms()));
            let store = open_of(&org, data_dir).await?;
            let new = NewCommitment { amount, from, months };
            let made = store.create_commitment(&allowed(&org.org)?, &new).await?;
            if json { outln!("{}", as_json(&made)) } else { outln!("{}", made.id) }
        }
        CommitmentCommand::List { json, org } => {
            let store = open_of(&org, data_dir).await?;
            let may = allowed(&org.org)?;
            let read = async |page| store.commitments(&may, &page).await;
            list(&super::all(read, |it: &Commitment| it.id.as_str()).await?, json)
        }
        CommitmentCommand::End { id, until, org } => {
            let until = until.map(|until| until.after(now_ms()));
            let store = open_of(&org, data_dir).await?;
            let ended = store.end_commitment(&allowed(&org.org)?, &id, until).await?;
            outln!("{id} ends at {}", Shown(ended.until.unwrap_or_default()))
        }
    }
}

fn list(commitments: &[Commitment], json: bool) -> Result<()> {
    if json {
        let all: Vec<Value> = commitments.iter().map(as_json).collect();
        return outln!("{}", serde_json::to_string_pretty(&all)?);
    }
    let mut table = Table::new(["ID", "A MONTH", "FROM", "UNTIL"]);
    for it in commitments {
        table.push([
            it.id.clone(),
            it.amount.to_string(),
            Shown(it.from).to_string(),
            it.until.map_or("-".to_owned(), |until| Shown(until).to_string()),
        ]);
    }
    table.print("no commitments; make one with `agentbase commitment create AMOUNT`")
}

fn as_json(it: &Commitment) -> Value {
    json!({
        "id": it.id,
        "organization": it.organization,
        "amount": it.amount.to_string(),
        "from": seconds(it.from),
        "until": it.until.map(seconds),
        "created_at": it.created_at,
    })
}
