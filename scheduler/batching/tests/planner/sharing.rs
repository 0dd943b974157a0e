//! What is computed once and what is not: prefixes, turns, choices, tenants.

use std::sync::Arc;

use crate::bench::{Bench, LIMITS, config, num_input, request, scope};
use engine_core::{
    Adapter, Event, FinishReason, Inset, InsetRows, RequestError, RequestId, TokenId,
};
use scheduler_batching::PlannerConfig;

fn prompt(len: u32) -> Vec<TokenId> {
    (1..=len).collect()
}

#[test]
fn the_second_turn_computes_only_what_is_new() {
    let mut bench = Bench::new(LIMITS, config());
    bench.submit(request(0, "a", &prompt(10), 7));
    bench.run();
    let mut second = [prompt(10), bench.tokens(0, 0), vec![500, 501, 502]].concat();
    assert_eq!(second.len(), 20);
    bench.submit(request(1, "a", &second, 1));
    // 16 of the 17 tokens of the first turn were computed: four full blocks.
    assert_eq!(num_input(&bench.run()), 4);
    assert_eq!(bench.usage(1).cached_tokens, 16);
    // The whole prompt is cached now, yet its last token is computed for its logits.
    second.truncate(20);
    bench.submit(request(2, "a", &second, 1));
    assert_eq!(num_input(&bench.run()), 4);
    assert_eq!((bench.usage(2).prompt_tokens, bench.usage(2).cached_tokens), (20, 16));
    assert_eq!(bench.tokens(1, 0), bench.tokens(2, 0));
}

#[test]
fn neither_tenants_nor_models_nor_adapters_share() {
    let mut bench = Bench::new(LIMITS, config());
    bench.submit(request(0, "a", &prompt(20), 1));
    bench.run();
    let mut others = vec![request(1, "b", &prompt(20), 1); 3];
    others[1].scope = scope("a");
    others[1].scope.adapter = Some(Adapter::new("x", Arc::new(())));
    others[2].scope = scope("a");
    others[2].scope.model_version = "n".into();
    for (i, mut other) in others.into_iter().enumerate() {
        let id = 1 + i as u64;
        other.id = RequestId(id);
        bench.submit(other);
        assert_eq!(num_input(&bench.run()), 20, "request {id}");
        assert_eq!(bench.usage(id).cached_tokens, 0);
    }
}

#[test]
fn blocks_are_shared_with_the_same_image_and_no_other() {
    let mut bench = Bench::new(LIMITS, config());
    let ask = |id: u64, tenant: &str, image: Option<(u8, u32)>| {
        let mut request = request(id, tenant, &prompt(20), 2);
        let inset = |(image, at)| {
            let rows = InsetRows::new([image; 32], 1, vec![0.0; 6]);
            Inset { at, len: 6, rows, first_row: 0 }
        };
        request.insets = image.map(inset).into_iter().collect();
        request
    };
    // Tokens are the same in all; blocks have four of them.
    for (id, tenant, image, cached) in [
        (0, "a", Some((1, 6)), 0),
        (1, "a", Some((1, 6)), 16),
        // As far as the image begins.
        (2, "a", Some((2, 6)), 4),
        (3, "a", None, 4),
        // One further on.
        (4, "a", Some((1, 7)), 4),
        (5, "b", Some((1, 6)), 0),
        (6, "a", Some((2, 6)), 16),
    ] {
        bench.submit(ask(id, tenant, image));
        let steps = bench.run();
        assert_eq!(bench.usage(id).cached_tokens, cached, "request {id}");
        assert_eq!(bench.usage(id).prompt_tokens, 20);
        // Chunks have the rows of their own positions.
        for work in steps.iter().flat_map(|step| &step.work) {
            assert!(work.insets.iter().all(|inset| inset.fits(work.input.len())), "{id}");
        }
    }
    let said: Vec<_> = (0..7).map(|id| bench.tokens(id, 0)).collect();
    assert_eq!((&said[0], &said[2]), (&said[1], &said[6]));
    assert!(said[0] != said[2] && said[0] != said[3] && said[0] != said[4]);
}

#[test]
fn insets_without_a_place_or_rows_are_refused() {
    let mut bench = Bench::new(LIMITS, config());
    let rows = InsetRows::new([1; 32], 2, vec![0.0; 8]);
    let inset = |at, len, first_row| Inset { at, len, rows: rows.clone(), first_row };
    for (insets, is_well) in [
        (vec![inset(0, 4, 0), inset(4, 2, 2)], true),
        (vec![inset(7, 2, 0)], false),
        (vec![inset(0, 2, 3)], false),
        (vec![inset(0, 0, 0)], false),
        (vec![inset(0, 4, 0), inset(3, 2, 0)], false),
        (vec![inset(4, 2, 0), inset(0, 2, 0)], false),
        (vec![inset(u32::MAX, u32::MAX, u32::MAX)], false),
    ] {
        let mut request = request(9, "a", &prompt(8), 1);
        request.insets = insets.clone();
        assert_eq!(bench.planner.submit(request).is_ok(), is_well, "{insets:?}");
        bench.planner.cancel(RequestId(9));
    }
}

#[test]
fn each_sequence_of_a_step_has_its_own_adapter() {
    let mut bench = Bench::new(LIMITS, config());
    let adapters = [None, Some("x"), Some("y"), Some("x")];
    for (id, adapter) in adapters.iter().enumerate() {
        let mut request = request(id as u64, "a", &prompt(6), 3);
        request.scope.adapter = adapter.map(|id| Adapter::new(id, Arc::new(())));
        bench.submit(request);
    }
    let mut num_work = 0;
    for step in bench.run() {
        for work in &step.work {
            let id = work.adapter.as_ref().map(|adapter| &**adapter.id());
            assert_eq!(id, adapters[work.seq.0 as usize], "{:?}", work.seq);
            num_work += 1;
        }
    }
    assert!(num_work >= 4 * 3, "all were computed");
    // The mock says another thing for each adapter, and the same for the same.
    let said: Vec<_> = (0..4).map(|id| bench.tokens(id, 0)).collect();
    assert!(said[0] != said[1] && said[1] != said[2] && said[0] != said[2]);
    assert_eq!(said[1], said[3]);
}

#[test]
fn choices_compute_their_prompt_once() {
    for caching in [true, false] {
        let mut bench = Bench::new(LIMITS, PlannerConfig { prefix_caching: caching, ..config() });
        let mut three = request(0, "a", &prompt(21), 3);
        three.n = 3;
        bench.submit(three);
        let steps = bench.run();
        // The prompt, and for each sibling the last token; then two decodes each.
        let expect = if caching { 21 + 1 + 1 + 6 } else { 3 * 21 + 6 };
        assert_eq!(num_input(&steps), expect, "caching {caching}");
        let usage = bench.usage(0);
        assert_eq!((usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens), (21, 0, 9));
        assert_ne!(bench.tokens(0, 0), bench.tokens(0, 1));
        assert_eq!(bench.planner.stats().prompt_tokens, 21);
    }
}

#[test]
fn requests_with_one_prefix_wait_for_who_computes_it() {
    let mut bench = Bench::new(LIMITS, config());
    for id in 0..4 {
        let own = 100 + id as u32;
        bench.submit(request(id, "a", &[prompt(40), vec![own]].concat(), 2));
    }
    bench.submit(request(4, "b", &[7; 9], 2));
    let steps = bench.run();
    assert_eq!(num_input(&steps), 41 + 3 + 9 + 5);
    assert_eq!((0..4).map(|id| bench.usage(id).cached_tokens).sum::<u32>(), 120);
    // The other tenant did not wait for them.
    assert_eq!(steps[0].work.len(), 2);
}

#[test]
fn scored_prompts_are_computed_whole_and_reported_once() {
    let mut bench = Bench::new(LIMITS, config());
    bench.submit(request(0, "a", &prompt(20), 1));
    bench.run();
    for (id, max_tokens) in [(1, 0), (2, 2)] {
        let mut scored = request(id, "a", &prompt(20), max_tokens);
        scored.prompt_logprobs = Some(2);
        scored.n = 2;
        bench.submit(scored);
        bench.run();
        assert_eq!(bench.usage(id).cached_tokens, 0);
        assert_eq!(bench.usage(id).completion_tokens, 2 * max_tokens);
        let Event::PromptLogprobs(scores) = &bench.events[&id][0] else {
            panic!("{:?}", bench.events[&id]);
        };
        let tokens: Vec<_> = scores.iter().map(|score| score.token).collect();
        assert_eq!(tokens, prompt(20)[1..]);
        assert!(scores.iter().all(|score| score.top.len() == 2));
        let length = |index| (index, FinishReason::Length);
        assert_eq!(bench.reasons(id), [length(0), length(1)]);
    }
}

#[test]
fn a_single_token_prompt_has_no_scores() {
    let mut bench = Bench::new(LIMITS, config());
    let mut scored = request(0, "a", &[5], 0);
    scored.prompt_logprobs = Some(0);
    bench.submit(scored);
    bench.run();
    assert_eq!(bench.events[&0][0], Event::PromptLogprobs(vec![]));
}

#[test]
fn a_failed_step_leaves_nothing_in_the_cache() {
    let mut bench = Bench::new(LIMITS, config());
    let fault = engine_mock::Fault::Error("gone".into());
    bench.engine = engine_mock::MockEngine::new(LIMITS, Default::default()).with_fault(1, fault);
    bench.submit(request(0, "a", &prompt(30), 1));
    // Waits for the prefix of the first, so it is not in the step that fails.
    bench.submit(request(1, "a", &prompt(30), 1));
    bench.run();
    let Some(Event::Failed(RequestError::Engine(_))) = bench.events[&0].last() else {
        panic!("{:?}", bench.events[&0]);
    };
    // The first step's chunk of 16 succeeded.
    assert_eq!(bench.usage(1).cached_tokens, 16);
}

#[test]
fn evicted_blocks_are_not_found() {
    let limits = engine_core::EngineLimits { num_blocks: 8, ..LIMITS };
    let mut bench = Bench::new(limits, config());
    bench.submit(request(0, "a", &prompt(16), 1));
    bench.run();
    assert_eq!(bench.planner.stats().blocks_cached, 4);
    // Takes the four free blocks and two of the cached: the end of the chain.
    bench.submit(request(1, "a", &[9; 23], 1));
    bench.run();
    bench.submit(request(2, "a", &prompt(16), 1));
    bench.run();
    assert_eq!(bench.usage(2).cached_tokens, 8);
}
