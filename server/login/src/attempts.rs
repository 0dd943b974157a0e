//! How often somebody may try: on one account, and from one network address.
//!
//! Invariant: an attempt counts before anything is looked at, whether there is such an account or
//! not; only who is in takes it back.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use server_http::{ApiError, Peer};
use server_identity::{AddressLockout, Attempts, LockedOut, UnixSeconds};
use server_store::LoginFailures;

use crate::Login;

const MAX_AGENT_CHARS: usize = 256;

/// From where a request comes, and what it is sent by.
pub(crate) struct Client {
    pub(crate) address: Option<IpAddr>,
    pub(crate) agent: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get().map(|Peer(address)| address.to_canonical());
        let agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let agent = agent.map(|agent| agent.chars().take(MAX_AGENT_CHARS).collect());
        Ok(Self { address, agent })
    }
}

impl Login {
    /// Counts an attempt to log in, from an address and on an account.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub(crate) async fn begin_attempt(&self, client: &Client, email: &str) -> Result<(), ApiError> {
        self.begin_from(client)?;
        let now = UnixSeconds::now();
        let count = move |before| counted(before, now);
        self.0.store.record_login_failure(email, count).await?.map(drop).map_err(locked_out)
    }

    /// Counts an attempt to log in from an address alone.
    pub(crate) fn begin_from(&self, client: &Client) -> Result<(), ApiError> {
        self.count(&self.0.logins_from, client)
    }

    /// Counts a request that sends a letter.
    pub(crate) fn begin_letter(&self, client: &Client) -> Result<(), ApiError> {
        self.count(&self.0.letters_from, client)
    }

    /// Whoever it was is in.
    pub(crate) async fn succeeded(&self, client: &Client, email: &str) -> Result<(), ApiError> {
        self.succeeded_from(client);
        Ok(self.0.store.clear_login_failures(email).await?)
    }

    /// The attempt does not count against the address, but against the account.
    pub(crate) fn succeeded_from(&self, client: &Client) {
        if let Some(address) = self.counted_address(client) {
            lock(&self.0.logins_from).succeeded(address);
        }
    }

    fn count(&self, lockout: &Mutex<AddressLockout>, client: &Client) -> Result<(), ApiError> {
        let Some(address) = self.counted_address(client) else { return Ok(()) };
        lock(lockout).begin(address, UnixSeconds::now()).map_err(locked_out)
    }

    fn counted_address(&self, client: &Client) -> Option<IpAddr> {
        // This machine's own is that of a proxy beside the server.
        client.address.filter(|it| self.0.settings.count_addresses && !it.is_loopback())
    }
}

fn lock(lockout: &Mutex<AddressLockout>) -> std::sync::MutexGuard<'_, AddressLockout> {
    lockout.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands after another attempt.
fn counted(before: LoginFailures, now: UnixSeconds) -> Result<LoginFailures, LockedOut> {
    let mut attempts = Attempts {
        failures: u32::try_from(before.num).unwrap_or(u32::MAX),
        last: UnixSeconds(u64::try_from(before.last_at).unwrap_or(0)),
    };
    attempts.begin(now)?;
    let blocked_until = match { attempts }.begin(now) {
        Ok(()) => UnixSeconds(0),
        Err(LockedOut { wait }) => now.after(wait),
    };
    Ok(LoginFailures {
        num: attempts.failures.into(),
        last_at: seconds(attempts.last),
        blocked_until: seconds(blocked_until),
    })
}

/// As the store has times.
pub(crate) fn seconds(time: UnixSeconds) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn locked_out(error: LockedOut) -> ApiError {
    let seconds = u32::try_from(error.wait.as_secs()).unwrap_or(u32::MAX);
    ApiError::too_many("too_many_attempts", "Too many attempts: wait and try again.", seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_attempt_waits_and_the_store_knows_until_when() {
        let mut failures = LoginFailures::default();
        for num in 1..=4 {
            failures = counted(failures, UnixSeconds(1000)).unwrap();
            assert_eq!(failures, LoginFailures { num, last_at: 1000, blocked_until: 0 });
        }
        failures = counted(failures, UnixSeconds(1000)).unwrap();
        assert_eq!(failures, LoginFailures { num: 5, last_at: 1000, blocked_until: 1001 });
        assert!(counted(failures, UnixSeconds(1000)).is_err());
        failures = counted(failures, UnixSeconds(1001)).unwrap();
        assert_eq!(failures.blocked_until, 1003);
    }
}
