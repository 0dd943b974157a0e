//! The arguments of what a server stores, and for how long.

use std::fmt::Display;
use std::str::FromStr;

use clap::Args;
use server_accounts::StorePrompts;

use crate::size::ByteSize;

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct KeepArgs {
    /// Whether responses, conversations and chat completions of projects that have not said are
    /// stored: never, or when-asked by a request, as OpenAI's API has it [default: never]
    #[arg(long, value_name = "WHEN", env = "AGENTBASE_STORE_PROMPTS")]
    pub(crate) store_prompts: Option<StorePrompts>,

    /// How long responses, conversations and stored chat completions are kept [default: 30]
    #[arg(long, value_name = "DAYS", env = "AGENTBASE_RETENTION_DAYS",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) retention_days: Option<u32>,

    /// How long lines of the ledger are kept, 7 at least; reports, limits and bills go by its sums
    /// [default: until `agentbase usage prune`]
    #[arg(long, value_name = "DAYS", env = "AGENTBASE_LEDGER_RETENTION_DAYS",
        value_parser = clap::value_parser!(u32).range(7..))]
    pub(crate) ledger_retention_days: Option<u32>,

    /// How much of them one tenant may keep [default: 4GiB]
    #[arg(long, value_name = "SIZE", env = "AGENTBASE_MAX_STORED")]
    pub(crate) max_stored: Option<ByteSize>,
}

/// What a project says, or `default`: then it is as the server has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said<T>(pub(crate) Option<T>);

impl<T: FromStr<Err: Display>> FromStr for Said<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "default" {
            return Ok(Self(None));
        }
        text.parse().map(|said| Self(Some(said))).map_err(|error| format!("{error}; or 'default'"))
    }
}
