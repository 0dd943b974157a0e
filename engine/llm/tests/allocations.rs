//! A step allocates nothing in the executor, once its memory is there.

// A counting allocator cannot be written without it.
#![allow(unsafe_code, reason = "an allocator is unsafe to implement; this one only counts")]

#[path = "support/golden.rs"]
mod golden;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use engine_core::{Inset, InsetRows};
use engine_llm::{
    adapters::{Kept, Lora},
    executors::{
        Batch, Executor, Span,
        cpu::{CpuExecutor, CpuOptions, KvDtype, Precision},
    },
};

/// How often the steps are repeated.
const ROUNDS: usize = 6;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract (so in all below).
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A prompt's chunk of `rows` beside two decodes, from position `at` on, of so many groups.
fn batch(rows: usize, at: u32, num_groups: u32) -> Batch {
    let mut batch = Batch::default();
    for (i, rows) in [rows, 1, 1].into_iter().enumerate() {
        batch.spans.push(Span {
            first_row: batch.tokens.len(),
            num_rows: rows,
            first_block: batch.blocks.len(),
            num_blocks: 8,
        });
        batch.tokens.extend((0..rows as u32).map(|token| token % 90));
        batch.positions.extend(at..at + rows as u32);
        let num_blocks = 8 * num_groups;
        batch.blocks.extend((0..num_blocks).map(|block| i as u32 * num_blocks + block));
    }
    batch
}

/// The same with adapters, two of them the same.
fn with_adapters(mut batch: Batch, loras: &[Arc<Lora>; 2]) -> Batch {
    let spans = [(0, 0), (1, 1), (2, 0)];
    batch.adapters.extend(spans.map(|(span, lora)| (span, Arc::clone(&loras[lora]))));
    batch
}

/// The same with rows in place of some embeddings.
fn with_insets(mut batch: Batch, rows: &InsetRows) -> Batch {
    let len = batch.spans[0].num_rows.min(rows.num_rows()) as u32;
    batch.insets.push((0, Inset { at: 0, len, rows: rows.clone(), first_row: 0 }));
    batch
}

#[test]
fn a_step_allocates_nothing() {
    let tiny = golden::TINY.iter().map(|name| (*name).to_owned()).map(|name| (name, false));
    for (name, is_family) in tiny.chain(golden::families().into_iter().map(|name| (name, true))) {
        for (precision, kv_dtype) in [
            (Precision::Fast, KvDtype::Bf16),
            (Precision::Fast, KvDtype::Int8),
            (Precision::Exact, KvDtype::Bf16),
            (Precision::Exact, KvDtype::F32),
        ] {
            // The numbers' forms are the same in all families: two pairs of them will do.
            if is_family && (precision == Precision::Fast) != (kv_dtype == KvDtype::Bf16) {
                continue;
            }
            let (model, _) = if is_family { golden::family(&name) } else { golden::tiny(&name) };
            let options = CpuOptions {
                threads: 2,
                kv_cache_bytes: 8 << 20,
                kv_dtype,
                max_step_tokens: 64,
                precision,
                max_adapter_rank: 16,
                packed: None,
            };
            let base = model.base.clone();
            let hidden = model.spec.hidden_size;
            let rows = InsetRows::new([0; 32], hidden, vec![0.1; 9 * hidden]);
            let mut executor =
                CpuExecutor::new(model.spec, &model.weights, options).expect("it loads");
            let loras = [(9, 1), (16, 2)];
            let loras = loras.map(|(rank, seed)| {
                Arc::new(base.made_up(rank, seed, Kept::Bf16).expect("there is memory"))
            });
            let groups = executor.groups().count();
            let batches = (0..12).map(|i| (i, batch(1 + i * 5 % 40, i as u32 * 3, groups)));
            let batches: Vec<Batch> = batches
                .map(|(i, batch)| if i % 2 == 0 { batch } else { with_insets(batch, &rows) })
                .enumerate()
                .map(|(i, batch)| if i % 3 == 0 { batch } else { with_adapters(batch, &loras) })
                .collect();
            let mut run = |batch: &Batch| {
                executor.forward(batch).expect("it runs");
                let last = batch.spans.iter().map(|span| span.first_row + span.num_rows - 1);
                let rows: [usize; 3] = std::array::from_fn(|i| last.clone().nth(i).unwrap_or(0));
                executor
                    .logits(&rows, &|_, logits| assert!(logits[0].is_finite()))
                    .expect("logits");
            };
            // What comes once comes in some first round: lists, and what a thread makes when it
            // starts, which a busy machine may put off. A step that allocates does so in all.
            let mut round = || {
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                batches.iter().for_each(&mut run);
                ALLOCATIONS.load(Ordering::Relaxed) - before
            };
            let allocated = (0..ROUNDS).map(|_| round()).min();
            assert_eq!(allocated, Some(0), "{name}, {precision:?}, {kv_dtype:?}");
        }
    }
}
