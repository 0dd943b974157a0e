//! Several servers on one PostgreSQL: what is set holds for all of them together, also where one is
//! killed. Without a PostgreSQL these tests do nothing but say so.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::binary::{Server, import, naming, postgres, succeed};
use support::http::{Answer, post};
use tempfile::TempDir;

const CHAT: &str = "/v1/chat/completions";
const MAX_TOKENS: u64 = 4;
/// For what others give back, and for a server that is found to be gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Servers with folders of their own, and a database in common.
struct World {
    url: String,
    servers: Vec<(TempDir, Option<Server>)>,
}

impl World {
    fn new(name: &str, num: usize) -> Option<Self> {
        let url = postgres(name)?;
        let mut world = Self { url, servers: Vec::new() };
        for idx in 0..num {
            let dir = TempDir::new().expect("a folder");
            import(dir.path(), "llama");
            world.servers.push((dir, None));
            world.start(idx);
        }
        // A unit of money a token.
        world.command(&["price", "set", "llama", "--input", "1000000", "--output", "1000000"]);
        Some(world)
    }

    fn start(&mut self, idx: usize) {
        let args = [&["--kv-cache", "8MiB"], &*naming(Some(&self.url))].concat();
        let server = Server::start_with(self.servers[idx].0.path(), &args);
        server.await_ready();
        self.servers[idx].1 = Some(server);
    }

    fn kill(&mut self, idx: usize) {
        self.servers[idx].1.take().expect("it runs").kill();
    }

    fn command(&self, args: &[&str]) -> String {
        succeed(self.servers[0].0.path(), &[args, &naming(Some(&self.url))].concat())
    }

    fn key(&self, args: &[&str]) -> (String, String) {
        let made = self.command(&[&["key", "create", "--name", "k", "--json"], args].concat());
        let made: Value = serde_json::from_str(&made).expect("JSON");
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        (text("id"), text("secret"))
    }

    fn chat(&self, idx: usize, secret: &str, max_tokens: u64) -> Answer {
        let body = format!(
            r#"{{"model": "llama", "messages": [{{"role": "user", "content": "Hello"}}],
                "max_tokens": {max_tokens}, "ignore_eos": true}}"#
        );
        let server = self.servers[idx].1.as_ref().expect("it runs");
        post(&server.address, secret, CHAT, &body)
    }

    /// Asks a server until it answers with a status.
    fn chat_until(&self, idx: usize, secret: &str, status: u16) -> Answer {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.chat(idx, secret, 1);
            if answer.status == status {
                return answer;
            }
            assert!(Instant::now() < end, "{} {}", answer.status, answer.body);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What a key used, once so many requests are in the ledger.
    fn cost(&self, key: &str, requests: u64) -> f64 {
        let end = Instant::now() + PATIENCE;
        loop {
            let usage = self.command(&["usage", "--key", key, "--json"]);
            let usage: Value = serde_json::from_str(&usage).expect("JSON");
            assert!(usage["requests"].as_u64() <= Some(requests), "{usage}");
            if usage["requests"] == requests {
                return usage["cost"].as_f64().expect("a number");
            }
            assert!(Instant::now() < end, "{usage}");
        }
    }

    /// So many clients of each server, each with so many requests: how many were let in, and their
    /// tokens.
    fn rush(&self, secret: &str, clients: usize, requests: usize) -> (u64, u64) {
        let (num, sum) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for client in 0..clients * self.servers.len() {
                let (num, sum) = (&num, &sum);
                scope.spawn(move || {
                    for _ in 0..requests {
                        let answer = self.chat(client % self.servers.len(), secret, MAX_TOKENS);
                        match answer.status {
                            200 => {
                                num.fetch_add(1, Ordering::Relaxed);
                                sum.fetch_add(tokens(&answer), Ordering::Relaxed);
                            }
                            // What another server has just given back is there soon.
                            429 => std::thread::sleep(Duration::from_millis(50)),
                            status => panic!("{status} {}", answer.body),
                        }
                    }
                });
            }
        });
        (num.into_inner(), sum.into_inner())
    }
}

/// The tokens of a request, its answer with it.
fn tokens(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["usage"]["total_tokens"].as_u64().expect("a number")
}

#[test]
fn a_budget_is_spent_once_by_all() {
    let Some(mut world) = World::new("budget", 2) else { return };
    let (_, free) = world.key(&[]);
    let each = tokens(&world.chat_until(0, &free, 200)) - 1 + MAX_TOKENS;
    let budget = 100 * each;
    let (id, secret) = world.key(&["--budget", &budget.to_string()]);
    let (mut let_in, mut spent) = world.rush(&secret, 4, 40);
    assert!(spent <= budget && spent * 100 >= budget * 95, "{spent} of {budget} were spent");
    assert_eq!(world.cost(&id, let_in), spent as f64);
    // What one has and does not need the other gets, and what is left of it ends an answer.
    let end = Instant::now() + PATIENCE;
    while spent + each - MAX_TOKENS < budget {
        let answer = world.chat(0, &secret, MAX_TOKENS);
        if answer.status == 200 {
            (let_in, spent) = (let_in + 1, spent + tokens(&answer));
        }
        assert!(Instant::now() < end, "{spent} of {budget}");
    }
    let refused = world.chat(1, &secret, 1);
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert_eq!(refused.json()["error"]["code"], "insufficient_quota", "{}", refused.body);
    assert_eq!(world.cost(&id, let_in), spent as f64);
    // Also for one that starts again, and where it is raised.
    world.kill(1);
    world.start(1);
    assert_eq!(world.chat(1, &secret, 1).status, 429);
    world.command(&["key", "limit", &id, "--budget", &(10 * budget).to_string()]);
    world.chat_until(0, &secret, 200);
    world.chat_until(1, &secret, 200);
    // Lowered, it is passed on both.
    world.command(&["key", "limit", &id, "--budget", "1"]);
    world.chat_until(0, &secret, 429);
    world.chat_until(1, &secret, 429);
}

/// Each unit has one price, however many servers give out free and cheap ones in the same moment,
/// and where one of them is killed with what it used in its journal.
#[test]
fn free_units_and_steps_are_of_one_server_at_a_time() {
    let Some(mut world) = World::new("bill", 3) else { return };
    let list = world.servers[0].0.path().join("steps.json");
    // Micro-units of a token: less than in the list before, by which a server may still charge.
    let steps = r#"{"period": "total", "meters": {
        "input_tokens": {"price": "900", "free_units": 300},
        "output_tokens": {"free_units": 40, "steps": [
            {"from": 0, "price": "5000"}, {"from": 200, "price": "3000"},
            {"from": 500, "price": "70"}]}}}"#;
    std::fs::write(&list, steps).expect("a list");
    world.command(&["price", "set", "llama", "--file", list.to_str().expect("a path")]);
    let (id, secret) = world.key(&[]);
    let (let_in, _) = world.rush(&secret, 4, 15);
    assert_eq!(let_in, 180);
    world.kill(1);
    world.start(1);
    let cost = world.cost(&id, let_in);
    let used: Value =
        serde_json::from_str(&world.command(&["usage", "--key", &id, "--json"])).expect("JSON");
    let units = |name: &str| used[name].as_u64().expect("a number");
    let output = units("output_tokens");
    assert_eq!(output, let_in * MAX_TOKENS);
    // With what a cache had, which costs the same.
    let input = units("input_tokens");
    let expected = (input - 300) * 900 + (200 - 40) * 5000 + 300 * 3000 + (output - 500) * 70;
    assert_eq!((cost * 1e6).round() as u64, expected, "{used}");
}

#[test]
fn what_a_killed_server_had_reserved_is_free_when_it_is_back() {
    let Some(mut world) = World::new("killed", 2) else { return };
    let (_, free) = world.key(&[]);
    let each = tokens(&world.chat_until(0, &free, 200));
    let budget = 200 * each;
    let (id, secret) = world.key(&["--budget", &budget.to_string()]);
    world.chat_until(1, &secret, 200);
    world.kill(1);
    let mut let_in = 1;
    let mut spend = |world: &World| {
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            let_in += u64::from(world.chat(0, &secret, 1).status == 200);
        }
        let_in
    };
    // It reserved more than it used, and nobody knows how much of that is in its journal.
    let before = spend(&world);
    assert!((180..200).contains(&before), "{before} were let in");
    world.start(1);
    assert_eq!(spend(&world), 200);
    assert_eq!(world.cost(&id, 200), (200 * each) as f64);
}

#[test]
fn a_rate_is_one_for_all() {
    let Some(world) = World::new("rate", 2) else { return };
    let (_, secret) = world.key(&["--rpm", "30"]);
    world.chat_until(0, &secret, 200);
    let began = Instant::now();
    let let_in = 1 + world.rush(&secret, 3, 10).0;
    // One each two seconds comes to the bucket.
    let most = 31 + began.elapsed().as_secs() / 2;
    assert!((28..=most).contains(&let_in), "{let_in} were let in, {most} is the most");
    let refused = [0, 1].map(|idx| world.chat(idx, &secret, 1));
    let refused = refused.iter().find(|answer| answer.status == 429).expect("one is refused");
    assert_eq!(refused.header("x-ratelimit-limit-requests"), Some("30"), "{}", refused.head);
    assert!(refused.header("retry-after").is_some(), "{}", refused.head);
}

#[test]
fn places_of_a_server_that_is_killed_are_free() {
    let Some(mut world) = World::new("places", 2) else { return };
    let (id, secret) = world.key(&[]);
    world.command(&["key", "limit", &id, "--concurrency", "1"]);
    world.chat_until(0, &secret, 200);
    let address = world.servers[1].1.as_ref().expect("it runs").address.clone();
    // One after the other, until it is killed: its place is its own in between, too.
    let running = std::thread::spawn({
        let secret = secret.clone();
        let body = r#"{"model": "llama", "prompt": "x", "max_tokens": 100, "ignore_eos": true}"#;
        move || while post(&address, &secret, "/v1/completions", body).status > 0 {}
    });
    let refused = world.chat_until(0, &secret, 429);
    assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded", "{}", refused.body);
    world.kill(1);
    world.chat_until(0, &secret, 200);
    assert!(running.join().is_err(), "it was killed in the middle");
}

/// A client that asks one server after the other is not refused for what nobody uses.
#[test]
fn one_request_at_once_may_go_to_any_server() {
    let Some(world) = World::new("turns", 2) else { return };
    let (id, secret) = world.key(&[]);
    world.command(&["key", "limit", &id, "--concurrency", "1"]);
    world.chat_until(0, &secret, 200);
    std::thread::sleep(Duration::from_millis(200));
    for turn in 0..12 {
        let answer = world.chat(turn % 2, &secret, 1);
        assert_eq!(answer.status, 200, "{turn}: {}", answer.body);
    }
}
