//! Threads that compute masks while the model runs.
//!
//! Invariant: a mask is computed once, by a worker or by whoever waits for it, whoever is first;
//! so nothing depends on there being a worker. Only where there is one, some masks are left to it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::follow::Pending;

/// The way to the threads, which end when the last of it is dropped.
#[derive(Clone)]
pub(crate) struct Workers(Option<Sender<Arc<Pending>>>);

impl Workers {
    pub(crate) fn new(num_threads: usize) -> Self {
        if num_threads == 0 {
            return Self(None);
        }
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for i in 0..num_threads {
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new().name(format!("grammar-{i}"));
            if let Err(error) = thread.spawn(move || work(&receiver)) {
                tracing::warn!(%error, "no thread for grammars; masks are computed while sampling");
            }
        }
        Self(Some(sender))
    }

    /// Hands over a mask to be computed; whether there is a thread that will. One for each sequence
    /// waits at most.
    pub(crate) fn hand(&self, pending: &Arc<Pending>) -> bool {
        // It fails where no thread is left.
        self.0.as_ref().is_some_and(|sender| sender.send(Arc::clone(pending)).is_ok())
    }
}

fn work(receiver: &Mutex<Receiver<Arc<Pending>>>) {
    let next = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(pending) = next() {
        pending.run();
    }
}
