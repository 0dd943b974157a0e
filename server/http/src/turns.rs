//! Places for work of which little can be done at once, given to tenants in turn.
//!
//! Invariant: no place is free while somebody waits. Between two places that a waiting tenant gets,
//! each other one gets at most one; and no tenant has more than so many waiting.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine_core::TenantId;
use tokio::sync::oneshot;

/// All places.
pub(crate) struct Turns {
    max_waiting: usize,
    state: Mutex<State>,
}

struct State {
    num_free: usize,
    /// Tenants that wait, whose turn is next first.
    waiting: VecDeque<(TenantId, VecDeque<oneshot::Sender<Place>>)>,
}

/// A place; whoever is next gets it when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<Turns>>);

/// As many of the tenant's wait as may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Turns {
    /// `num_places`, and `max_waiting` of each tenant.
    pub(crate) fn new(num_places: usize, max_waiting: usize) -> Arc<Self> {
        let state = State { num_free: num_places.max(1), waiting: VecDeque::new() };
        Arc::new(Self { max_waiting, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for the tenant, when it has its turn.
    pub(crate) async fn place(self: &Arc<Self>, tenant: &TenantId) -> Result<Place, TooMany> {
        match self.take_or_wait(tenant)? {
            Ok(place) => Ok(place),
            // Senders are dropped only with the places' owner, which is held here.
            Err(turn) => turn.await.map_err(|_| TooMany),
        }
    }

    fn take_or_wait(
        self: &Arc<Self>,
        tenant: &TenantId,
    ) -> Result<Result<Place, oneshot::Receiver<Place>>, TooMany> {
        let mut state = self.state();
        if state.num_free > 0 {
            state.num_free -= 1;
            return Ok(Ok(Place(Some(Arc::clone(self)))));
        }
        let idx = state.waiting.iter().position(|(waiting, _)| waiting == tenant);
        let idx = idx.unwrap_or_else(|| {
            state.waiting.push_back((tenant.clone(), VecDeque::new()));
            state.waiting.len() - 1
        });
        let own = &mut state.waiting[idx].1;
        own.retain(|turn| !turn.is_closed());
        if own.len() >= self.max_waiting {
            return Err(TooMany);
        }
        let (sender, turn) = oneshot::channel();
        own.push_back(sender);
        Ok(Err(turn))
    }

    /// Whose turn it is; the place is free if it is nobody's.
    fn next(&self) -> Option<oneshot::Sender<Place>> {
        let mut state = self.state();
        while let Some((tenant, mut own)) = state.waiting.pop_front() {
            let Some(turn) = own.pop_front() else { continue };
            if !own.is_empty() {
                state.waiting.push_back((tenant, own));
            }
            return Some(turn);
        }
        state.num_free += 1;
        None
    }
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        while let Some(turn) = turns.next() {
            match turn.send(Self(Some(Arc::clone(&turns)))) {
                Ok(()) => return,
                // It waits no longer. Not dropped as it is: that would come here again.
                Err(mut refused) => refused.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Result<Place, TooMany>>>>;

    fn poll(waiting: &mut Waiting) -> Poll<Result<Place, TooMany>> {
        pin!(waiting).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Asks for a place, and waits if there is none.
    fn ask(turns: &Arc<Turns>, tenant: &str) -> Waiting {
        let (turns, tenant) = (Arc::clone(turns), TenantId(tenant.into()));
        let mut waiting: Waiting = Box::pin(async move { turns.place(&tenant).await });
        assert!(poll(&mut waiting).is_pending());
        waiting
    }

    fn take(turns: &Arc<Turns>, tenant: &str) -> Result<Place, TooMany> {
        turns.take_or_wait(&TenantId(tenant.into())).map(|place| place.expect("a place is free"))
    }

    #[test]
    fn whoever_has_many_waiting_lets_others_have_their_turn() {
        let turns = Turns::new(1, 8);
        let mut held = take(&turns, "a").unwrap();
        let who = ["a", "a", "a", "a", "b", "c", "b"];
        let mut waiting: Vec<(&str, Waiting)> =
            who.iter().map(|tenant| (*tenant, ask(&turns, tenant))).collect();
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(held);
            let ready = |(idx, (_, waiting)): (usize, &mut (&str, Waiting))| match poll(waiting) {
                Poll::Ready(place) => Some((idx, place.unwrap())),
                Poll::Pending => None,
            };
            let mut ready: Vec<_> = waiting.iter_mut().enumerate().filter_map(ready).collect();
            assert_eq!(ready.len(), 1, "one place, one turn");
            let (idx, place) = ready.remove(0);
            order.push(waiting.remove(idx).0);
            held = place;
        }
        assert_eq!(order.concat(), "abcabaa");
        drop(held);
        assert!(take(&turns, "c").is_ok());
    }

    #[test]
    fn a_tenant_waits_with_so_many_and_who_goes_away_leaves_its_turn() {
        let turns = Turns::new(2, 2);
        let held = [take(&turns, "a").unwrap(), take(&turns, "b").unwrap()];
        let (first, mut second) = (ask(&turns, "a"), ask(&turns, "a"));
        assert_eq!(take(&turns, "a").unwrap_err(), TooMany);
        drop(first);
        let third = ask(&turns, "a");
        let mut other = ask(&turns, "b");
        assert_eq!(take(&turns, "a").unwrap_err(), TooMany);
        // One that was given its place and goes away gives it on.
        drop(held);
        drop(third);
        let Poll::Ready(second) = poll(&mut second) else { panic!("it has its turn") };
        let Poll::Ready(other) = poll(&mut other) else { panic!("it has its turn") };
        assert!(second.is_ok() && other.is_ok());
        drop((second, other));
        assert_eq!(turns.state().num_free, 2);
        assert!(turns.state().waiting.is_empty());
    }
}
