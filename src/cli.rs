//! The command line. Stable: scripts depend on it.

mod accounts;
mod alerts;
mod bench;
mod database;
mod hourly;
mod id;
mod keep;
mod limits;
mod login;
mod model;
mod people;
mod prices;
mod stripe;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, builder::FalseyValueParser};
use server_accounts::Currency;

pub(crate) use self::{
    accounts::{KeyCommand, NewKeyArgs, OrgArgs, OrgCommand, ProjectCommand},
    alerts::{AlertArgs, AlertCommand, NewAlertArgs, WebhookCommand},
    bench::{BatchShape, BenchArgs},
    database::{BackupArgs, DatabaseArgs, RestoreArgs},
    hourly::{CommitmentCommand, NewProvisionArgs, ProvisionCommand},
    keep::{KeepArgs, Said},
    limits::LimitArgs,
    login::{LoginArgs, SignUpBy},
    model::{ModelCommand, QuantizeArgs},
    people::UserCommand,
    prices::{AuditCommand, PriceArgs, PriceCommand, UsageArgs, UsageBy, UsageCommand},
    stripe::StripeArgs,
};
use crate::{
    adapters::AdapterArgs, guard::GuardArgs, http_options::HttpArgs, moderation::ModerationArgs,
    size::ByteSize,
};

/// A self-hostable inference server with an OpenAI-compatible API.
#[derive(Debug, Parser)]
#[command(name = "agentbase", version, propagate_version = true)]
pub(crate) struct Cli {
    /// Where models, keys and settings are kept [default: the platform's usual place]
    #[arg(long, global = true, value_name = "DIR", env = "AGENTBASE_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Write logs as one JSON object per line
    #[arg(long, global = true, env = "AGENTBASE_LOG_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) log_json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve models over HTTP
    Serve(Box<ServeArgs>),
    /// Make, list, rotate and revoke API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make, limit and suspend organizations
    #[command(subcommand)]
    Org(OrgCommand),
    /// Make, limit and archive projects
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Make, list and remove users, and their roles
    #[command(subcommand)]
    User(UserCommand),
    /// Set what models cost
    #[command(subcommand)]
    Price(PriceCommand),
    /// Bill throughput that is held ready, for each hour
    #[command(subcommand)]
    Provision(ProvisionCommand),
    /// Let an organization pay an amount for each month at least
    #[command(subcommand)]
    Commitment(CommitmentCommand),
    /// Have it told how much of a budget or a quota is used
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Have events sent to addresses, and show what was sent
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Show what was used, and what it cost
    Usage(Box<UsageArgs>),
    /// Check and export the audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Import, list, show, remove and pull models
    #[command(subcommand)]
    Model(ModelCommand),
    /// Chat with a model in the terminal
    Run(RunArgs),
    /// Measure a model without HTTP: prefill and decode, or an encoder's batches, in tokens per
    /// second
    Bench(BenchArgs),
    /// Measure how well a model predicts a text, as llama.cpp's llama-perplexity does
    Perplexity(PerplexityArgs),
    /// Bring the database up to date, which `serve` does too when it starts
    Migrate(DatabaseArgs),
    /// Write what the database holds into a new file; a server may go on meanwhile
    Backup(BackupArgs),
    /// Put back what a backup holds, in place of what the database has
    Restore(RestoreArgs),
}

/// How models are run; the same for every command that runs one.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct EngineArgs {
    /// Worker threads for the engine [default: the number of cores]
    #[arg(long, value_name = "N", env = "AGENTBASE_THREADS", value_parser = threads)]
    pub(crate) threads: Option<usize>,

    /// Memory for keys and values of each model, such as 512MiB or 2GiB [default: 1GiB]
    #[arg(long, value_name = "SIZE", env = "AGENTBASE_KV_CACHE")]
    pub(crate) kv_cache: Option<ByteSize>,

    /// How keys and values are kept [default: what this processor multiplies fastest: int8 on
    /// AVX2, else bf16]
    #[arg(long, value_name = "TYPE", env = "AGENTBASE_KV_CACHE_DTYPE")]
    pub(crate) kv_cache_dtype: Option<KvCacheDtype>,

    /// Longest prompt and output together, in tokens [default: what the model was made for]
    #[arg(long, value_name = "TOKENS", env = "AGENTBASE_MAX_MODEL_LEN")]
    pub(crate) max_model_len: Option<usize>,

    /// Guess tokens ahead from what was said before; the answers are the same [default: auto]
    #[arg(long, value_name = "WHEN", env = "AGENTBASE_SPECULATION")]
    pub(crate) speculation: Option<Speculation>,
}

/// When tokens are guessed ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Speculation {
    /// Where it makes answers faster: few run at once, and they repeat what was said
    Auto,
    /// Never
    Off,
}

/// How keys and values are kept.
#[derive(Clone, Copy, Debug, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KvCacheDtype {
    /// bfloat16
    Bf16,
    /// Bytes with a scale for each position and head: half the memory of bfloat16
    Int8,
    /// As they are computed: twice the memory
    F32,
}

impl From<KvCacheDtype> for engine_llm::executors::cpu::KvDtype {
    fn from(dtype: KvCacheDtype) -> Self {
        match dtype {
            KvCacheDtype::Bf16 => Self::Bf16,
            KvCacheDtype::Int8 => Self::Int8,
            KvCacheDtype::F32 => Self::F32,
        }
    }
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    /// Address and port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "AGENTBASE_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,

    /// Models to serve, by name [default: all that are imported]
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "AGENTBASE_MODEL")]
    pub(crate) model: Vec<String>,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    #[command(flatten)]
    pub(crate) adapters: AdapterArgs,

    /// Answer without an API key; only on a loopback address
    #[arg(long, env = "AGENTBASE_NO_AUTH", value_parser = FalseyValueParser::new())]
    pub(crate) no_auth: bool,

    /// Requests that may wait for a place; more are answered 503 [default: 1024]
    #[arg(long, value_name = "N", env = "AGENTBASE_MAX_WAITING")]
    pub(crate) max_waiting: Option<usize>,

    /// How long running answers may go on after a signal to stop [default: 30]
    #[arg(long, value_name = "SECONDS", env = "AGENTBASE_DRAIN_TIMEOUT")]
    pub(crate) drain_timeout: Option<u32>,

    #[command(flatten)]
    pub(crate) http: HttpArgs,

    #[command(flatten)]
    pub(crate) guard: GuardArgs,

    #[command(flatten)]
    pub(crate) moderation: ModerationArgs,

    #[command(flatten)]
    pub(crate) database: DatabaseArgs,

    #[command(flatten)]
    pub(crate) alerts: AlertArgs,

    #[command(flatten)]
    pub(crate) login: LoginArgs,

    /// Write no usage, and keep to no limits
    #[arg(long, env = "AGENTBASE_NO_METERING", value_parser = FalseyValueParser::new())]
    pub(crate) no_metering: bool,

    /// Let usage reach the disk before a client is told of it: a loss of power then loses nothing,
    /// and requests wait for the disk
    #[arg(long, env = "AGENTBASE_SYNC_USAGE", value_parser = FalseyValueParser::new())]
    pub(crate) sync_usage: bool,

    #[command(flatten)]
    pub(crate) stripe: StripeArgs,

    #[command(flatten)]
    pub(crate) keep: KeepArgs,

    /// Of all amounts, like eur; kept in the database [default: what it has, at first usd]
    #[arg(long, value_name = "CODE", env = "AGENTBASE_CURRENCY")]
    pub(crate) currency: Option<Currency>,

    /// Settings file [default: agentbase.toml in the data directory, if there is one]
    #[arg(long, value_name = "FILE", env = "AGENTBASE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The model's name
    pub(crate) name: String,

    /// What to say; without it, a conversation until end of input
    pub(crate) prompt: Option<String>,

    /// Set the scene before the conversation
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,

    /// At most this many tokens per answer
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) max_tokens: u32,

    /// 0 always takes the most likely token
    #[arg(long, default_value_t = 0.7)]
    pub(crate) temperature: f32,

    /// The same seed gives the same answer
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PerplexityArgs {
    /// The model's name
    pub(crate) name: String,

    /// The text, in UTF-8
    #[arg(long, value_name = "TEXT")]
    pub(crate) file: PathBuf,

    /// Tokens per chunk; those after the first half of each are scored
    #[arg(long, value_name = "TOKENS", default_value_t = 512)]
    pub(crate) context: usize,

    /// Score so many chunks from the start [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) chunks: Option<u64>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err("must be a number from 1 to 1024".into()),
    }
}
