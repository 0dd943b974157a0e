//! `agentbase key …`.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use server_accounts::{AwsPair, KeyKind, KeySecret};
use server_store::{Key, NewAdminKey, NewKey};

use super::shown;
use crate::accounts::{OPERATOR, allowed, open, open_of};
use crate::cli::{KeyCommand, NewKeyArgs};
use crate::table::Table;
use crate::when::{Shown, now_ms};

/// Longer input is no key.
const MAX_INPUT_BYTES: u64 = 4096;

/// Runs the chosen subcommand.
///
/// # Errors
/// If there is no such key or project, or the database fails.
pub(in crate::commands) async fn run(command: KeyCommand, data_dir: &Path) -> Result<()> {
    match command {
        KeyCommand::Create(args) => create(*args, data_dir).await,
        KeyCommand::List { project, all, admin, json, org } => {
            let store = open_of(&org, data_dir).await?;
            fn id(key: &Key) -> &str {
                &key.id
            }
            let keys = if admin {
                let may = allowed(&org.org)?;
                super::all(async |page| store.admin_keys(&may, &page).await, id).await?
            } else {
                let (may, project) = (allowed(&org.org)?, project.as_deref());
                if let Some(project) = project {
                    store.project(&allowed(&org.org)?, project).await?;
                }
                super::all(async |page| store.keys(&may, project, all, &page).await, id).await?
            };
            list(&keys, json)
        }
        KeyCommand::Revoke { id, admin, org } => {
            let store = open_of(&org, data_dir).await?;
            if admin {
                store.revoke_admin_key(&allowed(&org.org)?, &id).await?;
            } else {
                store.revoke_key(&allowed(&org.org)?, &id).await?;
            }
            outln!("revoked {id}")
        }
        KeyCommand::Rotate { id, overlap, json, org } => {
            let store = open_of(&org, data_dir).await?;
            let secret = store.rotate_key(&allowed(&org.org)?, &id, overlap.0).await?;
            tell_secret(&id, &secret, json)
        }
        KeyCommand::Limit { id, limits, org } => {
            let limits = limits.data()?;
            let store = open_of(&org, data_dir).await?;
            store.set_key_limits(&allowed(&org.org)?, &id, &limits).await?;
            outln!("{id}: {}", shown(&limits))
        }
        KeyCommand::Aws { key, database } => {
            let key = key.map_or_else(from_stdin, Ok)?;
            let secret = KeySecret::from_text(key.trim());
            let store = open(&database, data_dir).await?;
            match store.give_aws_secret(&secret).await? {
                Some(id) => outln!("{}", AwsPair::of(&id, &secret)),
                None => bail!("nobody has this key, or it was revoked"),
            }
        }
    }
}

async fn create(args: NewKeyArgs, data_dir: &Path) -> Result<()> {
    let (scopes, limits) = (args.scopes()?, args.limits.data()?);
    let now = now_ms();
    let expires_at = args.expires.map(|end| end.after(now) / 1000);
    if expires_at.is_some_and(|end| end <= now / 1000) {
        bail!("the key would have ended already: let --expires be a time to come");
    }
    let (name, owner) = (args.name, OPERATOR.to_owned());
    let store = open_of(&args.org, data_dir).await?;
    let (key, secret) = if args.admin {
        let new = NewAdminKey { name, owner, role: args.role, scopes, expires_at };
        store.create_admin_key(&allowed(&args.org.org)?, &new).await?
    } else {
        let new = NewKey { project: args.project, name, owner, scopes, limits, expires_at };
        store.create_key(&allowed(&args.org.org)?, &new).await?
    };
    tell_secret(&key.id, &secret, args.json)
}

/// The only time that a secret is shown.
fn tell_secret(id: &str, secret: &KeySecret, json: bool) -> Result<()> {
    if json {
        return outln!("{}", json!({ "id": id, "secret": secret.expose() }));
    }
    outln!("{id}\nAPI key (shown once, keep it): {}", secret.expose())
}

fn list(keys: &[Key], json: bool) -> Result<()> {
    if json {
        let keys: Vec<Value> = keys.iter().map(as_json).collect();
        return outln!("{}", serde_json::to_string_pretty(&keys)?);
    }
    let headings = ["ID", "NAME", "KEY", "PROJECT", "MADE", "LAST USED", "STATE", "LIMITS"];
    let mut table = Table::new(headings);
    for key in keys {
        let project = match key.kind {
            KeyKind::Project => key.project.clone(),
            KeyKind::Admin => format!("({})", key.role),
        };
        let time = |at: Option<i64>| {
            at.map_or("-".to_owned(), |at| Shown(at.saturating_mul(1000)).to_string())
        };
        table.push([
            key.id.clone(),
            key.name.clone(),
            key.redacted.clone(),
            project,
            time(Some(key.created_at)),
            time(key.used_at),
            state(key),
            shown(&key.limits),
        ]);
    }
    table.print("no keys; make one with `agentbase key create --name NAME`")
}

fn state(key: &Key) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(end)) if end <= now_ms() / 1000 => "expired".to_owned(),
        (None, Some(end)) => format!("until {}", Shown(end.saturating_mul(1000))),
        (None, None) => "in force".to_owned(),
    }
}

fn as_json(key: &Key) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "kind": if key.kind == KeyKind::Admin { "admin" } else { "project" },
        "redacted": key.redacted,
        "organization": key.organization,
        "project": if key.project.is_empty() { None } else { Some(&key.project) },
        "owner": key.owner,
        "role": key.role,
        "scopes": key.scopes,
        "limits": key.limits,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.used_at,
    })
}

fn from_stdin() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_INPUT_BYTES).read_to_string(&mut text);
    read.context("cannot read a key from standard input")?;
    Ok(text)
}
