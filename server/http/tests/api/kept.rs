//! A server with a store and two tenants, `a` and `b`, with projects.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use engine_core::EngineLimits;
use engine_mock::{MockEngine, MockModel};
use scheduler_batching::{Handle, PlannerConfig};
use serde_json::Value;
use server_accounts::StorePrompts;
use server_http::{AppState, AuthError, Authenticate, Caller, HttpLimits, Metrics, router};
use server_metering::ProjectId;
use server_store::{Database, Limits, Store};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::common::{EOS, LIMITS, served};

/// A key is a tenant's name, and `a/p` of the project `p` of `a`'s. Where `a:never` is sent, the
/// project stores nothing, and what is asked for with `a:2` is kept for two days.
struct Names;

impl Authenticate for Names {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        let key = bearer.ok_or(AuthError::Missing)?;
        let (key, keeping) = key.split_once(':').unwrap_or((key, ""));
        let (tenant, project) = key.split_once('/').unwrap_or((key, "default"));
        let mut caller = Caller::of_tenant(tenant, tenant)?;
        caller.path.project = ProjectId::new(project)?;
        if keeping == "never" {
            caller.keeping.prompts = StorePrompts::Never;
        }
        caller.keeping.retention_days = keeping.parse().ok();
        Ok(caller)
    }
}

pub(crate) struct Kept {
    pub(crate) router: Router,
    pub(crate) handle: Handle,
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
}

/// A model that says `text` and then ends.
pub(crate) async fn says(text: &str) -> Kept {
    kept(MockModel::scripted(text, EOS), Limits::default()).await
}

pub(crate) async fn kept(model: MockModel, limits: Limits) -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let file = Database::File(folder.path().join("store.db"));
    let store = Store::open(&file, limits).await.unwrap();
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(EngineLimits { max_model_len: 2048, ..LIMITS }, model);
    let model = served("mock", engine, PlannerConfig::default(), &metrics);
    let handle = model.handle.clone();
    let state = AppState::builder().model(model).metrics(metrics).auth(Arc::new(Names));
    let limits = HttpLimits { max_background: 2, ..HttpLimits::default() };
    let state = state.store(store.clone()).limits(limits).build();
    Kept { router: router(state), handle, store, folder }
}

impl Kept {
    pub(crate) async fn send(
        &self,
        tenant: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let (status, text) = self.text(tenant, method, path, body).await;
        (status, serde_json::from_str(&text).unwrap())
    }

    async fn text(
        &self,
        tenant: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> (StatusCode, String) {
        let response = self.opened(tenant, method, path, body).await;
        (response.status(), read(response).await)
    }

    /// An answer whose head is there, and its body still to be read.
    pub(crate) async fn opened(
        &self,
        tenant: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Response {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {tenant}"));
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap()
    }

    /// What is there for tenant `a`.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.send("a", "GET", path, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    /// What tenant `a` gets for a body that is fine.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.send("a", "POST", path, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    /// The error of tenant `a`: its status, field and code.
    pub(crate) async fn error(&self, method: &str, path: &str, body: Value) -> (u16, Value, Value) {
        let (status, answer) = self.send("a", method, path, body).await;
        assert!(!status.is_success(), "{answer}");
        let error = &answer["error"];
        assert!(!error["message"].as_str().unwrap().is_empty());
        (status.as_u16(), error["param"].clone(), error["code"].clone())
    }

    /// The events of a stream: each is named by its type, and they are numbered.
    pub(crate) async fn events(&self, method: &str, path: &str, body: Value) -> Vec<Value> {
        events_of(self.opened("a", method, path, body).await).await
    }
}

/// The same of a stream that is open.
pub(crate) async fn events_of(response: Response) -> Vec<Value> {
    let status = response.status();
    let text = read(response).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let event = |block: &str| {
        let (name, data) = block.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        data
    };
    let blocks = text.split_terminator("\n\n").filter(|block| *block != ":");
    let events: Vec<Value> = blocks.map(event).collect();
    let first = events[0]["sequence_number"].as_u64().unwrap();
    for (number, event) in (first..).zip(&events) {
        assert_eq!(event["sequence_number"], number, "{event}");
    }
    events
}

async fn read(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}
