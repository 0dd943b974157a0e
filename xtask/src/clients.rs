//! `cargo xtask clients`: OpenAI's and Anthropic's own packages for Python and Node against the
//! real binary and the real model. The other clients are in [`conformance`](crate::conformance).
//!
//! Invariant: every run has a server and a data folder of its own.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::server::{self, Launch};
use crate::suite::{self, Target};
use crate::tally::Tally;
use crate::weights;

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Test the release build instead of the debug build
    #[arg(long)]
    release: bool,
    /// Test this binary instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Test a server that runs already: its base URL without /v1 (the key in OPENAI_API_KEY)
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Its model
    #[arg(long)]
    model: Option<String>,
}

impl Args {
    /// Test this binary.
    pub(crate) fn of(binary: PathBuf) -> Self {
        Self { binary: Some(binary), ..Self::default() }
    }
}

pub(crate) fn run(args: &Args) -> Result<Tally> {
    let suites = suite::QUICK.iter().map(|name| suite::prepare(name));
    let suites = suites.collect::<Result<Vec<_>>>()?;
    with_server(args, |target| {
        let mut all = Tally::default();
        for suite in &suites {
            all.add(suite.run(target, false)?);
        }
        Ok(all)
    })
}

/// Runs tests against the server that the arguments name, or one that is started for them.
pub(crate) fn with_server<T>(args: &Args, tests: impl FnOnce(&Target) -> Result<T>) -> Result<T> {
    let model = args.model.clone().unwrap_or_else(|| weights::MODEL_NAME.to_owned());
    if let Some(url) = &args.url {
        let key = std::env::var("OPENAI_API_KEY").unwrap_or_else(|_| "none".to_owned());
        return tests(&Target { base_url: url.trim_end_matches('/').to_owned(), key, model });
    }
    let profile = if args.release { "release" } else { "dev" };
    let binary = args.binary.clone().map_or_else(|| server::build(profile), Ok)?;
    let folder = server::fresh_data_dir()?;
    let data_dir = folder.path().to_owned();
    server::import_model(&binary, &data_dir)?;
    let listen = "127.0.0.1:0".to_owned();
    let mut server =
        Launch { binary, data_dir, listen, extra: Vec::new(), show_log: false }.start()?;
    let key = server.first_key.clone().context("the first start showed no key")?;
    let told = tests(&Target { base_url: server.base_url.clone(), key, model });
    let status = server.stop()?;
    if !status.success() {
        bail!("the server ended with {status} when asked to stop");
    }
    told
}
