//! The arguments of how people get in.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;

/// How people get in.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LoginArgs {
    /// Who may make an account over HTTP [default: invited]
    #[arg(long, value_name = "WHO", env = "AGENTBASE_SIGN_UP")]
    pub(crate) sign_up: Option<SignUpBy>,

    /// Other providers that people may log in with: a file of JSON, an array of {"id", "kind"
    /// ("google", "github", "openid"), "url", "client_id", "client_secret"}
    #[arg(long, value_name = "FILE", env = "AGENTBASE_LOGIN_PROVIDERS")]
    pub(crate) login_providers: Option<PathBuf>,
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SignUpBy {
    /// Anybody, who gets an organization of their own
    Open,
    /// Who was invited to an organization
    Invited,
    /// Nobody
    Off,
}

impl LoginArgs {
    /// What is left open is as `other` says.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            sign_up: self.sign_up.or(other.sign_up),
            login_providers: self.login_providers.or(other.login_providers),
        }
    }
}
