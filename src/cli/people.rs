//! The arguments of `agentbase user …`.

use clap::Subcommand;

use super::{DatabaseArgs, OrgArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user, or find the one with this address, and add them to an organization
    Create {
        /// Their e-mail address
        email: String,
        /// What others see [default: the address]
        #[arg(long)]
        name: Option<String>,
        /// owner, admin, developer, viewer, or a role of the organization's own
        #[arg(long, default_value = "developer")]
        role: String,
        /// Read their password from a line of standard input
        #[arg(long)]
        password_stdin: bool,
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// List an organization's users
    List {
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// Change a user's role in an organization
    Role {
        /// Their e-mail address
        email: String,
        /// owner, admin, developer, viewer, or a role of the organization's own
        role: String,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// Take a user out of an organization, and revoke what keys they had there
    Remove {
        /// Their e-mail address
        email: String,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// Let a user log in nowhere, until they are enabled
    Disable {
        /// Their e-mail address
        email: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Let a user log in again
    Enable {
        /// Their e-mail address
        email: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Print all that is stored of a user, as JSON
    Export {
        /// Their e-mail address
        email: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Delete a user and all that is theirs; audit logs keep the bare id
    ///
    /// The only owner of an organization that goes on is not deleted.
    Delete {
        /// Their e-mail address
        email: String,
        /// Also if organizations have nobody else, and are left without members
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}
