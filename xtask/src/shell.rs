//! Running other programs, and showing that something goes on while we wait.
//!
//! Invariant: a failing program's name, arguments and last output are in the error.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// A spinner with `message`; on something that is no terminal it prints the message once.
pub(crate) fn spinner(message: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if bar.is_hidden() {
        eprintln!("{message} …");
    }
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message(message.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Runs a program whose output the reader wants to see.
pub(crate) fn run_shown(command: &mut Command) -> Result<()> {
    let line = describe(command);
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs a program behind a spinner; its output is told only if it fails.
pub(crate) fn run_quiet(message: &str, command: &mut Command) -> Result<String> {
    let line = describe(command);
    let spinner = spinner(message);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    spinner.finish_and_clear();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({}):\n{}", output.status, tail(&format!("{stdout}{stderr}"), 40));
    }
    Ok(stdout)
}

/// Whether a program starts and succeeds; all its output is dropped.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The command line, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    command.get_args().fold(program, |line, arg| format!("{line} {}", arg.to_string_lossy()))
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, num_lines: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(num_lines)..].join("\n")
}

/// Waits until `done` says yes, at most `limit`.
pub(crate) fn wait_until(
    what: &str,
    limit: Duration,
    mut done: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let started = Instant::now();
    while !done()? {
        if started.elapsed() > limit {
            bail!("{what} took longer than {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{run_quiet, tail};

    #[test]
    fn a_failure_tells_command_and_output() {
        let error = run_quiet("fails", Command::new("sh").args(["-c", "echo seen; exit 3"]));
        let text = error.unwrap_err().to_string();
        assert!(text.contains("sh -c") && text.contains("seen") && text.contains('3'), "{text}");
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
    }
}
