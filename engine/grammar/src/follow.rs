//! Following one sequence.
//!
//! Invariant: the matcher has taken in exactly the tokens that were accepted, in their order,
//! before a mask is computed; masks are computed one at a time. A step computes only masks that
//! are quick by the one before, and waits for each that is being computed [`PATIENCE`] at most:
//! sequences whose masks take longer sit steps out, so that no grammar holds up other sequences.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine_core::{Constraint, GrammarError, NoMask, PendingMask, TokenId, TokenMask};
use llguidance::Matcher;

use crate::compiler::Compiled;
use crate::error::message;

/// How long a step waits for a mask that a worker computes.
const PATIENCE: Duration = Duration::from_millis(5);
/// Where a mask took longer, the next is left to the workers.
const QUICK: Duration = Duration::from_millis(2);
/// What takes longer to compute has failed; the limits end it long before.
const MAX_TIME: Duration = Duration::from_secs(2);

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
    /// Whether the last mask was.
    is_quick: bool,
}

/// The mask after the tokens so far.
pub(crate) struct Pending {
    work: Mutex<Work>,
    done: Condvar,
    /// Whether it is left to the workers.
    is_left: AtomicBool,
}

enum Work {
    Waiting { compiled: Arc<Compiled>, state: Arc<Mutex<State>> },
    Begun { since: Instant },
    Done(Mask),
}

impl Follower {
    pub(crate) fn new(compiled: Arc<Compiled>) -> Self {
        let state = State { matcher: None, accepted: VecDeque::new(), is_quick: true };
        let latest = Pending::new(Work::Done(Ok(compiled.first())));
        Self { compiled, state: Arc::new(Mutex::new(state)), latest }
    }
}

impl Constraint for Follower {
    fn accept(&mut self, token: TokenId) {
        let is_quick = {
            let mut state = lock(&self.state);
            state.accepted.push_back(token);
            state.is_quick
        };
        let (compiled, state) = (Arc::clone(&self.compiled), Arc::clone(&self.state));
        self.latest = Pending::new(Work::Waiting { compiled, state });
        let is_handed = self.compiled.workers().hand(&self.latest);
        self.latest.is_left.store(is_handed && !is_quick, Ordering::Relaxed);
    }

    fn mask(&self) -> Arc<dyn PendingMask> {
        Arc::clone(&self.latest) as Arc<dyn PendingMask>
    }
}

impl Pending {
    fn new(work: Work) -> Arc<Self> {
        let is_left = AtomicBool::new(false);
        Arc::new(Self { work: Mutex::new(work), done: Condvar::new(), is_left })
    }

    /// Computes the mask, unless somebody has begun to.
    pub(crate) fn run(&self) {
        let mut work = lock(&self.work);
        if !matches!(&*work, Work::Waiting { .. }) {
            return;
        }
        let since = Instant::now();
        let Work::Waiting { compiled, state } =
            std::mem::replace(&mut *work, Work::Begun { since })
        else {
            return;
        };
        drop(work);
        let mask = lock(&state).advance(&compiled, since);
        *lock(&self.work) = Work::Done(mask);
        self.done.notify_all();
    }

    fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }
}

impl PendingMask for Pending {
    fn wait(&self) -> Result<Arc<TokenMask>, NoMask> {
        if !self.is_left() {
            self.run();
        }
        let is_begun = |work: &mut Work| matches!(work, Work::Begun { .. });
        let waited = self.done.wait_timeout_while(lock(&self.work), PATIENCE, is_begun);
        let (work, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &*work {
            Work::Done(mask) => Ok(mask.clone()?),
            Work::Begun { since } if since.elapsed() > MAX_TIME => {
                let message = "what may come next took too long to compute";
                Err(GrammarError(message.to_owned()).into())
            }
            Work::Waiting { .. } | Work::Begun { .. } => Err(NoMask::Late),
        }
    }

    fn is_ready(&self) -> bool {
        match &*lock(&self.work) {
            Work::Done(_) => true,
            Work::Begun { since } => since.elapsed() > MAX_TIME,
            Work::Waiting { .. } => !self.is_left(),
        }
    }
}

impl State {
    fn advance(&mut self, compiled: &Compiled, since: Instant) -> Mask {
        let matcher = self.matcher.get_or_insert_with(|| compiled.matcher());
        while let Some(token) = self.accepted.pop_front() {
            matcher.consume_token(token).map_err(failed)?;
        }
        let mask = mask(matcher);
        self.is_quick = since.elapsed() <= QUICK;
        mask
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

#[cfg(test)]
mod tests {
    use engine_text::TextModel;

    use super::*;
    use crate::{Compiler, Source};

    fn begun(since: Instant) -> Arc<Pending> {
        Pending::new(Work::Begun { since })
    }

    #[test]
    fn a_step_waits_a_moment_for_what_is_being_computed() {
        let pending = begun(Instant::now());
        assert!(!pending.is_ready());
        assert_eq!(pending.wait(), Err(NoMask::Late));
        // It is there soon enough, or later.
        let mask = Arc::new(TokenMask::new(vec![1]));
        let computed = Arc::clone(&pending);
        let worker = std::thread::spawn(move || {
            *lock(&computed.work) = Work::Done(Ok(mask));
            computed.done.notify_all();
        });
        worker.join().expect("it ends");
        assert!(pending.is_ready());
        assert!(pending.wait().is_ok_and(|mask| mask.allows(0) && !mask.allows(1)));
    }

    #[test]
    fn what_never_comes_has_failed() {
        let Some(since) = Instant::now().checked_sub(MAX_TIME + PATIENCE) else { return };
        let pending = begun(since);
        assert!(pending.is_ready(), "there is nothing to wait for");
        assert!(matches!(pending.wait(), Err(NoMask::Failed(_))));
    }

    #[test]
    fn only_what_a_worker_will_compute_is_left_to_it() {
        let compiler = Compiler::new(Arc::new(TextModel::byte_level()), 0);
        let source = Source::Choice(vec!["ab".to_owned(), "ac".to_owned()]);
        let compiled = compiler.compile("t", &source).expect("it is a grammar");
        for is_quick in [true, false] {
            let mut follower = Follower::new(Arc::clone(&compiled));
            assert!(follower.mask().is_ready());
            lock(&follower.state).is_quick = is_quick;
            follower.accept(u32::from(b'a'));
            let (pending, mask) = (Arc::clone(&follower.latest), follower.mask());
            // Nobody else will.
            assert!(!pending.is_left() && mask.is_ready());
            pending.is_left.store(true, Ordering::Relaxed);
            assert!(!mask.is_ready());
            assert_eq!(mask.wait(), Err(NoMask::Late));
            pending.run();
            assert!(mask.is_ready());
            let allowed = mask.wait().expect("it goes on");
            assert!(allowed.allows(u32::from(b'b')) && !allowed.allows(u32::from(b'a')));
        }
    }

    #[test]
    fn workers_compute_what_is_left_to_them() {
        let compiler = Compiler::new(Arc::new(TextModel::byte_level()), 1);
        let source = Source::Choice(vec!["abc".to_owned()]);
        let compiled = compiler.compile("t", &source).expect("it is a grammar");
        let mut follower = Follower::new(compiled);
        for byte in *b"ab" {
            lock(&follower.state).is_quick = false;
            follower.accept(u32::from(byte));
            let mask = follower.mask();
            while !mask.is_ready() {
                std::thread::yield_now();
            }
            assert!(mask.wait().is_ok_and(|mask| mask.allows(u32::from(byte) + 1)));
        }
    }
}
