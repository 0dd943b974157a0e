//! The real binary with all that it can serve, two organizations, and a stranger within one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::document::Asked;
use crate::support::binary::{Server, agentbase, import, naming, succeed};
use crate::support::http::{Answer, ask, head};
use crate::tenant::{Caller, Ids, PASSWORD, Tenant, await_usage, keep, project, text};

const PLANS: &str = r#"
return_url = "https://example.com/account"
[[plan]]
id = "free"
name = "Free"
monthly_fee = "0"
"#;
const PROVIDERS: &str =
    r#"[{"id": "github", "kind": "github", "client_id": "c", "client_secret": "s"}]"#;
/// Nobody is there.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A server, and commands beside it.
pub(crate) struct Site {
    dir: TempDir,
    url: Option<String>,
    server: Server,
}

pub(crate) struct World {
    pub(crate) site: Site,
    pub(crate) a: Tenant,
    pub(crate) b: Tenant,
    pub(crate) stranger: Stranger,
}

/// A member of the first organization whose role there allows nothing, with a project of their own
/// in which it allows all: what other projects keep is as unknown to its key as another
/// organization's.
pub(crate) struct Stranger {
    pub(crate) ids: Ids,
    pub(crate) person: Caller,
    /// A key of that project.
    pub(crate) key: Caller,
}

pub(crate) fn nobody() -> Caller {
    Caller { what: "nobody".to_owned(), headers: Vec::new(), login: None }
}

pub(crate) fn bearer(secret: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {secret}"))
}

impl Site {
    fn new(url: Option<String>) -> Self {
        let dir = TempDir::new().expect("a folder");
        import(dir.path(), "llama");
        let [plans, providers] =
            [("plans.toml", PLANS), ("providers.json", PROVIDERS)].map(|(name, text)| {
                let path = dir.path().join(name);
                std::fs::write(&path, text).expect("it is written");
                path.display().to_string()
            });
        let args = [
            "--kv-cache",
            "8MiB",
            "--sign-up",
            "open",
            "--login-providers",
            &providers,
            // What is kept is another's, too.
            "--store-prompts",
            "when-asked",
            "--stripe-key",
            "sk_test_x",
            "--stripe-webhook-secret",
            "whsec_x",
            "--stripe-api",
            NOWHERE,
            "--plans",
            &plans,
        ];
        let args = [&args[..], &naming(url.as_deref())].concat();
        let server = Server::start_with(dir.path(), &args);
        server.await_ready();
        Self { dir, url, server }
    }

    pub(crate) fn command(&self, args: &[&str]) -> String {
        succeed(self.dir.path(), &[args, &naming(self.url.as_deref())].concat())
    }

    pub(crate) fn made(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.command(args)).expect("JSON")
    }

    /// A user with a password.
    pub(crate) fn user(&self, email: &str, role: &str, organization: &str) -> Value {
        let args =
            ["user", "create", email, "--name", email, "--role", role, "--org", organization];
        let mut command = agentbase(self.dir.path());
        command.args(args).args(["--password-stdin", "--json"]).args(naming(self.url.as_deref()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(format!("{PASSWORD}\n").as_bytes()).expect("it reads");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub(crate) fn login(&self, email: &str) -> Value {
        let body = json!({"email": email, "password": PASSWORD});
        self.json(&nobody(), "POST", "/api/v1/auth/login", &body)
    }

    /// What a request is answered by whoever sends it.
    pub(crate) fn ask(&self, caller: &Caller, asked: &Asked) -> Answer {
        let mut headers: Vec<(&str, &str)> =
            caller.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = asked.body.as_ref().map(|(media, body)| (media.as_str(), body.as_str()));
        headers.extend(body.map(|(media, _)| ("Content-Type", media)));
        let place = (asked.method.as_str(), asked.uri.as_str());
        ask(&self.server.address, place, &headers, body.map_or("", |(_, body)| body))
    }

    /// The body of a success.
    pub(crate) fn json(&self, caller: &Caller, method: &str, uri: &str, body: &Value) -> Value {
        let answer = self.send(caller, method, uri, body);
        assert_eq!(answer.status / 100, 2, "{method} {uri} by {}: {answer:?}", caller.what);
        answer.json()
    }

    pub(crate) fn send(&self, caller: &Caller, method: &str, uri: &str, body: &Value) -> Answer {
        let media = ("application/json".to_owned(), body.to_string());
        let body = (!body.is_null()).then_some(media);
        self.ask(caller, &Asked::plain(method, uri, body))
    }

    /// Waits for what is so within a second or so.
    pub(crate) fn until(&self, is_so: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !is_so() {
            assert!(Instant::now() < end, "it does not happen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A request that runs, since its body does not come, until what is returned is dropped.
    pub(crate) fn hold(&self, tenant: &Tenant) -> TcpStream {
        let mut headers: Vec<(&str, &str)> =
            tenant.key.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.extend([("Content-Type", "application/json")]);
        headers.extend([("X-Request-Id", tenant.ids.of("request"))]);
        // Whoever is told to go on is let in.
        headers.extend([("Expect", "100-continue")]);
        let head = head(("POST", "/v1/completions"), &headers, 100);
        let mut stream = TcpStream::connect(&self.server.address).expect("it listens");
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut told = [0; 12];
        stream.read_exact(&mut told).expect("it answers");
        assert_eq!(&told, b"HTTP/1.1 100");
        stream
    }
}

impl World {
    pub(crate) fn new(url: Option<String>) -> Self {
        let site = Site::new(url);
        let (a, b) = (Tenant::new(&site, "alpha"), Tenant::new(&site, "beta"));
        a.operate(&site);
        let stranger = Stranger::new(&site, &a);
        Self { site, a, b, stranger }
    }
}

impl Stranger {
    fn new(site: &Site, a: &Tenant) -> Self {
        let made = json!({"name": "nothing", "permissions": []});
        site.json(&a.admin, "POST", "/api/v1/organization/roles", &made);
        let email = "gamma.stranger@example.com";
        let user = site.user(email, "nothing", a.ids.of("organization"));
        let made = project(site, &a.admin, "gamma", (&text(&user, "id"), "owner"));
        let person = Caller::person(site, email, "access_token");
        let (mut ids, key) = (made.ids, Caller::new("a stranger's key", &made.secret));
        keep(site, &key, "gamma", &mut ids);
        // With those of the other project.
        await_usage(site, &a.admin, 4);
        Self { ids, person, key }
    }
}
