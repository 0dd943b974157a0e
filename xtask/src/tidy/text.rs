//! What can be seen without parsing: file sizes, line lengths, module docs, unsafe loading.
//!
//! Invariant: a line is measured in characters, not bytes.

use super::Finding;

const MAX_LINES: usize = 300;
const MAX_COLUMNS: usize = 100;

/// Size, columns, and the module's `//!`.
pub(crate) fn check_rust(name: &str, source: &str) -> Vec<Finding> {
    let mut findings = size(name, source);
    let first = source.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    if !first.starts_with("//!") {
        let missing = "has no `//!` at its top: say what it is for and its invariant";
        findings.push(Finding::Wrong(format!("{name} {missing}")));
    }
    for (line_idx, line) in source.lines().enumerate() {
        let columns = line.chars().count();
        if columns > MAX_COLUMNS {
            let place = format!("{name}:{}", line_idx + 1);
            findings
                .push(Finding::Wrong(format!("{place}: {columns} columns, at most {MAX_COLUMNS}")));
        }
    }
    findings
}

/// Size, and no loading of what runs code when it is loaded.
pub(crate) fn check_python(name: &str, source: &str) -> Vec<Finding> {
    let mut findings = size(name, source);
    for (line_idx, line) in source.lines().enumerate() {
        let code = line.split('#').next().unwrap_or("");
        let loads = ["import pickle", "pickle.load", "torch.load(", "joblib.load("];
        if loads.iter().any(|call| code.contains(call)) {
            let place = format!("{name}:{}", line_idx + 1);
            findings
                .push(Finding::Wrong(format!("{place}: pickles run code when they are loaded")));
        }
    }
    findings
}

fn size(name: &str, source: &str) -> Vec<Finding> {
    let size = source.lines().count();
    let too_large = size > MAX_LINES;
    let finding = Finding::TooLarge { key: name.to_owned(), what: "lines", size, limit: MAX_LINES };
    too_large.then_some(finding).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{Finding, check_python, check_rust};

    #[test]
    fn a_good_file_passes() {
        assert_eq!(check_rust("a.rs", "//! What for.\n\nfn main() {}\n"), []);
        assert_eq!(check_python("a.py", "import json  # not pickle.load\n"), []);
    }

    #[test]
    fn missing_docs_long_lines_and_long_files_are_found() {
        let bad = format!("fn f() {{}}\n// {}\n", "ä".repeat(98));
        let findings = check_rust("a.rs", &bad);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(matches!(&findings[1], Finding::Wrong(text) if text.starts_with("a.rs:2: 101")));
        let long = format!("//! x\n{}", "\n".repeat(300));
        assert!(matches!(check_rust("b.rs", &long)[..], [Finding::TooLarge { size: 301, .. }]));
    }

    #[test]
    fn loading_pickles_is_found() {
        assert_eq!(check_python("a.py", "x = torch.load(path)\n").len(), 1);
    }
}
