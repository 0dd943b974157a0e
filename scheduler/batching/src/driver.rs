//! The thread that runs one engine: plan → execute → commit, for ever.
//!
//! An engine that fails or panics fails the requests of that step and the driver goes on: engines
//! keep no state per request, and blocks of a failed step are never read again before they are
//! written. Invariant: whatever happens, every stream gets its last event.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine_core::{Engine, EngineError, RequestError, Step, StepOutput};

use crate::caught;
use crate::handle::{Command, Shared, Shutdown};
use crate::observer::{NoObserver, Observer, StepSize};
use crate::planner::Planner;
use crate::tracks::Tracks;
use crate::{Handle, PlannerConfig};

/// A flood of submissions and cancels shall not keep running requests from their next step.
const MAX_COMMANDS_PER_STEP: usize = 4096;

/// The running thread of one engine. Dropping it lets the thread run on.
pub struct Driver(JoinHandle<()>);

impl Driver {
    /// Waits until the thread has ended (see [`Handle::shutdown`]).
    pub fn join(self) {
        // A panic of the driver's own was printed where it happened; streams have got their end.
        let _ = self.0.join();
    }
}

/// Starts a driver that nobody observes.
pub fn spawn(engine: Box<dyn Engine>, config: PlannerConfig) -> (Handle, Driver) {
    spawn_with(engine, config, Box::new(NoObserver))
}

/// Starts a driver.
///
/// # Panics
/// If the operating system gives no thread.
pub fn spawn_with(
    engine: Box<dyn Engine>,
    config: PlannerConfig,
    observer: Box<dyn Observer>,
) -> (Handle, Driver) {
    let limits = engine.limits();
    let planner = Planner::new(limits, config.clone());
    let shared = Arc::new(Shared::new(limits, config, planner.stats()));
    let (commands, inbox) = channel();
    let tracks = Tracks::new(observer, Arc::clone(&shared));
    let run = Run { engine, planner, inbox, tracks, shared: Arc::clone(&shared), stop: None };
    // The name is what profiles show.
    let thread = std::thread::Builder::new().name("driver".to_owned()).spawn(move || run.run());
    let thread = thread.expect("the operating system gives a thread");
    (Handle { commands, shared }, Driver(thread))
}

/// How often it is looked whether a sequence may go on where none may now. Until then the processor
/// is for those who find out.
const HELD_UP: Duration = Duration::from_millis(1);

/// What the thread owns.
struct Run {
    engine: Box<dyn Engine>,
    planner: Planner,
    inbox: Receiver<Command>,
    tracks: Tracks,
    shared: Arc<Shared>,
    stop: Option<Shutdown>,
}

impl Run {
    fn run(mut self) {
        while self.receive() {
            let Some(step) = self.planner.plan() else {
                match self.planner.is_held_up() {
                    true => std::thread::sleep(HELD_UP),
                    false => self.give_up(),
                }
                continue;
            };
            self.publish();
            let out = self.execute(&step);
            self.planner.commit(step, out);
            self.publish();
        }
    }

    /// Takes in what came since the last step, waiting for something if there is nothing to
    /// compute. False when it is time to end.
    fn receive(&mut self) -> bool {
        for _ in 0..MAX_COMMANDS_PER_STEP {
            let command = if self.planner.is_idle() {
                if self.stop.is_some() {
                    return false;
                }
                match self.inbox.recv() {
                    Ok(command) => command,
                    Err(_) => return false,
                }
            } else {
                match self.inbox.try_recv() {
                    Ok(command) => command,
                    // Without handles and streams nothing can run, so this ends by itself.
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
                }
            };
            self.obey(command);
            self.publish();
        }
        true
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Submit(request, told) => {
                let id = request.id;
                if !self.tracks.begin(&request, told) {
                    return;
                }
                if let Err(error) = self.planner.take(*request) {
                    self.tracks.refuse(id, error);
                }
            }
            Command::Cancel(id) => {
                self.tracks.cancel(id);
                self.planner.cancel(id);
            }
            Command::CancelChoice(id, index) => self.planner.cancel_choice(id, index),
            Command::Shutdown(how) => {
                self.stop = Some(how);
                if how == Shutdown::Abort {
                    self.planner.fail_all(&RequestError::ShuttingDown);
                }
            }
        }
    }

    /// There are requests but no step: only an engine whose limits allow nothing brings this
    /// about, and its clients shall not wait for ever.
    fn give_up(&mut self) {
        let error = EngineError::InvalidStep("the engine's limits allow no step".into());
        self.planner.fail_all(&RequestError::Engine(error));
        self.publish();
    }

    fn execute(&mut self, step: &Step) -> Result<StepOutput, EngineError> {
        let began = Instant::now();
        let engine = &mut self.engine;
        let out = caught::run(|| engine.execute(step)).unwrap_or_else(|at| {
            tracing::error!(step = step.step_idx, at, "the engine panicked");
            Err(EngineError::Device("the engine panicked".into()))
        });
        if let Err(error) = &out {
            tracing::error!(step = step.step_idx, seqs = step.work.len(), %error, "step failed");
        }
        let size = StepSize { num_seqs: step.work.len(), num_tokens: step.num_tokens() };
        self.tracks.step(began.elapsed(), size);
        out
    }

    /// Counts first, then events: who hears the end of a request sees it gone from the counts.
    fn publish(&mut self) {
        let stats = self.planner.stats();
        self.tracks.admitted(self.planner.drain_admitted());
        *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
        self.tracks.deliver(self.planner.drain_events());
    }
}

impl Drop for Run {
    /// Also when the thread panics: nobody comes in any more. Dropping the senders ends streams,
    /// so who hears the end sees the driver gone.
    fn drop(&mut self) {
        self.shared.gate.close();
        self.shared.alive.store(false, Ordering::Release);
    }
}
