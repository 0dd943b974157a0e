//! The driver with real threads: streams, cancellation, shutdown, failures.

mod alive;
mod rig;
mod started;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine_core::{
    EngineError, EngineLimits, Event, FinishReason, InvalidRequest, RequestError, Usage,
};
use engine_mock::{Fault, MockEngine, MockModel};
use rig::{LIMITS, drain, mock, request, stepwise, submit, usage};
use scheduler_batching::{
    Observer, Outcome, PlannerConfig, RequestEnd, Shutdown, StepSize, SubmitError, spawn,
    spawn_with,
};

#[tokio::test]
async fn sixty_four_streams_end_with_right_tokens_and_leave_nothing() {
    let (handle, driver) = spawn(Box::new(mock()), PlannerConfig::default());
    let streams = (0..64u32).map(|i| {
        let mut stream = submit(&handle, &[i, 2, 3, i], 20 + i % 7);
        tokio::spawn(async move {
            let mut tokens = Vec::new();
            while let Some(event) = stream.next().await {
                match event {
                    Event::Token { token, .. } => tokens.push(token),
                    Event::Finished(usage) => assert_eq!(usage.completion_tokens, 20 + i % 7),
                    Event::ChoiceFinished { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(stream.next().await, None);
            tokens
        })
    });
    let streams: Vec<_> = streams.collect();
    let mut all = Vec::new();
    for (i, stream) in streams.into_iter().enumerate() {
        let tokens = stream.await.unwrap();
        assert_eq!(tokens.len(), 20 + i % 7);
        all.push(tokens);
    }
    let stats = handle.stats();
    assert_eq!((stats.running, stats.waiting, stats.blocks_used), (0, 0, 0));
    // Alone, one of them says the same.
    let alone = submit(&handle, &[9, 2, 3, 9], 22);
    let again: Vec<_> = std::thread::spawn(|| drain(alone))
        .join()
        .unwrap()
        .into_iter()
        .filter_map(|event| match event {
            Event::Token { token, .. } => Some(token),
            _ => None,
        })
        .collect();
    assert_eq!(again, all[9]);
    handle.shutdown(Shutdown::Drain);
    driver.join();
}

#[test]
fn dropping_a_stream_takes_it_out_of_the_next_step() {
    let (engine, steps, go) = stepwise();
    let (handle, driver) = spawn(engine, PlannerConfig::default());
    let kept = submit(&handle, &[1, 2, 3], 4);
    steps.recv().unwrap();
    let dropped = submit(&handle, &[4, 5, 6], 400);
    go.send(()).unwrap();
    assert_eq!(steps.recv().unwrap().work.len(), 2);
    // While the step is being computed.
    drop(dropped);
    go.send(()).unwrap();
    assert_eq!(steps.recv().unwrap().work.len(), 1);
    assert_eq!(handle.stats().blocks_used, 2);
    drop((steps, go));
    assert_eq!(usage(&drain(kept)).completion_tokens, 4);
    assert_eq!(handle.stats().blocks_used, 0);
    drop(handle);
    driver.join();
}

#[test]
fn cancelling_a_choice_ends_it_and_the_others_go_on() {
    let (handle, driver) = spawn(Box::new(mock()), PlannerConfig::default());
    let mut two = request(&handle, &[1, 2, 3], 300);
    two.n = 2;
    let mut stream = handle.submit(two).unwrap();
    let mut events = Vec::new();
    while let Some(event) = stream.blocking_next() {
        if let Event::Token { index: 0, .. } = event {
            stream.cancel_choice(0);
            stream.cancel_choice(9);
        }
        events.push(event);
    }
    let ended = |index, reason| events.contains(&Event::ChoiceFinished { index, reason });
    // The driver may have been quicker to the end than the cancel was to the driver.
    assert!(ended(0, FinishReason::Cancelled) || ended(0, FinishReason::Length));
    assert!(ended(1, FinishReason::Length));
    usage(&events);
    handle.shutdown(Shutdown::Drain);
    driver.join();
}

#[test]
fn a_full_queue_refuses_at_once_even_while_a_step_runs() {
    let (engine, steps, go) = stepwise();
    let config = PlannerConfig { max_waiting: 2, retry_after_s: 3, ..PlannerConfig::default() };
    let (handle, driver) = spawn(engine, config);
    let first = submit(&handle, &[1], 2);
    steps.recv().unwrap();
    // The driver is stuck in the engine now; the first does not wait any more.
    let waiting = [submit(&handle, &[2], 2), submit(&handle, &[3], 2)];
    assert_eq!(handle.stats().waiting, 2);
    let refused = handle.submit(request(&handle, &[4], 2)).map(|_| ());
    assert_eq!(refused, Err(SubmitError::QueueFull { waiting: 2, retry_after_s: 3 }));
    let invalid = handle.submit(request(&handle, &[], 2)).map(|_| ());
    assert_eq!(invalid, Err(SubmitError::Invalid(InvalidRequest::EmptyPrompt)));
    drop((steps, go));
    for stream in waiting.into_iter().chain([first]) {
        usage(&drain(stream));
    }
    assert_eq!(handle.stats().waiting, 0);
    usage(&drain(submit(&handle, &[4], 2)));
    handle.shutdown(Shutdown::Drain);
    driver.join();
}

#[test]
fn dropped_while_waiting_makes_room_in_the_queue() {
    let (engine, steps, go) = stepwise();
    let config = PlannerConfig { max_waiting: 1, max_running_seqs: 1, ..PlannerConfig::default() };
    let (handle, driver) = spawn(engine, config);
    let first = submit(&handle, &[1], 20);
    steps.recv().unwrap();
    drop(submit(&handle, &[2], 2));
    assert!(handle.submit(request(&handle, &[3], 2)).is_err());
    go.send(()).unwrap();
    steps.recv().unwrap();
    assert_eq!(handle.stats().waiting, 0);
    let third = submit(&handle, &[3], 2);
    drop((steps, go));
    usage(&drain(first));
    usage(&drain(third));
    handle.shutdown(Shutdown::Drain);
    driver.join();
}

#[test]
fn draining_finishes_what_was_taken_and_takes_no_more() {
    let (engine, steps, go) = stepwise();
    let config = PlannerConfig { max_running_seqs: 1, ..PlannerConfig::default() };
    let (handle, driver) = spawn(engine, config);
    let streams: Vec<_> = (1..4).map(|i| submit(&handle, &[i], 5)).collect();
    steps.recv().unwrap();
    handle.shutdown(Shutdown::Drain);
    let refused = handle.submit(request(&handle, &[9], 1)).map(|_| ());
    assert_eq!(refused, Err(SubmitError::ShuttingDown));
    drop((steps, go));
    for stream in streams {
        assert_eq!(usage(&drain(stream)).completion_tokens, 5);
    }
    driver.join();
    assert_eq!(handle.stats().running, 0);
}

#[test]
fn aborting_fails_what_is_left() {
    let (engine, steps, go) = stepwise();
    let config = PlannerConfig { max_running_seqs: 1, ..PlannerConfig::default() };
    let (handle, driver) = spawn(engine, config);
    let streams: Vec<_> = (1..4).map(|i| submit(&handle, &[i], 400)).collect();
    steps.recv().unwrap();
    handle.shutdown(Shutdown::Abort);
    drop((steps, go));
    driver.join();
    for stream in streams {
        assert_eq!(drain(stream).last(), Some(&Event::Failed(RequestError::ShuttingDown)));
    }
    assert_eq!(handle.stats().blocks_used, 0);
}

#[test]
fn a_panic_or_an_error_fails_its_step_and_the_driver_goes_on() {
    let gone = Fault::Error("gone".into());
    let engine = mock().with_fault(0, Fault::Panic).with_fault(1, gone);
    let (handle, driver) = spawn(Box::new(engine), PlannerConfig::default());
    // The panic's own words may quote anything; they go nowhere.
    for expect in ["the engine panicked", "gone"] {
        let events = drain(submit(&handle, &[1, 2, 3, 4, 5], 3));
        let [Event::Failed(RequestError::Engine(EngineError::Device(text)))] = events.as_slice()
        else {
            panic!("{events:?}");
        };
        assert_eq!(text, expect);
    }
    let usage = usage(&drain(submit(&handle, &[1, 2, 3, 4, 5], 3)));
    assert_eq!((usage.completion_tokens, usage.cached_tokens), (3, 0));
    assert_eq!(handle.stats().blocks_used, 0);
    handle.shutdown(Shutdown::Drain);
    driver.join();
}

#[test]
fn an_engine_that_allows_no_step_fails_requests_clearly() {
    let limits = EngineLimits { max_step_tokens: 0, ..LIMITS };
    let engine = MockEngine::new(limits, MockModel::default());
    let (handle, driver) = spawn(Box::new(engine), PlannerConfig::default());
    let events = drain(submit(&handle, &[1], 1));
    assert!(matches!(events.as_slice(), [Event::Failed(RequestError::Engine(_))]), "{events:?}");
    handle.shutdown(Shutdown::Drain);
    driver.join();
}

#[test]
fn an_id_in_use_is_refused_and_its_owner_undisturbed() {
    let (engine, steps, go) = stepwise();
    let (handle, driver) = spawn(engine, PlannerConfig::default());
    let request = request(&handle, &[1, 2], 3);
    let first = handle.submit(request.clone()).unwrap();
    steps.recv().unwrap();
    let double = handle.submit(request).unwrap();
    drop((steps, go));
    assert!(matches!(
        drain(double).as_slice(),
        [Event::Failed(RequestError::Invalid(InvalidRequest::Parameter(_)))]
    ));
    assert_eq!(usage(&drain(first)).completion_tokens, 3);
    assert_eq!(handle.stats().waiting, 0);
    handle.shutdown(Shutdown::Drain);
    driver.join();
}

#[test]
fn the_driver_ends_when_nobody_is_left() {
    let (handle, driver) = spawn(Box::new(mock()), PlannerConfig::default());
    let stream = submit(&handle, &[1, 2], 400);
    drop(handle);
    drop(stream);
    driver.join();
}

/// Counts what it hears.
#[derive(Default)]
struct Counts {
    queued: AtomicUsize,
    first: AtomicUsize,
    further: AtomicUsize,
    step_tokens: AtomicUsize,
    ends: Mutex<Vec<(Outcome, Option<Usage>)>>,
}

struct Counting(Arc<Counts>);

impl Observer for Counting {
    fn queued(&mut self, _: Duration) {
        self.0.queued.fetch_add(1, Ordering::SeqCst);
    }
    fn first_token(&mut self, _: Duration) {
        self.0.first.fetch_add(1, Ordering::SeqCst);
    }
    fn inter_token(&mut self, _: Duration) {
        self.0.further.fetch_add(1, Ordering::SeqCst);
    }
    fn step(&mut self, _: Duration, size: StepSize) {
        self.0.step_tokens.fetch_add(size.num_tokens, Ordering::SeqCst);
    }
    fn request_ended(&mut self, end: RequestEnd) {
        self.0.ends.lock().unwrap().push((end.outcome, end.usage));
    }
}

#[test]
fn the_observer_hears_of_every_token_step_and_end() {
    let counts = Arc::new(Counts::default());
    let engine = mock().with_fault(7, Fault::Error("gone".into()));
    let observer = Box::new(Counting(Arc::clone(&counts)));
    let (handle, driver) = spawn_with(Box::new(engine), PlannerConfig::default(), observer);
    let mut two = request(&handle, &[1, 2, 3], 3);
    two.n = 2;
    let events = drain(handle.submit(two).unwrap());
    // Steps 0 to 3: the prompt, then the sibling one step behind. 4 to 6: three tokens.
    let ended = usage(&events);
    drain(submit(&handle, &[5, 6], 3));
    drain(submit(&handle, &[5, 6], 3));
    drop(handle);
    driver.join();
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    assert_eq!((count(&counts.queued), count(&counts.first)), (3, 2));
    assert_eq!(count(&counts.further), 2 * 2 + 2);
    assert_eq!(count(&counts.step_tokens), (3 + 2) + (3 + 2) + (2 + 2) + 2);
    let ends = counts.ends.lock().unwrap();
    assert_eq!(ends[0], (Outcome::Finished, Some(ended)));
    assert_eq!((ends[1].0, ends[2]), (Outcome::Finished, (Outcome::Failed, None)));
    assert_eq!(ends.len(), 3);
}
