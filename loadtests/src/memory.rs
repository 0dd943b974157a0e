//! Resident memory of a process, as Linux tells it.

use anyhow::{Context, Result};

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// Of it, what is not backed by a file (a memory-mapped model is).
    pub anonymous: u64,
    /// The most there ever was.
    pub peak: u64,
}

/// Reads `/proc/PID/status`.
///
/// # Errors
/// When the process is gone or the system is not Linux.
pub fn read_memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse(&status).with_context(|| format!("{path} has no VmRSS, RssAnon or VmHWM"))
}

fn parse(status: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory {
        resident: field("VmRSS:")?,
        anonymous: field("RssAnon:")?,
        peak: field("VmHWM:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Memory, parse, read_memory};

    #[test]
    fn fields_are_in_kilobytes() {
        let status = "Name:\tx\nVmHWM:\t  30 kB\nVmRSS:\t  20 kB\nRssAnon:\t 5 kB\n";
        let memory = Memory { resident: 20 << 10, anonymous: 5 << 10, peak: 30 << 10 };
        assert_eq!(parse(status), Some(memory));
        assert_eq!(parse("Name:\tx\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        let memory = read_memory(std::process::id()).unwrap();
        assert!(memory.resident > 0 && memory.peak >= memory.anonymous);
    }
}
