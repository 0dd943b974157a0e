//! `agentbase user …`.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use server_accounts::DEFAULT;
use server_identity::{EmailAddress, Password, PasswordHasher};
use server_store::{Member, NewUser, Store, StoreError, User};

use crate::accounts::{allowed, open, open_of};
use crate::cli::UserCommand;
use crate::table::Table;
use crate::when::Shown;

/// Longer input is no password.
const MAX_INPUT_BYTES: u64 = 4096;

/// Runs the chosen subcommand.
///
/// # Errors
/// If there is no such user or role, or the database fails.
pub(in crate::commands) async fn run(command: UserCommand, data_dir: &Path) -> Result<()> {
    match command {
        UserCommand::Create { email, name, role, password_stdin, json, org } => {
            let email = EmailAddress::parse(&email)?;
            let name = name.unwrap_or_else(|| email.as_str().to_owned());
            let password = password_stdin.then(|| hashed(&email, &name)).transpose()?;
            let store = open_of(&org, data_dir).await?;
            let (user, is_new) = match store.user_by_email(&email.key()).await? {
                Some(user) => {
                    if let Some(password) = &password {
                        store.set_password(&user.id, password).await?;
                    }
                    (user, false)
                }
                None => {
                    let email = email.key();
                    // The operator says that it is theirs.
                    let new = NewUser { email, name, password, email_verified: true };
                    (store.create_user(&new).await?, true)
                }
            };
            let member = join(&store, (&user.id, is_new), &org.org, &role).await?;
            if json {
                return outln!("{}", as_json(&member));
            }
            outln!("{}", user.id)
        }
        UserCommand::List { json, org } => {
            let store = open_of(&org, data_dir).await?;
            let may = allowed(&org.org)?;
            let read = async |page| store.members(&may, &page).await;
            list(&super::all(read, |it: &Member| it.user.id.as_str()).await?, json)
        }
        UserCommand::Role { email, role, org } => {
            let store = open_of(&org, data_dir).await?;
            let user = find(&store, &email).await?;
            store.set_member_role(&allowed(&org.org)?, &user.id, &role).await?;
            outln!("{email} is {role} of {}", org.org)
        }
        UserCommand::Remove { email, org } => {
            let store = open_of(&org, data_dir).await?;
            let user = find(&store, &email).await?;
            store.remove_member(&allowed(&org.org)?, &user.id).await?;
            outln!("{email} is no longer in {}", org.org)
        }
        UserCommand::Disable { email, database } => {
            let store = open(&database, data_dir).await?;
            let user = find(&store, &email).await?;
            store.disable_user(&allowed(DEFAULT)?, &user.id, true).await?;
            outln!("{email} is disabled")
        }
        UserCommand::Enable { email, database } => {
            let store = open(&database, data_dir).await?;
            let user = find(&store, &email).await?;
            store.disable_user(&allowed(DEFAULT)?, &user.id, false).await?;
            outln!("{email} is enabled")
        }
        UserCommand::Export { email, database } => {
            let store = open(&database, data_dir).await?;
            let user = find(&store, &email).await?;
            outln!("{}", store.export_user(&user.id).await?)
        }
        UserCommand::Delete { email, force, database } => {
            delete(&open(&database, data_dir).await?, &email, force).await?;
            outln!("{email} is deleted")
        }
    }
}

/// Deletes a user, or says what to do where that cannot be yet.
async fn delete(store: &Store, email: &str, force: bool) -> Result<()> {
    let user = find(store, email).await?;
    match store.delete_user_as_operator(&allowed(DEFAULT)?, &user.id, force).await {
        Err(StoreError::LastOwner(org)) => bail!(
            "{email} is the only owner of the organization '{org}': make another member its owner \
             with `agentbase user role EMAIL owner --org {org}`, or end it with `agentbase org \
             archive {org}`; if nobody else is in it, --force leaves it without members"
        ),
        deleted => Ok(deleted?),
    }
}

/// Makes a user a member; one that was made for that is no more where it fails.
async fn join(
    store: &Store,
    (user, is_new): (&str, bool),
    organization: &str,
    role: &str,
) -> Result<Member> {
    let added = store.add_member(&allowed(organization)?, user, role).await;
    if added.is_err() && is_new {
        store.delete_user(user).await?;
    }
    Ok(added?)
}

async fn find(store: &Store, email: &str) -> Result<User> {
    let key = EmailAddress::parse(email)?.key();
    let user = store.user_by_email(&key).await?;
    user.with_context(|| format!("there is no user with the address {email}"))
}

/// What is kept of the password on standard input.
fn hashed(email: &EmailAddress, name: &str) -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_INPUT_BYTES).read_to_string(&mut text);
    read.context("cannot read a password from standard input")?;
    let line = text.lines().next().unwrap_or_default();
    let password = Password::chosen(line, &[email.as_str(), email.local(), name])?;
    Ok(PasswordHasher::new()?.hash(&password)?)
}

fn list(members: &[Member], json: bool) -> Result<()> {
    if json {
        let all: Vec<Value> = members.iter().map(as_json).collect();
        return outln!("{}", serde_json::to_string_pretty(&all)?);
    }
    let mut table = Table::new(["ID", "EMAIL", "NAME", "ROLE", "SINCE", "STATE"]);
    for Member { user, role, created_at } in members {
        let state = match (user.disabled_at, user.totp_enabled_at) {
            (Some(_), _) => "disabled",
            (None, Some(_)) => "two factors",
            (None, None) => "in force",
        };
        let since = Shown(created_at * 1000).to_string();
        let (id, email, name) = (user.id.clone(), user.email.clone(), user.name.clone());
        table.push([id, email, name, role.clone(), since, state.to_owned()]);
    }
    table.print("no users; make one with `agentbase user create EMAIL`")
}

fn as_json(Member { user, role, created_at }: &Member) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": role,
        "added_at": created_at,
        "disabled_at": user.disabled_at,
        "two_factors": user.totp_enabled_at.is_some(),
    })
}
