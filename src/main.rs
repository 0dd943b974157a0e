//! The binary: reads the command line and puts the crates together.
//!
//! Invariant: nothing below knows of the command line, and nothing here computes.

#[macro_use]
mod output;

mod accounts;
mod adapters;
mod cli;
mod commands;
mod config;
mod data_dir;
mod guard;
mod http_options;
mod keys;
mod load;
mod moderation;
mod progress;
mod size;
mod table;
mod when;

use std::io::IsTerminal;

use clap::Parser;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// What one thread makes another one drops, all the time: glibc's has them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let cli = cli::Cli::parse();
    start_logging(cli.log_json);
    tell_panics_by_place();
    match commands::run(cli) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}

/// The words of a panic may quote a prompt (slices do); where it happened says enough.
fn tell_panics_by_place() {
    std::panic::set_hook(Box::new(|info| {
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, "internal error: a panic; please report it");
    }));
}

/// A line for the person at the terminal; results go to standard output, this does not.
#[allow(clippy::print_stderr, reason = "this is the one place that talks to the terminal")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// Logs go to the error stream, filtered by `AGENTBASE_LOG` (default: `info`).
fn start_logging(json: bool) {
    let filter = EnvFilter::try_from_env("AGENTBASE_LOG").unwrap_or_else(|_| "info".into());
    let ansi = std::io::stderr().is_terminal();
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(ansi);
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        registry.with(layer.json()).init();
    } else {
        registry.with(layer.with_target(false)).init();
    }
}
