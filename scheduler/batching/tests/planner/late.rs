//! Grammars that take their time: their sequences sit out, nobody else does, and nothing of an
//! answer depends on it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use engine_core::{Constraint, Grammar, NoMask, PendingMask, Request, Step, TokenId, TokenMask};

use crate::bench::{Bench, LIMITS, config, request};

/// Allows every third token, after tokens whose number is `slow` only once it is told to.
#[derive(Clone, Debug)]
struct Slow {
    slow: BTreeSet<usize>,
    /// The numbers whose masks are there now.
    ready: Arc<Mutex<BTreeSet<usize>>>,
}

#[derive(Debug)]
struct Followed(Slow, usize);

#[derive(Debug)]
struct Pending(Slow, usize);

impl Slow {
    fn new(slow: impl IntoIterator<Item = usize>) -> Self {
        Self { slow: slow.into_iter().collect(), ready: Arc::default() }
    }

    fn let_go(&self, num_tokens: usize) {
        self.ready.lock().unwrap().insert(num_tokens);
    }
}

impl Grammar for Slow {
    fn start(&self) -> Box<dyn Constraint> {
        Box::new(Followed(self.clone(), 0))
    }
}

impl Constraint for Followed {
    fn accept(&mut self, _: TokenId) {
        self.1 += 1;
    }

    fn mask(&self) -> Arc<dyn PendingMask> {
        Arc::new(Pending(self.0.clone(), self.1))
    }
}

impl PendingMask for Pending {
    fn wait(&self) -> Result<Arc<TokenMask>, NoMask> {
        match self.is_ready() {
            true => Ok(Arc::new(TokenMask::new(vec![0x4924_9249; 32]))),
            false => Err(NoMask::Late),
        }
    }

    fn is_ready(&self) -> bool {
        let Self(Slow { slow, ready }, num_tokens) = self;
        !slow.contains(num_tokens) || ready.lock().unwrap().contains(num_tokens)
    }
}

fn with(grammar: &Slow, request: Request) -> Request {
    Request { grammar: Some(Arc::new(grammar.clone())), ..request }
}

/// The sequences of a step, by their ids.
fn in_step(step: &Option<Step>) -> Vec<u64> {
    step.iter().flat_map(|step| &step.work).map(|work| work.seq.0).collect()
}

/// What `request` gets where nothing is late.
fn alone(request: Request) -> Vec<TokenId> {
    let mut bench = Bench::new(LIMITS, config());
    bench.submit(with(&Slow::new([]), request));
    bench.run();
    bench.tokens(0, 0)
}

#[test]
fn who_is_late_sits_out_and_the_others_go_on() {
    let grammar = Slow::new([2, 3]);
    let mut bench = Bench::new(LIMITS, config());
    bench.submit(with(&grammar, request(0, "a", &[1, 2, 3], 5)));
    bench.submit(request(1, "b", &[4, 5], 20));
    for _ in 0..2 {
        assert_eq!(in_step(&bench.step()), [0, 1]);
    }
    // That it is late shows when it is to be used.
    assert_eq!(in_step(&bench.step()), [0, 1]);
    assert_eq!((bench.tokens(0, 0).len(), bench.tokens(1, 0).len()), (2, 3));
    for num_tokens in 4..8 {
        assert_eq!(in_step(&bench.step()), [1]);
        assert_eq!((bench.tokens(0, 0).len(), bench.tokens(1, 0).len()), (2, num_tokens));
    }
    grammar.let_go(2);
    assert_eq!(in_step(&bench.step()), [0, 1]);
    assert_eq!(bench.tokens(0, 0).len(), 3);
    assert_eq!(in_step(&bench.step()), [0, 1]);
    assert_eq!(in_step(&bench.step()), [1]);
    grammar.let_go(3);
    bench.run();
    assert_eq!(bench.tokens(0, 0), alone(request(0, "a", &[1, 2, 3], 5)));
    assert_eq!((bench.usage(0).completion_tokens, bench.usage(1).completion_tokens), (5, 20));
}

#[test]
fn where_nobody_may_go_on_there_is_no_step_until_one_may() {
    let grammar = Slow::new([0, 1]);
    let mut bench = Bench::new(LIMITS, config());
    // The last chunk of a prompt is computed all the same, but for its last position.
    let prompt: Vec<TokenId> = (0..40).collect();
    let mut scored = with(&grammar, request(0, "a", &prompt, 3));
    scored.prompt_logprobs = Some(1);
    bench.submit(scored.clone());
    let steps: Vec<_> = std::iter::from_fn(|| bench.step()).take(50).collect();
    assert!(bench.planner.is_held_up() && !bench.planner.is_idle());
    assert_eq!(steps.iter().map(Step::num_tokens).sum::<usize>(), 40);
    assert_eq!(bench.step().map(|step| step.num_tokens()), None);
    grammar.let_go(0);
    assert_eq!(bench.step().map(|step| step.num_tokens()), Some(1));
    assert_eq!(bench.tokens(0, 0).len(), 1);
    assert_eq!(bench.step().map(|step| step.num_tokens()), Some(1));
    assert!(bench.step().is_none() && bench.planner.is_held_up());
    // Who comes now need not wait, and who leaves leaves.
    bench.submit(request(1, "a", &[7], 2));
    assert_eq!(in_step(&bench.step()), [1]);
    grammar.let_go(1);
    bench.run();
    assert!(!bench.planner.is_held_up());
    scored.prompt_logprobs = None;
    assert_eq!(bench.tokens(0, 0), alone(scored));
    assert_eq!(bench.planner.stats().blocks_used, 0);
}

#[test]
fn who_sits_out_can_be_cancelled_and_preempted() {
    let grammar = Slow::new([2]);
    let limits = engine_core::EngineLimits { num_blocks: 10, max_model_len: 40, ..LIMITS };
    let mut bench = Bench::new(limits, config());
    bench.submit(request(0, "a", &[1, 2, 3], 30));
    bench.submit(with(&grammar, request(1, "a", &[4, 5, 6, 7, 8], 20)));
    bench.submit(with(&Slow::new([1]), request(2, "a", &[9], 20)));
    let steps = (0..29).map(|_| bench.step()).filter(Option::is_some).count();
    assert_eq!(steps, 29);
    bench.planner.cancel(engine_core::RequestId(2));
    bench.listen();
    assert!(bench.has_ended(2) && !bench.has_ended(1));
    grammar.let_go(2);
    bench.run();
    let expected = alone(request(0, "a", &[4, 5, 6, 7, 8], 20));
    assert_eq!(bench.tokens(1, 0), expected);
    assert_eq!(bench.planner.stats().blocks_used, 0);
}
