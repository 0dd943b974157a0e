//! One folder of `tests/clients/`: what it needs, where that is installed, and how its tests run.
//!
//! Invariant: versions and hashes are pinned in the folder; every folder but the quick ones has an
//! environment of its own, so that clients' pins never meet. Nothing that a test starts reaches
//! another address than the server's, and no test runs for ever.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::node::{self, Node};
use crate::tally::{Tally, run_counted};
use crate::{repo, shell, tools};

/// What `cargo xtask clients` runs, and `cargo xtask test` with it.
pub(crate) const QUICK: [&str; 2] = ["python", "node"];

/// Suites that are given a classifier too. The others see one encoder, which need not be named.
pub(crate) const ASK_CLASSIFIERS: [&str; 1] = ["schemathesis"];

/// A suite that runs longer hangs: it is ended, and fails.
const LIMIT_S: u32 = 1200;

/// What clients would fetch or report elsewhere by default.
const STAY_HERE: &[(&str, &str)] = &[
    ("DO_NOT_TRACK", "1"),
    ("HF_DATASETS_OFFLINE", "1"),
    ("HF_HUB_OFFLINE", "1"),
    ("LANGSMITH_TRACING", "false"),
    ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
    ("NODE_USE_ENV_PROXY", "1"),
    ("OPENAI_AGENTS_DISABLE_TRACING", "1"),
];

/// What the tests are told by their environment.
pub(crate) struct Target {
    pub(crate) base_url: String,
    pub(crate) key: String,
    pub(crate) model: String,
    pub(crate) embedder: String,
    pub(crate) classifier: Option<String>,
    /// The key's AWS pair; a server that runs elsewhere is signed for as the environment says.
    pub(crate) aws: Vec<(String, String)>,
}

/// A folder whose environment is ready.
pub(crate) struct Suite {
    folder: PathBuf,
    runner: Runner,
}

enum Runner {
    Python(PathBuf),
    Node(Node),
}

fn root() -> PathBuf {
    repo::root().join("tests/clients")
}

/// The names of all suites; the quick ones come first.
pub(crate) fn all() -> Result<Vec<String>> {
    let mut others = Vec::new();
    for entry in std::fs::read_dir(root())? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let name = name.to_string_lossy().into_owned();
        let is_suite = ["requirements.txt", "package-lock.json"].iter();
        if is_suite.clone().any(|file| path.join(file).exists()) && !QUICK.contains(&&*name) {
            others.push(name);
        }
    }
    others.sort();
    Ok(QUICK.map(str::to_owned).into_iter().chain(others).collect())
}

/// Installs what the folder pins, once.
pub(crate) fn prepare(name: &str) -> Result<Suite> {
    let folder = root().join(name);
    ensure!(folder.is_dir(), "there is no suite {name}; there are {}", all()?.join(", "));
    if folder.join("package-lock.json").exists() {
        let node = node::obtain(&root().join("node/requirements.txt"))?;
        install_node(&node, &folder, name)?;
        return Ok(Suite { folder, runner: Runner::Node(node) });
    }
    let environment = match QUICK.contains(&name) {
        true => repo::scratch().join("venv"),
        false => repo::scratch().join("conformance").join(name),
    };
    let message = format!("Installing what tests/clients/{name} pins");
    let python = tools::installed_in(&environment, &message, &folder.join("requirements.txt"))?;
    Ok(Suite { folder, runner: Runner::Python(python) })
}

/// Installs what `package-lock.json` pins.
fn install_node(node: &Node, folder: &Path, name: &str) -> Result<()> {
    let wanted = std::fs::read_to_string(folder.join("package-lock.json"))?;
    let stamp = folder.join("node_modules/.lock-installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = node.npm();
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder);
    shell::run_quiet(&format!("Installing what tests/clients/{name} pins"), &mut npm)?;
    std::fs::write(&stamp, wanted)?;
    Ok(())
}

impl Suite {
    /// Runs its tests, which may write what they prove into the docs; none at all is a failure.
    pub(crate) fn run(&self, target: &Target, update_docs: bool) -> Result<Tally> {
        let mut command = match &self.runner {
            Runner::Python(python) => unittest(python),
            Runner::Node(node) => {
                let mut command = node.node();
                command.args(["--test", "--test-reporter=tap", "--test-concurrency=1"]);
                command.arg(format!("--test-timeout={}", LIMIT_S * 1000));
                command
            }
        };
        command.current_dir(&self.folder).envs(STAY_HERE.iter().copied());
        if update_docs {
            command.env("AGENTBASE_UPDATE_DOCS", "1");
        }
        let tally = run_counted(point_at(target, &mut command))?;
        if tally.passed + tally.failed == 0 {
            bail!("no test in {} ran", self.folder.display());
        }
        Ok(tally)
    }
}

/// unittest's own command line, under a watchdog.
fn unittest(python: &Path) -> Command {
    let program = format!(
        "import faulthandler, unittest\n\
         faulthandler.dump_traceback_later({LIMIT_S}, exit=True)\n\
         unittest.main(module=None, argv=['unittest', 'discover', '-v', '-p', 'test_*.py'])"
    );
    let mut command = Command::new(python);
    command.args(["-c", &program]);
    command
}

/// Tells the server's address, and keeps every other one out of reach: nothing listens on the
/// port of the proxy, so what a client would fetch elsewhere fails at once.
fn point_at<'a>(target: &Target, command: &'a mut Command) -> &'a mut Command {
    let rest = target.base_url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"] {
        command.env(name, "http://127.0.0.1:9");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        command.env(name, format!("{host},127.0.0.1,localhost"));
    }
    command
        .env("OPENAI_BASE_URL", format!("{}/v1", target.base_url))
        .env("OPENAI_API_KEY", &target.key)
        .env("AGENTBASE_TEST_MODEL", &target.model)
        .env("AGENTBASE_TEST_EMBEDDER", &target.embedder)
        .envs(target.classifier.iter().map(|name| ("AGENTBASE_TEST_CLASSIFIER", name)))
        .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &target.base_url)
        .envs(target.aws.iter().map(|(name, value)| (name, value)))
}
