//! Routes of other crates: inside the layers, and in the description.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};
use server_http::{ApiError, AppState, read_json, router};
use utoipa::openapi::{Info, OpenApi, PathItem, Paths};

use crate::common::{call, get, post_request};

#[derive(Deserialize)]
struct Named {
    name: String,
}

async fn greet(request: Request) -> Result<String, ApiError> {
    Ok(format!("hello {}", read_json::<Named>(request, 64).await?.name))
}

async fn fail() -> String {
    panic!("as a handler may")
}

fn mounted() -> Router {
    let routes = Router::new().route("/extra/greet", post(greet)).route("/extra/fail", post(fail));
    let paths = Paths::builder().path("/extra/greet", PathItem::default()).build();
    let document = OpenApi::new(Info::new("extra", "1"), paths);
    router(AppState::builder().mount(routes, document).build())
}

#[tokio::test]
async fn mounted_routes_are_described_and_inside_the_layers() {
    let router = mounted();
    let ask = |path: &str, body: &str| call(&router, post_request(path, body.to_owned()));
    let (status, headers, text) = ask("/extra/greet", r#"{"name":"you"}"#).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "hello you"));
    assert!(headers.contains_key("x-request-id"));
    let (status, _, text) = get(&router, "/extra/greet").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(text.contains("\"method_not_allowed\""), "{text}");
    let (status, _, text) = ask("/extra/fail", "{}").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.contains("\"internal_error\""), "{text}");
    let foreign = Request::post("/extra/greet").header("host", "elsewhere.example");
    let (status, ..) = call(&router, foreign.body(Body::from(r#"{"name":"you"}"#)).unwrap()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (_, _, text) = get(&router, "/openapi.json").await;
    let document: Value = serde_json::from_str(&text).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/extra/greet") && paths.contains_key("/v1/models"));
}

#[tokio::test]
async fn a_mounted_route_reads_json_within_its_limits() {
    let router = mounted();
    let long = json!({"name": "x".repeat(64)}).to_string();
    let deep = format!("{{\"name\":{}{}}}", "[".repeat(20), "]".repeat(20));
    let cases = [
        ("{}", 400, json!("name")),
        ("[]", 400, Value::Null),
        (&long, 413, Value::Null),
        (&deep, 400, json!("name")),
        (r#"{"name":"a"} x"#, 400, Value::Null),
    ];
    for (body, expected, param) in cases {
        let request = post_request("/extra/greet", body.to_owned());
        let (status, _, text) = call(&router, request).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status.as_u16(), &answer["error"]["param"]), (expected, &param), "{body}");
    }
}
