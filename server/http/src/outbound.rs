//! Connections to places that clients named: images to be fetched, receivers of webhooks.
//!
//! Invariant: the server connects only to addresses that anybody could reach, unless its operator
//! says otherwise: a name is looked up once, every address that it has is checked, and the
//! connection is made to one of those. No redirect is followed here.

mod addresses;

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, Url, redirect};

const USER_AGENT: &str = concat!("agentbase/", env!("CARGO_PKG_VERSION"));

/// What connects to places that clients named.
#[derive(Clone, Debug)]
pub struct Outbound {
    client: Client,
    is_allowed: fn(IpAddr) -> bool,
}

/// There are no certificates to check others by.
#[derive(Debug, thiserror::Error)]
#[error("no connections can be made: {0}; install ca-certificates")]
pub struct NoOutbound(pub(crate) String);

/// Why nothing came of a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// Of the URL.
    #[error("it must begin with 'https://', 'http://' or 'data:'")]
    Scheme,
    /// Of the URL.
    #[error("it is no address")]
    Address,
    /// Of the URL.
    #[error("a user name or a password in an address is not sent anywhere")]
    Credentials,
    /// Of the address that the URL or its name leads to.
    #[error("the server does not fetch from private, local or reserved addresses")]
    NotPublic,
    /// No connection, or one that broke.
    #[error("it could not be fetched")]
    Unreachable,
    /// It took too long.
    #[error("it did not come within {0:?}")]
    Late(Duration),
}

/// An address that is not allowed, out of the depths of the client.
#[derive(Debug, thiserror::Error)]
#[error("not a public address")]
struct NotPublic;

struct Checked(fn(IpAddr) -> bool);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let is_allowed = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let all: Vec<SocketAddr> = found.collect();
            if !all.iter().all(|address| is_allowed(address.ip())) {
                return Err(NotPublic.into());
            }
            Ok(Box::new(all.into_iter()) as Addrs)
        })
    }
}

impl Outbound {
    /// Connects to public addresses.
    ///
    /// # Errors
    /// If there are no certificates to check others by.
    pub fn to_public() -> Result<Self, NoOutbound> {
        Self::with(addresses::is_public)
    }

    /// Connects to any address, this machine's with them: for an operator whose receivers are in
    /// a network of the operator's own.
    ///
    /// # Errors
    /// The same.
    pub fn to_any() -> Result<Self, NoOutbound> {
        Self::with(|_| true)
    }

    pub(crate) fn with(is_allowed: fn(IpAddr) -> bool) -> Result<Self, NoOutbound> {
        // An error means that the program has chosen another provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::none())
            // A proxy would look names up anew.
            .no_proxy()
            .dns_resolver(Arc::new(Checked(is_allowed)))
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| NoOutbound(error.to_string()))?;
        Ok(Self { client, is_allowed })
    }

    /// The answer to a GET, whatever its status; its body is still to be read.
    pub(crate) async fn get(&self, url: &Url) -> Result<Response, OutboundError> {
        self.check(url)?;
        self.client.get(url.clone()).send().await.map_err(|error| failure(&error))
    }

    /// The status of the answer to a POST of `body` with `headers`, within `timeout`. The answer's
    /// body is not read.
    ///
    /// # Errors
    /// If the URL may not be connected to, or no answer came.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
        timeout: Duration,
    ) -> Result<u16, OutboundError> {
        let url = Url::from_str(url).map_err(|_| OutboundError::Address)?;
        self.check(&url)?;
        let request = headers
            .iter()
            .fold(self.client.post(url), |request, (name, value)| request.header(*name, *value));
        let sent = tokio::time::timeout(timeout, request.body(body).send()).await;
        let response = sent.map_err(|_| OutboundError::Late(timeout))?;
        Ok(response.map_err(|error| failure(&error))?.status().as_u16())
    }

    /// Names are checked when they are looked up; addresses, of which the client looks none up, are
    /// checked here.
    fn check(&self, url: &Url) -> Result<(), OutboundError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OutboundError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::Credentials);
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(OutboundError::Address)?;
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match IpAddr::from_str(literal.unwrap_or(host)) {
            Ok(address) if !(self.is_allowed)(address) => Err(OutboundError::NotPublic),
            _ => Ok(()),
        }
    }
}

fn failure(error: &reqwest::Error) -> OutboundError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<NotPublic>() {
            return OutboundError::NotPublic;
        }
        cause = error.source();
    }
    OutboundError::Unreachable
}
