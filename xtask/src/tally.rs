//! How many tests passed, read from what the test runners print.
//!
//! Invariant: a line is passed on as it came; only runners' closing lines are counted.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::shell;

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: i64,
    pub(crate) failed: i64,
    pub(crate) skipped: i64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// The exit status of a habit agrees with what it counted.
    pub(crate) fn require_success(self) -> Result<()> {
        ensure!(self.failed == 0, "{} failed", self.failed);
        Ok(())
    }
}

/// Runs a test runner, shows what it prints, and counts. A runner that fails without a failed
/// test (it did not build, or ran none) counts as one failure.
pub(crate) fn run_counted(command: &mut Command) -> Result<Tally> {
    let line = shell::describe(command);
    // One pipe for both streams keeps the lines in order.
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
    // The command holds our ends of the pipe, which must close for the reader to end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut tally = Tally::default();
    for text in BufReader::new(reader).split(b'\n') {
        let text = String::from_utf8_lossy(&text?).into_owned();
        println!("{text}");
        tally.add(count(&text));
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
        println!("`{line}` failed ({status})");
    }
    Ok(tally)
}

/// What one line tells: nextest's `Summary […] 3 tests run: 2 passed, 1 failed`, cargo's
/// `test result: ok. 3 passed; 0 failed`, unittest's `Ran 3 tests` with `FAILED (failures=1)`,
/// node's `# pass 3` and `# fail 0`.
fn count(line: &str) -> Tally {
    let line = strip_colour(line);
    let line = line.trim();
    let before = |word: &str| number_before(line, word);
    if line.starts_with("Summary [") {
        let failed = before(" failed") + before(" timed out") + before(" exec failed");
        return Tally { passed: before(" passed"), failed, skipped: before(" skipped") };
    }
    if line.starts_with("test result:") {
        let skipped = before(" ignored");
        return Tally { passed: before(" passed"), failed: before(" failed"), skipped };
    }
    if line.starts_with("Ran ") {
        return Tally { passed: before(" test"), ..Tally::default() };
    }
    let closing = line.strip_prefix("FAILED (").or(line.strip_prefix("OK ("));
    if let Some(what) = closing {
        // unittest told how many ran before it tells what became of those.
        let failed = number_after(what, "failures=") + number_after(what, "errors=");
        let skipped = number_after(what, "skipped=");
        return Tally { passed: -failed - skipped, failed, skipped };
    }
    let after = |start: &str| line.strip_prefix(start).and_then(|n| n.parse::<i64>().ok());
    Tally {
        passed: after("# pass ").or(after("ℹ pass ")).unwrap_or(0),
        failed: after("# fail ").or(after("ℹ fail ")).unwrap_or(0),
        skipped: after("# skipped ").or(after("ℹ skipped ")).unwrap_or(0),
    }
}

fn number_before(line: &str, word: &str) -> i64 {
    let before = line.find(word).map(|end| &line[..end]).unwrap_or_default();
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

fn number_after(text: &str, word: &str) -> i64 {
    let rest = text.split_once(word).map_or("", |(_, rest)| rest);
    rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn strip_colour(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Tally, count, run_counted};

    #[test]
    fn closing_lines_of_all_runners_are_counted() {
        for (line, passed, failed, skipped) in [
            ("     Summary [   1.205s] 12 tests run: 12 passed, 3 skipped", 12, 0, 3),
            ("\u{1b}[32m Summary\u{1b}[0m [ 1s] 5 tests run: 4 passed (1 slow), 1 failed", 4, 1, 0),
            ("Summary [ 9s] 5 tests run: 3 passed, 1 failed, 1 timed out, 0 skipped", 3, 2, 0),
            ("test result: FAILED. 3 passed; 2 failed; 1 ignored", 3, 2, 1),
            ("Ran 7 tests in 2.1s", 7, 0, 0),
            ("FAILED (failures=2, errors=1, skipped=4)", -7, 3, 4),
            ("OK (skipped=2)", -2, 0, 2),
            ("# pass 9", 9, 0, 0),
            ("ℹ fail 2", 0, 2, 0),
            ("# skipped 1", 0, 0, 1),
            ("running 3 tests: 3 passed", 0, 0, 0),
        ] {
            assert_eq!(count(line), Tally { passed, failed, skipped }, "{line}");
        }
    }

    #[test]
    fn a_runner_that_breaks_counts_as_a_failure() {
        let broken = run_counted(Command::new("sh").args(["-c", "echo no; exit 1"])).unwrap();
        assert_eq!(broken, Tally { failed: 1, ..Tally::default() });
        let fine = run_counted(Command::new("sh").args(["-c", "echo 'Ran 2 tests'"])).unwrap();
        assert_eq!(fine, Tally { passed: 2, ..Tally::default() });
    }
}
