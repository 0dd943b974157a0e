//! Permits for work of which little can be done at once, given to tenants in turn.
//!
//! Invariant: no permit is free while somebody waits. Between two permits that a waiting tenant
//! gets, each other one gets at most one; and no tenant has more than so many waiting.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine_core::TenantId;
use tokio::sync::oneshot;

/// All permits.
pub(crate) struct Permits {
    max_waiting: usize,
    state: Mutex<State>,
}

struct State {
    num_free: usize,
    /// Tenants that wait, whose turn is next first.
    waiting: VecDeque<(TenantId, VecDeque<oneshot::Sender<Permit>>)>,
}

/// A permit; whoever is next gets it when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Option<Arc<Permits>>);

/// As many of the tenant's wait as may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Permits {
    /// `num_permits`, and `max_waiting` of each tenant.
    pub(crate) fn new(num_permits: usize, max_waiting: usize) -> Arc<Self> {
        let state = State { num_free: num_permits.max(1), waiting: VecDeque::new() };
        Arc::new(Self { max_waiting, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit for the tenant, when it has its turn.
    pub(crate) async fn permit(self: &Arc<Self>, tenant: &TenantId) -> Result<Permit, TooMany> {
        match self.take_or_wait(tenant)? {
            Ok(permit) => Ok(permit),
            // Senders are dropped only with the permits' owner, which is held here.
            Err(turn) => turn.await.map_err(|_| TooMany),
        }
    }

    fn take_or_wait(
        self: &Arc<Self>,
        tenant: &TenantId,
    ) -> Result<Result<Permit, oneshot::Receiver<Permit>>, TooMany> {
        let mut state = self.state();
        if state.num_free > 0 {
            state.num_free -= 1;
            return Ok(Ok(Permit(Some(Arc::clone(self)))));
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

    /// Whose turn it is; the permit is free if it is nobody's.
    fn next(&self) -> Option<oneshot::Sender<Permit>> {
        let mut state = self.state();
        while let Some((tenant, mut own)) = state.waiting.pop_front() {
            // Who went away does not cost the tenant its turn.
            own.retain(|turn| !turn.is_closed());
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

impl std::fmt::Debug for Permits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permits").finish_non_exhaustive()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(permits) = self.0.take() else { return };
        while let Some(turn) = permits.next() {
            match turn.send(Self(Some(Arc::clone(&permits)))) {
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

    type Waiting = Pin<Box<dyn Future<Output = Result<Permit, TooMany>>>>;

    fn poll(waiting: &mut Waiting) -> Poll<Result<Permit, TooMany>> {
        pin!(waiting).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Asks for a permit, and waits if there is none.
    fn ask(permits: &Arc<Permits>, tenant: &str) -> Waiting {
        let (permits, tenant) = (Arc::clone(permits), TenantId(tenant.into()));
        let mut waiting: Waiting = Box::pin(async move { permits.permit(&tenant).await });
        assert!(poll(&mut waiting).is_pending());
        waiting
    }

    fn take(permits: &Arc<Permits>, tenant: &str) -> Result<Permit, TooMany> {
        permits
            .take_or_wait(&TenantId(tenant.into()))
            .map(|permit| permit.expect("a permit is free"))
    }

    #[test]
    fn whoever_has_many_waiting_lets_others_have_their_turn() {
        let permits = Permits::new(1, 8);
        let mut held = take(&permits, "a").unwrap();
        let who = ["a", "a", "a", "a", "b", "c", "b"];
        let mut waiting: Vec<(&str, Waiting)> =
            who.iter().map(|tenant| (*tenant, ask(&permits, tenant))).collect();
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(held);
            let ready = |(idx, (_, waiting)): (usize, &mut (&str, Waiting))| match poll(waiting) {
                Poll::Ready(permit) => Some((idx, permit.unwrap())),
                Poll::Pending => None,
            };
            let mut ready: Vec<_> = waiting.iter_mut().enumerate().filter_map(ready).collect();
            assert_eq!(ready.len(), 1, "one permit, one turn");
            let (idx, permit) = ready.remove(0);
            order.push(waiting.remove(idx).0);
            held = permit;
        }
        assert_eq!(order.concat(), "abcabaa");
        drop(held);
        assert!(take(&permits, "c").is_ok());
    }

    #[test]
    fn who_goes_away_does_not_cost_its_tenant_a_turn() {
        let permits = Permits::new(1, 8);
        let held = take(&permits, "a").unwrap();
        let gone = ask(&permits, "a");
        let (mut next, mut other) = (ask(&permits, "a"), ask(&permits, "b"));
        drop(gone);
        drop(held);
        assert!(poll(&mut next).is_ready() && poll(&mut other).is_ready());
    }

    #[test]
    fn a_tenant_waits_with_so_many_and_who_goes_away_leaves_its_turn() {
        let permits = Permits::new(2, 2);
        let held = [take(&permits, "a").unwrap(), take(&permits, "b").unwrap()];
        let (first, mut second) = (ask(&permits, "a"), ask(&permits, "a"));
        assert_eq!(take(&permits, "a").unwrap_err(), TooMany);
        drop(first);
        let third = ask(&permits, "a");
        let mut other = ask(&permits, "b");
        assert_eq!(take(&permits, "a").unwrap_err(), TooMany);
        // One that was given its permit and goes away gives it on.
        drop(held);
        drop(third);
        let Poll::Ready(second) = poll(&mut second) else { panic!("it has its turn") };
        let Poll::Ready(other) = poll(&mut other) else { panic!("it has its turn") };
        assert!(second.is_ok() && other.is_ok());
        drop((second, other));
        assert_eq!(permits.state().num_free, 2);
        assert!(permits.state().waiting.is_empty());
    }
}
