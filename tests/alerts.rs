//! Alerts through the real binary: a chat that passes a threshold of a budget is told to a receiver
//! that fails at first, with a signature that holds as the operators' page says, and by a letter.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Map, Value, json};
use server_identity::{SignedHeaders, UnixSeconds, WebhookSecret};
use support::binary::{Server, import, succeed, text};
use support::http::post;
use support::waiting::until;
use tempfile::TempDir;

/// A request that the receiver got: its headers by small names, and its body.
#[derive(Clone)]
struct Received {
    headers: Map<String, Value>,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> String {
        self.headers[name].as_str().expect("a text").to_owned()
    }

    fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// As this repository's own code has it.
    fn verify(&self, secret: &str) {
        let signed = SignedHeaders {
            id: self.header("webhook-id"),
            timestamp: self.header("webhook-timestamp"),
            signature: self.header("webhook-signature"),
        };
        let secret = WebhookSecret::parse(secret).expect("a secret");
        let now = UnixSeconds::now();
        WebhookSecret::verify(&[&secret], &signed, self.body.as_bytes(), now).expect("it holds");
    }
}

/// Answers the first request with 500, and all others with 204.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<Received>>>);

impl Receiver {
    fn start() -> (String, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let receiver = Self::default();
        let receiving = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                receiving.answer(stream).expect("a request");
            }
        });
        (url, receiver)
    }

    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let (mut headers, mut line) = (Map::new(), String::new());
        while reader.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.trim_end().split_once(": ") {
                headers.insert(name.to_ascii_lowercase(), json!(value));
            }
            line.clear();
        }
        let length = headers["content-length"].as_str().and_then(|text| text.parse().ok());
        let mut body = vec![0; length.expect("a length")];
        reader.read_exact(&mut body)?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = if all.is_empty() { "500 Oh" } else { "204 No Content" };
        all.push(Received { headers, body: text(&body) });
        drop(all);
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n");
        reader.get_mut().write_all(answer.as_bytes())
    }

    fn all(&self) -> Vec<Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The request of this number, once it has come.
    fn await_number(&self, number: usize) -> Received {
        until("a webhook comes", || self.all().get(number).cloned())
    }
}

/// The program in the operators' page that checks a signature, asked of a request.
fn holds_by_the_page(secret: &str, received: &Received) -> bool {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/OPERATORS.md");
    let page = fs::read_to_string(page).expect("the page");
    let (_, program) = page.split_once("```python\n").expect("a program");
    let (program, _) = program.split_once("```").expect("its end");
    let ask = "import json, sys\nit = json.load(sys.stdin)\n\
        print(is_ours(it['secret'], it['headers'], it['body'].encode()))";
    let mut python = Command::new("python3")
        .args(["-c", &format!("{program}\n{ask}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let it = json!({ "secret": secret, "headers": received.headers, "body": received.body });
    python.stdin.take().expect("piped").write_all(it.to_string().as_bytes()).expect("it reads");
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success());
    text(&output.stdout).trim() == "True"
}

/// A server, with a key that may spend 1 a month.
struct World {
    dir: TempDir,
    server: Option<Server>,
    key: (String, String),
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        import(dir.path(), "llama");
        let mut world = Self { dir, server: None, key: Default::default() };
        // An answer of eight tokens costs a little more than 0.08.
        world.run(&["price", "set", "llama", "--input", "100", "--output", "10000"]);
        let made = world.json(&[
            "key",
            "create",
            "--name",
            "k",
            "--json",
            "--budget",
            "1",
            "--budget-period",
            "month",
        ]);
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        world.key = (text("id"), text("secret"));
        world.restart();
        world
    }

    fn run(&self, args: &[&str]) -> String {
        succeed(self.dir.path(), args)
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(args)).expect("JSON")
    }

    /// Kills the server, if there is one.
    fn restart(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
        let args = ["--kv-cache", "8MiB", "--allow-private-webhooks"];
        let server = Server::start_with(self.dir.path(), &args);
        server.await_ready();
        self.server = Some(server);
    }

    fn chat(&self) {
        let body = json!({ "model": "llama", "max_tokens": 8, "ignore_eos": true,
            "messages": [{ "role": "user", "content": "Hello" }] });
        let address = &self.server.as_ref().expect("it runs").address;
        let answer = post(address, &self.key.1, "/v1/chat/completions", &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    fn letters(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.dir.path().join("mail")) else { return Vec::new() };
        let files = files.map(|file| file.expect("a file").path());
        let whole = files.filter(|path| path.extension().is_some_and(|end| end == "eml"));
        whole.map(|path| fs::read_to_string(path).expect("it reads").replace("=\r\n", "")).collect()
    }
}

/// They hold, of this body and this secret alone.
fn check_signatures(secret: &str, [first, second]: [&Received; 2]) {
    for received in [first, second] {
        received.verify(secret);
        assert!(holds_by_the_page(secret, received));
    }
    let changed = Received {
        body: second.body.replace("\"threshold\":5", "\"threshold\":6"),
        ..second.clone()
    };
    assert_ne!(changed.body, second.body);
    assert!(!holds_by_the_page(secret, &changed));
    assert!(!holds_by_the_page("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", second));
}

#[test]
fn a_threshold_is_told_once_by_a_signed_webhook_and_by_mail() {
    let mut world = World::new();
    let (url, receiver) = Receiver::start();
    let hook = world.json(&["webhook", "create", &url, "--json"]);
    let secret = hook["secret"].as_str().expect("a secret");
    let key_id = world.key.0.clone();
    world.run(&[
        "alert",
        "create",
        "--key",
        &key_id,
        "--period",
        "month",
        "--at",
        "5,30",
        "--mail",
        "ops@example.com",
        "--webhook",
    ]);
    world.chat();

    // It fails, and is sent again with the same id.
    let (first, second) = (receiver.await_number(0), receiver.await_number(1));
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.body, second.body);
    check_signatures(secret, [&first, &second]);
    let event = second.event();
    assert_eq!(
        (&event["object"], &event["type"]),
        (&json!("event"), &json!("budget.threshold_reached"))
    );
    let data = &event["data"];
    assert_eq!((&data["key_id"], &data["threshold"]), (&json!(key_id), &json!(5)));
    assert_eq!((&data["period"], &data["limit"]), (&json!("month"), &json!("1.00")));
    let percent = data["percent"].as_u64().expect("a number");
    assert!((5..30).contains(&percent), "{data}");
    let letter = until("a letter is written", || world.letters().pop());
    assert!(
        letter.contains("To: ops@example.com") && letter.contains(&format!("{percent} %")),
        "{letter}"
    );
    let deliveries = world.json(&["webhook", "deliveries", "--json"]);
    let deliveries = deliveries.as_array().expect("a list");
    let of = |kind: &str| {
        let found = deliveries.iter().find(|it| it["kind"] == kind).expect("it is listed");
        found["attempts"].as_u64()
    };
    assert_eq!((deliveries.len(), of("webhook"), of("mail")), (2, Some(2), Some(1)));

    // More of it is nothing new, neither to a server that was started anew; the next threshold is.
    world.chat();
    world.restart();
    world.chat();
    world.chat();
    let third = receiver.await_number(2);
    third.verify(secret);
    assert_eq!(third.event()["data"]["threshold"], 30, "{}", third.body);
    let letters = until("another letter is written", || {
        let letters = world.letters();
        (letters.len() >= 2).then_some(letters)
    });
    assert_eq!((letters.len(), receiver.all().len()), (2, 3));
    let ids: BTreeSet<String> = receiver.all().iter().map(|it| it.header("webhook-id")).collect();
    assert_eq!(ids.len(), 2);
}
