//! Tenants that always have work waiting are served alike, however their requests look; and by
//! the engine's clock nobody's first token waits for another tenant's prompts.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine_core::{
    CacheGroups, CacheScope, Class, Engine, EngineLimits, Event, Request, RequestId,
    SamplingParams, StopRules, TenantId, TokenId,
};
use engine_mock::{MockEngine, MockModel, StepCost};
use rand::{Rng, SeedableRng, rngs::StdRng};
use scheduler_batching::{Planner, PlannerConfig};

const TENANTS: [&str; 3] = ["a", "b", "c"];
const MAX_RUNNING: u32 = 8;
const STEPS: usize = 300;

const LIMITS: EngineLimits = EngineLimits {
    block_size: 16,
    num_blocks: 4096,
    max_model_len: 4096,
    max_step_tokens: 256,
    max_step_seqs: 256,
    vocab_size: 1000,
    groups: CacheGroups::WHOLE,
};

/// Tenants with requests of their own sizes, and what each was served.
struct Market {
    rng: StdRng,
    planner: Planner,
    engine: MockEngine,
    next_id: u64,
    requests: BTreeMap<RequestId, (usize, u64)>,
    served: [u64; 3],
}

impl Market {
    fn new(seed: u64, max_running_seqs: u32) -> Self {
        Self::with(seed, PlannerConfig { max_running_seqs, ..PlannerConfig::default() })
    }

    fn with(seed: u64, config: PlannerConfig) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            planner: Planner::new(LIMITS, config),
            engine: MockEngine::new(LIMITS, MockModel::default()),
            next_id: 0,
            requests: BTreeMap::new(),
            served: [0; 3],
        }
    }

    fn submit(&mut self, tenant: usize, num_prompt: u32, max_tokens: u32) -> RequestId {
        self.submit_as(Class::Normal, tenant, num_prompt, max_tokens)
    }

    fn submit_as(
        &mut self,
        class: Class,
        tenant: usize,
        num_prompt: u32,
        max_tokens: u32,
    ) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let scope = CacheScope {
            tenant: TenantId(TENANTS[tenant].into()),
            model_version: "m".into(),
            adapter: None,
        };
        let prompt: Vec<TokenId> =
            (0..num_prompt).map(|_| self.rng.random_range(0..1000)).collect();
        let request = Request {
            id,
            scope,
            prompt,
            insets: Vec::new(),
            sampling: Arc::new(SamplingParams::default()),
            stop: StopRules { max_tokens, ..StopRules::default() },
            n: 1,
            prompt_logprobs: None,
            speculation: true,
            grammar: None,
            class,
            prediction: Vec::new(),
        };
        self.planner.submit(request).unwrap();
        self.requests.insert(id, (tenant, u64::from(num_prompt)));
        id
    }

    /// One turn of the loop; who got a token.
    fn step(&mut self) -> Vec<RequestId> {
        self.turn().1
    }

    /// The same; before that, who was admitted.
    fn turn(&mut self) -> (Vec<RequestId>, Vec<RequestId>) {
        let step = self.planner.plan().unwrap();
        let out = self.engine.execute(&step);
        self.planner.commit(step, out);
        let admitted: Vec<_> = self.planner.drain_admitted().map(|(id, _)| id).collect();
        for id in &admitted {
            let (tenant, num_prompt) = self.requests[id];
            self.served[tenant] += num_prompt;
        }
        let mut heard = Vec::new();
        for (id, event) in self.planner.drain_events() {
            if let Event::Token { .. } = event {
                self.served[self.requests[&id].0] += 1;
                heard.push(id);
            }
        }
        (admitted, heard)
    }
}

#[test]
fn tenants_with_work_waiting_are_served_alike() {
    use Class::{High, Low, Normal};
    // What a tenant claims of its requests makes no difference.
    for (claims, seeds) in [([Normal; 3], 0..30), ([High, Normal, Low], 30..60)] {
        served_alike(claims, seeds);
    }
}

fn served_alike(claims: [Class; 3], seeds: std::ops::Range<u64>) {
    for seed in crate::worlds(seeds) {
        let mut market = Market::new(seed, MAX_RUNNING);
        let sizes: [(u32, u32); 3] = std::array::from_fn(|_| {
            (market.rng.random_range(1..400), market.rng.random_range(1..60))
        });
        for (tenant, (num_prompt, max_tokens)) in sizes.into_iter().enumerate() {
            // More than the steps can serve, so that none runs out.
            for _ in 0..300 {
                market.submit_as(claims[tenant], tenant, num_prompt, max_tokens);
            }
        }
        // Sheng et al. 2024, theorem 4.4: twice the larger of one prompt and of what the
        // running batch may still generate.
        let longest = sizes.iter().map(|size| size.0).max().unwrap();
        let outputs = MAX_RUNNING * sizes.iter().map(|size| size.1).max().unwrap();
        let bound = u64::from(2 * longest.max(outputs));
        for at in 0..STEPS {
            market.step();
            if market.planner.stats().waiting < 10 {
                break;
            }
            let (least, most) = (market.served.iter().min(), market.served.iter().max());
            let apart = most.unwrap() - least.unwrap();
            assert!(apart <= bound, "seed {seed}, step {at}: {:?} {sizes:?}", market.served);
        }
        assert!(market.served.iter().sum::<u64>() > 4 * bound, "seed {seed}: too short to tell");
    }
}

#[test]
fn a_first_token_waits_for_nobody_elses_prompts() {
    // Half of what a step has for prompts where others decode: of a whole step, and by default.
    let default = PlannerConfig::default().mixed_prefill;
    for (mixed_prefill, longest) in [(LIMITS.max_step_tokens, 100), (default, 60)] {
        let config =
            PlannerConfig { max_running_seqs: 256, mixed_prefill, ..PlannerConfig::default() };
        first_tokens_within_a_step(Market::with(1, config), longest);
    }
}

fn first_tokens_within_a_step(mut market: Market, longest: u32) {
    let clock = market.engine.clock();
    for _ in 0..40 {
        market.submit(0, 3000, 20);
    }
    let StepCost { step_us, token_us, .. } = StepCost::default();
    let full_step_us = u128::from(step_us + token_us * u64::from(LIMITS.max_step_tokens));
    for _ in 0..50 {
        for _ in 0..market.rng.random_range(1..10) {
            market.step();
        }
        let began = clock.now();
        let num_prompt = market.rng.random_range(1..=longest);
        let id = market.submit(1, num_prompt, 3);
        while !market.step().contains(&id) {}
        // Its prompt fits its share of one step.
        let waited_us = (clock.now() - began).as_micros();
        assert!(waited_us <= full_step_us, "{num_prompt} tokens: {waited_us} us");
    }
}

const CLASSES: [Class; 3] = [Class::High, Class::Normal, Class::Low];

#[test]
fn classes_of_a_tenant_take_turns_and_none_starves() {
    let mut market = Market::new(1, 1);
    let mut class_of = BTreeMap::new();
    for class in CLASSES.repeat(200) {
        class_of.insert(market.submit_as(class, 0, 3, 2), class);
    }
    // Another tenant has its half of the turns, in one class.
    for _ in 0..300 {
        market.submit(1, 3, 2);
    }
    let mut turns = Vec::new();
    while turns.len() < 210 {
        let (admitted, _) = market.turn();
        turns.extend(admitted.iter().filter_map(|id| class_of.get(id).copied()));
    }
    let num = |class| turns.iter().filter(|turn| **turn == class).count();
    assert_eq!(CLASSES.map(num), [160, 40, 10]);
    assert!(turns.chunks_exact(21).all(|turns| turns.contains(&Class::Low)));
}

#[test]
fn a_higher_class_does_not_wait_for_its_tenants_backlog_nor_catch_up() {
    let mut market = Market::new(1, 1);
    for _ in 0..100 {
        market.submit_as(Class::Low, 0, 3, 2);
    }
    for _ in 0..50 {
        market.step();
    }
    let urgent: Vec<_> = (0..40).map(|_| market.submit_as(Class::High, 0, 3, 2)).collect();
    let mut admitted = Vec::new();
    while admitted.len() < 40 {
        admitted.extend(market.turn().0);
    }
    assert_eq!(admitted[0], urgent[0]);
    // It saved no turns up while nobody of it waited.
    let num_urgent = admitted.iter().filter(|id| urgent.contains(id)).count();
    assert!((37..=38).contains(&num_urgent), "{num_urgent} of 40");
}
