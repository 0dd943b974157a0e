//! An organization with a budget, and a receiver of webhooks.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use server_accounts::{Actor, Allowed, BudgetData, Demand, LimitsData};
use server_identity::{EmailAddress, SignedHeaders, UnixSeconds, WebhookSecret};
use server_metering::{
    AccountId, Journal, JournalOptions, OrganizationId, Period, Picos, PriceBook, Sum, UnixMillis,
    Usage,
};
use server_store::{
    AlertOn, Database, Delivery, Limits, NewAlert, NewWebhook, Outgoing, PageQuery,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// 2026-11-28, and 2026-12-02.
pub(super) const NOVEMBER: u64 = 1_795_824_000_000;
pub(super) const DECEMBER: u64 = NOVEMBER + 4 * 86_400_000;
const MICROS: i128 = 1_000_000;

#[derive(Default)]
pub(super) struct SetClock(pub(super) AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn utc(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

/// An organization `a` with a budget of 10.00 a month.
pub(super) struct Place {
    pub(super) store: Store,
    pub(super) meters: Meters,
    pub(super) clock: Arc<SetClock>,
    pub(super) folder: TempDir,
}

pub(super) fn may<P: Demand>() -> Allowed<P> {
    Actor::operator().allow("a").unwrap()
}

pub(super) fn all() -> PageQuery {
    PageQuery { after: None, limit: 100, descending: false }
}

impl Place {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::File(folder.path().join("store.db"));
        let store = Store::open(&database, Limits::default()).await.unwrap();
        store.create_organization(&may(), "A").await.unwrap();
        store.set_currency(&may(), "eur".parse().unwrap()).await.unwrap();
        let budget = BudgetData { period: "month".to_owned(), amount: "10".to_owned() };
        let limits = LimitsData { budgets: vec![budget], ..LimitsData::default() };
        store.set_organization_limits(&may(), &limits).await.unwrap();
        let journal = Journal::open(&folder.path().join("0"), JournalOptions::default()).unwrap();
        let clock = Arc::new(SetClock(NOVEMBER.into()));
        let shared: Arc<dyn Clock> = Arc::<SetClock>::clone(&clock);
        let meters = Meters::new(Arc::new(journal), PriceBook::default(), shared);
        Self { store, meters, clock, folder }
    }

    pub(super) async fn webhook(&self, url: &str) {
        let new = NewWebhook { url, secret: SECRET, events: &[] };
        self.store.create_webhook(&may(), &new).await.unwrap();
    }

    pub(super) async fn alert(&self, addresses: &[&str]) {
        let rule = NewAlert {
            project: None,
            key: None,
            on: AlertOn::Budget(Period::Month),
            thresholds: vec![50, 80],
            by_webhook: addresses.is_empty(),
            addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
        };
        self.store.create_alert(&may(), &rule).await.unwrap();
    }

    pub(super) fn watcher(&self) -> Watcher {
        let clock: Arc<dyn Clock> = Arc::<SetClock>::clone(&self.clock);
        Watcher::new(self.store.clone(), self.meters.clone(), clock)
    }

    /// Uses so many hundredths of the currency.
    pub(super) fn spend(&self, cents: i128) {
        let cost = Picos::new(cents * 10_000 * MICROS);
        let id = AccountId::Organization(OrganizationId::new("a").unwrap());
        self.meters.restore(&id, Period::Month, &Sum { usage: Usage::NONE, cost });
    }

    /// How messages are sent: letters become files of the folder.
    pub(super) fn options(&self, outbound: Outbound) -> AlertsOptions {
        let from = EmailAddress::parse("server@a.example").unwrap();
        let mailer = Mailer::folder(&self.letters(), &from, "Agentbase").unwrap();
        let mail = AlertMail { mailer, site_url: "https://a.example".to_owned() };
        AlertsOptions { outbound: Some(outbound), mail }
    }

    pub(super) fn letters(&self) -> PathBuf {
        self.folder.path().join("letters")
    }

    /// What was written down, without what mail puts into lines that are too long for it.
    pub(super) fn written(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.letters()).unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap().replace("=\r\n", "");
        files.map(|file| read(file.unwrap().path())).collect()
    }

    pub(super) fn sender(&self, outbound: Outbound) -> Sender {
        Sender::new(self.store.clone(), self.options(outbound))
    }

    /// What is due at a time, tried then.
    pub(super) async fn send(&self, sender: &Sender, at: i64) -> Vec<Delivery> {
        let deliveries = self.store.take_deliveries(at, 9).await.unwrap();
        for delivery in &deliveries {
            sender.attempt(delivery, || at).await;
        }
        deliveries
    }

    pub(super) async fn outgoing(&self) -> Vec<Outgoing> {
        self.store.outgoing(&may(), false, &all()).await.unwrap().rows
    }
}

pub(super) struct Received {
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Received {
    /// The id that it was sent with; its signature holds.
    pub(super) fn verified(&self) -> String {
        let header = |name: &str| self.headers[name].clone();
        let signed = SignedHeaders {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
        };
        let secret = WebhookSecret::parse(SECRET).unwrap();
        let now = UnixSeconds::now();
        WebhookSecret::verify(&[&secret], &signed, self.body.as_bytes(), now).unwrap();
        signed.id
    }
}

/// Answers each request with the next of these, and tells what it got.
pub(super) async fn receiver(
    answers: &'static [&'static str],
) -> (String, mpsc::UnboundedReceiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
            let received = loop {
                let num = stream.read(&mut buffer).await.unwrap();
                assert!(num > 0, "the request was cut");
                bytes.extend_from_slice(&buffer[..num]);
                if let Some(received) = whole(&bytes) {
                    break received;
                }
            };
            let head = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            tell.send(received).unwrap();
        }
    });
    (url, told)
}

fn whole(bytes: &[u8]) -> Option<Received> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let headers: HashMap<String, String> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let len: usize = headers["content-length"].parse().unwrap();
    (body.len() >= len).then(|| Received { headers, body: body.to_owned() })
}
