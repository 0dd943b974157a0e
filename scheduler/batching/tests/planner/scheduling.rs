//! Who runs when: budgets, fairness, preemption, cancellation, refusals.

use crate::bench::{Bench, LIMITS, config, request};
use engine_core::{
    Engine, EngineError, EngineLimits, Event, FinishReason, InvalidRequest, RequestError,
    RequestId, Sampled, Step, StepOutput, TokenId,
};
use scheduler_batching::{Planner, PlannerConfig, SubmitError};

fn prompt(first: u32, len: u32) -> Vec<TokenId> {
    (0..len).map(|i| (first * 50 + i) % 1000).collect()
}

#[test]
fn decodes_go_on_beside_a_long_prompt() {
    let mut bench = Bench::new(LIMITS, config());
    for id in 0..3 {
        bench.submit(request(id, "a", &prompt(id as u32, 5), 20));
    }
    bench.step();
    bench.submit(request(3, "a", &prompt(9, 100), 1));
    for _ in 0..6 {
        let step = bench.step().unwrap();
        let inputs: Vec<_> = step.work.iter().map(|work| work.input.len()).collect();
        assert_eq!(inputs, [1, 1, 1, 16]);
    }
    bench.run();
    assert_eq!(bench.planner.stats().preemptions, 0);
}

#[test]
fn more_sequences_than_tokens_per_step_all_progress() {
    let limits = EngineLimits { max_step_tokens: 2, ..LIMITS };
    let mut bench = Bench::new(limits, config());
    bench.submit(request(0, "a", &prompt(0, 20), 30));
    for id in 1..6 {
        bench.submit(request(id, "a", &prompt(id as u32, 3), 4));
    }
    for _ in 0..5 {
        let before = bench.planner.stats().running_seqs;
        assert!(before <= 2);
        let step = bench.step().unwrap();
        assert!(step.work.iter().any(|work| work.seq.0 == 0), "the oldest is in every step");
    }
    bench.run();
    assert!((0..6).all(|id| bench.has_ended(id)));
}

#[test]
fn a_thousand_requests_of_one_tenant_hardly_delay_another() {
    let limits = EngineLimits { max_step_seqs: 4, ..LIMITS };
    let mut bench = Bench::new(limits, PlannerConfig { max_waiting: 2000, ..config() });
    for id in 0..1000 {
        bench.submit(request(id, "greedy", &prompt(id as u32, 9), 6));
    }
    for _ in 0..50 {
        bench.step();
    }
    bench.submit(request(5000, "modest", &prompt(3, 9), 6));
    let mut num_steps = 0;
    while !bench.has_ended(5000) {
        bench.step();
        num_steps += 1;
    }
    // A running one has to end (6), then its own prompt and tokens (6).
    assert!(num_steps <= 14, "{num_steps} steps");
    assert!(bench.planner.stats().waiting > 900);
}

#[test]
fn two_tenants_are_served_alike() {
    let limits = EngineLimits { max_step_seqs: 4, ..LIMITS };
    let mut bench = Bench::new(limits, config());
    for id in 0..100 {
        bench.submit(request(id, "a", &prompt(id as u32, 9), 6));
    }
    for id in 100..150 {
        bench.submit(request(id, "b", &prompt(id as u32, 18), 12));
    }
    for _ in 0..100 {
        bench.step();
    }
    let served =
        |ids: std::ops::Range<u64>| ids.map(|id| bench.tokens(id, 0).len()).sum::<usize>() as f64;
    let (a, b) = (served(0..100), served(100..150));
    assert!((0.7..1.4).contains(&(a / b)), "{a} and {b}");
}

#[test]
fn the_newest_of_the_tenant_with_most_blocks_is_preempted() {
    let limits = EngineLimits { num_blocks: 12, ..LIMITS };
    let caching = PlannerConfig { prefix_caching: false, ..config() };
    let mut bench = Bench::new(limits, caching);
    bench.submit(request(0, "small", &prompt(0, 3), 30));
    bench.submit(request(1, "big", &prompt(1, 6), 14));
    bench.submit(request(2, "big", &prompt(2, 7), 14));
    let mut seen = Vec::new();
    while bench.planner.stats().preemptions == 0 {
        seen = bench.step().unwrap().work.iter().map(|work| work.seq.0).collect();
    }
    // The one that was taken out is the only one missing.
    assert_eq!(seen, [0, 1]);
    let steps = bench.run();
    assert!(steps.iter().any(|step| step.work.iter().any(|work| work.seq.0 == 2)));
    for (id, prompt, max) in [(0, prompt(0, 3), 30), (1, prompt(1, 6), 14), (2, prompt(2, 7), 14)] {
        let mut alone = Bench::new(LIMITS, config());
        alone.submit(request(id, "x", &prompt, max));
        alone.run();
        assert_eq!(bench.tokens(id, 0), alone.tokens(id, 0));
    }
}

#[test]
fn cancelling_frees_at_once_or_at_the_commit() {
    let mut bench = Bench::new(LIMITS, PlannerConfig { prefix_caching: false, ..config() });
    bench.submit(request(0, "a", &prompt(0, 10), 50));
    bench.submit(request(1, "a", &prompt(1, 10), 50));
    bench.step();
    assert_eq!(bench.planner.stats().blocks_used, 6);
    bench.planner.cancel(RequestId(0));
    bench.listen();
    assert_eq!(bench.planner.stats().blocks_used, 3);
    assert_eq!(bench.reasons(0), [(0, FinishReason::Cancelled)]);
    assert_eq!(bench.usage(0).completion_tokens, 1);
    let step = bench.planner.plan().unwrap();
    bench.planner.cancel(RequestId(1));
    bench.listen();
    assert!(bench.has_ended(1));
    assert_eq!(bench.planner.stats().blocks_used, 3);
    let out = bench.engine.execute(&step);
    bench.planner.commit(step, out);
    bench.listen();
    assert_eq!(bench.planner.stats().blocks_used, 0);
    assert_eq!(bench.tokens(1, 0).len(), 1);
    assert!(bench.planner.is_idle());
}

#[test]
fn a_cancelled_first_choice_hands_the_prompt_on() {
    let mut bench = Bench::new(LIMITS, config());
    let mut two = request(0, "a", &prompt(0, 40), 3);
    two.n = 2;
    bench.submit(two);
    bench.step();
    bench.planner.cancel_choice(RequestId(0), 0);
    bench.planner.cancel_choice(RequestId(0), 7);
    bench.run();
    assert_eq!(bench.reasons(0), [(0, FinishReason::Cancelled), (1, FinishReason::Length)]);
    assert_eq!((bench.tokens(0, 0).len(), bench.tokens(0, 1).len()), (0, 3));
}

#[test]
fn stop_rules_end_a_choice_with_their_token_reported() {
    let free = {
        let mut bench = Bench::new(LIMITS, config());
        bench.submit(request(0, "a", &prompt(0, 4), 9));
        bench.run();
        bench.tokens(0, 0)
    };
    let (third, mut bench) = (free[2], Bench::new(LIMITS, config()));
    let with = |id, change: &dyn Fn(&mut engine_core::StopRules)| {
        let mut request = request(id, "a", &prompt(0, 4), 9);
        change(&mut request.stop);
        request
    };
    bench.submit(with(0, &|stop| stop.eos_token_ids = vec![third]));
    bench.submit(with(1, &|stop| stop.stop_token_ids = vec![third]));
    bench.submit(with(2, &|stop| (stop.eos_token_ids, stop.ignore_eos) = (vec![third], true)));
    bench.submit(with(3, &|stop| (stop.stop_token_ids, stop.min_tokens) = (vec![third], 3)));
    bench.run();
    let reason = |id| bench.reasons(id)[0].1;
    assert_eq!(
        (reason(0), bench.tokens(0, 0)),
        (FinishReason::EndOfSequence(third), free[..3].to_vec())
    );
    assert_eq!(
        (reason(1), bench.tokens(1, 0)),
        (FinishReason::StopToken(third), free[..3].to_vec())
    );
    assert_eq!((reason(2), bench.tokens(2, 0)), (FinishReason::Length, free.clone()));
    assert_ne!(bench.tokens(3, 0)[2], third);
}

#[test]
fn what_cannot_run_or_wait_is_refused() {
    let config = PlannerConfig {
        max_waiting: 3,
        max_waiting_per_tenant: 2,
        max_choices: 4,
        retry_after_s: 9,
        ..config()
    };
    let mut planner = Planner::new(LIMITS, config);
    let parameter = |text| Err(SubmitError::Invalid(InvalidRequest::Parameter(text)));
    let mut many = request(0, "a", &[1], 1);
    many.n = 5;
    assert_eq!(planner.submit(many), parameter("n is larger than this server allows"));
    let long = request(0, "a", &prompt(0, 200), 1);
    assert!(matches!(planner.submit(long), Err(SubmitError::Invalid(_))));
    assert_eq!(planner.submit(request(0, "a", &[1], 1)), Ok(()));
    assert_eq!(planner.submit(request(0, "a", &[1], 1)), parameter("the request id is in use"));
    assert_eq!(planner.submit(request(1, "a", &[1], 1)), Ok(()));
    let full = |waiting| Err(SubmitError::QueueFull { waiting, retry_after_s: 9 });
    assert_eq!(planner.submit(request(2, "a", &[1], 1)), full(2));
    assert_eq!(planner.submit(request(2, "b", &[1], 1)), Ok(()));
    assert_eq!(planner.submit(request(3, "c", &[1], 1)), full(3));
    let step = planner.plan().unwrap();
    assert_eq!(step.work.len(), 3);
    assert_eq!((planner.stats().waiting, planner.stats().running), (0, 3));
    assert_eq!(planner.submit(request(3, "c", &[1], 1)), Ok(()));
}

#[test]
fn an_engine_that_answers_wrongly_fails_its_step_only() {
    type Spoil = fn(&mut StepOutput);
    let spoils: [Spoil; 6] = [
        |out| out.outputs.clear(),
        |out| out.outputs[0].seq.0 += 77,
        |out| out.outputs[0].sampled.clear(),
        |out| out.outputs[0].sampled = vec![Sampled { token: 1000, logprobs: None }],
        // More than was drafted.
        |out| out.outputs[0].sampled = vec![Sampled { token: 1, logprobs: None }; 2],
        |out| {
            let score = engine_core::TokenLogprobs { token: 1, logprob: 0.0, top: vec![] };
            out.outputs[0].scores.push(score);
        },
    ];
    for spoil in spoils {
        let mut bench = Bench::new(LIMITS, config());
        bench.submit(request(0, "a", &[1, 2, 3], 5));
        let step: Step = bench.planner.plan().unwrap();
        bench.submit(request(1, "a", &[4, 5, 6], 5));
        let mut out = bench.engine.execute(&step).unwrap();
        spoil(&mut out);
        bench.planner.commit(step, Ok(out));
        bench.listen();
        let [Event::Failed(RequestError::Engine(EngineError::Device(text)))] =
            bench.events[&0].as_slice()
        else {
            panic!("{:?}", bench.events);
        };
        assert!(text.contains("the engine's answer"), "{text}");
        bench.run();
        assert_eq!(bench.tokens(1, 0).len(), 5);
    }
}

#[test]
fn failing_all_ends_running_and_waiting_ones() {
    let limits = EngineLimits { max_step_seqs: 1, ..LIMITS };
    let mut bench = Bench::new(limits, config());
    for id in 0..3 {
        bench.submit(request(id, "a", &prompt(id as u32, 6), 5));
    }
    bench.step();
    bench.planner.fail_all(&RequestError::ShuttingDown);
    bench.listen();
    assert!(bench.planner.is_idle());
    for id in 0..3 {
        assert_eq!(bench.events[&id].last(), Some(&Event::Failed(RequestError::ShuttingDown)));
    }
    assert_eq!(bench.planner.stats().blocks_used, 0);
}
