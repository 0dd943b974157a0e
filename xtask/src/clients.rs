//! `cargo xtask clients`: OpenAI's and Anthropic's own packages for Python and Node against the
//! real binary and the real model. The other clients are in [`conformance`](crate::conformance).
//!
//! Invariant: every run has a server and a data folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

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
    /// An embedder that it serves too
    #[arg(long)]
    embedder: Option<String>,
    /// A classifier that it serves too, and judges texts by, if it does
    #[arg(long, requires = "url")]
    classifier: Option<String>,
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
    with_server(args, Models::default(), |target| {
        let mut all = Tally::default();
        for suite in &suites {
            all.add(suite.run(target, false)?);
        }
        Ok(all)
    })
}

/// What a server serves beside a model that generates and an embedder.
#[derive(Clone, Copy, Default)]
pub(crate) struct Models {
    /// A tiny classifier of random weights, which judges texts, too.
    pub(crate) classifier: bool,
}

/// Runs tests against the server that the arguments name, or one that is started for them.
pub(crate) fn with_server<T>(
    args: &Args,
    models: Models,
    tests: impl FnOnce(&Target) -> Result<T>,
) -> Result<T> {
    let model = args.model.clone().unwrap_or_else(|| weights::MODEL_NAME.to_owned());
    let embedder = args.embedder.clone().unwrap_or_else(|| weights::EMBEDDER_NAME.to_owned());
    if let Some(url) = &args.url {
        let key = std::env::var("OPENAI_API_KEY").unwrap_or_else(|_| "none".to_owned());
        let base_url = url.trim_end_matches('/').to_owned();
        let classifier = args.classifier.clone();
        return tests(&Target { base_url, key, model, embedder, classifier, aws: Vec::new() });
    }
    let profile = if args.release { "release" } else { "dev" };
    let binary = args.binary.clone().map_or_else(|| server::build(profile), Ok)?;
    let folder = server::fresh_data_dir()?;
    let data_dir = folder.path().to_owned();
    server::import_model(&binary, &data_dir)?;
    server::import_embedder(&binary, &data_dir)?;
    let listen = "127.0.0.1:0".to_owned();
    let mut extra = vec!["--model", weights::EMBEDDER_NAME];
    let classifier = models.classifier.then(|| weights::CLASSIFIER_NAME.to_owned());
    if let Some(name) = &classifier {
        server::import_classifier(&binary, &data_dir)?;
        extra.extend(["--model", name, "--moderation-model", name]);
    }
    let extra = extra.into_iter().map(str::to_owned).collect();
    let show_log = false;
    let launch =
        Launch { binary: binary.clone(), data_dir: data_dir.clone(), listen, extra, show_log };
    let mut server = launch.start()?;
    let key = server.first_key.clone().context("the first start showed no key")?;
    let aws = aws_pair(&binary, &data_dir, &key)?;
    let base_url = server.base_url.clone();
    let told = tests(&Target { base_url, key, model, embedder, classifier, aws });
    let status = server.stop()?;
    if !status.success() {
        bail!("the server ended with {status} when asked to stop");
    }
    told
}

/// The variables that AWS's clients take a key from.
fn aws_pair(binary: &Path, data_dir: &Path, key: &str) -> Result<Vec<(String, String)>> {
    let mut command = Command::new(binary);
    command.arg("--data-dir").arg(data_dir).args(["key", "aws"]).env("AGENTBASE_API_KEY", key);
    let output = command.output().context("cannot run `agentbase key aws`")?;
    let lines = String::from_utf8(output.stdout)?;
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_uppercase(), value.to_owned())).collect())
}
