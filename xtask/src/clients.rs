//! `cargo xtask clients`: the official OpenAI packages for Python and Node against the real binary
//! and the real model.
//!
//! Invariant: the packages' versions are pinned in `tests/clients/`, and every run has a data
//! folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::node::{self, Node};
use crate::server::{self, Launch};
use crate::tally::{Tally, run_counted};
use crate::{repo, shell, tools, weights};

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

/// What the tests are told by their environment.
struct Target {
    base_url: String,
    key: String,
    model: String,
    /// The key's AWS pair; a server that runs elsewhere is signed for as the environment says.
    aws: Vec<(String, String)>,
}

pub(crate) fn run(args: &Args) -> Result<Tally> {
    let tests = repo::root().join("tests/clients");
    let requirements = tests.join("python/requirements.txt");
    let python = tools::installed("Installing OpenAI's Python client", &requirements)?;
    let node = node::obtain(&tests.join("node/requirements.txt"))?;
    prepare_node(&node, &tests.join("node"))?;
    let run_both = |target: &Target| run_both(&python, &node, target);
    let model = args.model.clone().unwrap_or_else(|| weights::MODEL_NAME.to_owned());
    if let Some(url) = &args.url {
        let key = std::env::var("OPENAI_API_KEY").unwrap_or_else(|_| "none".to_owned());
        return run_both(&Target { base_url: url.clone(), key, model, aws: Vec::new() });
    }
    let profile = if args.release { "release" } else { "dev" };
    let binary = args.binary.clone().map_or_else(|| server::build(profile), Ok)?;
    let folder = server::fresh_data_dir()?;
    let data_dir = folder.path().to_owned();
    server::import_model(&binary, &data_dir)?;
    let listen = "127.0.0.1:0".to_owned();
    let mut server = Launch {
        binary: binary.clone(),
        data_dir: data_dir.clone(),
        listen,
        extra: Vec::new(),
        show_log: false,
    }
    .start()?;
    let key = server.first_key.clone().context("the first start showed no key")?;
    let aws = aws_pair(&binary, &data_dir, &key)?;
    let tally = run_both(&Target { base_url: server.base_url.clone(), key, model, aws });
    let status = server.stop()?;
    if !status.success() {
        bail!("the server ended with {status} when asked to stop");
    }
    tally
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

fn run_both(python: &Path, node: &Node, target: &Target) -> Result<Tally> {
    let tests = repo::root().join("tests/clients");
    let mut unittest = Command::new(python);
    unittest.args(["-m", "unittest", "discover", "-v", "-p", "test_*.py"]);
    let mut tally = run_counted(with(target, unittest.current_dir(tests.join("python"))))?;
    let mut node = node.node();
    node.args(["--test", "--test-reporter=tap", "--test-concurrency=1"]);
    tally.add(run_counted(with(target, node.current_dir(tests.join("node"))))?);
    if tally.passed == 0 {
        bail!("no test of the official clients ran");
    }
    Ok(tally)
}

fn with<'a>(target: &Target, command: &'a mut Command) -> &'a mut Command {
    command
        .env("OPENAI_BASE_URL", format!("{}/v1", target.base_url))
        .env("OPENAI_API_KEY", &target.key)
        .env("AGENTBASE_TEST_MODEL", &target.model)
        .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &target.base_url)
        .envs(target.aws.iter().map(|(name, value)| (name, value)))
}

/// Installs what `package-lock.json` pins, once.
fn prepare_node(node: &Node, tests: &Path) -> Result<()> {
    let wanted = std::fs::read_to_string(tests.join("package-lock.json"))?;
    let stamp = tests.join("node_modules/.lock-installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = node.npm();
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(tests);
    shell::run_quiet("Installing OpenAI's Node client", &mut npm)?;
    std::fs::write(&stamp, wanted)?;
    Ok(())
}
