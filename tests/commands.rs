//! What commands on accounts and prices say: of names that are nobody's, of times, and of models
//! that are not there. The real binary, without a server.

mod support;

use support::binary::{fail, succeed};
use tempfile::TempDir;

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

#[test]
fn ids_can_stand_in_paths_and_names_on_a_line() {
    let dir = folder();
    for kind in ["org", "project"] {
        for id in ["..", "a/b", "", "a b", "a\nb", "-a"] {
            let error = fail(dir.path(), &[kind, "create", "Name", &format!("--id={id}")]);
            assert!(error.contains("letters, digits, `-`, `_` or `.`"), "{kind} {id:?}: {error}");
        }
        let error = fail(dir.path(), &[kind, "create", "red \u{1b}[31m", "--id", "fine"]);
        assert!(error.contains("control characters"), "{error}");
        succeed(dir.path(), &[kind, "create", "Träume & Räume", "--id", "fine-1.b"]);
    }
    let error = fail(dir.path(), &["key", "create", "--name", "a\tb"]);
    assert!(error.contains("control characters"), "{error}");
    let error = fail(dir.path(), &["project", "archive", "default"]);
    assert!(error.contains("the project 'default' stays"), "{error}");
}
