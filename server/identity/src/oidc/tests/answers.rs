//! Providers that are not there, or answer something else.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use super::keys::Signer;
use super::provider::TestProvider;
use super::{NOW, REDIRECT, client, log_in, openid};
use crate::oidc::http::Http;
use crate::oidc::{LoginError, Provider};

const DISCOVERY: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn answers_of_no_use_are_refused_and_said_why() {
    let provider = TestProvider::start(Signer::ec()).await;
    let cases = [
        (DISCOVERY, StatusCode::NOT_FOUND, "{}".to_owned(), "status is 404"),
        (DISCOVERY, StatusCode::OK, "<html>".to_owned(), "not the JSON"),
        (DISCOVERY, StatusCode::OK, "{}".to_owned(), "not the JSON"),
        (DISCOVERY, StatusCode::OK, " ".repeat((1 << 20) + 1), "larger than 1048576 bytes"),
        (DISCOVERY, StatusCode::FOUND, String::new(), "status is 302"),
        ("/token", StatusCode::OK, "{\"access_token\":\"at\"}".to_owned(), "not the JSON"),
        (
            "/token",
            StatusCode::UNAUTHORIZED,
            "{\"error\":\"invalid_client\"}".to_owned(),
            "invalid_client",
        ),
        ("/token", StatusCode::OK, "{\"id_token\":\"s3cret\",\"x\"}".to_owned(), "not the JSON"),
        ("/keys", StatusCode::INTERNAL_SERVER_ERROR, String::new(), "status is 500"),
        ("/keys", StatusCode::OK, "{\"keys\":{}}".to_owned(), "not the JSON"),
    ];
    for (path, status, body, reason) in cases {
        provider.conduct().answers = [(path, (status, body))].into();
        let error = log_in(&openid(&provider), &provider).await.unwrap_err();
        assert!(matches!(&error, LoginError::Answer { .. }), "{path}: {error:?}");
        let message = error.to_string();
        assert!(message.contains(reason) && message.contains(path), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
    assert_eq!(provider.num_requests("/keys"), 2, "no redirect was followed to it");
}

#[tokio::test]
async fn what_failed_once_is_asked_again() {
    let provider = TestProvider::start(Signer::ec()).await;
    for path in [DISCOVERY, "/keys", "/token"] {
        let ours = openid(&provider);
        provider.conduct().answers =
            [(path, (StatusCode::SERVICE_UNAVAILABLE, String::new()))].into();
        assert!(log_in(&ours, &provider).await.is_err());
        provider.conduct().answers.clear();
        assert!(log_in(&ours, &provider).await.is_ok(), "{path}");
    }
}

#[tokio::test]
async fn an_issuer_speaks_for_itself_alone() {
    let provider = TestProvider::start(Signer::ec()).await;
    let slash = Provider::openid(&format!("{}/", provider.issuer), client()).unwrap();
    let error = log_in(&slash, &provider).await.unwrap_err();
    let hint = format!("calls itself {}: write it so", provider.issuer);
    assert!(error.to_string().contains(&hint), "{error}");
    for endpoint in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        let right = provider.conduct().metadata[endpoint].clone();
        for url in ["http://idp.example.org/x", "file:///etc/passwd", "https://u:p@idp.example", ""]
        {
            provider.conduct().metadata[endpoint] = json!(url);
            let error = log_in(&openid(&provider), &provider).await;
            assert!(matches!(error, Err(LoginError::Config(_))), "{endpoint} {url}: {error:?}");
        }
        provider.conduct().metadata[endpoint] = right;
    }
    assert!(log_in(&openid(&provider), &provider).await.is_ok());
}

#[test]
fn issuers_are_of_https() {
    for issuer in [
        "",
        "idp.example.org",
        "http://idp.example.org",
        "http://localhost.example.org",
        "ftp://idp.example.org",
        "https://user@idp.example.org",
        "https://idp.example.org?x=1",
        "https://idp.example.org#x",
    ] {
        let error = Provider::openid(issuer, client()).err();
        assert!(matches!(error, Some(LoginError::Config(_))), "{issuer}");
    }
    for issuer in ["https://idp.example.org/realms/a", "http://localhost:8080", "http://[::1]:1"] {
        assert_eq!(Provider::openid(issuer, client()).unwrap().issuer(), issuer);
    }
    assert_eq!(Provider::google(client()).unwrap().issuer(), "https://accounts.google.com");
}

#[tokio::test]
async fn who_is_not_there_or_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let mut ours = Provider::openid(&issuer, client()).unwrap();
    // The system takes the connection, and nobody answers.
    ours.http = Http::with_timeout(Duration::from_millis(200)).unwrap();
    let error = ours.begin(REDIRECT, NOW).await.err().unwrap();
    assert!(matches!(error, LoginError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("took too long"), "{error}");
    drop(listener);
    let error = ours.begin(REDIRECT, NOW).await.err().unwrap();
    assert!(matches!(error, LoginError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&issuer), "{error}");
}
