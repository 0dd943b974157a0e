//! Logins with a provider on this machine: right ones, and all that must not be believed.

mod answers;
mod github;
mod keys;
mod provider;
mod tokens;

use std::collections::HashMap;

use reqwest::Url;
use serde_json::json;

use self::keys::Signer;
use self::provider::TestProvider;
use super::{Callback, Client, Identity, LoginError, Pending, Provider};
use crate::{EmailAddress, UnixSeconds};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const CLIENT: &str = "our-client";
const SECRET: &str = "s+cret";
const REDIRECT: &str = "https://ai.example.org/login/callback?provider=test";

fn client() -> Client {
    Client::new(CLIENT, Some(SECRET))
}

fn openid(provider: &TestProvider) -> Provider {
    Provider::openid(&provider.issuer, client()).unwrap()
}

fn callback(pending: &Pending, code: &str) -> Callback {
    Callback { state: pending.state.clone(), code: Some(code.to_owned()), ..Callback::default() }
}

/// A whole login of `ours` with `provider`.
async fn log_in(ours: &Provider, provider: &TestProvider) -> Result<Identity, LoginError> {
    let (url, pending) = ours.begin(REDIRECT, NOW).await?;
    let code = provider.log_in(&url);
    ours.finish(&pending, &callback(&pending, &code), NOW).await
}

#[tokio::test]
async fn who_logs_in_there_is_known_here() {
    for signer in [Signer::rsa(), Signer::ec()] {
        let provider = TestProvider::start(signer).await;
        let identity = Identity {
            issuer: provider.issuer.clone(),
            subject: "u-17".to_owned(),
            email: Some(EmailAddress::parse("Ada@example.org").unwrap()),
            email_verified: true,
            name: Some("AdaLovelace".to_owned()),
        };
        assert_eq!(log_in(&openid(&provider), &provider).await, Ok(identity));
    }
}

#[tokio::test]
async fn the_browser_is_sent_with_what_a_login_needs() {
    let provider = TestProvider::start(Signer::ec()).await;
    let ours = openid(&provider);
    let (url, pending) = ours.begin(REDIRECT, NOW).await.unwrap();
    let url = Url::parse(&url).unwrap();
    assert!(url.as_str().starts_with(&format!("{}/authorize?tenant=1&", provider.issuer)));
    let asked: HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["client_id"], CLIENT);
    assert_eq!(asked["redirect_uri"], REDIRECT);
    assert_eq!(asked["scope"], "openid email profile");
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!((&asked["state"], &asked["nonce"]), (&pending.state, &pending.nonce));
    assert!(!url.as_str().contains(&pending.verifier) && !url.as_str().contains("cret"));
    let (_, other) = ours.begin(REDIRECT, NOW).await.unwrap();
    let secrets = [pending.state, pending.nonce, pending.verifier];
    let others = [other.state, other.nonce, other.verifier];
    for secret in &secrets {
        // 256 bits, and the 43 letters that a verifier has at least.
        assert!(secret.len() == 43 && !others.contains(secret));
    }
}

#[test]
fn the_challenge_is_that_of_rfc_7636() {
    let mut pending = super::flow::pending("https://a.example", REDIRECT, NOW);
    pending.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
    let endpoint = Url::parse("https://a.example/authorize").unwrap();
    let url = super::flow::authorization_url(&endpoint, &client(), &pending, "openid", None);
    assert!(url.contains("code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), "{url}");
    assert!(!url.contains("nonce"));
}

#[tokio::test]
async fn only_the_browser_that_began_comes_back() {
    let provider = TestProvider::start(Signer::ec()).await;
    let ours = openid(&provider);
    let (url, pending) = ours.begin(REDIRECT, NOW).await.unwrap();
    let right = callback(&pending, &provider.log_in(&url));
    let wrong = [
        Callback { state: String::new(), ..right.clone() },
        Callback { state: format!("{}x", pending.state), ..right.clone() },
        Callback { iss: Some("https://other.example".into()), ..right.clone() },
        Callback { code: None, ..right.clone() },
        Callback { code: Some("x".repeat(4097)), ..right.clone() },
        Callback { state: String::new(), error: Some("access_denied".into()), ..right.clone() },
    ];
    for callback in wrong {
        assert_eq!(ours.finish(&pending, &callback, NOW).await, Err(LoginError::State));
    }
    let late = UnixSeconds(NOW.0 + 601);
    assert_eq!(ours.finish(&pending, &right, late).await, Err(LoginError::State));
    let elsewhere = Pending { issuer: "https://other.example".into(), ..pending.clone() };
    assert_eq!(ours.finish(&elsewhere, &right, NOW).await, Err(LoginError::State));
    assert_eq!(provider.num_requests("/token"), 0, "nobody was asked for any of that");

    let denied = Callback { error: Some("access_denied\n".into()), code: None, ..right.clone() };
    let error = ours.finish(&pending, &denied, NOW).await;
    assert_eq!(error, Err(LoginError::Denied("access_denied ".into())));
    let named = Callback { iss: Some(provider.issuer.clone()), ..right };
    assert!(ours.finish(&pending, &named, NOW).await.is_ok());
}

#[tokio::test]
async fn a_code_is_good_for_its_own_login_alone() {
    let provider = TestProvider::start(Signer::ec()).await;
    let ours = openid(&provider);
    let (victims_url, _) = ours.begin(REDIRECT, NOW).await.unwrap();
    let (_, attackers) = ours.begin(REDIRECT, NOW).await.unwrap();
    // A stolen code, brought by another browser: the verifier is another one.
    let stolen = callback(&attackers, &provider.log_in(&victims_url));
    let error = ours.finish(&attackers, &stolen, NOW).await.unwrap_err();
    assert!(error.to_string().contains("invalid_grant"), "{error}");
}

#[tokio::test]
async fn a_login_that_waits_can_be_stored() {
    let provider = TestProvider::start(Signer::ec()).await;
    let ours = openid(&provider);
    let (url, pending) = ours.begin(REDIRECT, NOW).await.unwrap();
    let stored = serde_json::to_string(&pending).unwrap();
    let pending: Pending = serde_json::from_str(&stored).unwrap();
    let code = provider.log_in(&url);
    let query = json!({ "state": pending.state, "code": code, "scope": "openid" });
    let callback: Callback = serde_json::from_value(query).unwrap();
    assert!(ours.finish(&pending, &callback, NOW).await.is_ok());
}

#[tokio::test]
async fn the_secret_goes_as_the_provider_takes_it() {
    let provider = TestProvider::start(Signer::ec()).await;
    for methods in [json!(["client_secret_post"]), json!(["client_secret_basic", "none"])] {
        provider.conduct().metadata["token_endpoint_auth_methods_supported"] = methods;
        assert!(log_in(&openid(&provider), &provider).await.is_ok());
    }
    let wrong = Provider::openid(&provider.issuer, Client::new(CLIENT, Some("other"))).unwrap();
    let error = log_in(&wrong, &provider).await.unwrap_err();
    assert!(error.to_string().contains("client's id, secret"), "{error}");
}
