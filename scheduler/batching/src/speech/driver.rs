//! The thread that runs one model of speech: take → compute → give, for ever.
//!
//! Invariant: a model that fails or panics fails the request of that window, and the driver goes
//! on; whatever happens, every request gets its end. What is known of a recording that left the
//! queue is dropped before the next window.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Instant;

use engine_core::{EngineError, RequestError, Speech, SpeechInput, SpeechStep};

use super::config::SpeechConfig;
use super::handle::{SpeechHandle, Work};
use super::queue::JobId;
use crate::desk::Desk;
use crate::{Observer, StepSize, caught};

/// What a turn costs, whatever comes of it: every window is encoded whole.
const COST: usize = 1;

/// The running thread of one model. Dropping it lets the thread run on.
pub struct SpeechDriver(JoinHandle<()>);

impl SpeechDriver {
    /// Waits until the thread has ended (see [`SpeechHandle::shutdown`]).
    pub fn join(self) {
        // A panic of the driver's own was printed where it happened; requests have got their end.
        let _ = self.0.join();
    }
}

/// Starts a driver.
///
/// # Panics
/// If the operating system gives no thread.
pub fn spawn_speech<S: Speech + 'static>(
    model: S,
    config: SpeechConfig,
    observer: Box<dyn Observer>,
) -> (SpeechHandle, SpeechDriver) {
    let info = model.info().clone();
    let desk = Arc::new(Desk::new(Work::new(config, observer)));
    let run = Run { model, sessions: BTreeMap::new(), desk: Arc::clone(&desk) };
    let thread = std::thread::Builder::new().name("speech".to_owned()).spawn(move || run.run());
    let thread = thread.expect("the operating system gives a thread");
    (SpeechHandle::new(info, config.retry_after_s, desk), SpeechDriver(thread))
}

/// What the thread owns.
struct Run<S: Speech> {
    model: S,
    sessions: BTreeMap<JobId, S::Session>,
    desk: Arc<Desk<Work>>,
}

/// A window to compute.
struct Turn {
    id: JobId,
    /// Where it is the recording's first.
    input: Option<SpeechInput>,
    stop: Arc<AtomicBool>,
}

impl<S: Speech> Run<S> {
    fn run(mut self) {
        while let Some(turn) = self.take() {
            let began = Instant::now();
            let id = turn.id;
            let step = self.compute(turn);
            let work = &mut self.desk.lock().work;
            work.num_steps += 1;
            work.queue.charge(id, COST);
            let num_tokens =
                step.iter().flat_map(|step| &step.segments).map(|s| s.tokens.len()).sum();
            work.observer.step(began.elapsed(), StepSize { num_seqs: 1, num_tokens });
            match step {
                Ok(step) => work.give(id, step),
                Err(error) => {
                    if let Some(job) = work.queue.remove(id) {
                        work.fail(job, RequestError::Engine(error));
                    }
                }
            }
        }
    }

    /// What to compute next, waiting for something; `None` when it is time to end.
    fn take(&mut self) -> Option<Turn> {
        let mut state = self.desk.lock();
        loop {
            let work = &mut state.work;
            self.sessions.retain(|id, _| work.queue.contains(*id));
            if let Some(id) = work.queue.next() {
                let input = work.begins(id);
                let stop = work.queue.get_mut(id).map(|job| Arc::clone(&job.with.stop));
                return Some(Turn { id, input, stop: stop.unwrap_or_default() });
            }
            if state.stop.is_some() {
                return None;
            }
            state = self.desk.wait(state);
        }
    }

    fn compute(&mut self, turn: Turn) -> Result<SpeechStep, EngineError> {
        let Turn { id, input, stop } = turn;
        let (model, sessions) = (&mut self.model, &mut self.sessions);
        let step = caught::run(|| {
            if let Some(input) = input {
                sessions.insert(id, model.begin(&input)?);
            }
            match sessions.get_mut(&id) {
                Some(session) => model.step(session, &stop),
                None => Err(EngineError::InvalidStep("a recording that did not begin".into())),
            }
        });
        let step = step.unwrap_or_else(|at| {
            tracing::error!(at, "the model of speech panicked");
            Err(EngineError::Device("the model of speech panicked".into()))
        });
        if let Err(error) = &step {
            tracing::error!(%error, "window failed");
        }
        step
    }
}

impl<S: Speech> Drop for Run<S> {
    fn drop(&mut self) {
        self.desk.leave();
    }
}
