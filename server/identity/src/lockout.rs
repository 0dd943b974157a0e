//! How often somebody may try to log in: five times at once, then after a second, two, four … up
//! to a quarter of an hour.
//!
//! Invariant: an attempt counts before its password is looked at, so a thousand at once are not a
//! thousand guesses; only a success takes its own attempt back. Waiting costs nothing more: what is
//! refused is not counted, so nobody is locked out for longer than [`MAX_WAIT`] after the last
//! attempt that was let through.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::UnixSeconds;

/// Attempts without a wait.
const FREE_ATTEMPTS: u32 = 5;
const MAX_WAIT: Duration = Duration::from_secs(15 * 60);
/// After this long without an attempt none of them counts any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Addresses that are remembered at once.
pub const MAX_ADDRESSES: usize = 65_536;

/// There were too many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there were too many attempts to log in: wait {} seconds and try again", .wait.as_secs())]
pub struct LockedOut {
    /// Until the next one, in whole seconds, for `Retry-After`.
    pub wait: Duration,
}

/// The attempts on one account, to be stored with it, or from one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many of them failed or have not ended yet.
    pub failures: u32,
    /// When the last one began.
    pub last: UnixSeconds,
}

impl Attempts {
    /// Counts an attempt that is to be made now. Store the state before the password is looked at.
    ///
    /// # Errors
    /// [`LockedOut`] if it must not be made; nothing is counted then.
    pub fn begin(&mut self, now: UnixSeconds) -> Result<(), LockedOut> {
        if now.since(self.last) >= FORGOTTEN_AFTER {
            self.failures = 0;
        }
        let wait = self.wait().saturating_sub(now.since(self.last));
        // Clocks of servers differ a little; one that was far ahead and was set back says nothing.
        let is_of_now = self.last <= now.after(MAX_WAIT);
        if is_of_now && !wait.is_zero() {
            return Err(LockedOut { wait });
        }
        *self = Self { failures: self.failures.saturating_add(1), last: now };
        Ok(())
    }

    /// The account's owner is in: nothing counts any more.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// After the last attempt.
    fn wait(&self) -> Duration {
        match self.failures.checked_sub(FREE_ATTEMPTS) {
            None => Duration::ZERO,
            Some(doublings) => {
                let seconds = 1u64.checked_shl(doublings).filter(|_| doublings < 32);
                Duration::from_secs(seconds.unwrap_or(u64::MAX)).min(MAX_WAIT)
            }
        }
    }
}

/// The attempts from each address, in memory. An IPv6 network of 64 bits, which is what one
/// customer has, counts as one address.
#[derive(Debug, Default)]
pub struct AddressLockout {
    attempts: HashMap<IpAddr, Attempts>,
}

impl AddressLockout {
    /// Counts an attempt from `address`, as [`Attempts::begin`] does.
    ///
    /// # Errors
    /// [`LockedOut`].
    pub fn begin(&mut self, address: IpAddr, now: UnixSeconds) -> Result<(), LockedOut> {
        let address = network(address);
        if !self.attempts.contains_key(&address) && self.attempts.len() >= MAX_ADDRESSES {
            self.make_room(now);
        }
        self.attempts.entry(address).or_default().begin(now)
    }

    /// Takes back the attempt that succeeded, and no other: who has an account of their own is not
    /// free to guess others'.
    pub fn succeeded(&mut self, address: IpAddr) {
        let address = network(address);
        if let Some(attempts) = self.attempts.get_mut(&address) {
            attempts.failures = attempts.failures.saturating_sub(1);
            if attempts.failures == 0 {
                self.attempts.remove(&address);
            }
        }
    }

    /// Forgets the half of which least was heard lately: seldom, so it may take its time.
    fn make_room(&mut self, now: UnixSeconds) {
        self.attempts.retain(|_, attempts| now.since(attempts.last) < FORGOTTEN_AFTER);
        if self.attempts.len() < MAX_ADDRESSES {
            return;
        }
        let mut ends: Vec<(UnixSeconds, IpAddr)> = self
            .attempts
            .iter()
            .map(|(address, attempts)| (attempts.last.after(attempts.wait()), *address))
            .collect();
        ends.sort_unstable();
        for (_, address) in &ends[..MAX_ADDRESSES / 2] {
            self.attempts.remove(address);
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests;
