//! `agentbase key`: API keys in other forms. Works without a server.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cli::KeyCommand;
use crate::keys::Keys;

/// Longer input is no key.
const MAX_INPUT_BYTES: u64 = 4096;

/// Runs the chosen subcommand.
///
/// # Errors
/// If the key is not known in this data directory.
pub(super) fn run(command: KeyCommand, data_dir: &Path) -> Result<()> {
    let KeyCommand::Aws { key } = command;
    let key = key.map_or_else(from_stdin, Ok)?;
    outln!("{}", Keys::aws_pair(data_dir, key.trim())?)
}

fn from_stdin() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_INPUT_BYTES).read_to_string(&mut text);
    read.context("cannot read a key from standard input")?;
    Ok(text)
}
