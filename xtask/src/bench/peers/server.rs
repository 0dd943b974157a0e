//! A server of any contender, started for one measurement.
//!
//! Invariant: it is gone when the value is dropped, or when it has taken too long.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use loadtests::Endpoint;
use rustix::process::Signal;

use crate::{server, shell, weights};

const START_LIMIT: Duration = Duration::from_secs(120);
/// What is not measured by then is not worth waiting for: all requests fail.
const RUN_LIMIT: Duration = Duration::from_secs(180);
/// How often a starting server is asked; short, since the time to its first answer is told.
const POLL: Duration = Duration::from_millis(2);

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A running server.
pub(crate) struct Served {
    child: Child,
    base_url: String,
    started: Instant,
    log: PathBuf,
    /// Its end tells the watchdog that the server has ended.
    _running: Sender<()>,
}

impl Served {
    /// Starts `command`, which will listen on `port`.
    pub(crate) fn spawn(command: &mut Command, port: u16) -> Result<Self> {
        std::fs::create_dir_all(super::folder())?;
        let log = super::folder().join("server.log");
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start `{}`", shell::describe(command)))?;
        let base_url = format!("http://127.0.0.1:{port}");
        let _running = watch(child.id());
        Ok(Self { child, base_url, started, log, _running })
    }

    /// Waits until `answers` succeeds; from the start of the process to its success.
    pub(crate) fn await_first(
        &mut self,
        answers: impl Fn(&Endpoint) -> Result<()>,
    ) -> Result<Duration> {
        let endpoint = self.endpoint();
        loop {
            match answers(&endpoint) {
                Ok(()) => return Ok(self.started.elapsed()),
                Err(error) if self.started.elapsed() > START_LIMIT => {
                    return Err(error.context(format!("no answer in {START_LIMIT:?}")));
                }
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}; its output is in {}", self.log.display());
            }
            std::thread::sleep(POLL);
        }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.base_url, weights::MODEL_NAME, None)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// Ends a process that runs longer than [`RUN_LIMIT`].
fn watch(pid: u32) -> Sender<()> {
    let (running, ended) = channel();
    std::thread::spawn(move || {
        if ended.recv_timeout(RUN_LIMIT) == Err(RecvTimeoutError::Timeout) {
            server::signal(pid, Signal::KILL);
        }
    });
    running
}

impl Drop for Served {
    fn drop(&mut self) {
        // It holds nothing worth draining; nobody is left to hear an error.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
