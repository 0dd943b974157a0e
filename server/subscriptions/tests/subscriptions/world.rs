//! A server with an organization that pays, its database, and the stand-in of Stripe.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use server_accounts::{Actor, Allowed, Demand, Directory, KeyError, LimitsData, Role};
use server_admin::Admin;
use server_billing::UnixSeconds;
use server_http::{AppState, AuthError, Authenticate, Caller, router};
use server_metering::{
    Clock, Ending, Endpoint, Entry, KeyId, ModelId, Opened, OrganizationId, Path, Picos, ProjectId,
    RequestId, Tier, UnixMillis, Usage,
};
use server_store::{Database, Limits, NewAdminKey, NewKey, Store};
use server_subscriptions::{Options, Secret, Subscriptions, document, routes};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::On;
use crate::databases::fresh_postgres;
use crate::stand_in::{SECRET, StandIn, WEBHOOK_SECRET};

pub(crate) const HOUR: u64 = 3600;
pub(crate) const DAY: u64 = 24 * HOUR;
pub(crate) const ORG: &str = "org-a";

const PLANS: &str = "
return_url = 'https://a.test/billing'
automatic_tax = true
[meter]
id = 'mtr_1'
event_name = 'usage_micros'
settle_secs = 60
[[plan]]
id = 'free'
name = 'Free'
monthly_fee = '0'
[plan.limits]
requests_per_minute = 20
monthly_budget = '5'
[[plan]]
id = 'pro'
name = 'Pro'
monthly_fee = '20'
prices = [{ id = 'price_pro' }, { id = 'price_usage', is_metered = true }]
[plan.limits]
requests_per_minute = 600
input_tokens_per_minute = 2_000_000
";

pub(crate) struct World {
    pub(crate) stripe: StandIn,
    pub(crate) store: Store,
    pub(crate) subscriptions: Subscriptions,
    /// Stripe's clock, and that of whatever is not asked by HTTP.
    pub(crate) now: UnixSeconds,
    clock: Arc<SetClock>,
    /// A project's key, that of an owner, and that of who may only look.
    pub(crate) keys: [String; 3],
    router: Router,
    directory: Directory,
    num_requests: u64,
    _folder: TempDir,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.json);
        self.json
    }

    /// The status, code and parameter of an error in OpenAI's shape.
    pub(crate) fn error(&self) -> (u16, Option<&str>, Option<&str>) {
        let error = &self.json["error"];
        assert!(error["message"].is_string() && error["type"].is_string(), "{}", self.json);
        (self.status.as_u16(), error["code"].as_str(), error["param"].as_str())
    }
}

/// What the server takes for the time.
#[derive(Default)]
struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn utc(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst) * 1000)
    }
}

/// Lets in keys of projects, as a server does.
struct Gate(Directory);

impl Authenticate for Gate {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        let bearer = bearer.ok_or(AuthError::Missing)?;
        let known = self.0.check(bearer, (Instant::now(), 0))?;
        Ok(Caller::new(known.path.clone(), Arc::clone(&known.scopes)))
    }
}

/// Leave of whoever has the data directory.
pub(crate) fn may<P: Demand>() -> Allowed<P> {
    Actor::operator().allow(ORG).unwrap()
}

impl World {
    pub(crate) async fn new(on: On) -> Self {
        let (stripe, folder) = (StandIn::start().await, tempfile::tempdir().unwrap());
        let database = match on {
            On::Sqlite => Database::File(folder.path().join("store.db")),
            On::Postgres => fresh_postgres("subscriptions").await,
        };
        let store = Store::open(&database, Limits::default()).await.unwrap();
        // Webhooks that come by HTTP are signed by this machine's clock.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        stripe.books(|books| books.now = now);
        let keys = accounts(&store).await;
        let clock = Arc::new(SetClock(now.into()));
        let subscriptions = process(&stripe, &store, &clock);
        let directory = Directory::default();
        let admin = Admin::new(store.clone(), directory.clone());
        let state = AppState::builder()
            .auth(Arc::new(Gate(directory.clone())))
            .store(store.clone())
            .mount(server_admin::routes(admin.clone()), server_admin::document())
            .mount(routes(subscriptions.clone(), &admin), document())
            .build();
        let (router, now) = (router(state), UnixSeconds(now));
        let num_requests = 0;
        Self {
            stripe,
            store,
            subscriptions,
            now,
            clock,
            keys,
            router,
            directory,
            num_requests,
            _folder: folder,
        }
    }

    /// A killed server's successor, over the same database.
    pub(crate) fn restart(&mut self) {
        self.subscriptions = process(&self.stripe, &self.store, &self.clock);
    }

    pub(crate) fn wait(&mut self, secs: u64) {
        self.now = self.now.plus(secs);
        self.clock.0.store(self.now.0, Ordering::SeqCst);
        self.stripe.books(|books| books.now = self.now.0);
    }

    /// It is what it is on this machine.
    pub(crate) fn set_time_of_machine(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.now = UnixSeconds(now);
        self.wait(0);
    }

    /// What a server does ten times a second.
    pub(crate) async fn follow(&self) {
        self.directory.apply(self.store.changes(0).await.unwrap());
        self.directory.confirm(Instant::now());
    }

    /// Whether the project's key is let in.
    pub(crate) async fn use_key(&self) -> Result<(), KeyError> {
        self.follow().await;
        self.directory.check(&self.keys[0], (Instant::now(), 0)).map(drop)
    }

    pub(crate) async fn limits(&self) -> LimitsData {
        self.store.organization(&may()).await.unwrap().limits
    }

    /// Asks with one of the keys; `null` is no body.
    pub(crate) async fn ask(&self, key: usize, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.keys[key]));
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn billing(&self) -> Value {
        self.ask(1, "GET", "/api/v1/organization/billing", Value::Null).await.ok()
    }

    pub(crate) async fn webhook(&self, body: &[u8], signature: &str) -> Answer {
        let request = Request::post("/webhooks/stripe").header("stripe-signature", signature);
        self.send(request.body(Body::from(body.to_vec())).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.follow().await;
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: head.status, json: serde_json::from_slice(&body).unwrap() }
    }

    /// Buys Pro by HTTP; the subscription. Its webhooks are not delivered yet.
    pub(crate) async fn buy(&self) -> String {
        let plan = json!({ "plan": "pro" });
        let link = self.ask(1, "POST", "/api/v1/organization/billing/checkout", plan).await.ok();
        assert_eq!(link["object"], "organization.billing.checkout");
        let session = link["url"].as_str().unwrap().strip_prefix("https://checkout.test/").unwrap();
        self.stripe.books(|books| books.pay_session(session))
    }

    /// Takes all webhooks at the time of [`Self::now`].
    pub(crate) async fn deliver(&self) {
        for (body, signature) in self.stripe.books(|books| books.webhooks()) {
            self.subscriptions.billing().receive(&body, &signature, self.now).await.unwrap();
        }
    }

    /// The ledger settles so many pico-units at a moment.
    pub(crate) async fn settle(&mut self, at: UnixSeconds, picos: i128) {
        self.num_requests += 1;
        let at = UnixMillis(at.0 * 1000);
        let entry = Entry {
            opened: Opened {
                request: RequestId::new(&format!("req-{}", self.num_requests)).unwrap(),
                path: Path {
                    organization: OrganizationId::new(ORG).unwrap(),
                    project: ProjectId::new("p").unwrap(),
                    key: KeyId::new("k").unwrap(),
                },
                model: ModelId::new("m@1").unwrap(),
                tier: Tier::new("standard").unwrap(),
                endpoint: Endpoint::new("/v1/responses").unwrap(),
                tag: None,
                opened_at: at,
                held: Picos::new(picos),
            },
            settled_at: at,
            usage: Usage::NONE,
            cost: Picos::new(picos),
            ending: Ending::Finished,
        };
        self.store.append_to_ledger(&[entry]).await.unwrap();
    }
}

fn process(stripe: &StandIn, store: &Store, clock: &Arc<SetClock>) -> Subscriptions {
    let secret = |text| Secret::new(text).unwrap();
    let options = Options {
        key: secret(SECRET),
        webhook_secrets: vec![secret("whsec_old"), secret(WEBHOOK_SECRET)],
        api: Some(stripe.api.clone()),
        plans: PLANS.to_owned(),
    };
    let clock: Arc<dyn Clock> = Arc::<SetClock>::clone(clock);
    Subscriptions::new(store.clone(), &options, clock).unwrap()
}

/// An organization with a project and three keys.
async fn accounts(store: &Store) -> [String; 3] {
    store.create_organization(&may(), "Example").await.unwrap();
    store.create_project(&may(), Some("p"), "Web").await.unwrap();
    let (name, owner) = ("key".to_owned(), "operator".to_owned());
    let new = NewKey { project: "p".to_owned(), name, owner, ..NewKey::default() };
    let (_, key) = store.create_key(&may(), &new).await.unwrap();
    store.create_role(&may(), &Role::custom("clerk", ["billing.read"]).unwrap()).await.unwrap();
    let mut keys = [key.expose().to_owned(), String::new(), String::new()];
    for (slot, role) in keys[1..].iter_mut().zip(["owner", "clerk"]) {
        let (name, owner) = (role.to_owned(), "operator".to_owned());
        let new = NewAdminKey { name, owner, role: role.to_owned(), ..NewAdminKey::default() };
        let (_, secret) = store.create_admin_key(&may(), &new).await.unwrap();
        *slot = secret.expose().to_owned();
    }
    keys
}
