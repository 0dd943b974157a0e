//! One running `agentbase serve`, started for a habit and stopped with it.
//!
//! Invariant: when the value is dropped the server is gone.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use loadtests::Endpoint;
use rustix::process::{Pid, Signal, kill_process};

use crate::{repo, shell, weights};

/// Loading 135M parameters takes a second; a debug build on a busy machine much more.
const START_LIMIT: Duration = Duration::from_secs(180);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How to start it.
pub(crate) struct Launch {
    pub(crate) binary: PathBuf,
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: String,
    pub(crate) extra: Vec<String>,
    /// Show the server's log instead of writing it to `.agentbase/server.log`.
    pub(crate) show_log: bool,
}

/// A server that answers `/ready`.
pub(crate) struct Server {
    child: Child,
    pub(crate) base_url: String,
    /// The key, if this was the data folder's first start.
    pub(crate) first_key: Option<String>,
}

impl Launch {
    /// Starts it and waits until the model is loaded.
    pub(crate) fn start(&self) -> Result<Server> {
        let mut command = Command::new(&self.binary);
        command.arg("--data-dir").arg(&self.data_dir);
        command.args(["serve", "--listen", &self.listen, "--model", weights::MODEL_NAME]);
        // As at OpenAI, whose clients this is for: a project of its own would have to say so.
        command.args(["--store-prompts", "when-asked"]);
        // Another program's, if it is set: what a habit does stays in its folder.
        command.args(&self.extra).env_remove("DATABASE_URL");
        own_process_group(&mut command);
        if !self.show_log {
            command.stderr(std::fs::File::create(log_path())?);
        }
        let line = shell::describe(&command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let lines = read_lines(&mut child)?;
        let mut server = Server { child, base_url: String::new(), first_key: None };
        server.await_ready(&lines).with_context(|| {
            let log = log_path();
            let hint = if self.show_log { "above".into() } else { log.to_string_lossy() };
            format!("`{line}` did not get ready; its log is {hint}")
        })?;
        // What it prints from now on is shown, so that its pipe never fills.
        std::thread::spawn(move || lines.iter().for_each(|line| println!("{line}")));
        Ok(server)
    }
}

fn log_path() -> PathBuf {
    repo::scratch().join("server.log")
}

/// A signal from the terminal goes to us alone, and we tell the server once.
fn own_process_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
}

fn read_lines(child: &mut Child) -> Result<Receiver<String>> {
    let stdout = child.stdout.take().context("the server has no standard output")?;
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(lines)
}

impl Server {
    fn await_ready(&mut self, lines: &Receiver<String>) -> Result<()> {
        shell::wait_until("starting", START_LIMIT, || {
            while let Ok(line) = lines.try_recv() {
                self.first_key = self.first_key.take().or_else(|| key_in(&line));
                if let Some((_, url)) = line.split_once("listening on ") {
                    let url = url.split_whitespace().next().unwrap_or_default();
                    self.base_url = url.trim_end_matches('/').to_owned();
                }
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            let ready = || self.endpoint(None).status("/ready").is_ok_and(|status| status == 200);
            Ok(!self.base_url.is_empty() && ready())
        })
    }

    /// How clients reach it.
    pub(crate) fn endpoint(&self, key: Option<String>) -> Endpoint {
        Endpoint::new(&self.base_url, weights::MODEL_NAME, key)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Asks it to drain and end; insists if it does not.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        signal(self.pid(), Signal::TERM);
        let child = &mut self.child;
        let ended = shell::wait_until("stopping the server", STOP_LIMIT, || {
            Ok(child.try_wait()?.is_some())
        });
        if ended.is_err() {
            self.child.kill()?;
        }
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Nobody is left to hear an error.
            self.stop().ok();
        }
    }
}

/// Sends a signal; a process that is gone already needs none.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        kill_process(pid, signal).ok();
    }
}

/// The key in the line that tells it once.
fn key_in(line: &str) -> Option<String> {
    let is_key_char = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut words = line.split(|c| !is_key_char(c));
    words.find(|word| word.starts_with("ab-") && word.len() >= 20).map(str::to_owned)
}

/// Imports the default model where the data folder lacks it.
pub(crate) fn import_model(binary: &Path, data_dir: &Path) -> Result<()> {
    import(binary, data_dir, (weights::MODEL_NAME, weights::obtain))
}

/// The same of the encoder that tests ask.
pub(crate) fn import_embedder(binary: &Path, data_dir: &Path) -> Result<()> {
    import(binary, data_dir, (weights::EMBEDDER_NAME, weights::obtain_minilm))
}

/// And of the tiny classifier.
pub(crate) fn import_classifier(binary: &Path, data_dir: &Path) -> Result<()> {
    import(binary, data_dir, (weights::CLASSIFIER_NAME, || Ok(weights::tiny_classifier())))
}

fn import(
    binary: &Path,
    data_dir: &Path,
    (name, obtain): (&str, fn() -> Result<PathBuf>),
) -> Result<()> {
    std::fs::create_dir_all(data_dir)?;
    let model = |args: &[&str]| {
        let mut command = Command::new(binary);
        command.arg("--data-dir").arg(data_dir).arg("model").args(args);
        command
    };
    let mut show = model(&["show", name]);
    if show.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let from = obtain()?;
    let mut import = model(&["import", &from.to_string_lossy(), "--name", name]);
    shell::run_quiet(&format!("Importing {name}"), &mut import)?;
    Ok(())
}

/// A data folder for one run: its first start shows a key, and it goes with the value.
pub(crate) fn fresh_data_dir() -> Result<tempfile::TempDir> {
    std::fs::create_dir_all(repo::scratch())?;
    Ok(tempfile::Builder::new().prefix("run-").tempdir_in(repo::scratch())?)
}

/// Builds the binary; cargo shows its own progress.
pub(crate) fn build(profile: &str) -> Result<PathBuf> {
    let mut command = repo::cargo_command();
    command.args(["build", "--locked", "-p", "agentbase", "--profile", profile]);
    shell::run_shown(&mut command)?;
    binary_in(if profile == "dev" { "debug" } else { profile })
}

/// The binary as the tests of the workspace have built it. Built alone it would have other
/// features of its dependencies, and so build most of them a second time.
pub(crate) fn build_as_tests_do() -> Result<PathBuf> {
    let mut command = repo::cargo_command();
    command.args(["test", "--workspace", "--locked", "--no-run", "--quiet"]);
    shell::run_shown(&mut command)?;
    binary_in("debug")
}

fn binary_in(folder: &str) -> Result<PathBuf> {
    let name = format!("agentbase{}", std::env::consts::EXE_SUFFIX);
    Ok(repo::metadata()?.target_directory.join(folder).join(name))
}

#[cfg(test)]
mod tests {
    use super::key_in;

    #[test]
    fn the_key_is_found_in_its_line() {
        let key = "ab-0123456789abcdefABCDEF_-xyz";
        assert_eq!(key_in(&format!("key: {key} (shown once)")).as_deref(), Some(key));
        assert_eq!(key_in(&format!("key=\"{key}\".")).as_deref(), Some(key));
        assert_eq!(key_in("ab-short, or an ab- alone"), None);
    }
}
