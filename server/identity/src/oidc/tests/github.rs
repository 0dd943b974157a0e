//! Logins with GitHub, whose API is beside the test provider's.

use axum::http::StatusCode;
use reqwest::Url;
use serde_json::{Value, json};

use super::keys::Signer;
use super::provider::TestProvider;
use super::{CLIENT, NOW, REDIRECT, callback, client, log_in};
use crate::oidc::{Client, Provider};

async fn start() -> (TestProvider, Provider) {
    let provider = TestProvider::start(Signer::ec()).await;
    let ours = Provider::github_enterprise(&format!("{}/", provider.issuer), client()).unwrap();
    (provider, ours)
}

fn email(email: &str, primary: bool, verified: bool) -> Value {
    json!({ "email": email, "primary": primary, "verified": verified, "visibility": null })
}

#[tokio::test]
async fn who_it_is_comes_from_the_api() {
    let (provider, ours) = start().await;
    provider.conduct().emails =
        json!([email("old@example.org", false, true), email("cat@Example.org", true, true)]);
    let identity = log_in(&ours, &provider).await.unwrap();
    assert_eq!((identity.issuer, identity.subject), (provider.issuer.clone(), "583231".into()));
    assert_eq!(identity.email.unwrap().as_str(), "cat@example.org");
    assert!(identity.email_verified);
    assert_eq!(identity.name.as_deref(), Some("octocat"), "without a name it is the login");
}

#[tokio::test]
async fn only_a_verified_primary_address_is_told() {
    let (provider, ours) = start().await;
    for emails in [
        json!([]),
        json!([email("cat@example.org", true, false), email("other@example.org", false, true)]),
        json!([email("no address", true, true)]),
    ] {
        provider.conduct().emails = emails.clone();
        let identity = log_in(&ours, &provider).await.unwrap();
        assert_eq!((identity.email, identity.email_verified), (None, false), "{emails}");
    }
}

#[tokio::test]
async fn the_browser_is_sent_with_state_and_challenge() {
    let (provider, ours) = start().await;
    let (url, pending) = ours.begin(REDIRECT, NOW).await.unwrap();
    let url = Url::parse(&url).unwrap();
    assert_eq!(url.path(), "/login/oauth/authorize");
    let asked =
        |name: &str| url.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned());
    assert_eq!(asked("client_id").as_deref(), Some(CLIENT));
    assert_eq!(asked("scope").as_deref(), Some("read:user user:email"));
    assert_eq!(asked("state"), Some(pending.state.clone()));
    assert_eq!(asked("code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(asked("nonce"), None);
    let error = ours.finish(&pending, &callback(&pending, "another"), NOW).await.unwrap_err();
    assert!(error.to_string().contains("bad_verification_code"), "{error}");
    let github = Provider::github(client()).unwrap();
    let (url, _) = github.begin(REDIRECT, NOW).await.unwrap();
    assert!(url.starts_with("https://github.com/login/oauth/authorize?response_type=code&"));
    assert_eq!(provider.num_requests("/api/v3/user"), 0);
}

#[tokio::test]
async fn what_the_api_refuses_is_said() {
    let (provider, ours) = start().await;
    for path in ["/login/oauth/access_token", "/api/v3/user", "/api/v3/user/emails"] {
        provider.conduct().answers = [(path, (StatusCode::FORBIDDEN, "{}".to_owned()))].into();
        let error = log_in(&ours, &provider).await.unwrap_err().to_string();
        assert!(error.contains(path) && error.contains("status is 403"), "{error}");
    }
    provider.conduct().answers.clear();
    let wrong = Provider::github_enterprise(&provider.issuer, Client::new(CLIENT, None)).unwrap();
    assert!(log_in(&wrong, &provider).await.is_err(), "without the secret it is not us");
}
