//! The arguments of what is billed by the clock: provisions and commitments.

use clap::{Args, Subcommand};
use server_metering::Micros;

use super::OrgArgs;
use crate::when::When;

#[derive(Debug, Subcommand)]
pub(crate) enum ProvisionCommand {
    /// Bill throughput that is held ready for a project, for each hour
    Create(Box<NewProvisionArgs>),
    /// List provisions, those that ended, too
    List {
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// End one with the present hour, which is billed yet
    End {
        /// Its id
        id: String,
        #[command(flatten)]
        org: OrgArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct NewProvisionArgs {
    /// The model, as its prices name it
    pub(crate) model: String,

    /// How much of it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) units: u64,

    /// The project that it is for
    #[arg(long, value_name = "ID", default_value = server_accounts::DEFAULT)]
    pub(crate) project: String,

    /// From when on; the hour that it is in is billed whole [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<When>,

    /// Until when; the hour that it is in is billed whole [default: until it is ended]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<When>,

    /// Print JSON, with times in Unix seconds
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) org: OrgArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CommitmentCommand {
    /// Let an organization pay an amount for each month at least
    Create {
        /// For each month of the calendar, in UTC
        amount: Micros,
        /// A time in the first month [default: now]
        #[arg(long, value_name = "TIME")]
        from: Option<When>,
        /// For so many months [default: until it is ended]
        #[arg(long, value_name = "N")]
        months: Option<u32>,
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// List commitments, those that ended, too
    List {
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// End one
    End {
        /// Its id
        id: String,
        /// A time in the first month that is not committed to [default: in the next month]
        #[arg(long, value_name = "TIME")]
        until: Option<When>,
        #[command(flatten)]
        org: OrgArgs,
    },
}
