//! The arguments of alerts, webhooks and mail.

use std::fmt;

use clap::builder::FalseyValueParser;
use clap::{Args, Subcommand};
use serde::Deserialize;
use server_metering::Meter;

use super::OrgArgs;

/// How alerts reach people and programs.
#[derive(Args, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AlertArgs {
    /// Send mail by this server: smtp://USER:PASSWORD@HOST:PORT?tls=required|starttls|none
    #[arg(long, value_name = "URL", env = "AGENTBASE_SMTP_URL", hide_env_values = true)]
    pub(crate) smtp_url: Option<String>,

    /// Who mail is from
    #[arg(long, value_name = "ADDRESS", env = "AGENTBASE_MAIL_FROM", hide_env_values = true)]
    pub(crate) mail_from: Option<String>,

    /// Where people reach this server, for links in mail [default: where it listens]
    #[arg(long, value_name = "URL", env = "AGENTBASE_PUBLIC_URL")]
    pub(crate) public_url: Option<String>,

    /// Send webhooks to private and local addresses, too
    #[arg(long, env = "AGENTBASE_ALLOW_PRIVATE_WEBHOOKS", value_parser = FalseyValueParser::new())]
    pub(crate) allow_private_webhooks: bool,
}

impl fmt::Debug for AlertArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertArgs").finish_non_exhaustive()
    }
}

impl AlertArgs {
    /// What is left open is as `other` says.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            smtp_url: self.smtp_url.or(other.smtp_url),
            mail_from: self.mail_from.or(other.mail_from),
            public_url: self.public_url.or(other.public_url),
            allow_private_webhooks: self.allow_private_webhooks || other.allow_private_webhooks,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// Have it told when so much of a budget or a quota is used
    Create(Box<NewAlertArgs>),
    /// List alerts
    List {
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// End an alert
    Delete {
        /// Its id
        id: String,
        #[command(flatten)]
        org: OrgArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct NewAlertArgs {
    /// On the limit of this project [default: that of the organization]
    #[arg(long, value_name = "ID")]
    pub(crate) project: Option<String>,

    /// On the limit of this key
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,

    /// On the quota of this meter, like output_tokens [default: on the budget]
    #[arg(long, value_name = "METER")]
    pub(crate) quota: Option<Meter>,

    /// Which budget or quota: that of a day, of a month, or in total
    #[arg(long, value_name = "day|month|total", default_value = "total")]
    pub(crate) period: String,

    /// At how many percent of it
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "50,80,100")]
    pub(crate) at: Vec<u32>,

    /// Tell these addresses by mail
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub(crate) mail: Vec<String>,

    /// Tell the organization's webhooks [default: unless there is --mail]
    #[arg(long)]
    pub(crate) webhook: bool,

    /// Print JSON, with times in Unix seconds
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) org: OrgArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Have events sent to an address, and show once what they are signed with
    Create {
        /// Where to, https://…
        url: String,
        /// Only events of these types, like budget.threshold_reached [default: all]
        #[arg(long, value_name = "TYPE", value_delimiter = ',')]
        events: Vec<String>,
        /// Print JSON: {"id", "secret"}
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// List webhooks, without their secrets
    List {
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// Send nothing there any more
    Delete {
        /// Its id
        id: String,
        #[command(flatten)]
        org: OrgArgs,
    },
    /// List what was sent or is to be, by webhook and by mail, in the last 30 days
    Deliveries {
        /// Only what was given up
        #[arg(long)]
        failed: bool,
        /// Print JSON, with times in Unix seconds
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        org: OrgArgs,
    },
}
