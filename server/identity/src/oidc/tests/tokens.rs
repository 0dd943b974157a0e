//! Tokens that must not be believed, and keys that change.

use serde_json::{Value, json};

use super::keys::Signer;
use super::provider::TestProvider;
use super::{CLIENT, NOW, log_in, openid};
use crate::jws::{self, Jws};
use crate::oidc::LoginError;

/// Why a login fails in which the provider's claims have `changes`.
async fn refused(provider: &TestProvider, changes: Value) -> &'static str {
    provider.conduct().claims = changes;
    match log_in(&openid(provider), provider).await {
        Err(LoginError::Token(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_claim_is_checked() {
    let provider = TestProvider::start(Signer::ec()).await;
    let cases = [
        (json!({ "nonce": "of another login" }), "not of this login"),
        (json!({ "nonce": null }), "not of this login"),
        (json!({ "aud": "other-client" }), "for another client"),
        (json!({ "aud": ["other-client"] }), "for another client"),
        (json!({ "aud": [] }), "for another client"),
        (json!({ "aud": [CLIENT, "other"], "azp": "other" }), "for another client"),
        (json!({ "azp": "other" }), "for another client"),
        (json!({ "aud": [CLIENT, "other"] }), "several clients"),
        (json!({ "iss": "https://accounts.example" }), "of another issuer"),
        (json!({ "iss": format!("{}/", provider.issuer) }), "of another issuer"),
        (json!({ "exp": NOW.0 - 60 }), "expired"),
        (json!({ "iat": NOW.0 + 61 }), "from the future"),
        (json!({ "sub": "" }), "names nobody"),
        (json!({ "sub": "x".repeat(256) }), "names nobody"),
        (json!({ "exp": null }), "lacks claims"),
        (json!({ "iat": null }), "lacks claims"),
        (json!({ "sub": null }), "lacks claims"),
        (json!({ "aud": null }), "lacks claims"),
        (json!({ "iss": null }), "lacks claims"),
        (json!({ "exp": "1900000000" }), "lacks claims"),
        (json!({ "groups": "x".repeat(20_000) }), "no usable form"),
    ];
    for (changes, reason) in cases {
        let refusal = refused(&provider, changes.clone()).await;
        assert!(refusal.contains(reason), "{changes}: {refusal}");
    }
}

#[tokio::test]
async fn claims_that_may_differ_do() {
    let provider = TestProvider::start(Signer::ec()).await;
    for changes in [
        json!({ "aud": [CLIENT] }),
        json!({ "aud": [CLIENT, "other"], "azp": CLIENT }),
        json!({ "exp": NOW.0 - 59, "iat": NOW.0 + 60 }),
    ] {
        provider.conduct().claims = changes.clone();
        assert!(log_in(&openid(&provider), &provider).await.is_ok(), "{changes}");
    }
}

#[tokio::test]
async fn addresses_are_verified_only_if_the_provider_says_so() {
    let provider = TestProvider::start(Signer::ec()).await;
    let cases = [
        (json!({ "email_verified": "true" }), Some("Ada@example.org"), true),
        (json!({ "email_verified": "false" }), Some("Ada@example.org"), false),
        (json!({ "email_verified": false }), Some("Ada@example.org"), false),
        (json!({ "email_verified": null }), Some("Ada@example.org"), false),
        (json!({ "email": null }), None, false),
        (json!({ "email": "no address" }), None, false),
    ];
    for (changes, email, is_verified) in cases {
        provider.conduct().claims = changes.clone();
        let identity = log_in(&openid(&provider), &provider).await.unwrap();
        assert_eq!(identity.email.as_ref().map(|email| email.as_str()), email, "{changes}");
        assert_eq!(identity.email_verified, is_verified, "{changes}");
    }
    provider.conduct().claims = json!({ "name": " \n " });
    assert_eq!(log_in(&openid(&provider), &provider).await.unwrap().name, None);
}

#[tokio::test]
async fn unsigned_and_otherwise_signed_tokens_are_refused() {
    let provider = TestProvider::start(Signer::rsa()).await;
    let ours = openid(&provider);
    // (what the header says, why it is refused)
    for (header, reason) in [
        (json!({ "alg": "none" }), "neither RS256 nor ES256"),
        (json!({ "alg": "None" }), "neither RS256 nor ES256"),
        (json!({ "alg": "HS256" }), "neither RS256 nor ES256"),
        (json!({ "alg": "RS512" }), "neither RS256 nor ES256"),
        (json!({ "alg": null }), "neither RS256 nor ES256"),
        // The RSA key is not used for another algorithm.
        (json!({ "alg": "ES256" }), "key that is not known"),
        (json!({ "crit": ["b64"], "b64": false }), "extensions"),
    ] {
        provider.conduct().header = header.clone();
        let error = log_in(&ours, &provider).await.unwrap_err();
        assert!(matches!(error, LoginError::Token(why) if why.contains(reason)), "{header}");
    }
    provider.conduct().header = json!({});
    let changes: [(Change, &str); 5] = [
        (|token| token.rsplit_once('.').unwrap().0.to_owned() + ".", "signature is wrong"),
        (|token| token.rsplit_once('.').unwrap().0.to_owned(), "no usable form"),
        (|token| format!("{token}AAAA"), "signature is wrong"),
        (admin, "signature is wrong"),
        (|_| String::new(), "no usable form"),
    ];
    for (change, reason) in changes {
        provider.conduct().token = Some(change);
        let error = log_in(&ours, &provider).await.unwrap_err();
        assert!(matches!(error, LoginError::Token(why) if why.contains(reason)), "{error}");
    }
}

/// What somebody does to a token on its way.
type Change = fn(&str) -> String;

/// The token with another subject.
fn admin(token: &str) -> String {
    let jws = Jws::parse(token, 1 << 14).unwrap();
    let claims = String::from_utf8(jws.payload).unwrap().replace("u-17", "u-1");
    jws::with_signature(&jws::to_sign(&jws.header, claims.as_bytes()), &jws.signature)
}

#[tokio::test]
async fn another_key_by_the_same_name_does_not_sign() {
    let provider = TestProvider::start(Signer::ec()).await;
    let ours = openid(&provider);
    provider.conduct().signer = Signer::ec();
    let error = log_in(&ours, &provider).await;
    assert_eq!(error, Err(LoginError::Token("its signature is wrong")));
}

#[tokio::test]
async fn a_new_key_is_fetched_once_and_then_known() {
    let provider = TestProvider::start(Signer::rsa()).await;
    let ours = openid(&provider);
    for _ in 0..3 {
        assert!(log_in(&ours, &provider).await.is_ok());
    }
    assert_eq!(provider.num_requests("/keys"), 1);
    assert_eq!(provider.num_requests("/.well-known/openid-configuration"), 1);
    {
        let mut conduct = provider.conduct();
        let new = Signer::ec();
        conduct.keys.push(new.jwk("k2"));
        (conduct.signer, conduct.kid) = (new, "k2".into());
    }
    for _ in 0..2 {
        assert!(log_in(&ours, &provider).await.is_ok());
    }
    assert_eq!(provider.num_requests("/keys"), 2);
    provider.conduct().kid = "k3".into();
    let error = log_in(&ours, &provider).await;
    assert_eq!(error, Err(LoginError::Token("it is signed by a key that is not known")));
    assert_eq!(provider.num_requests("/keys"), 3);
}

#[tokio::test]
async fn a_key_without_a_name_must_be_the_only_one() {
    let provider = TestProvider::start(Signer::ec()).await;
    provider.conduct().header = json!({ "kid": null });
    assert!(log_in(&openid(&provider), &provider).await.is_ok());
    let other = Signer::ec().jwk("k2");
    provider.conduct().keys.push(other);
    let error = log_in(&openid(&provider), &provider).await;
    assert_eq!(error, Err(LoginError::Token("it is signed by a key that is not known")));
}

#[tokio::test]
async fn keys_that_are_not_for_this_are_left_out() {
    let provider = TestProvider::start(Signer::ec()).await;
    for (field, value) in [
        ("use", json!("enc")),
        ("alg", json!("ES384")),
        ("crv", json!("P-384")),
        ("x", json!("AAAA")),
        ("y", json!("!")),
        ("kty", json!("oct")),
    ] {
        let mut key = provider.conduct().signer.jwk("k1");
        key[field] = value;
        provider.conduct().keys = vec![key];
        let error = log_in(&openid(&provider), &provider).await;
        assert_eq!(error, Err(LoginError::Token("it is signed by a key that is not known")));
    }
    let mut plain = provider.conduct().signer.jwk("k1");
    plain.as_object_mut().unwrap().retain(|field, _| field != "use" && field != "alg");
    provider.conduct().keys = vec![plain];
    assert!(log_in(&openid(&provider), &provider).await.is_ok());
}
