//! What commands on accounts and prices say: of names that are nobody's, of times, and of models
//! that are not there. The real binary, without a server.

mod support;

use support::binary::{fail, succeed};
use tempfile::TempDir;

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

#[test]
fn an_organization_that_is_not_there_has_no_empty_lists() {
    let dir = folder();
    for command in [
        "alert list",
        "alert create",
        "alert delete alert_x",
        "audit list",
        "audit export",
        "audit verify",
        "commitment list",
        "commitment create 5",
        "commitment end commit_x",
        "key list",
        "key list --admin",
        "key create --name k",
        "key create --name k --admin",
        "key revoke key_x",
        "key rotate key_x",
        "key limit key_x",
        "price list",
        "price set m --input 1",
        "price remove price_x",
        "project list",
        "project create p",
        "project limit p",
        "project privacy p",
        "project archive p",
        "provision list",
        "provision create m",
        "provision end prov_x",
        "usage",
        "usage --by model --json",
        "user list",
        "user create a@example.com",
        "user role a@example.com viewer",
        "user remove a@example.com",
        "webhook list",
        "webhook create https://a.example",
        "webhook delete wh_x",
        "webhook deliveries --failed",
    ] {
        for id in ["nobodys", "", "-"] {
            let args: Vec<&str> = command.split(' ').chain(["--org", id]).collect();
            let error = fail(dir.path(), &args);
            assert!(
                error.contains(&format!("there is no organization '{id}'")),
                "{args:?} {error}"
            );
        }
    }
    for command in ["limit", "suspend", "resume", "billing-email", "archive", "export"] {
        let error = fail(dir.path(), &["org", command, "nobodys"]);
        assert!(error.contains("there is no organization 'nobodys'"), "{command}: {error}");
    }
    let error = fail(dir.path(), &["org", "delete", "nobodys", "--confirm", "nobodys"]);
    assert!(error.contains("there is no organization 'nobodys'"), "{error}");
    // Nobody was made on the way.
    assert!(succeed(dir.path(), &["user", "list"]).contains("no users"));
}

#[test]
fn projects_and_keys_that_are_not_there_are_named() {
    let dir = folder();
    for command in [
        "alert create --project lost",
        "key create --name k --project lost",
        "key list --project lost",
        "project archive lost",
        "project limit lost",
        "project privacy lost",
        "provision create m --project lost",
        "usage --project lost",
    ] {
        let error = fail(dir.path(), &command.split(' ').collect::<Vec<_>>());
        assert!(error.contains("there is no project 'lost'"), "{command}: {error}");
    }
    for command in ["alert create --key lost", "key limit lost", "usage --key lost"] {
        let error = fail(dir.path(), &command.split(' ').collect::<Vec<_>>());
        assert!(error.contains("there is no key 'lost'"), "{command}: {error}");
    }
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
