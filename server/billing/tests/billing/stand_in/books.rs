//! What the stand-in knows, and that it does each request once.

use std::collections::{BTreeMap, HashMap};

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Answer, fields};

/// What webhooks are signed with.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_stand_in";

/// A request's fields.
pub(crate) type Fields = BTreeMap<String, String>;

/// Usage that was reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) customer: String,
    pub(crate) value: i64,
    pub(crate) at: u64,
    /// When it came: identifiers are known for a day.
    pub(crate) received: u64,
    pub(crate) is_billed: bool,
}

/// Accounts, and the time.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) now: u64,
    pub(crate) customers: BTreeMap<String, Value>,
    /// With the fields that they were made with.
    pub(crate) sessions: BTreeMap<String, (Fields, Value)>,
    pub(crate) subscriptions: BTreeMap<String, Value>,
    pub(crate) invoices: BTreeMap<String, Value>,
    /// By identifier, each time that it was taken.
    pub(crate) used: Vec<(String, Used)>,
    pub(crate) tax_ids: Vec<(String, Fields)>,
    /// Events that were not sent yet.
    events: Vec<Value>,
    answers: HashMap<String, (String, Answer)>,
    num_ids: u64,
}

impl Books {
    /// Does what is asked, or answers as it did when it was asked with this key.
    pub(super) fn done_once(&mut self, what: &str, encoded: &[u8], key: Option<String>) -> Answer {
        let request = format!("{what} {}", String::from_utf8_lossy(encoded));
        let Some(key) = key else {
            return self.route(what, &fields(encoded));
        };
        if let Some((before, answer)) = self.answers.get(&key) {
            return match *before == request {
                true => answer.clone(),
                false => Err((400, "Keys for idempotent requests have other parameters".into())),
            };
        }
        let answer = self.route(what, &fields(encoded));
        self.answers.insert(key, (request, answer.clone()));
        answer
    }

    /// Answers are no longer known by their keys, as after a day.
    pub(crate) fn forget_keys(&mut self) {
        self.answers.clear();
    }

    pub(crate) fn new_id(&mut self, start: &str) -> String {
        self.num_ids += 1;
        format!("{start}_{}", self.num_ids)
    }

    /// Something happened to an object, which is as it is now.
    pub(crate) fn tell(&mut self, kind: &str, object: &Value) {
        let event = json!({ "id": self.new_id("evt"), "object": "event", "created": self.now,
            "livemode": false, "type": kind, "data": { "object": object } });
        self.events.push(event);
    }

    /// The webhooks that are to be sent, with their signatures.
    pub(crate) fn webhooks(&mut self) -> Vec<(Vec<u8>, String)> {
        let events = std::mem::take(&mut self.events);
        events.into_iter().map(|event| self.signed(event.to_string().into_bytes())).collect()
    }

    /// A body with its signature of now.
    pub(crate) fn signed(&self, body: Vec<u8>) -> (Vec<u8>, String) {
        let signature = sign(WEBHOOK_SECRET, self.now, &body);
        (body, signature)
    }

    /// All that a customer used, whatever was reported of it how often.
    pub(crate) fn total_used(&self) -> i64 {
        self.used.iter().map(|(_, used)| used.value).sum()
    }
}

/// A `Stripe-Signature` of a body.
pub(crate) fn sign(secret: &str, at: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    let digits: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={digits},v0=00")
}
