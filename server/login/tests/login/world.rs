//! A server, and somebody who asks.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use server_accounts::{Actor, Allowed, Demand};
use server_http::{AppState, AuthError, Authenticate, Caller, Peer, router};
use server_identity::mail::Mailer;
use server_identity::{EmailAddress, PasswordHasher, TotpSecret, UnixSeconds};
use server_login::{Login, LoginKey, Parts, Settings, SignUp, document, routes};
use server_store::{Database, Limits, OrganizationUpdate, Store};
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) const SITE: &str = "https://ai.example.org";
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) login: Login,
    router: Router,
    letters: PathBuf,
    _folder: TempDir,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body of a success.
    pub(crate) fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.json()
    }

    /// The status and code of an error in OpenAI's shape.
    pub(crate) fn error(&self) -> (u16, String) {
        let error = &self.json()["error"];
        assert!(error["message"].is_string() && error["type"].is_string(), "{}", self.text);
        (self.status.as_u16(), error["code"].as_str().unwrap_or_default().to_owned())
    }

    /// `NAME=VALUE` of a cookie that is set.
    pub(crate) fn cookie(&self, name: &str) -> String {
        let mut set = self.headers.get_all(header::SET_COOKIE).iter();
        let line = set.find_map(|line| {
            let line = line.to_str().unwrap();
            line.starts_with(&format!("{name}=")).then(|| line.to_owned())
        });
        let line = line.unwrap_or_else(|| panic!("no cookie {name}: {:?}", self.headers));
        for attribute in ["; Path=/;", "; HttpOnly;", "; Secure;", "; SameSite=Lax"] {
            assert!(line.contains(attribute), "{line}");
        }
        line.split(';').next().unwrap().to_owned()
    }
}

/// Lets in no key.
struct NoKeys;

impl Authenticate for NoKeys {
    fn check(&self, _: Option<&str>) -> Result<Caller, AuthError> {
        Err(AuthError::Invalid)
    }
}

/// Leave of whoever has the data directory.
pub(crate) fn operator<P: Demand>(organization: &str) -> Allowed<P> {
    Actor::operator().allow(organization).unwrap()
}

/// What an app shows, so many steps from now.
pub(crate) fn code(secret: &str, steps: u64) -> String {
    let now = UnixSeconds::now().after(Duration::from_secs(30 * steps));
    TotpSecret::from_base32(secret).unwrap().shown_at(now)
}

impl World {
    /// Where anybody may sign up.
    pub(crate) async fn open() -> Self {
        Self::with(|settings| settings.sign_up = SignUp::Open).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::File(folder.path().join("store.db"));
        let store = Store::open(&database, Limits::default()).await.unwrap();
        let letters = folder.path().join("letters");
        let from = EmailAddress::parse("noreply@ai.example.org").unwrap();
        let mut settings = Settings::new("Agentbase", SITE);
        change(&mut settings);
        let login = Login::new(Parts {
            store: store.clone(),
            hasher: PasswordHasher::weak_for_tests().unwrap(),
            key: LoginKey::open(&folder.path().join("login.key")).unwrap(),
            mailer: Mailer::folder(&letters, &from, "Agentbase").unwrap(),
            settings,
        });
        let login = login.unwrap();
        let state = AppState::builder()
            .auth(std::sync::Arc::new(NoKeys))
            .store(store.clone())
            .mount(routes(login.clone()), document())
            .build();
        Self { store, login, router: router(state), letters, _folder: folder }
    }

    pub(crate) async fn send(&self, request: Builder, body: &Value) -> Answer {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.answer(request.body(body).unwrap()).await
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Request::post(path), &body).await
    }

    /// A form, as a browser sends it.
    pub(crate) async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let body = Body::from(form.extend_pairs(fields).finish());
        let kind = "application/x-www-form-urlencoded";
        self.answer(Request::post(path).header("content-type", kind).body(body).unwrap()).await
    }

    /// The same as [`World::post`] from a network address.
    pub(crate) async fn post_from(&self, address: &str, path: &str, body: Value) -> Answer {
        let peer = Peer(address.parse::<IpAddr>().unwrap());
        self.send(Request::post(path).extension(peer), &body).await
    }

    /// With a session's or an access token.
    pub(crate) async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder().method(method).uri(path);
        self.send(request.header("authorization", format!("Bearer {token}")), &body).await
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.ask(token, "GET", path, Value::Null).await
    }

    /// The letters to an address, the first first, when there are so many.
    pub(crate) async fn letters(&self, to: &str, num: usize) -> Vec<String> {
        for _ in 0..1000 {
            let letters = read(&self.letters, to);
            assert!(letters.len() <= num, "{letters:?}");
            if letters.len() == num {
                return letters;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{num} letters to {to} did not come");
    }

    /// The token of the latest of so many letters.
    pub(crate) async fn token(&self, to: &str, num: usize) -> String {
        let letters = self.letters(to, num).await;
        let link = letters.last().unwrap().split("token=").nth(1).unwrap();
        link.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    }

    /// Somebody who signed up, whose address is known to be theirs.
    pub(crate) async fn somebody(&self, name: &str) -> String {
        let email = format!("{name}@example.org");
        let body = json!({"email": email, "password": PASSWORD, "name": name});
        self.post("/api/v1/auth/sign-up", body).await.ok();
        let token = self.token(&email, 1).await;
        self.post("/api/v1/auth/verify-email", json!({ "token": token })).await.ok();
        email
    }

    pub(crate) async fn log_in(&self, email: &str) -> Answer {
        self.log_in_with(email, json!({})).await
    }

    pub(crate) async fn log_in_with(&self, email: &str, more: Value) -> Answer {
        let mut body = json!({"email": email, "password": PASSWORD});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/api/v1/auth/login", body).await
    }

    /// The token of a new session of somebody who has no second factor.
    pub(crate) async fn session(&self, email: &str) -> String {
        text(&self.log_in(email).await.ok()["session_token"])
    }

    /// Gives somebody a second factor: its secret, and the recovery codes.
    pub(crate) async fn set_up(&self, session: &str) -> (String, Vec<String>) {
        let setup = self.ask(session, "POST", "/api/v1/me/totp", Value::Null).await.ok();
        let secret = text(&setup["secret"]);
        let body = json!({"code": code(&secret, 0)});
        let codes = self.ask(session, "POST", "/api/v1/me/totp/confirm", body).await.ok();
        let codes = codes["recovery_codes"].as_array().unwrap().iter().map(text).collect();
        (secret, codes)
    }

    /// The id of the one organization of somebody.
    pub(crate) async fn organization(&self, email: &str) -> String {
        let user = self.store.user_by_email(email).await.unwrap().unwrap();
        let organizations = self.store.organizations_of(&user.id).await.unwrap();
        assert_eq!(organizations.len(), 1);
        organizations[0].id.clone()
    }

    /// An organization's members have to have a second factor, or no longer.
    pub(crate) async fn require(&self, organization: &str, is_required: bool) {
        let update =
            OrganizationUpdate { requires_two_factors: Some(is_required), ..Default::default() };
        self.store.update_organization(&operator(organization), &update).await.unwrap();
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

fn read(folder: &Path, to: &str) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = files.map(|file| file.unwrap()).collect();
    files.retain(|file| file.path().extension().is_some_and(|it| it == "eml"));
    files.sort_by_key(|file| file.metadata().unwrap().modified().unwrap());
    let letters = files.iter().map(|file| std::fs::read_to_string(file.path()).unwrap());
    // Quoted-printable, of which only these two concern a link.
    let letters = letters.map(|letter| letter.replace("=\r\n", "").replace("=3D", "="));
    letters.filter(|letter| letter.contains(&format!("To: {to}"))).collect()
}
