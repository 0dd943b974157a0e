//! Whether a handle sees that its driver has gone.

use std::time::Duration;

use engine_core::{Event, RequestError};
use scheduler_batching::{Observer, PlannerConfig, Shutdown, SubmitError, spawn, spawn_with};

use crate::rig::{drain, mock, request, stepwise, submit, usage};

/// Breaks the driver itself, not the engine.
struct Panicking;

impl Observer for Panicking {
    fn first_token(&mut self, _: Duration) {
        panic!("the observer's fault");
    }
}

#[test]
fn a_driver_that_died_is_seen_to_be_dead() {
    let observer = Box::new(Panicking);
    let (handle, driver) = spawn_with(Box::new(mock()), PlannerConfig::default(), observer);
    let stream = submit(&handle, &[1, 2, 3], 5);
    assert_eq!(drain(stream).last(), Some(&Event::Failed(RequestError::ShuttingDown)));
    assert!(!handle.is_alive());
    let refused = handle.submit(request(&handle, &[1], 1)).map(|_| ());
    assert_eq!(refused, Err(SubmitError::ShuttingDown));
    driver.join();
}

#[test]
fn a_driver_lives_until_it_has_drained() {
    let (engine, steps, go) = stepwise();
    let (handle, driver) = spawn(engine, PlannerConfig::default());
    let stream = submit(&handle, &[1, 2], 3);
    steps.recv().unwrap();
    handle.shutdown(Shutdown::Drain);
    assert!(handle.is_alive());
    drop((steps, go));
    usage(&drain(stream));
    driver.join();
    assert!(!handle.is_alive());
}
