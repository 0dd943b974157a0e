//! The arguments of what works on organizations, projects, people and keys.

use clap::{Args, Subcommand};
use ipnet::IpNet;
use server_accounts::{DEFAULT, Scopes, StorePrompts};

use super::id::chosen;
use super::{DatabaseArgs, LimitArgs, Said};
use crate::when::{Span, When};

/// Whose things.
#[derive(Args, Clone, Debug)]
pub(crate) struct OrgArgs {
    /// The organization's id
    #[arg(long, value_name = "ID", default_value = DEFAULT)]
    pub(crate) org: String,

    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key, and show its secret once
    Create(Box<NewKeyArgs>),
    /// List keys, without their secrets
    List {
        /// Of this project only
        #[arg(long, value_name = "ID")]
        project: Option<String>,
        /// Those that were revoked, too
        #[arg(long)]
        all: bool,
        /// Keys of the organization itself, which administer it
        #[arg(long, conflicts_with_all = ["project", "all"])]
        admin: bool,
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// End a key; within a second no server lets it in
    Revoke {
        /// Its id
        id: String,
        /// It is one of the organization itself
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// Give a key another secret, beside which the old one works for a while
    Rotate {
        /// Its id
        id: String,
        /// How long the old secret goes on
        #[arg(long, value_name = "TIME", default_value = "1h")]
        overlap: Span,
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// Set a key's limits, in place of those it has
    Limit {
        /// Its id
        id: String,
        #[command(flatten)]
        limits: LimitArgs,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// Print a key as AWS's clients for Bedrock take it: an access key id and a secret access key
    Aws {
        /// The API key [default: a line of standard input]
        #[arg(env = "AGENTBASE_API_KEY", hide_env_values = true)]
        key: Option<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct NewKeyArgs {
    /// What it is called
    #[arg(long)]
    pub(crate) name: String,

    /// Its project's id
    #[arg(long, value_name = "ID", default_value = DEFAULT)]
    pub(crate) project: String,

    /// Make a key of the organization itself, which administers it and uses no models
    #[arg(long, conflicts_with_all = ["project", "models", "budget", "rpm", "tpm"])]
    pub(crate) admin: bool,

    /// What an admin key may: owner, admin, developer, viewer, or a role of the organization's own
    #[arg(long, default_value = "owner", requires = "admin")]
    pub(crate) role: String,

    /// Only these models; * at the end stands for anything
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) models: Vec<String>,

    /// Only these paths, like /v1/embeddings; * at the end stands for anything
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub(crate) endpoints: Vec<String>,

    /// Only from these addresses or networks, like 10.0.0.0/8
    #[arg(long, value_name = "NETWORK", value_delimiter = ',', value_parser = network)]
    pub(crate) from: Vec<IpNet>,

    /// When it ends, like 2027-01-01 or 30d [default: never]
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<When>,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// Print JSON: {"id", "secret"}
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) org: OrgArgs,
}

impl NewKeyArgs {
    /// What it may be used for.
    pub(crate) fn scopes(&self) -> anyhow::Result<Scopes> {
        let Self { endpoints, models, from, .. } = self;
        let (endpoints, models, networks) = (endpoints.clone(), models.clone(), from.clone());
        Ok(Scopes { endpoints, models, networks }.checked()?)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrgCommand {
    /// Make an organization, with a project of its own
    Create {
        /// What it is called
        name: String,
        /// Its id: letters, digits, -, _ and . [default: a new one]
        #[arg(long, value_parser = chosen)]
        id: Option<String>,
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// List organizations
    List {
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Set an organization's limits, in place of those it has
    Limit {
        /// Its id
        id: String,
        #[command(flatten)]
        limits: LimitArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Let nobody of an organization in, until it is resumed
    Suspend {
        /// Its id
        id: String,
        /// Why; its users are told
        #[arg(long, default_value = "ask the operator of this server")]
        reason: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Let an organization in again
    Resume {
        /// Its id
        id: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Have letters about invoices go to an address, beside the owners; without one, no more
    BillingEmail {
        /// Its id
        id: String,
        /// Where to
        #[arg(value_name = "ADDRESS")]
        email: Option<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// End an organization; its ledger stays
    Archive {
        /// Its id
        id: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Print all that is stored of an organization, a JSON object each line, without secrets
    Export {
        /// Its id
        id: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Remove all that is stored of an organization that was archived an hour ago, ledger and audit
    /// log included
    Delete {
        /// Its id
        id: String,
        /// Its id once more: nothing brings it back
        #[arg(long, value_name = "ID")]
        confirm: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Make a project
    Create {
        /// What it is called
        name: String,
        /// Its id: letters, digits, -, _ and . [default: a new one]
        #[arg(long, value_parser = chosen)]
        id: Option<String>,
        #[command(flatten)]
        limits: LimitArgs,
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// List projects
    List {
        /// Those that were archived, too
        #[arg(long)]
        all: bool,
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// Set a project's limits, in place of those it has
    Limit {
        /// Its id
        id: String,
        #[command(flatten)]
        limits: LimitArgs,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// Say what a project has stored of what people say
    Privacy {
        /// Its id
        id: String,
        /// Whether responses, conversations and chat completions are stored: never, when-asked by a
        /// request, or default, as the server has it
        #[arg(long, value_name = "WHEN")]
        store_prompts: Option<Said<StorePrompts>>,
        /// For how many days, or default
        #[arg(long, value_name = "DAYS")]
        retention_days: Option<Said<u32>>,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// End a project and its keys; its ledger stays
    Archive {
        /// Its id
        id: String,
        #[command(flatten)]
        org: OrgArgs,
    },
}

fn network(text: &str) -> Result<IpNet, String> {
    Scopes::network(text).map_err(|error| error.to_string())
}
