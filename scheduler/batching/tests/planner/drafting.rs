//! Guessing ahead: the same answers in fewer steps, and nothing taken from anyone.

use crate::bench::{Bench, LIMITS, config, request};
use engine_core::{Engine, EngineLimits, FinishReason, Request, Step, TokenId, Usage};
use engine_mock::{MockEngine, MockModel, Script};
use scheduler_batching::PlannerConfig;

/// What the model says, whatever it is asked.
fn bench(limits: EngineLimits, draft_fill: u32, says: &str) -> Bench {
    let mut bench = Bench::new(limits, PlannerConfig { draft_fill, ..config() });
    let script = Some(Script::new(says));
    bench.engine = MockEngine::new(limits, MockModel { script, ..MockModel::default() });
    bench
}

fn bytes(text: &str) -> Vec<TokenId> {
    text.bytes().map(TokenId::from).collect()
}

fn asks(id: u64, text: &str, max_tokens: u32) -> Request {
    request(id, "a", &bytes(text), max_tokens)
}

fn drafts(step: &Step) -> Vec<&[TokenId]> {
    step.work.iter().map(|work| work.drafts()).collect()
}

#[test]
fn an_answer_that_repeats_itself_takes_fewer_steps_and_is_the_same() {
    let run = |draft_fill| {
        let mut bench = bench(LIMITS, draft_fill, &"the same again; ".repeat(5));
        bench.submit(asks(0, "say it", 79));
        bench.run();
        (bench.tokens(0, 0), bench.usage(0), bench.reasons(0), bench.planner.stats())
    };
    let (plain, drafted) = (run(0), run(8));
    assert_eq!((&plain.0, &plain.2), (&drafted.0, &drafted.2));
    let counted =
        |usage: Usage| (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens);
    assert_eq!(counted(plain.1), counted(drafted.1));
    let (usage, stats) = (drafted.1, drafted.3);
    assert_eq!(u64::from(usage.accepted_draft_tokens), stats.accepted_draft_tokens);
    let num_drafts = usage.accepted_draft_tokens + usage.rejected_draft_tokens;
    assert_eq!(u64::from(num_drafts), stats.draft_tokens);
    assert_eq!((plain.3.draft_tokens, plain.3.accepted_draft_tokens), (0, 0));
    assert_eq!(plain.3.steps, 79);
    let saved = plain.3.steps - drafted.3.steps;
    assert_eq!(drafted.3.accepted_draft_tokens, saved, "each right draft saves a step");
    assert!(saved > 40, "{:?}", drafted.3);
}

/// Words that nowhere repeat two tokens, but for one that was changed.
#[test]
fn an_answer_that_was_predicted_takes_fewer_steps_and_is_the_same() {
    let letters = ('!'..='~').collect::<String>();
    let predicted = letters.replace('M', "mm");
    let run = |prediction: &str| {
        let mut bench = bench(LIMITS, 8, &letters);
        let mut asks = asks(0, "say it", 90);
        asks.prediction = bytes(prediction);
        bench.submit(asks);
        bench.run();
        assert_eq!(bench.tokens(0, 0), bytes(&letters[..90]));
        (bench.planner.stats().steps, bench.usage(0))
    };
    let (plain, predicted) = (run(""), run(&predicted));
    assert_eq!((plain.0, plain.1.accepted_draft_tokens), (90, 0));
    assert!(predicted.0 < 30, "{predicted:?}");
    assert_eq!(90 - predicted.0, u64::from(predicted.1.accepted_draft_tokens));
    // What is nothing like the answer costs little.
    assert!(run(&"something else ".repeat(20)).0 <= 90);
}

#[test]
fn an_answer_that_defies_guesses_is_left_alone() {
    // Whatever came after "ab" does not come again.
    let says: String = ('A'..='Z').map(|letter| format!("ab{letter}")).collect();
    let mut bench = bench(LIMITS, 8, &says);
    bench.submit(asks(0, "abxab", 78));
    bench.run();
    assert_eq!(bench.tokens(0, 0), bytes(&says));
    let stats = bench.planner.stats();
    assert!(stats.accepted_draft_tokens < stats.draft_tokens, "{stats:?}");
    assert!(stats.draft_tokens < 26, "it tries on and on: {stats:?}");
}

#[test]
fn nothing_counts_after_the_end() {
    let mut bench = bench(LIMITS, 8, "cdefgh");
    let mut stopping = asks(0, "abcdefghab", 6);
    stopping.stop.stop_token_ids = bytes("e");
    bench.submit(stopping);
    bench.step();
    let step = bench.step().unwrap();
    assert_eq!(drafts(&step), [bytes("de")]);
    bench.run();
    let e = bytes("e")[0];
    assert_eq!(bench.tokens(0, 0), bytes("cde"));
    assert_eq!(bench.reasons(0), [(0, FinishReason::StopToken(e))]);
    assert_eq!(bench.usage(0).completion_tokens, 3);
    let stats = bench.planner.stats();
    assert_eq!((stats.generated_tokens, stats.blocks_used), (3, 0));
    assert_eq!((stats.draft_tokens, stats.accepted_draft_tokens), (2, 2));
    // Computed and kept: the prompt, and "cd" of the output; three blocks of four.
    bench.submit(asks(1, "abcdefghabcdefgh", 1));
    bench.run();
    assert_eq!(bench.usage(1).cached_tokens, 12);
}

#[test]
fn wrong_drafts_are_not_found_in_the_cache_and_leave_no_blocks() {
    let mut bench = bench(LIMITS, 8, "cXYZ");
    bench.submit(asks(0, "cabcab", 8));
    bench.step();
    assert_eq!(bench.planner.stats().blocks_used, 2);
    let step = bench.step().unwrap();
    assert_eq!(drafts(&step), [bytes("ab")]);
    // Nine positions were computed, seven of them count.
    assert_eq!(bench.tokens(0, 0), bytes("cX"));
    assert_eq!(bench.planner.stats().blocks_used, 2);
    bench.submit(asks(1, "cabcabcabcab", 1));
    bench.run();
    assert_eq!(bench.usage(1).cached_tokens, 4);
}

#[test]
fn drafts_preempt_nobody_and_are_dropped_where_blocks_lack() {
    let mut bench = bench(EngineLimits { num_blocks: 5, ..LIMITS }, 8, "cXYZ");
    for id in 0..2 {
        let mut own = asks(id, "cabcab", 6);
        own.scope.tenant = engine_core::TenantId(format!("{id}").into());
        bench.submit(own);
    }
    bench.step();
    let step = bench.step().unwrap();
    // Both would need a third block, and one is left.
    assert_eq!(drafts(&step), [&bytes("ab")[..], &[]]);
    assert_eq!(bench.planner.stats().preemptions, 0);
    bench.run();
    assert!((0..2).all(|id| bench.tokens(id, 0).len() == 6));
}

#[test]
fn drafts_fill_small_steps_only_and_are_shared() {
    // With eight streams the step is as large as it may be with drafts.
    for (num_streams, least_of_most) in [(1, 7), (2, 3), (4, 1), (8, 0)] {
        let mut bench = bench(LIMITS, 8, &"again and again ".repeat(3));
        for id in 0..num_streams {
            bench.submit(asks(id, &format!("say it {id}"), 48));
        }
        let steps = bench.run();
        let decoding = steps.iter().filter(|step| step.work.len() == num_streams as usize);
        let least = decoding.map(|step| drafts(step).iter().map(|d| d.len()).min());
        assert_eq!(least.max().flatten(), Some(least_of_most), "{num_streams} streams");
        let with_drafts = steps.iter().filter(|step| !drafts(step).concat().is_empty());
        assert!(with_drafts.map(Step::num_tokens).all(|num| num <= 8));
    }
}

#[test]
fn a_prompt_beside_it_ends_the_guessing_until_it_is_computed() {
    let mut bench = bench(LIMITS, 8, &"again and again ".repeat(5));
    bench.submit(asks(0, "say it", 79));
    while bench.planner.stats().accepted_draft_tokens == 0 {
        bench.step().unwrap();
    }
    bench.submit(request(1, "a", &(300..340).collect::<Vec<_>>(), 1));
    for _ in 0..3 {
        let step = bench.step().unwrap();
        assert_eq!(drafts(&step).concat(), []);
    }
    assert!(bench.has_ended(1));
    assert!(!drafts(&bench.step().unwrap()).concat().is_empty());
}

#[test]
fn who_wants_no_guesses_gets_none() {
    let mut bench = bench(LIMITS, 8, &"again and again ".repeat(5));
    bench.submit(Request { speculation: false, ..asks(0, "say it", 79) });
    bench.run();
    let stats = bench.planner.stats();
    assert_eq!((stats.draft_tokens, stats.steps), (0, 79));
}

#[test]
fn a_sequence_cancelled_with_drafts_in_flight_gives_all_back() {
    let mut bench = bench(LIMITS, 8, &"again and again ".repeat(5));
    bench.submit(asks(0, "say it", 79));
    let step = loop {
        let step = bench.planner.plan().unwrap();
        if step.work[0].num_drafts > 2 {
            break step;
        }
        let out = bench.engine.execute(&step);
        bench.planner.commit(step, out);
        bench.listen();
    };
    let num_heard = bench.tokens(0, 0).len();
    bench.planner.cancel(engine_core::RequestId(0));
    let out = bench.engine.execute(&step);
    bench.planner.commit(step, out);
    bench.listen();
    assert_eq!((bench.tokens(0, 0).len(), bench.planner.stats().blocks_used), (num_heard, 0));
    assert_eq!(bench.usage(0).completion_tokens as usize, num_heard);
}
