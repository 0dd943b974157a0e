//! The arguments of prices, usage and the audit log.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use server_accounts::Currency;

use super::{DatabaseArgs, OrgArgs};
use crate::when::When;

#[derive(Debug, Subcommand)]
pub(crate) enum PriceCommand {
    /// Set what a model costs, from now on or from a time to come
    Set(Box<PriceArgs>),
    /// List prices in force and to come
    List {
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// Show the currency of all amounts, or choose it: while nothing has a price or a budget, and
    /// nothing was charged
    Currency {
        /// Its code of ISO 4217, like eur
        code: Option<Currency>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Take a price list away
    Remove {
        /// Its id
        id: String,
        #[command(flatten)]
        org: OrgArgs,
    },
}

/// Prices are in the server's currency for a million tokens, where nothing else is said.
#[derive(Args, Debug)]
pub(crate) struct PriceArgs {
    /// The model as requests name it, or one version of it: NAME@DIGEST
    pub(crate) model: String,

    /// Tokens of prompts that were computed
    #[arg(long, value_name = "PRICE")]
    pub(crate) input: Option<String>,

    /// Tokens of prompts that the cache had [default: as --input]
    #[arg(long, value_name = "PRICE", requires = "input")]
    pub(crate) cached_input: Option<String>,

    /// Tokens that were generated
    #[arg(long, value_name = "PRICE")]
    pub(crate) output: Option<String>,

    /// Tokens that were embedded, ranked or classified
    #[arg(long, value_name = "PRICE")]
    pub(crate) embedding: Option<String>,

    /// An image
    #[arg(long, value_name = "PRICE")]
    pub(crate) image: Option<String>,

    /// A second of a recording
    #[arg(long, value_name = "PRICE")]
    pub(crate) audio_second: Option<String>,

    /// A second of an engine's time
    #[arg(long, value_name = "PRICE")]
    pub(crate) compute_second: Option<String>,

    /// An hour of each unit that is provisioned
    #[arg(long, value_name = "PRICE")]
    pub(crate) provisioned_hour: Option<String>,

    /// A gigabyte that is kept for an hour: set it for the model `storage`
    #[arg(long, value_name = "PRICE")]
    pub(crate) storage_gb_hour: Option<String>,

    /// Free tokens of prompts in each month
    #[arg(long, value_name = "TOKENS", requires = "input")]
    pub(crate) free_input: Option<u64>,

    /// Free generated tokens in each month
    #[arg(long, value_name = "TOKENS", requires = "output")]
    pub(crate) free_output: Option<u64>,

    /// The whole list from a file of JSON: steps, commitments and other meters
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input", "output", "embedding", "image",
        "audio_second", "compute_second", "provisioned_hour", "storage_gb_hour"])]
    pub(crate) file: Option<PathBuf>,

    /// How requests are served that it is for: standard, priority or flex; or provisioned, for
    /// throughput by the hour
    #[arg(long, default_value = "standard")]
    pub(crate) tier: String,

    /// For this organization only, in place of what all pay
    #[arg(long, value_name = "ID")]
    pub(crate) org: Option<String>,

    /// From when on [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<When>,

    /// Until when [default: until other prices are set]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<When>,

    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

/// What was used, and what it cost.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct UsageArgs {
    #[command(subcommand)]
    pub(crate) command: Option<UsageCommand>,

    /// Of this key only
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,

    /// Of this project only
    #[arg(long, value_name = "ID")]
    pub(crate) project: Option<String>,

    /// Of this model only
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,

    /// From when on, like 2026-11-01, or 24h ago [default: all there is]
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<When>,

    /// Until when [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<When>,

    /// A line for each
    #[arg(long, value_name = "WHAT")]
    pub(crate) by: Option<UsageBy>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) org: OrgArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsageCommand {
    /// Delete the ledger's old lines, of all organizations; sums by hour, which reports, limits and
    /// bills go by, stay
    Prune {
        /// Those of requests that ended before, like 2026-01-01, or 90d ago; 7 days at least
        #[arg(long, value_name = "TIME")]
        before: When,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// What usage is parted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum UsageBy {
    /// Keys
    Key,
    /// Projects
    Project,
    /// Models
    Model,
    /// Paths of the API
    Endpoint,
    /// What clients tag their requests with
    Tag,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no line of the audit log was changed, taken out or put in
    Verify {
        /// Of this organization only [default: of all]
        #[arg(long, value_name = "ID")]
        org: Option<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Show the last lines of an organization's log
    List {
        /// So many
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// Write an organization's whole log as lines of JSON, with times in Unix seconds (`at`) and in
    /// the milliseconds that hashes are made of (`at_ms`)
    Export {
        #[command(flatten)]
        org: OrgArgs,
    },
}
