//! The currency, old lines of the ledger, and what is stored of an organization, as who runs a
//! server sees them: on SQLite, and on PostgreSQL where there is one.

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::binary::{Server, fail, import, naming, postgres, send, succeed};
use support::waiting::until;
use tempfile::TempDir;

struct World {
    dir: TempDir,
    url: Option<String>,
}

impl World {
    fn new(url: Option<String>) -> Self {
        Self { dir: TempDir::new().expect("a folder"), url }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> String {
        succeed(self.dir(), &[args, &naming(self.url.as_deref())].concat())
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.command(&[args, &["--json"]].concat())).expect("JSON")
    }

    fn serve(&self) -> Server {
        let args = [&["--kv-cache", "8MiB"], &*naming(self.url.as_deref())].concat();
        let server = Server::start_with(self.dir(), &args);
        server.await_ready();
        server
    }

    /// Asks once as `acme`, as soon as the server knows its key.
    fn ask(&self, server: &Server) {
        let key = self.json(&["key", "create", "--name", "k", "--org", "acme"]);
        let key = key["secret"].as_str().expect("a secret");
        let body = r#"{"model": "llama", "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 2}"#;
        let chat = || send(&server.address, key, "POST", "/v1/chat/completions", body);
        until("it answers", chat);
    }

    fn num_requests(&self) -> Value {
        self.json(&["usage", "--org", "acme"])["requests"].clone()
    }

    fn refused(&self, args: &[&str]) -> String {
        fail(self.dir(), &[args, &naming(self.url.as_deref())].concat())
    }
}

fn the_currency_is_chosen_once(url: Option<String>) {
    let world = World::new(url);
    import(world.dir(), "llama");
    assert_eq!(world.command(&["price", "currency"]).trim(), "usd");
    assert_eq!(world.command(&["price", "currency", "EUR"]).trim(), "eur");
    assert!(world.refused(&["price", "currency", "euro"]).contains("ISO 4217"));
    let set = world.command(&["price", "set", "llama", "--input", "1", "--output", "2"]);
    assert!(set.trim().ends_with("eur"), "{set}");
    assert!(world.command(&["price", "list"]).contains("eur"));
    let why = world.refused(&["price", "currency", "jpy"]);
    assert!(why.contains("prices"), "{why}");
    let why = world.refused(&["serve", "--listen", "127.0.0.1:0", "--currency", "jpy"]);
    assert!(why.contains("jpy") && why.contains("prices"), "{why}");
    let usage: Value = serde_json::from_str(&world.command(&["usage", "--json"])).expect("JSON");
    assert_eq!((&usage["cost"], &usage["currency"]), (&0.0.into(), &"eur".into()));
    assert!(world.command(&["usage"]).contains("eur"));
}

fn old_lines_and_organizations_go(url: Option<String>) {
    let world = World::new(url);
    assert!(world.command(&["usage", "prune", "--before", "90d"]).contains("deleted 0 lines"));
    assert!(world.refused(&["usage", "prune", "--before", "1d"]).contains("seven days"));
    world.command(&["org", "create", "Acme", "--id", "acme"]);
    world.command(&["key", "create", "--name", "k", "--org", "acme"]);
    let told = world.command(&["org", "export", "acme"]);
    let rows: Vec<Value> =
        told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let keys: Vec<_> = rows.iter().filter(|it| it["table"] == "keys").collect();
    assert_eq!((keys.len(), &keys[0]["row"]["name"]), (1, &"k".into()));
    assert!(!told.contains("\"hash\":null") && !told.contains("aws_secret"), "{told}");
    assert!(world.refused(&["org", "export", "none"]).contains("no organization 'none'"));
    let delete = ["org", "delete", "acme", "--confirm", "acme"];
    assert!(world.refused(&["org", "delete", "acme", "--confirm", "acm"]).contains("nothing"));
    assert!(world.refused(&delete).contains("archive it"));
    world.command(&["org", "archive", "acme"]);
    assert!(world.refused(&delete).contains("an hour"));
    assert!(world.command(&["org", "list"]).contains("acme"));
}

/// A server that was killed reads its journal again at the next start, with lines that the ledger
/// had. Only a database that is reached from outside can say that an hour has passed.
#[test]
fn what_a_deleted_organization_used_does_not_come_back() {
    let Some(url) = postgres("comeback") else { return };
    let world = World::new(Some(url.clone()));
    import(world.dir(), "llama");
    world.command(&["org", "create", "Acme", "--id", "acme"]);
    let server = world.serve();
    world.ask(&server);
    world.ask(&server);
    until("the ledger has it", || (world.num_requests() == 2).then_some(()));
    server.kill();
    world.command(&["org", "archive", "acme"]);
    let an_hour_ago = "SELECT set_config('app.every_tenant', 'on', true);
        UPDATE organizations SET archived_at = 7 WHERE id = 'acme'";
    let done = Command::new("psql").args(["--quiet", "--command", an_hour_ago, &url]).output();
    assert!(done.expect("psql is there").status.success());
    world.command(&["org", "delete", "acme", "--confirm", "acme"]);
    let server = world.serve();
    world.command(&["org", "create", "Another", "--id", "acme"]);
    assert_eq!(world.num_requests(), 0);
    // What was in the journal before is behind the ledger when this is in it.
    world.ask(&server);
    until("the ledger has it", || (world.num_requests() != 0).then_some(()));
    assert_eq!(world.num_requests(), 1);
}

#[test]
fn the_currency_is_chosen_once_on_sqlite() {
    the_currency_is_chosen_once(None);
}

#[test]
fn the_currency_is_chosen_once_on_postgres() {
    let Some(url) = postgres("currency") else { return };
    the_currency_is_chosen_once(Some(url));
}

#[test]
fn old_lines_and_organizations_go_on_sqlite() {
    old_lines_and_organizations_go(None);
}

#[test]
fn old_lines_and_organizations_go_on_postgres() {
    let Some(url) = postgres("privacy") else { return };
    old_lines_and_organizations_go(Some(url));
}
