//! Keys, limits and the ledger as who runs a server sees them: the real binary, beside commands on
//! the same database; on SQLite, and on PostgreSQL where there is one.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::binary::{Server, fail, import, naming, postgres, run, succeed, text};
use support::http::{Answer, post};
use tempfile::TempDir;

const CHAT: &str = "/v1/chat/completions";

/// A server with the tiny model, and its database.
struct World {
    dir: TempDir,
    url: Option<String>,
    server: Server,
}

impl World {
    fn new(url: Option<String>) -> Self {
        let dir = TempDir::new().expect("a folder");
        import(dir.path(), "llama");
        let server = serve(dir.path(), url.as_deref());
        Self { dir, url, server }
    }

    fn command(&self, args: &[&str]) -> String {
        succeed(self.dir.path(), &[args, &naming(self.url.as_deref())].concat())
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.command(args)).expect("JSON")
    }

    /// A new key: its id and its secret.
    fn key(&self, args: &[&str]) -> (String, String) {
        let made = self.json(&[&["key", "create", "--name", "k", "--json"], args].concat());
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        (text("id"), text("secret"))
    }

    /// What a key used, once so many requests are in the ledger: within a second.
    fn usage(&self, key: &str, requests: u64) -> Value {
        let end = Instant::now() + Duration::from_secs(1);
        loop {
            let usage = self.json(&["usage", "--key", key, "--json"]);
            if usage["requests"] == requests {
                return usage;
            }
            assert!(Instant::now() < end, "{usage}");
        }
    }

    fn chat(&self, secret: &str, max_tokens: u64) -> Answer {
        let body = format!(
            r#"{{"model": "llama", "messages": [{{"role": "user", "content": "Hello"}}],
                "max_tokens": {max_tokens}, "ignore_eos": true}}"#
        );
        post(&self.server.address, secret, CHAT, &body)
    }

    /// Asks until the answer has a status, for a second at most.
    fn chat_until(&self, secret: &str, status: u16) -> Answer {
        let end = Instant::now() + Duration::from_secs(1);
        loop {
            let answer = self.chat(secret, 1);
            if answer.status == status {
                return answer;
            }
            assert!(Instant::now() < end, "{} {}", answer.status, answer.body);
        }
    }
}

fn serve(dir: &Path, url: Option<&str>) -> Server {
    let server = Server::start_with(dir, &[&["--kv-cache", "8MiB"], &*naming(url)].concat());
    server.await_ready();
    server
}

fn keys_follow(world: &World) {
    // A new key is let in at once, and what it uses is soon told.
    let (id, secret) = world.key(&[]);
    let answer = world.chat(&secret, 3);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = &answer.json()["usage"];
    let usage = world.usage(&id, 1);
    assert_eq!(usage["input_tokens"], told["prompt_tokens"]);
    assert_eq!(usage["output_tokens"], told["completion_tokens"]);
    // Rotated, both secrets work; without an overlap, the old one does not.
    let rotate = |overlap: &str| {
        let made = world.json(&["key", "rotate", &id, "--overlap", overlap, "--json"]);
        made["secret"].as_str().expect("a secret").to_owned()
    };
    let second = rotate("1h");
    assert_eq!((world.chat(&second, 1).status, world.chat(&secret, 1).status), (200, 200));
    let third = rotate("0s");
    assert_eq!(world.chat(&third, 1).status, 200);
    world.chat_until(&second, 401);
    world.command(&["key", "revoke", &id]);
    world.chat_until(&third, 401);
    assert!(fail_in(world, &["key", "revoke", "key_none"]).contains("key_none"));
    let suspended = world.key(&[]).1;
    world.command(&["org", "suspend", "default", "--reason", "an invoice is due"]);
    let answer = world.chat_until(&suspended, 403);
    assert!(answer.body.contains("an invoice is due"), "{}", answer.body);
    world.command(&["org", "resume", "default"]);
    world.chat_until(&suspended, 200);
    assert!(world.command(&["audit", "verify"]).contains("unbroken"));
}

fn fail_in(world: &World, args: &[&str]) -> String {
    fail(world.dir.path(), &[args, &naming(world.url.as_deref())].concat())
}

fn budgets_hold(world: World) -> World {
    world.command(&["price", "set", "llama", "--input", "1000000", "--output", "1000000"]);
    // A unit of money a token.
    let (id, secret) = world.key(&["--budget", "60"]);
    std::thread::sleep(Duration::from_millis(500));
    let first = world.chat(&secret, 1);
    assert_eq!(first.status, 200, "{}", first.body);
    let prompt = first.json()["usage"]["prompt_tokens"].as_u64().expect("a number");
    assert!(prompt < 29, "the prompt of the test has {prompt} tokens");
    // The next one's answer ends where the budget does.
    let second = world.chat(&secret, 200);
    assert_eq!(second.status, 200, "{}", second.body);
    assert_eq!(second.json()["choices"][0]["finish_reason"], "budget", "{}", second.body);
    let third = world.chat(&secret, 1);
    assert_eq!(third.status, 429, "{}", third.body);
    assert_eq!(third.json()["error"]["code"], "insufficient_quota", "{}", third.body);
    // What the prefix cache had costs what input does.
    let usage = world.usage(&id, 2);
    assert_eq!(usage["cost"].as_f64(), Some(60.0), "{usage}");
    // It holds for a server that starts anew, after a kill.
    let World { dir, url, server } = world;
    server.kill();
    let server = serve(dir.path(), url.as_deref());
    let world = World { dir, url, server };
    let fourth = world.chat(&secret, 1);
    assert_eq!(fourth.status, 429, "{}", fourth.body);
    assert_eq!(world.usage(&id, 2), usage);
    // Raised, it lets in again.
    world.command(&["key", "limit", &id, "--budget", "1000"]);
    world.chat_until(&secret, 200);
    world
}

#[test]
fn keys_and_budgets_on_sqlite() {
    let world = World::new(None);
    keys_follow(&world);
    budgets_hold(world);
}

#[test]
fn keys_and_budgets_on_postgresql() {
    let Some(url) = postgres("accounts") else { return };
    let world = World::new(Some(url));
    keys_follow(&world);
    budgets_hold(world);
}

#[test]
fn who_alone_owns_an_organization_is_not_deleted_by_mistake() {
    let dir = TempDir::new().expect("a folder");
    let org = succeed(dir.path(), &["org", "create", "Acme", "--id", "acme"]);
    assert_eq!(org.trim(), "acme");
    let create = ["user", "create", "ada@example.com", "--role", "owner", "--org", "acme"];
    succeed(dir.path(), &create);
    let error = fail(dir.path(), &["user", "delete", "ada@example.com"]);
    for way in ["user role EMAIL owner --org acme", "org archive acme", "--force"] {
        assert!(error.contains(way), "{error}");
    }
    succeed(dir.path(), &["user", "delete", "ada@example.com", "--force"]);
    let log = succeed(dir.path(), &["audit", "list", "--org", "acme"]);
    let line = log.lines().find(|line| line.contains("user.deleted")).expect("it is told");
    assert!(line.contains("operator"), "{line}");
}

#[test]
fn prices_for_nothing_are_warned_of_and_tiers_that_are_none_are_refused() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let set = |model: &str| {
        let output = run(dir.path(), &["price", "set", model, "--input", "1"]);
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && out.contains(model), "{out}{error}");
        error
    };
    assert!(!set("llama").contains("warning"));
    let warned = set("lama");
    assert!(warned.contains("warning: no model here is called 'lama'"), "{warned}");
    let named = warned.split_once("Models here: ").expect("it says which there are").1;
    // A version by the name that the warning has, and one that is not there.
    assert!(named.starts_with("llama@") && !set(named.trim()).contains("warning"), "{named}");
    assert!(set("llama@0123456789ab").contains("warning"));
    let tier = ["price", "set", "llama", "--input", "1", "--tier", "standart"];
    assert!(fail(dir.path(), &tier).contains("standard, priority, flex"));
}

/// A file's limits are counted in the memory of one server.
#[test]
fn a_second_server_on_one_file_is_refused_unless_it_counts_nothing() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let first = serve(dir.path(), None);
    let error = fail(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert!(error.contains("--database-url"), "{error}");
    let second = Server::start_with(dir.path(), &["--kv-cache", "8MiB", "--no-metering"]);
    second.await_ready();
    let key = first.key.clone().expect("the first start shows a key");
    assert!(second.get("/v1/models", &key).starts_with("HTTP/1.1 200"));
}

#[test]
fn rates_are_told_in_headers() {
    let world = World::new(None);
    let (_, secret) = world.key(&["--rpm", "2", "--tpm", "1000"]);
    let answer = world.chat(&secret, 1);
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("2"), "{}", answer.head);
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some("1000"), "{}", answer.head);
    world.chat(&secret, 1);
    let third = world.chat(&secret, 1);
    assert_eq!(third.status, 429);
    assert_eq!(third.json()["error"]["code"], "rate_limit_exceeded");
    assert!(third.header("retry-after").is_some(), "{}", third.head);
}

/// Keys of versions before accounts.
#[test]
fn keys_of_older_versions_go_on() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    // SHA-256 of `ab-old`, by `printf ab-old | sha256sum`.
    let hash = "14fe8bf8800490d73af3cb46c425c95b41a2b376e8a99ed3d58b7d47274e8181";
    let keys = format!(
        r#"{{"schema": 1, "keys": [{{"id": "key_old", "sha256": "{hash}", "tenant": "default",
            "created_unix": 7}}]}}"#
    );
    std::fs::write(dir.path().join("keys.json"), keys).expect("it writes");
    let server = serve(dir.path(), None);
    assert_eq!(server.key, None, "there is a key already");
    assert!(server.get("/v1/models", "ab-old").starts_with("HTTP/1.1 200"));
    let listed = succeed(dir.path(), &["key", "list"]);
    assert!(listed.contains("key_old"), "{listed}");
    succeed(dir.path(), &["key", "revoke", "key_old"]);
    server.kill();
    let server = serve(dir.path(), None);
    assert!(server.get("/v1/models", "ab-old").starts_with("HTTP/1.1 401"));
}
