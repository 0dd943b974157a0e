//! One measurement: a contender, set up one way, does one work in a process of its own.
//!
//! Invariant: the same work is the same tokens in and out for everyone, done once before it counts.

use anyhow::{Context, Result};

use super::setup::Setup;
use super::variant::{Contender, Variant};
use super::work::{Figures, Section, Work};
use super::{llama, openvino, ours};
use crate::shell;

/// Who does what how.
pub(super) struct Measurement<'a> {
    pub(super) setup: &'a Setup,
    pub(super) section: Section,
    pub(super) contender: Contender,
    pub(super) variant: &'a Variant,
    pub(super) work: Work,
}

impl Measurement<'_> {
    /// Does it; figures that this contender has not are left out.
    pub(super) fn run(&self) -> Result<Figures> {
        let figures = match self.contender {
            Contender::Ours => ours::measure(self),
            Contender::LlamaCpp | Contender::IkLlamaCpp => llama::measure(self),
            Contender::OpenVino => openvino::measure(self),
        };
        figures.with_context(|| self.to_string())
    }

    /// The figures, or none when it fails: one that cannot do something does not end the run.
    pub(super) fn run_or_tell(&self) -> Figures {
        match self.run() {
            Ok(figures) => {
                println!("  {figures:?}");
                figures
            }
            Err(error) => {
                println!("  failed: {error:#}");
                Figures::default()
            }
        }
    }

    /// Runs a program to its end and returns what it printed.
    pub(super) fn output(&self, command: &mut std::process::Command) -> Result<String> {
        let output = command.stdin(std::process::Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(
            output.status.success(),
            "`{}` failed ({}):\n{}",
            shell::describe(command),
            output.status,
            complaint(&errors)
        );
        // Some write their tables to one stream, some to the other.
        Ok(text + &errors)
    }
}

/// The check that failed, which a trace of calls may follow; else the last lines.
fn complaint(errors: &str) -> String {
    let check = errors.lines().find(|line| line.contains("GGML_ASSERT"));
    check.map_or_else(|| shell::tail(errors, 5), str::to_owned)
}

impl std::fmt::Display for Measurement<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let label = self.variant.label(self.contender);
        write!(f, "{:?} · {} · {label}", self.work, self.contender.name())
    }
}
