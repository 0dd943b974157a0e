//! A token is believed as it was made, and in no other way.

use std::time::Duration;

use ring::hmac;
use serde_json::{Value, json};

use super::{AccessTokens, Subject, TokenError, TokenKey};
use crate::UnixSeconds;
use crate::jws::{self, Jws};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const ISSUER: &str = "https://ai.example.org";

fn key(byte: u8) -> TokenKey {
    TokenKey::new(&[byte; 32]).unwrap()
}

fn tokens() -> AccessTokens {
    AccessTokens::new(ISSUER, key(1), None)
}

fn subject() -> Subject {
    Subject { user: "user_1".into(), session: "sess_1".into(), organization: Some("org_1".into()) }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn header() -> Value {
    json!({ "alg": "HS256", "typ": "JWT", "kid": key(1).id })
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "u", "sid": "s", "iat": NOW.0, "exp": NOW.0 + 60 })
}

/// What somebody would make who has the key.
fn signed(header: &str, claims: &str) -> String {
    let signed = jws::to_sign(header.as_bytes(), claims.as_bytes());
    let signature = hmac::sign(&key(1).key, signed.as_bytes());
    jws::with_signature(&signed, signature.as_ref())
}

#[test]
fn what_was_issued_is_believed_until_its_end() {
    let token = tokens().issue(subject(), NOW, minutes(10)).unwrap();
    let claims = tokens().verify(&token, NOW.after(Duration::from_secs(599))).unwrap();
    assert_eq!((&*claims.iss, &*claims.sub, &*claims.sid), (ISSUER, "user_1", "sess_1"));
    assert_eq!(claims.org.as_deref(), Some("org_1"));
    assert_eq!((claims.iat, claims.exp), (NOW.0, NOW.0 + 600));
    assert_eq!(tokens().verify(&token, NOW.after(minutes(10))), Err(TokenError::Expired));
}

#[test]
fn no_token_is_issued_for_longer_than_the_limit_or_longer_itself() {
    let token = tokens().issue(subject(), NOW, minutes(600)).unwrap();
    assert_eq!(tokens().verify(&token, NOW).unwrap().exp, NOW.0 + 900);
    let user = "u".repeat(2048);
    let long = tokens().issue(Subject { user, ..subject() }, NOW, minutes(1));
    assert_eq!(long, Err(TokenError::Malformed));
}

#[test]
fn a_token_without_an_organization_says_so() {
    let subject = Subject { organization: None, ..subject() };
    let token = tokens().issue(subject, NOW, minutes(1)).unwrap();
    assert_eq!(tokens().verify(&token, NOW).unwrap().org, None);
    let payload = String::from_utf8(Jws::parse(&token, 2048).unwrap().payload).unwrap();
    assert!(!payload.contains(r#""org""#), "{payload}");
}

#[test]
fn two_keys_are_valid_at_once_and_a_third_is_not() {
    let token = tokens().issue(subject(), NOW, minutes(1)).unwrap();
    let rotated = AccessTokens::new(ISSUER, key(2), Some(key(1)));
    assert!(rotated.verify(&token, NOW).is_ok());
    let new = rotated.issue(subject(), NOW, minutes(1)).unwrap();
    assert_eq!(tokens().verify(&new, NOW), Err(TokenError::Signature));
    let again = AccessTokens::new(ISSUER, key(3), Some(key(2)));
    assert!(again.verify(&new, NOW).is_ok());
    assert_eq!(again.verify(&token, NOW), Err(TokenError::Signature));
}

#[test]
fn no_byte_of_a_token_can_be_changed() {
    let token = tokens().issue(subject(), NOW, minutes(1)).unwrap();
    for place in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(tokens().verify(&changed, NOW).is_err(), "{place}");
    }
    assert!(tokens().verify(&token[..token.len() - 1], NOW).is_err());
}

#[test]
fn only_the_one_algorithm_and_form_are_read() {
    assert!(tokens().verify(&signed(&header().to_string(), &claims().to_string()), NOW).is_ok());
    let with = |field: &str, value: Value| {
        let mut header = header();
        header[field] = value;
        header.to_string()
    };
    let headers = [
        with("alg", "none".into()),
        with("alg", "None".into()),
        with("alg", "HS512".into()),
        with("alg", "RS256".into()),
        with("typ", "at+jwt".into()),
        with("crit", json!(["exp"])),
        with("jwk", json!({})),
        with("kid", Value::Null),
        json!({ "typ": "JWT", "kid": key(1).id }).to_string(),
        json!({ "alg": "HS256", "typ": "JWT" }).to_string(),
        header().to_string().replacen('{', "{\"alg\":\"none\",", 1),
        "[]".into(),
    ];
    for header in headers {
        let token = signed(&header, &claims().to_string());
        assert_eq!(tokens().verify(&token, NOW), Err(TokenError::Malformed), "{header}");
    }
    let unsigned = jws::to_sign(br#"{"alg":"none"}"#, claims().to_string().as_bytes());
    for token in [format!("{unsigned}."), unsigned, String::new(), "a".repeat(4096)] {
        assert_eq!(tokens().verify(&token, NOW), Err(TokenError::Malformed));
    }
}

#[test]
fn claims_of_another_kind_are_refused_though_signed() {
    let with = |field: &str, value: Value| {
        let mut claims = claims();
        claims[field] = value;
        claims
    };
    let cases = [
        (with("iss", "https://other.example.org".into()), TokenError::Claims),
        (with("exp", (NOW.0 + 901).into()), TokenError::Claims),
        (with("exp", (NOW.0 - 1).into()), TokenError::Claims),
        (with("iat", (NOW.0 + 61).into()), TokenError::Claims),
        (with("exp", NOW.0.into()), TokenError::Expired),
        (with("exp", Value::Null), TokenError::Malformed),
        (with("exp", "1800000060".into()), TokenError::Malformed),
        (with("exp", 1.8e9.into()), TokenError::Malformed),
        (with("iat", (-1).into()), TokenError::Malformed),
        (with("admin", true.into()), TokenError::Malformed),
    ];
    for (claims, error) in cases {
        let token = signed(&header().to_string(), &claims.to_string());
        assert_eq!(tokens().verify(&token, NOW), Err(error), "{claims}");
    }
    for required in ["iss", "sub", "sid", "iat", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(required);
        let token = signed(&header().to_string(), &claims.to_string());
        assert_eq!(tokens().verify(&token, NOW), Err(TokenError::Malformed), "{required}");
    }
}

#[test]
fn a_key_is_long_enough_and_new_ones_differ() {
    assert_eq!(TokenKey::new(&[1; 31]).err(), Some(TokenError::ShortKey));
    assert_ne!(TokenKey::random_bytes(), TokenKey::random_bytes());
    assert_ne!(key(1).id, key(2).id);
}
