//! Two organizations, and somebody who asks.

use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::Value;
use server_accounts::{Actor, Allowed, Demand, Directory, KeyHash, KeySecret, Role};
use server_admin::{Admin, InviteMail, InviteSecret, Inviter, Sent, document, routes};
use server_http::{AppState, AuthError, Authenticate, Caller, router};
use server_metering::{
    Journal, JournalOptions, Meter, Meters, ModelId, OrganizationId, PriceBook, ProjectId,
    ProjectPath, SystemClock, Tier, UnixMillis, Validity,
};
use server_store::{
    Database, Limits, NewAdminKey, NewInvitation, NewKey, NewProvision, NewServiceAccount, NewUser,
    Store,
};
use tempfile::TempDir;
use tower::ServiceExt;

/// What an organization has.
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) project: String,
    pub(crate) owner: String,
    pub(crate) developer: String,
    pub(crate) key: String,
    pub(crate) key_secret: String,
    pub(crate) admin: String,
    pub(crate) admin_secret: String,
    pub(crate) service_account: String,
    pub(crate) invite: String,
    pub(crate) role: String,
    pub(crate) provision: String,
    pub(crate) webhook: String,
    pub(crate) alert: String,
}

/// What the key of an organization asks to be kept is of this project.
pub(crate) fn whose(of: &Organization) -> ProjectPath {
    let (organization, project) = (OrganizationId::new(&of.id), ProjectId::new(&of.project));
    ProjectPath { organization: organization.unwrap(), project: project.unwrap() }
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) router: Router,
    pub(crate) a: Organization,
    pub(crate) b: Organization,
    pub(crate) mails: Arc<Mails>,
    /// Ids of keys that were let in.
    pub(crate) used: Arc<Mutex<Vec<String>>>,
    directory: Directory,
    revision: Mutex<i64>,
    _folder: TempDir,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

/// Invitations that were sent: to whom, of which organization, and their secrets.
#[derive(Default)]
pub(crate) struct Mails(pub(crate) Mutex<Vec<(String, String, String)>>);

/// Lets in keys of projects, as a server does.
struct Gate(Directory, Store);

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body of a success.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    /// The status, code and parameter of an error in OpenAI's shape.
    pub(crate) fn error(&self) -> (u16, Option<String>, Option<String>) {
        let error = &self.json()["error"];
        assert!(error["message"].is_string() && error["type"].is_string(), "{}", self.text);
        let text = |field: &str| error[field].as_str().map(str::to_owned);
        (self.status.as_u16(), text("code"), text("param"))
    }
}

impl Inviter for Mails {
    fn address(&self, email: &str) -> Result<String, String> {
        let email = email.to_lowercase();
        if email.contains('@') { Ok(email) } else { Err("This is no address.".to_owned()) }
    }

    fn secret(&self) -> InviteSecret {
        let secret = KeySecret::generate().expose().to_owned();
        InviteSecret { hash: KeyHash::of(&secret).to_text(), secret }
    }

    fn send<'a>(&'a self, mail: InviteMail<'a>) -> Sent<'a> {
        if mail.email.starts_with("unreachable") {
            return Box::pin(ready(Err("no such mailbox".to_owned())));
        }
        let sent = [mail.email, mail.organization, mail.secret].map(str::to_owned);
        self.0.lock().unwrap().push(sent.into());
        Box::pin(ready(Ok(())))
    }
}

impl Authenticate for Gate {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        let bearer = bearer.ok_or(AuthError::Missing)?;
        let known = self.0.check(bearer, (Instant::now(), unix()));
        let known = known.map_err(|_| AuthError::Invalid)?;
        Ok(Caller::new(known.path.clone(), Arc::clone(&known.scopes)))
    }

    fn refresh(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async { self.0.apply(self.1.changes(0).await.unwrap()) })
    }
}

pub(crate) fn unix() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// Leave of whoever has the data directory.
pub(crate) fn operator<P: Demand>(organization: &str) -> Allowed<P> {
    Actor::operator().allow(organization).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::File(folder.path().join("store.db"));
        let store = Store::open(&database, Limits::default()).await.unwrap();
        let (a, b) = (organization(&store, "alpha").await, organization(&store, "beta").await);
        let journal = Journal::open(&folder.path().join("journal"), JournalOptions::default());
        let meters = Meters::new(Arc::new(journal.unwrap()), prices(), Arc::new(SystemClock));
        let (directory, mails) = (Directory::default(), Arc::new(Mails::default()));
        let used = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&used);
        let gate = Arc::new(Gate(directory.clone(), store.clone()));
        let admin = Admin::new(store.clone(), directory.clone())
            .meters(meters)
            .inviter(Arc::<Mails>::clone(&mails))
            .refreshed_by(Arc::<Gate>::clone(&gate))
            .on_use(move |known| noted.lock().unwrap().push(known.path.key.to_string()));
        // Told from now on, without a new start. Its line is in nobody's log.
        store.set_currency(&operator("platform"), "eur".parse().unwrap()).await.unwrap();
        let state = AppState::builder()
            .auth(gate)
            .store(store.clone())
            .mount(routes(admin), document())
            .build();
        let (router, revision) = (router(state), Mutex::new(0));
        Self { store, router, a, b, mails, used, directory, revision, _folder: folder }
    }

    /// What a server does four times a second.
    pub(crate) async fn follow(&self) {
        let since = *self.revision.lock().unwrap();
        let changes = self.store.changes(since).await.unwrap();
        *self.revision.lock().unwrap() = changes.revision;
        self.directory.apply(changes);
        self.directory.confirm(Instant::now());
    }

    /// Sends a request with a key; `null` is no body.
    pub(crate) async fn ask(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {key}"));
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request.body(body).unwrap()).await
    }

    /// Sends a request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.follow().await;
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: head.status, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Reads with the first organization's admin key.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&self.a.admin_secret, "GET", path, Value::Null).await
    }

    /// Writes with the first organization's admin key.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(&self.a.admin_secret, "POST", path, body).await
    }

    /// Deletes with the first organization's admin key.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask(&self.a.admin_secret, "DELETE", path, Value::Null).await
    }
}

/// Of a model, and of one whose price is the largest that there is.
fn prices() -> PriceBook {
    let mut book = PriceBook::default();
    for (model, input, output) in [("mock", "0.15", "0.60"), ("dear", "1000000000", "0")] {
        let list = server_accounts::PriceListData::flat([
            (Meter::InputTokens, input),
            (Meter::OutputTokens, output),
        ]);
        let model = ModelId::new(model).unwrap();
        let validity = Validity { from: UnixMillis(0), until: None };
        let tier = Tier::new("standard").unwrap();
        book.add(&model, &tier, validity, list.prices().unwrap()).unwrap();
    }
    book
}

/// An organization with one of everything, whose names all begin with its name.
async fn organization(store: &Store, name: &str) -> Organization {
    let id = format!("org-{name}");
    store.create_organization(&operator(&id), &format!("{name} inc")).await.unwrap();
    let project = format!("proj_{name}");
    store.create_project(&operator(&id), Some(&project), &format!("{name} web")).await.unwrap();
    let owner = user(store, &id, (name, "owner")).await;
    let developer = user(store, &id, (name, "developer")).await;
    let members = operator(&id);
    store.add_project_member(&members, &project, &developer, "member").await.unwrap();
    let new = NewServiceAccount {
        project: project.clone(),
        name: format!("{name} robot"),
        role: "member".to_owned(),
    };
    let (account, ..) = store.create_service_account(&operator(&id), &new).await.unwrap();
    let new = NewKey {
        project: project.clone(),
        name: format!("{name} key"),
        owner: format!("user:{developer}"),
        ..NewKey::default()
    };
    let (key, key_secret) = store.create_key(&operator(&id), &new).await.unwrap();
    let new = NewAdminKey {
        name: format!("{name} admin"),
        owner: format!("user:{owner}"),
        role: "owner".to_owned(),
        ..NewAdminKey::default()
    };
    let (admin, admin_secret) = store.create_admin_key(&operator(&id), &new).await.unwrap();
    let role = format!("{name}-clerk");
    let made = Role::custom(&role, ["usage.read"]).unwrap();
    store.create_role(&operator(&id), &made).await.unwrap();
    let new = NewInvitation {
        email: format!("{name}.guest@example.com"),
        role: "viewer".to_owned(),
        projects: Vec::new(),
        hash: KeyHash::of(name).to_text(),
        expires_at: unix() + 1000,
    };
    let invite = store.invite(&operator(&id), &new).await.unwrap().id;
    let model = "mock";
    let new = NewProvision { project: &project, model, units: 2, from: None, until: None };
    let provision = store.create_provision(&operator(&id), &new).await.unwrap().id;
    let (webhook, alert) = crate::hooks::make(store, &id, name).await;
    let secret = |secret: KeySecret| secret.expose().to_owned();
    Organization {
        id,
        project,
        owner,
        developer,
        key: key.id,
        key_secret: secret(key_secret),
        admin: admin.id,
        admin_secret: secret(admin_secret),
        service_account: account.id,
        invite,
        role,
        provision,
        webhook,
        alert,
    }
}

async fn user(store: &Store, organization: &str, (name, role): (&str, &str)) -> String {
    let new = NewUser {
        email: format!("{name}.{role}@example.com"),
        name: format!("{name} {role}"),
        password: None,
        email_verified: true,
    };
    let user = store.create_user(&new).await.unwrap().id;
    store.add_member(&operator(organization), &user, role).await.unwrap();
    user
}
