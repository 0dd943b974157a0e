//! Speed of attention at the shapes of a small model: `cargo bench -p kernels`.

#![allow(clippy::print_stdout, reason = "a benchmark's output")]

use std::time::Instant;

use kernels::{
    Isa,
    attention::{BLOCK_SIZE, Cache, CacheLayout, KvDtype, Params, Plan, Run, attention},
    pool::Pool,
};

const HEADS: usize = 9;
const KV_HEADS: usize = 3;
const DIM: usize = 64;
const LEN: usize = 4096;

fn main() {
    let isa = Isa::detect();
    println!("{} · best of 5", isa.name());
    for dtype in [KvDtype::Int8, KvDtype::Bf16, KvDtype::F32] {
        for threads in [1, 2] {
            let mut pool = Pool::new(threads).expect("threads");
            let layers = 30;
            let layout =
                CacheLayout { num_layers: layers, num_kv_heads: KV_HEADS, head_dim: DIM, dtype };
            let num_blocks = LEN / BLOCK_SIZE;
            // Not zeros: the system would give one page of them for all, which stays in cache.
            let mut memory = vec![0x3c; num_blocks * layout.block_bytes()];
            let blocks: Vec<u32> =
                (0..num_blocks as u32).map(|i| i * 37 % num_blocks as u32).collect();
            let params = Params { num_heads: HEADS, scale: 0.125, ..Params::default() };
            let mut plan = Plan::new(threads, (DIM, HEADS / KV_HEADS), 256);
            for (position, num_rows) in [(0, 512), (LEN - 256, 256), (LEN - 1, 1)] {
                let q = vec![0.1; num_rows * HEADS * DIM];
                let mut out = vec![0.0; q.len()];
                let run = Run { blocks: &blocks, position, num_rows, first_row: 0 };
                let mut best = f64::MAX;
                for _ in 0..5 {
                    let start = Instant::now();
                    for layer in 0..layers {
                        let cache = Cache::new(layout, layer, &mut memory);
                        attention(
                            (isa, &mut pool, &mut plan),
                            (&cache, &params),
                            &[run],
                            &q,
                            &mut out,
                        );
                    }
                    best = best.min(start.elapsed().as_secs_f64() / layers as f64);
                }
                let keys: usize = (position..position + num_rows).map(|p| p + 1).sum();
                let flop = (keys * HEADS * DIM * 4) as f64;
                let bytes =
                    ((position + num_rows) / BLOCK_SIZE * layout.block_bytes() / layers) as f64;
                println!(
                    "{dtype:?} x{threads} rows {num_rows} at {position}: \
                     {:.0} us, {:.0} GFLOP/s, {:.1} GB/s",
                    best * 1e6,
                    flop / best / 1e9,
                    bytes / best / 1e9
                );
            }
        }
    }
}
