//! What comes and goes in any order: rows belong to their requests, and nobody waits for ever.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const MAX_TOKENS: usize = 12;

fn tenant(number: u8) -> TenantId {
    TenantId(format!("t{number}").into())
}

/// Inputs of these lengths; their tokens say whose they are and which.
fn inputs(mark: u32, lens: &[usize]) -> Vec<Arc<EncodeInput>> {
    let input = |(idx, len): (usize, &usize)| {
        let tokens = vec![mark * 1000 + idx as u32; *len];
        Arc::new(EncodeInput { tokens, ..EncodeInput::default() })
    };
    lens.iter().enumerate().map(input).collect()
}

/// What the encoder would make of them.
fn rows(batch: &Batch) -> Vec<Vec<f32>> {
    batch.inputs.iter().map(|input| vec![input.tokens[0] as f32]).collect()
}

#[derive(Clone, Debug)]
enum Act {
    Enter(u8, Vec<usize>),
    Cancel(usize),
    Take,
    Give,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0u8..4, prop::collection::vec(1..=MAX_TOKENS, 1..8))
            .prop_map(|(tenant, lens)| Act::Enter(tenant, lens)),
        1 => (0usize..16).prop_map(Act::Cancel),
        3 => Just(Act::Take),
        3 => Just(Act::Give),
    ]
}

/// What is known of the requests from outside.
#[derive(Default)]
struct World {
    /// Of each live request: its id, its mark, and how many inputs it has.
    live: Vec<(JobId, u32, usize)>,
    next_mark: u32,
    /// What is being computed. One encoder computes one batch at a time; the queue knows no better.
    taken: VecDeque<Batch>,
}

impl World {
    fn take(&mut self, queue: &mut EncodeQueue<u32>) {
        let had_waiting = queue.has_waiting();
        let batch = queue.take(MAX_TOKENS);
        assert_eq!(batch.inputs.is_empty(), !had_waiting, "a batch holds something if it can");
        assert!(batch.num_tokens <= MAX_TOKENS);
        let num_tokens: usize = batch.inputs.iter().map(|input| input.tokens.len()).sum();
        assert_eq!((num_tokens, batch.owners.len()), (batch.num_tokens, batch.inputs.len()));
        self.taken.push_back(batch);
    }

    fn give(&mut self, queue: &mut EncodeQueue<u32>) {
        let Some(batch) = self.taken.pop_front() else { return };
        for job in queue.give(&batch.owners, rows(&batch)) {
            let at = self.live.iter().position(|(_, mark, _)| *mark == job.with);
            let (_, mark, len) = self.live.remove(at.expect("an answer is to a live request"));
            let want: Vec<_> =
                (0..len).map(|idx| vec![(mark * 1000 + idx as u32) as f32]).collect();
            assert_eq!(job.rows, want, "rows are the request's own, in order");
        }
    }
}

proptest! {
    /// Every input is answered once and to its own request, whatever comes and goes; in the end
    /// nothing is left.
    #[test]
    fn every_request_gets_its_own_rows_and_nothing_is_left(
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let few = Amount { inputs: 20, tokens: 90 };
        let config = EncodingConfig {
            max_waiting: few,
            max_waiting_per_tenant: Amount { inputs: 12, tokens: 60 },
            retry_after_s: 1,
        };
        let (mut queue, mut world) = (EncodeQueue::new(config), World::default());
        for act in acts {
            match act {
                Act::Enter(number, lens) => {
                    let mark = world.next_mark;
                    world.next_mark += 1;
                    let before = queue.waiting;
                    match queue.enter(&tenant(number), inputs(mark, &lens), mark) {
                        Ok(id) => world.live.push((id, mark, lens.len())),
                        Err(waiting) => {
                            prop_assert!(waiting > 0 && waiting <= before.inputs);
                            prop_assert_eq!(queue.waiting, before);
                        }
                    }
                    // A request alone may be larger than the bounds; no second one comes over.
                    let one = Amount { inputs: 7, tokens: 7 * MAX_TOKENS };
                    prop_assert!(queue.waiting.inputs <= few.inputs.max(one.inputs));
                    prop_assert!(queue.waiting.tokens <= few.tokens.max(one.tokens));
                }
                Act::Cancel(at) if !world.live.is_empty() => {
                    let (id, ..) = world.live.remove(at % world.live.len());
                    prop_assert!(queue.remove(id).is_some());
                    prop_assert!(queue.remove(id).is_none());
                }
                Act::Cancel(_) => {}
                Act::Take => world.take(&mut queue),
                Act::Give => world.give(&mut queue),
            }
        }
        while queue.has_waiting() {
            world.take(&mut queue);
        }
        while !world.taken.is_empty() {
            world.give(&mut queue);
        }
        prop_assert!(world.live.is_empty() && queue.jobs.is_empty() && queue.tenants.is_empty());
        prop_assert_eq!(queue.waiting, Amount::default());
    }
}

#[test]
fn tenants_take_turns_by_tokens_and_none_starves() {
    let mut queue = EncodeQueue::new(EncodingConfig::default());
    // One tenant sends long texts, the other short ones; a third comes later.
    queue.enter(&tenant(0), inputs(0, &[10; 300]), ()).unwrap();
    queue.enter(&tenant(1), inputs(1, &[3; 900]), ()).unwrap();
    let mut taken = [0usize; 3];
    let step = |queue: &mut EncodeQueue<()>, taken: &mut [usize; 3]| {
        let batch = queue.take(MAX_TOKENS);
        for input in &batch.inputs {
            taken[input.tokens[0] as usize / 1000] += input.tokens.len();
        }
        queue.give(&batch.owners, rows(&batch));
    };
    for _ in 0..100 {
        step(&mut queue, &mut taken);
    }
    assert!(taken[0].abs_diff(taken[1]) <= 2 * MAX_TOKENS, "{taken:?}");
    let before = taken;
    queue.enter(&tenant(2), inputs(2, &[10; 100]), ()).unwrap();
    for _ in 0..60 {
        step(&mut queue, &mut taken);
    }
    let since: Vec<usize> = taken.iter().zip(before).map(|(now, then)| now - then).collect();
    assert!(since.iter().all(|own| own.abs_diff(since[0]) <= 2 * MAX_TOKENS), "{since:?}");
}

#[test]
fn a_single_text_does_not_wait_for_a_large_request_nor_keeps_it_waiting() {
    let mut queue = EncodeQueue::new(EncodingConfig::default());
    let large = queue.enter(&tenant(0), inputs(0, &[4; 900]), ()).unwrap();
    queue.take(MAX_TOKENS);
    let mut num_of_large = 0;
    for number in 1..40 {
        let small = queue.enter(&tenant(0), inputs(number, &[4]), ()).unwrap();
        let batch = queue.take(MAX_TOKENS);
        assert!(batch.owners.contains(&small), "it is in the next batch");
        num_of_large += batch.owners.iter().filter(|owner| **owner == large).count();
        queue.give(&batch.owners, rows(&batch));
    }
    assert!(num_of_large >= 39, "{num_of_large}");
}

#[test]
fn what_is_too_much_is_refused_unless_nothing_waits() {
    let config = EncodingConfig {
        max_waiting: Amount { inputs: 4, tokens: 100 },
        max_waiting_per_tenant: Amount { inputs: 3, tokens: 50 },
        retry_after_s: 1,
    };
    let mut queue = EncodeQueue::new(config);
    let large = queue.enter(&tenant(0), inputs(0, &[1; 9]), ()).expect("alone it may be large");
    assert_eq!(queue.enter(&tenant(0), inputs(1, &[1]), ()), Err(9));
    assert_eq!(queue.enter(&tenant(1), inputs(1, &[1]), ()), Err(9));
    queue.remove(large).unwrap();
    queue.enter(&tenant(0), inputs(0, &[1; 3]), ()).unwrap();
    assert_eq!(queue.enter(&tenant(0), inputs(1, &[1]), ()), Err(3), "the tenant's share");
    queue.enter(&tenant(1), inputs(1, &[1]), ()).unwrap();
    assert_eq!(queue.enter(&tenant(2), inputs(1, &[1]), ()), Err(4), "all there is");
    queue.clear();
    queue.enter(&tenant(0), inputs(0, &[49]), ()).unwrap();
    assert_eq!(queue.enter(&tenant(0), inputs(1, &[2]), ()), Err(1), "by tokens, too");
}
