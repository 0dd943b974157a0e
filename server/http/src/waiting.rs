//! Connections on which no request runs: a head is awaited, or half of one is there.
//!
//! Invariant: of one peer at most a bounded number is kept; when one more comes, the one that has
//! waited longest is closed. So half-sent heads of one client never keep the others out.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// All such connections, by peer.
pub(crate) struct Waiting {
    max_per_peer: usize,
    peers: Mutex<HashMap<IpAddr, VecDeque<Arc<Notify>>>>,
}

impl Waiting {
    pub(crate) fn new(max_per_peer: usize) -> Arc<Self> {
        Arc::new(Self { max_per_peer: max_per_peer.max(1), peers: Mutex::default() })
    }

    /// A new connection, which waits for its first head.
    pub(crate) fn arrive(self: &Arc<Self>, peer: IpAddr) -> Visit {
        let (waiting, peer) = (Arc::clone(self), household(peer));
        let visit = Visit {
            waiting,
            peer,
            closed: Arc::new(Notify::new()),
            running: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            moves: AtomicU64::new(0),
        };
        visit.queue(&mut visit.waiting.peers());
        visit
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<IpAddr, VecDeque<Arc<Notify>>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one client is likely to own: an address, or an IPv6 network of 64 bits.
fn household(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }
}

/// One connection.
pub(crate) struct Visit {
    waiting: Arc<Waiting>,
    peer: IpAddr,
    closed: Arc<Notify>,
    /// Requests; changed under the lock of `waiting` only.
    running: AtomicUsize,
    answering: AtomicUsize,
    moves: AtomicU64,
}

/// What happens on a connection.
pub(crate) struct Activity {
    /// Requests whose answers are not written.
    pub(crate) running: usize,
    /// Of those, how many are being answered.
    pub(crate) answering: usize,
    /// Requests that began and pieces of answers that were taken, so far.
    pub(crate) moves: u64,
}

impl Visit {
    pub(crate) fn activity(&self) -> Activity {
        let (answering, moves) = (self.answering.load(Relaxed), self.moves.load(Relaxed));
        Activity { running: self.running.load(Relaxed), answering, moves }
    }

    /// A request has its answer, which is being written.
    pub(crate) fn answers(&self) {
        self.answering.fetch_add(1, Relaxed);
    }

    /// An answer was written, or given up.
    pub(crate) fn answered(&self) {
        self.answering.fetch_sub(1, Relaxed);
    }

    /// A piece of an answer was taken.
    pub(crate) fn moved(&self) {
        self.moves.fetch_add(1, Relaxed);
    }

    /// A request ended; with the last of them the next head is awaited.
    pub(crate) fn wait(&self) {
        let mut peers = self.waiting.peers();
        if self.running.fetch_sub(1, Relaxed) == 1 {
            self.moved();
            self.queue(&mut peers);
        }
    }

    fn queue(&self, peers: &mut HashMap<IpAddr, VecDeque<Arc<Notify>>>) {
        let queue = peers.entry(self.peer).or_default();
        queue.push_back(Arc::clone(&self.closed));
        if queue.len() > self.waiting.max_per_peer
            && let Some(oldest) = queue.pop_front()
        {
            oldest.notify_one();
        }
    }

    /// A head is complete.
    pub(crate) fn run(&self) {
        let mut peers = self.waiting.peers();
        self.moved();
        if self.running.fetch_add(1, Relaxed) == 0 {
            self.leave(&mut peers);
        }
    }

    fn leave(&self, peers: &mut HashMap<IpAddr, VecDeque<Arc<Notify>>>) {
        let Some(queue) = peers.get_mut(&self.peer) else { return };
        queue.retain(|other| !Arc::ptr_eq(other, &self.closed));
        if queue.is_empty() {
            peers.remove(&self.peer);
        }
    }

    /// Another connection of the peer needs the place.
    pub(crate) async fn closed(&self) {
        self.closed.notified().await;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.leave(&mut self.waiting.peers());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_longest_wait_of_the_same_peer_ends() {
        let waiting = Waiting::new(2);
        let arrive = |peer: &str| waiting.arrive(peer.parse().unwrap());
        let closed = |visit: &Visit| visit.closed().now_or_never().is_some();
        let (first, second, other) = (arrive("10.0.0.1"), arrive("::ffff:10.0.0.1"), arrive("::1"));
        // It runs, so it takes no place; later it waits anew, behind the second.
        first.run();
        let third = arrive("10.0.0.1");
        assert!(![&first, &second, &third, &other].into_iter().any(closed));
        first.wait();
        assert!(closed(&second) && ![&first, &third, &other].into_iter().any(closed));
        drop(third);
        let fourth = arrive("10.0.0.1");
        assert!(![&first, &fourth, &other].into_iter().any(closed));
        // Of several side by side, the last to end makes it wait.
        first.run();
        first.run();
        first.wait();
        let fifth = arrive("10.0.0.1");
        let sixth = arrive("10.0.0.1");
        assert!(!closed(&first) && closed(&fourth) && !closed(&fifth));
        first.wait();
        assert!(closed(&fifth) && !closed(&first) && !closed(&sixth));
        drop((first, second, fourth, other, fifth, sixth));
        assert!(waiting.peers().is_empty());
    }

    #[test]
    fn neighbours_in_a_network_count_together() {
        let of = |address: &str| household(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
