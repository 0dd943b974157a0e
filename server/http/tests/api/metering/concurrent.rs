//! A thousand requests at once against a budget for a hundred.

use engine_mock::{MockEngine, MockModel, StepCost};
use futures_util::future::join_all;
use scheduler_batching::PlannerConfig;
use serde_json::json;

use super::{PLAIN, World, flat, mock, request};
use crate::common::{LIMITS, call};

const NUM_REQUESTS: usize = 1_000;
/// Of a prompt of ten tokens and an answer of twenty, a micro-unit each.
const COST: i64 = 30;
const BUDGET: i64 = 100 * COST;

#[tokio::test]
async fn a_budget_for_a_hundred_serves_a_hundred_and_is_not_overspent() {
    // Slow enough that all come while the first run.
    let cost = StepCost { delay: std::time::Duration::from_millis(1), ..StepCost::default() };
    let engine = MockEngine::new(LIMITS, MockModel { cost, ..MockModel::default() });
    let (state, handle) = mock(engine, PlannerConfig::default());
    let world = World::new(state, flat());
    world.budget(BUDGET);
    let prompt: Vec<u32> = (0..10).collect();
    let body = json!({"model": "mock", "prompt": prompt, "max_tokens": 20, "ignore_eos": true});
    let ask = |idx: usize| {
        let request = request(PLAIN, &format!("o/p{}/k{}", idx % 3, idx % 7), &body);
        async { call(&world.router, request).await.0.as_u16() }
    };
    let statuses = join_all((0..NUM_REQUESTS).map(ask)).await;
    let num_served = statuses.iter().filter(|status| **status == 200).count();
    let num_refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!(num_served + num_refused, NUM_REQUESTS);
    let entries = world.entries(num_served).await;
    let spent: i128 = entries.iter().map(|entry| entry.cost.get()).sum();
    let standing = world.standing();
    assert_eq!((standing.total.cost.get(), standing.held.cost.get()), (spent, 0));
    assert!(standing.total.cost.round_up().unwrap().get() <= BUDGET, "{standing:?}");
    assert!((95..=100).contains(&num_served), "{num_served}");
    crate::common::until_idle(&handle).await;
}
