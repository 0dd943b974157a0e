//! An organization that pays, a killed server's successors, Stripe's stand-in, and mailboxes.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stand_in::{SECRET, StandIn, WEBHOOK_SECRET};
use crate::support::binary::{Server, agentbase, import, succeed, text};
use crate::support::http::{Answer, post, post_with};
use crate::support::smtp::MailServer;
use crate::support::waiting::until;

pub(crate) const BILLING: &str = "/api/v1/organization/billing";
const CHAT: &str = "/v1/chat/completions";

const PLANS: &str = "
return_url = 'https://a.test/billing'
[meter]
id = 'mtr_1'
event_name = 'usage_micros'
settle_secs = 60
[dunning]
reminder_days = [1, 3]
suspend_after_days = 14
[[plan]]
id = 'free'
name = 'Free'
monthly_fee = '0'
[plan.limits]
requests_per_minute = 20
[[plan]]
id = 'pro'
name = 'Pro'
monthly_fee = '20'
prices = [{ id = 'price_pro' }, { id = 'price_usage', is_metered = true }]
[plan.limits]
requests_per_minute = 600
";

/// An organization that pays, its server, Stripe, and the mailboxes of who is told.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) stripe: StandIn,
    pub(crate) mail: MailServer,
    pub(crate) server: Option<Server>,
    key: String,
    pub(crate) admin: String,
    /// How far Stripe's and the server's clocks are ahead.
    ahead: u64,
    /// Chats that were answered.
    num_chats: Cell<u64>,
    _runtime: tokio::runtime::Runtime,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        import(dir.path(), "llama");
        fs::write(dir.path().join("plans.toml"), PLANS).expect("plans");
        let run = |args: &[&str]| succeed(dir.path(), args);
        run(&["org", "create", "Acme", "--id", "acme"]);
        run(&["user", "create", "ada@example.com", "--role", "owner", "--org", "acme"]);
        run(&["user", "create", "bob@example.com", "--role", "developer", "--org", "acme"]);
        run(&["org", "billing-email", "acme", "Bills@Example.com"]);
        run(&["price", "set", "llama", "--input", "100", "--output", "1000"]);
        let key = |args: &[&str]| {
            let made =
                run(&[&["key", "create", "--name", "k", "--org", "acme", "--json"], args].concat());
            let made: Value = serde_json::from_str(&made).expect("JSON");
            made["secret"].as_str().expect("a secret").to_owned()
        };
        let (key, admin) = (key(&[]), key(&["--admin"]));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (stripe, mail) = (runtime.block_on(StandIn::start()), MailServer::start(1));
        let mut world = Self {
            dir,
            stripe,
            mail,
            server: None,
            key,
            admin,
            ahead: 0,
            num_chats: Cell::new(0),
            _runtime: runtime,
        };
        world.go_to(0);
        world
    }

    /// Kills the server, and starts one at another time.
    pub(crate) fn go_to(&mut self, ahead: u64) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
        self.ahead = ahead;
        self.set_time();
        let plans = self.dir.path().join("plans.toml").display().to_string();
        let smtp_url = format!("smtp://{}?tls=none", self.mail.address);
        let mut command = agentbase(self.dir.path());
        command.env("AGENTBASE_STRIPE_KEY", SECRET);
        command.env("AGENTBASE_STRIPE_WEBHOOK_SECRET", format!("whsec_old,{WEBHOOK_SECRET}"));
        command.env("AGENTBASE_TEST_BILLING_AHEAD_SECS", ahead.to_string());
        let mail = ["--smtp-url", &smtp_url, "--mail-from", "server@example.com"];
        let args = ["--kv-cache", "8MiB", "--plans", &plans, "--stripe-api", &self.stripe.api];
        let server = Server::start_by(command, &[&args[..], &mail[..]].concat());
        server.await_ready();
        self.server = Some(server);
    }

    /// Stripe's clock is the server's.
    fn set_time(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        self.stripe.books(|books| books.now = now + self.ahead);
    }

    pub(crate) fn address(&self) -> &str {
        &self.server.as_ref().expect("it runs").address
    }

    pub(crate) fn webhook(&self, (body, signature): (&[u8], &str)) -> Answer {
        let header = ("Stripe-Signature", signature);
        post_with(self.address(), header, "/webhooks/stripe", &text(body))
    }

    /// Stripe sends what there is to tell.
    pub(crate) fn deliver(&self) {
        self.set_time();
        for (body, signature) in self.stripe.books(|books| books.webhooks()) {
            let answer = self.webhook((&body, &signature));
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    }

    pub(crate) fn billing(&self) -> Value {
        let answer = self.server.as_ref().expect("it runs").get(BILLING, &self.admin);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).expect("JSON")
    }

    pub(crate) fn chat(&self, stream: bool) -> Answer {
        let body = json!({ "model": "llama", "max_tokens": 8, "stream": stream,
            "messages": [{ "role": "user", "content": "Hello" }] });
        let answer = post(self.address(), &self.key, CHAT, &body.to_string());
        self.num_chats.set(self.num_chats.get() + u64::from(answer.status == 200));
        answer
    }

    /// What the ledger has of all chats, in millionths.
    pub(crate) fn used(&self) -> i64 {
        let usage = until("the ledger has all requests", || {
            let usage = succeed(self.dir.path(), &["usage", "--org", "acme", "--json"]);
            let usage: Value = serde_json::from_str(&usage).expect("JSON");
            (usage["requests"] == self.num_chats.get()).then_some(usage)
        });
        let micros = usage["cost"].as_f64().expect("a number") * 1e6;
        format!("{micros:.0}").parse().expect("a whole number")
    }

    /// Waits for so many letters, and says whom the newest tell what.
    pub(crate) fn letters(&self, num: usize) -> BTreeSet<(String, String)> {
        let all = until("letters have come", || {
            let letters = self.mail.letters();
            (letters.len() >= num).then_some(letters)
        });
        assert_eq!(all.len(), num, "{all:?}");
        let newest = all[num - 2..].iter();
        newest.map(|letter| (letter.to.clone(), letter.subject().to_owned())).collect()
    }
}

pub(crate) fn both(subject: &str) -> BTreeSet<(String, String)> {
    let to = ["ada@example.com", "bills@example.com"];
    to.map(|to| (to.to_owned(), subject.to_owned())).into()
}
