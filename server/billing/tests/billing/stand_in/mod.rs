//! A stand-in of Stripe on this machine: an HTTP server over a few maps, as strict as Stripe about
//! secrets, versions, idempotency keys and identifiers, that can fail in Stripe's ways.

mod books;
mod life;
mod routes;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use books::Fields;
pub(crate) use books::{Books, WEBHOOK_SECRET, sign};

/// The secret that it takes.
pub(crate) const SECRET: &str = "sk_test_stand_in";
/// How long it keeps an answer back that is to be late: longer than any test.
const LATE: Duration = Duration::from_secs(3600);

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered with this status, and nothing is done.
    Status(u16),
    /// It is done, and the connection breaks in its answer.
    LostAnswer,
    /// It is done, and its answer never comes.
    LateAnswer,
    /// It is answered with this status, and Stripe says that it is of no use to try again.
    Hopeless(u16),
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) what: String,
    pub(crate) key: Option<String>,
}

#[derive(Default)]
struct Inner {
    books: Books,
    faults: VecDeque<Fault>,
    seen: Vec<Seen>,
}

/// The stand-in.
#[derive(Clone)]
pub(crate) struct StandIn {
    inner: Arc<Mutex<Inner>>,
    pub(crate) api: String,
}

impl StandIn {
    /// Serves until the test's runtime ends.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let stand_in = Self { inner: Arc::default(), api };
        let router = Router::new().fallback(answer).with_state(stand_in.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        stand_in
    }

    /// What it knows.
    pub(crate) fn books<T>(&self, look: impl FnOnce(&mut Books) -> T) -> T {
        look(&mut self.lock().books)
    }

    /// The next requests fail like this, one after another.
    pub(crate) fn fail(&self, faults: &[Fault]) {
        self.lock().faults.extend(faults);
    }

    /// The requests since it was last asked.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.lock().seen)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

async fn answer(State(stand_in): State<StandIn>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let encoded = match parts.method.as_str() {
        "POST" => body.to_vec(),
        _ => parts.uri.query().unwrap_or("").as_bytes().to_vec(),
    };
    let what = format!("{} {}", parts.method, parts.uri.path());
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap());
    let key = header("idempotency-key").map(str::to_owned);
    let (answer, fault) = {
        let mut inner = stand_in.lock();
        inner.seen.push(Seen { what: what.clone(), key: key.clone() });
        let fault = inner.faults.pop_front();
        match (refused(&parts.headers, parts.method.as_str()), fault) {
            (Some(refused), _) => (refused, None),
            (None, Some(Fault::Status(status))) => (error(status, "it fails"), fault),
            (None, Some(Fault::Hopeless(status))) => {
                let mut response = error(status, "it is hopeless");
                response.headers_mut().insert("stripe-should-retry", "false".parse().unwrap());
                (response, fault)
            }
            (None, fault) => {
                let answer = inner.books.done_once(&what, &encoded, key);
                (respond(answer), fault)
            }
        }
    };
    match fault {
        Some(Fault::LostAnswer) => {
            let broken = std::io::Error::other("the connection breaks");
            Body::from_stream(futures_util::stream::iter([Err::<Vec<u8>, _>(broken)]))
                .into_response()
        }
        Some(Fault::LateAnswer) => {
            tokio::time::sleep(LATE).await;
            answer
        }
        _ => answer,
    }
}

fn refused(headers: &HeaderMap, method: &str) -> Option<Response> {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    if !is("authorization", &format!("Bearer {SECRET}")) {
        return Some(error(401, "Invalid API Key provided"));
    }
    if !is("stripe-version", server_billing::API_VERSION) {
        return Some(error(400, "Invalid Stripe API version"));
    }
    let has_key = headers.contains_key("idempotency-key");
    (has_key != (method == "POST")).then(|| error(400, "POST and nothing else has a key"))
}

/// What is answered to a request: an object, or a status and Stripe's words.
pub(crate) type Answer = Result<Value, (u16, String)>;

fn respond(answer: Answer) -> Response {
    match answer {
        Ok(object) => object.to_string().into_response(),
        Err((status, message)) => error(status, &message),
    }
}

fn error(status: u16, message: &str) -> Response {
    let body = json!({ "error": { "type": "invalid_request_error", "message": message } });
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}

/// A request's fields, by their names.
pub(crate) fn fields(encoded: &[u8]) -> Fields {
    form_urlencoded::parse(encoded).into_owned().collect()
}
