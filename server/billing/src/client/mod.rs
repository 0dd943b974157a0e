//! Stripe's REST API: the requests that billing needs, and no others.
//!
//! It follows <https://docs.stripe.com/api> at the version [`API_VERSION`]. Invariant: the secret
//! goes to the one host that was configured, over https unless that is this machine; what changes
//! something is sent again with the same `Idempotency-Key` only, so it is done once.

mod checkout;
mod customers;
mod error;
mod form;
mod idempotency;
mod invoices;
mod meters;
mod send;
mod subscriptions;

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, Url, redirect};

pub use checkout::{Checkout, CheckoutSession, CheckoutStatus, PortalSession};
pub use customers::{Address, CustomerDetails, TaxId};
pub use error::StripeError;
pub use idempotency::IdempotencyKey;
pub(crate) use idempotency::digest;
pub use meters::{MeterEvent, Taken};
pub use subscriptions::{ItemChange, SubscriptionChange};

use crate::secret::Secret;

/// The version of Stripe's API that requests are written for and answers are read as.
pub const API_VERSION: &str = "2025-06-30.basil";
const USER_AGENT: &str = concat!("agentbase/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How Stripe is reached.
#[derive(Clone, Debug)]
pub struct StripeOptions {
    /// Where its API is.
    pub api: String,
    /// The secret or restricted key: `sk_…` or `rk_…`.
    pub secret: Secret,
    /// How long one try of a request may take.
    pub timeout: Duration,
    /// How often a request is tried; at least once.
    pub max_attempts: u32,
    /// How long to wait before the second try; twice that before the third, and so on.
    pub retry_delay: Duration,
}

impl StripeOptions {
    /// Stripe itself, with limits as its own clients have.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self {
            api: "https://api.stripe.com".to_owned(),
            secret,
            timeout: Duration::from_secs(30),
            max_attempts: 4,
            retry_delay: Duration::from_millis(500),
        }
    }
}

/// Stripe's API, with one account's secret.
#[derive(Clone, Debug)]
pub struct Stripe {
    http: Client,
    api: Url,
    authorization: HeaderValue,
    timeout: Duration,
    max_attempts: u32,
    retry_delay: Duration,
}

impl Stripe {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`StripeError::Options`] if the address is none, is not https though it is another
    /// machine's, or if https cannot be used here.
    pub fn new(options: &StripeOptions) -> Result<Self, StripeError> {
        let wrong = |what: String| StripeError::Options(what);
        let api = Url::parse(&options.api)
            .map_err(|e| wrong(format!("{:?} is no address of an API: {e}", options.api)))?;
        if !api.username().is_empty() || api.password().is_some() {
            // It would be printed with every error.
            return Err(wrong(
                "the API's address may hold no user name and no password".to_owned(),
            ));
        }
        if api.scheme() != "https" && !(api.scheme() == "http" && is_here(&api)) {
            return Err(wrong(format!(
                "{api} would get the secret key unencrypted: use an https address"
            )));
        }
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", options.secret.expose()))
                .map_err(|_| wrong("the secret key has characters that no key has".to_owned()))?;
        authorization.set_sensitive(true);
        Ok(Self {
            http: http_client(&api)?,
            api,
            authorization,
            timeout: options.timeout,
            max_attempts: options.max_attempts.max(1),
            retry_delay: options.retry_delay,
        })
    }
}

fn is_here(api: &Url) -> bool {
    let host = api.host_str().unwrap_or("");
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || literal.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// `reqwest`, which has no TLS of its own here, with ring.
fn http_client(api: &Url) -> Result<Client, StripeError> {
    // An error means that the program has chosen another provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let is_https = api.scheme() == "https";
    let builder = || {
        Client::builder()
            .user_agent(USER_AGENT)
            .https_only(is_https)
            // Stripe's API does not redirect, and the secret is for its host alone.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
    };
    let client = match builder().build() {
        // A machine without root certificates can still use a stand-in of its own.
        Err(_) if !is_https => builder().tls_certs_only([]).build(),
        client => client,
    };
    client.map_err(|e| {
        let reason = error::innermost(&e);
        StripeError::Options(format!("https cannot be used ({reason}); install ca-certificates"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(api: &str) -> Result<Stripe, StripeError> {
        let secret = Secret::new("sk_test_hidden").unwrap();
        Stripe::new(&StripeOptions { api: api.to_owned(), ..StripeOptions::new(secret) })
    }

    #[test]
    fn the_secret_goes_unencrypted_to_this_machine_alone_and_is_not_printed() {
        for api in ["https://api.stripe.com", "http://127.0.0.1:1", "http://[::1]:1"] {
            let stripe = at(api).unwrap_or_else(|e| panic!("{api}: {e}"));
            assert!(!format!("{stripe:?}").contains("hidden"));
        }
        for api in ["http://api.stripe.com", "http://localhost.evil.org", "ftp://localhost", "x"] {
            assert!(matches!(at(api), Err(StripeError::Options(_))), "{api}");
        }
        assert!(!at("https://u:p4ss@api.stripe.com").unwrap_err().to_string().contains("p4ss"));
    }
}
