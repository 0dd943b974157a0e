//! Results on standard output.
//!
//! Invariant: a reader that has had enough (`agentbase model list | head`) ends the command
//! quietly, as it ends other tools.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes `text` and hands it on at once.
///
/// # Errors
/// If standard output fails for another reason than that nobody reads it any more.
pub(crate) fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.context("cannot write to standard output"),
    }
}

/// [`write`] a formatted line.
macro_rules! outln {
    ($($arg:tt)*) => {
        $crate::output::write(&format!("{}\n", format_args!($($arg)*)))
    };
}
