//! When a request is first computed, told beside its events.

use scheduler_batching::{PlannerConfig, spawn};

use crate::rig::{drain, stepwise, submit, usage};

#[test]
fn it_is_known_when_a_request_is_first_computed_and_what_was_cached() {
    let (engine, steps, go) = stepwise();
    let (handle, driver) = spawn(engine, PlannerConfig::default());
    let prompt: Vec<u32> = (0..40).collect();
    let first = submit(&handle, &prompt, 1);
    steps.recv().unwrap();
    // The step is being computed, and nothing was heard of it.
    assert_eq!(first.num_cached(), Some(0));
    let mut second = submit(&handle, &prompt, 1);
    assert_eq!(second.num_cached(), None);
    drop((steps, go));
    let num_cached = usage(&drain(first)).cached_tokens;
    assert_eq!(num_cached, 0);
    assert!(second.blocking_next().is_some());
    let at_first = second.num_cached().unwrap();
    assert!(at_first > 0);
    assert_eq!(usage(&drain(second)).cached_tokens, at_first);
    drop(handle);
    driver.join();
}
