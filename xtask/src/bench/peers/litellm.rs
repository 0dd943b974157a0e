//! LiteLLM's proxy in a Python environment of its own, before a server of ours.
//!
//! Invariant: it is set up as its documentation has it for production, without a database: keys
//! are its master key, and nothing is written of what is used.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process_group};

use super::server::{Served, free_port};

const PACKAGES: [&str; 2] = [
    // Releases of this project have been tampered with twice, so never just the newest, and nothing
    // of it is built here.
    "litellm[proxy]==1.106.12",
    "--only-binary=:all:",
];
/// As many processes as cores, which its documentation says is fastest.
const NUM_WORKERS: &str = "2";
/// It lets this one in.
pub(crate) const MASTER_KEY: &str = "sk-0123456789abcdef";

/// The folder of its programs, made when it is missing.
pub(crate) fn obtain() -> Result<PathBuf> {
    let uses = "import litellm, fastapi, uvicorn, litellm_proxy_extras";
    let python = super::environment("litellm", "LiteLLM's proxy", uses, &PACKAGES)?;
    Ok(python.parent().unwrap_or(&python).to_owned())
}

/// A running one.
pub(crate) struct Proxy(Served);

impl Proxy {
    pub(crate) fn served(&mut self) -> &mut Served {
        &mut self.0
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    pub(crate) fn base_url(&self) -> String {
        self.0.endpoint().base_url
    }
}

impl Drop for Proxy {
    /// Its workers would outlive it.
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.0.pid()).ok().and_then(Pid::from_raw) {
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

/// Starts it before the server at `base_url`, which lets `key` in and has a model `mock`.
pub(crate) fn start(bin: &Path, base_url: &str, key: &str) -> Result<Proxy> {
    let config = super::folder().join("litellm.yaml");
    std::fs::write(&config, configuration(base_url, key))?;
    let port = free_port()?;
    let mut command = Command::new(bin.join("litellm"));
    command.arg("--config").arg(&config).args(["--host", "127.0.0.1", "--port"]);
    command.arg(port.to_string()).args(["--num_workers", NUM_WORKERS, "--telemetry", "False"]);
    command.env("LITELLM_LOG", "ERROR").env("LITELLM_MODE", "PRODUCTION");
    // Prices come with the package.
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    Ok(Proxy(Served::spawn(&mut command, port)?))
}

fn configuration(base_url: &str, key: &str) -> String {
    format!(
        "model_list:
  - model_name: mock
    litellm_params:
      model: openai/mock
      api_base: {base_url}/v1
      api_key: {key}
general_settings:
  master_key: {MASTER_KEY}
litellm_settings:
  request_timeout: 600
  num_retries: 0
  set_verbose: false
  callbacks: []
"
    )
}
