//! Following one sequence.
//!
//! Invariant: the matcher has taken in exactly the tokens that were accepted, in their order,
//! before a mask is computed; masks are computed one at a time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine_core::{Constraint, GrammarError, PendingMask, TokenId, TokenMask};
use llguidance::Matcher;

use crate::compiler::Compiled;
use crate::error::message;

/// Nobody waits longer for a mask that somebody else computes; the limits end it long before.
const MAX_WAIT: Duration = Duration::from_secs(2);

type Mask = Result<Arc<TokenMask>, GrammarError>;

/// A sequence's place in its grammar.
pub(crate) struct Follower {
    compiled: Arc<Compiled>,
    state: Arc<Mutex<State>>,
    latest: Arc<Pending>,
}

/// What the masks of one sequence are computed from.
struct State {
    /// Copied from the grammar's when the first token comes.
    matcher: Option<Matcher>,
    accepted: VecDeque<TokenId>,
}

/// The mask after the tokens so far.
pub(crate) struct Pending {
    work: Mutex<Work>,
    done: Condvar,
}

enum Work {
    Waiting { compiled: Arc<Compiled>, state: Arc<Mutex<State>> },
    Begun,
    Done(Mask),
}

impl Follower {
    pub(crate) fn new(compiled: Arc<Compiled>) -> Self {
        let state = State { matcher: None, accepted: VecDeque::new() };
        let latest = Pending::new(Work::Done(Ok(compiled.first())));
        Self { compiled, state: Arc::new(Mutex::new(state)), latest }
    }
}

impl Constraint for Follower {
    fn accept(&mut self, token: TokenId) {
        lock(&self.state).accepted.push_back(token);
        let (compiled, state) = (Arc::clone(&self.compiled), Arc::clone(&self.state));
        self.latest = Pending::new(Work::Waiting { compiled, state });
        self.compiled.workers().hand(&self.latest);
    }

    fn mask(&self) -> Arc<dyn PendingMask> {
        Arc::clone(&self.latest) as Arc<dyn PendingMask>
    }
}

impl Pending {
    fn new(work: Work) -> Arc<Self> {
        Arc::new(Self { work: Mutex::new(work), done: Condvar::new() })
    }

    /// Computes the mask, unless somebody has begun to.
    pub(crate) fn run(&self) {
        let mut work = lock(&self.work);
        if !matches!(&*work, Work::Waiting { .. }) {
            return;
        }
        let Work::Waiting { compiled, state } = std::mem::replace(&mut *work, Work::Begun) else {
            return;
        };
        drop(work);
        let mask = lock(&state).advance(&compiled);
        *lock(&self.work) = Work::Done(mask);
        self.done.notify_all();
    }
}

impl PendingMask for Pending {
    fn wait(&self) -> Mask {
        self.run();
        let is_begun = |work: &mut Work| !matches!(work, Work::Done(_));
        let waited = self.done.wait_timeout_while(lock(&self.work), MAX_WAIT, is_begun);
        let (work, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &*work {
            Work::Done(mask) => mask.clone(),
            Work::Waiting { .. } | Work::Begun => {
                Err(GrammarError("what may come next took too long to compute".to_owned()))
            }
        }
    }
}

impl State {
    fn advance(&mut self, compiled: &Compiled) -> Mask {
        let matcher = self.matcher.get_or_insert_with(|| compiled.matcher());
        while let Some(token) = self.accepted.pop_front() {
            matcher.consume_token(token).map_err(failed)?;
        }
        mask(matcher)
    }
}

/// What an answer may begin with.
pub(crate) fn first_mask(matcher: &mut Matcher) -> Mask {
    mask(matcher)
}

/// What may come next; only the end where nothing else may.
fn mask(matcher: &mut Matcher) -> Mask {
    let mask = matcher.compute_mask_or_eos().map_err(failed)?;
    Ok(Arc::new(TokenMask::new(mask.as_slice().to_vec())))
}

/// The library keeps its first error, so that a matcher that failed allows nothing ever after.
fn failed(error: impl fmt::Display) -> GrammarError {
    GrammarError(message(&error.to_string()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").finish_non_exhaustive()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}
