//! What commands on accounts and prices say: of names that are nobody's, of times, and of models
//! that are not there. The real binary, without a server.

mod support;

use std::path::Path;

use serde_json::Value;
use support::binary::{fail, import, run, succeed, text};
use tempfile::TempDir;

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

fn json(dir: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&succeed(dir, args)).expect("JSON")
}

/// What a command that does what it is asked warns of.
fn warned(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args);
    let warning = text(&output.stderr);
    assert!(output.status.success(), "{args:?}: {warning}");
    warning
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

#[test]
fn times_of_all_lists_are_unix_seconds() {
    let dir = folder();
    // 2099-01-01, by `date -u -d … +%s`, in three forms of one moment.
    let begin = 4_070_908_800_i64;
    succeed(dir.path(), &["price", "set", "m", "--input", "1", "--from", "2099-01-01"]);
    let made = json(dir.path(), &["provision", "create", "m", "--from", "4070908800", "--json"]);
    assert_eq!(made["from"], begin, "{made}");
    let from = "2099-01-01T00:00:00Z";
    json(dir.path(), &["commitment", "create", "5", "--from", from, "--months", "1", "--json"]);
    let listed = |what: &str| json(dir.path(), &[what, "list", "--json"])[0].clone();
    let (price, provision, commitment) =
        (listed("price"), listed("provision"), listed("commitment"));
    assert_eq!((&price["valid_from"], &price["valid_until"]), (&begin.into(), &Value::Null));
    assert_eq!((&provision["from"], &provision["until"]), (&begin.into(), &Value::Null));
    assert_eq!(commitment["from"], begin, "{commitment}");
    assert_eq!(commitment["until"], begin + 31 * 86_400, "{commitment}");
    let log = succeed(dir.path(), &["audit", "export"]);
    let first: Value = serde_json::from_str(log.lines().next().expect("a line")).expect("JSON");
    let (at, millis) = (first["at"].as_i64(), first["at_ms"].as_i64());
    assert_eq!(at, millis.map(|millis| millis / 1000), "{first}");
    for made in [provision, commitment] {
        let since = made["created_at"].as_i64().expect("a time") - at.expect("a time");
        assert!((0..600).contains(&since), "{made} {first}");
    }
}

#[test]
fn times_that_make_no_sense_are_told_why() {
    let dir = folder();
    let set = ["price", "set", "m", "--input", "1"];
    let until = |rest: &[&str]| fail(dir.path(), &[&set, rest].concat());
    let error = until(&["--until", "2020-01-01"]);
    assert!(error.contains("--until, 2020-01-01 00:00, is not later than now (UTC)"), "{error}");
    let error = until(&["--from", "2099-02-01", "--until", "2099-01-01"]);
    assert!(error.contains("is not later than --from, 2099-02-01 00:00"), "{error}");
    succeed(dir.path(), &[&set[..], &["--from", "2099-01-01"]].concat());
    let error = until(&["--from", "2098-01-01"]);
    assert!(error.contains("begins at 2099-01-01 00:00 (UTC): let this one end by"), "{error}");
    for (command, told) in [
        ("usage --since 2099-01-01", "--since, 2099-01-01 00:00, is not earlier than now"),
        (
            "usage --since 2026-02-01 --until 2026-01-01",
            "is not earlier than --until, 2026-01-01 00:00",
        ),
        ("usage --since 24", "`24` is no time; write it like"),
        ("provision create m --until 2020-01-01", "--until, 2020-01-01 00:00, is not later"),
        ("provision create m --from 2020-01-01", "give a time that is to come"),
        ("commitment create 5 --from 2020-01-01", "give a time that is to come"),
        ("key create --name k --expires 2020-01-01", "let --expires be a time to come"),
        ("key create --name k --expires 4070908800000", "Unix milliseconds end with `ms`"),
        ("key create --name k --expires tomorrow", "`tomorrow` is no time; write it like"),
    ] {
        let error = fail(dir.path(), &command.split(' ').collect::<Vec<_>>());
        assert!(error.contains(told), "{command}: {error}");
    }
}

#[test]
fn hours_without_a_price_and_models_that_are_not_there_are_warned_of() {
    let dir = folder();
    import(dir.path(), "llama");
    let create = |model: &str| warned(dir.path(), &["provision", "create", model]);
    let warning = create("lama");
    assert!(warning.contains("an hour of 'lama' has no price"), "{warning}");
    assert!(warning.contains("No model here is called 'lama'. Models here: llama@"), "{warning}");
    let warning = create("llama");
    assert!(warning.contains("an hour of 'llama' has no price"), "{warning}");
    assert!(!warning.contains("No model here"), "{warning}");
    let price = ["price", "set", "llama", "--tier", "provisioned", "--provisioned-hour", "4.50"];
    assert_eq!(warned(dir.path(), &price), "");
    assert_eq!(create("llama"), "");
    assert_eq!(
        json(dir.path(), &["provision", "list", "--json"]).as_array().map(Vec::len),
        Some(3)
    );
    let warning = warned(dir.path(), &["price", "set", "lama", "--input", "1"]);
    assert!(warning.contains("no model here is called 'lama'"), "{warning}");
    let error = fail(dir.path(), &["price", "set", "llama", "--input", "1", "--tier", "fast"]);
    assert!(error.contains("give one of standard, priority, flex, provisioned"), "{error}");
}
