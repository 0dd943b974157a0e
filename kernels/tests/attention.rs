//! Attention over a paged cache against the plain mathematics, on every instruction set.

use kernels::{
    Isa,
    attention::{
        BLOCK_SIZE, Cache, CacheLayout, Distances, KvDtype, MAX_INT8_HEAD_DIM, Params, Plan, Run,
        attention, reference,
    },
    pool::Pool,
};

/// Numbers in −1..1 from a fixed sequence.
fn noise(len: usize, mut seed: u64) -> Vec<f32> {
    (0..len)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            (seed >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn bf16(x: &[f32]) -> Vec<f32> {
    x.iter().map(|x| half::bf16::from_f32(*x).to_f32()).collect()
}

/// One sequence in a cache of two layers, its blocks scattered among rubbish.
struct World {
    layout: CacheLayout,
    params: Params<'static>,
    memory: Vec<u8>,
    blocks: Vec<u32>,
    /// By position, all heads.
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    q: Vec<f32>,
}

const LAYER: usize = 1;

impl World {
    fn new(layout: CacheLayout, num_heads: usize, window: Option<usize>, len: usize) -> Self {
        let num_blocks = len.div_ceil(BLOCK_SIZE);
        let mut seed = 7_u64;
        let mut blocks: Vec<u32> = (0..num_blocks as u32 + 3).collect();
        for i in (1..blocks.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            blocks.swap(i, (seed >> 33) as usize % (i + 1));
        }
        let memory = vec![0xff; (num_blocks + 3) * layout.block_bytes()];
        blocks.truncate(num_blocks);
        let width = layout.num_kv_heads * layout.head_dim;
        let rows = |seed: u64| (0..len).map(|i| noise(width, seed + i as u64)).collect();
        let scale = 2.0 / (layout.head_dim as f32).sqrt();
        let params = Params { num_heads, scale, window, ..Params::default() };
        let (keys, values): (Vec<_>, Vec<_>) = (rows(1000), rows(9000));
        let q = noise(len * num_heads * layout.head_dim, 3);
        let mut world = Self { layout, params, memory, blocks, keys, values, q };
        world.write(Isa::detect());
        world
    }

    fn write(&mut self, isa: Isa) {
        let mut cache = Cache::new(self.layout, LAYER, &mut self.memory);
        let mut pool = Pool::new(2).expect("threads");
        // Some at a time, as decoding does, then the rest at once.
        for (position, num_rows) in [(0, 1), (1, 1), (2, 9), (11, self.keys.len() - 11)] {
            let run = Run { blocks: &self.blocks, position, num_rows, first_row: position };
            let (keys, values) = (self.keys.concat(), self.values.concat());
            cache.write((isa, &mut pool), &[run], &keys, &values);
        }
    }

    /// The rows `positions`, each run as given: first position and length.
    fn run(&mut self, isa: Isa, threads: usize, runs: &[(usize, usize)]) -> Vec<f32> {
        let width = self.params.num_heads * self.layout.head_dim;
        let mut q = Vec::new();
        let mut first_row = 0;
        let mut all = Vec::new();
        for (position, num_rows) in runs.iter().copied() {
            q.extend_from_slice(&self.q[position * width..(position + num_rows) * width]);
            all.push(Run { blocks: &self.blocks, position, num_rows, first_row });
            first_row += num_rows;
        }
        let mut out = vec![f32::NAN; q.len()];
        let mut pool = Pool::new(threads).expect("threads");
        let group = self.params.num_heads / self.layout.num_kv_heads;
        let mut plan = Plan::new(threads, (self.layout.head_dim, group), 64);
        let cache = Cache::new(self.layout, LAYER, &mut self.memory);
        attention((isa, &mut pool, &mut plan), (&cache, &self.params), &all, &q, &mut out);
        out
    }

    fn want(&self, position: usize) -> Vec<f32> {
        let CacheLayout { head_dim, num_kv_heads, dtype, .. } = self.layout;
        let num_heads = self.params.num_heads;
        let round = |x: &[f32]| if dtype == KvDtype::Bf16 { bf16(x) } else { x.to_vec() };
        (0..num_heads)
            .flat_map(|head| {
                let kv_head = head / (num_heads / num_kv_heads) * head_dim;
                let cut = |rows: &[Vec<f32>]| -> Vec<Vec<f32>> {
                    rows.iter().map(|row| round(&row[kv_head..kv_head + head_dim])).collect()
                };
                let q = &self.q[(position * num_heads + head) * head_dim..][..head_dim];
                let (keys, values) = (cut(&self.keys), cut(&self.values));
                reference::attention((&self.params, head), position, &round(q), &keys, &values)
            })
            .collect()
    }
}

fn layout(num_kv_heads: usize, head_dim: usize, dtype: KvDtype) -> CacheLayout {
    CacheLayout { num_layers: 2, num_kv_heads, head_dim, dtype }
}

#[test]
fn attention_matches_the_reference_over_scattered_blocks() {
    for (head_dim, num_kv_heads, num_heads, window) in
        [(64, 3, 9, None), (24, 1, 4, Some(5)), (16, 2, 2, Some(1)), (128, 2, 4, Some(70))]
    {
        for (dtype, tolerance) in
            [(KvDtype::F32, 2e-6), (KvDtype::Bf16, 6e-3), (KvDtype::Int8, 1.2e-2)]
        {
            let shape = layout(num_kv_heads, head_dim, dtype);
            let mut world = World::new(shape, num_heads, window, 150);
            let positions = [0, 1, 15, 16, 63, 64, 100, 149];
            let runs = positions.map(|position| (position, 1));
            let want: Vec<f32> = positions.iter().flat_map(|p| world.want(*p)).collect();
            for isa in Isa::available() {
                let got = world.run(isa, 2, &runs);
                for (got, want) in got.iter().zip(&want) {
                    let close = (got - want).abs() < tolerance;
                    assert!(close, "{dtype:?} {} {head_dim}: {got} {want}", isa.name());
                }
            }
        }
    }
}

#[test]
fn capped_scores_and_sinks_match_the_reference() {
    static SINKS: [f32; 6] = [0.5, -2.0, 3.0, 0.0, 40.0, -60.0];
    for (head_dim, num_kv_heads, softcap, sinks) in [
        (64, 3, Some(0.7), None),
        (24, 1, None, Some(&SINKS[..])),
        (576, 1, Some(1.5), Some(&SINKS[..])),
    ] {
        for (dtype, tolerance) in
            [(KvDtype::F32, 3e-6), (KvDtype::Bf16, 6e-3), (KvDtype::Int8, 1.2e-2)]
        {
            if dtype == KvDtype::Int8 && head_dim > MAX_INT8_HEAD_DIM {
                continue;
            }
            let mut world = World::new(layout(num_kv_heads, head_dim, dtype), 6, None, 700);
            world.params = Params { softcap, sinks, ..world.params };
            let positions = [0, 16, 64, 511, 512, 699];
            let want: Vec<f32> = positions.iter().flat_map(|p| world.want(*p)).collect();
            let plain = Params { softcap: None, sinks: None, ..world.params };
            for isa in Isa::available() {
                let got = world.run(isa, 2, &positions.map(|position| (position, 1)));
                for (got, want) in got.iter().zip(&want) {
                    let close = (got - want).abs() < tolerance;
                    assert!(close, "{dtype:?} {} {head_dim}: {got} {want}", isa.name());
                }
                let params = std::mem::replace(&mut world.params, plain);
                assert_ne!(got, world.run(isa, 2, &positions.map(|position| (position, 1))));
                world.params = params;
            }
        }
    }
}

#[test]
fn positions_that_look_both_ways_match_the_reference() {
    for (head_dim, num_kv_heads, num_heads, window, len, distances) in [
        (32, 4, 4, None, 150, false),
        (64, 2, 4, Some(9), 150, false),
        (24, 3, 3, Some(70), 700, true),
        (64, 2, 2, None, 520, true),
        (32, 1, 1, Some(600), 1100, false),
    ] {
        for (dtype, tolerance) in
            [(KvDtype::F32, 4e-6), (KvDtype::Bf16, 6e-3), (KvDtype::Int8, 1.2e-2)]
        {
            let mut world =
                World::new(layout(num_kv_heads, head_dim, dtype), num_heads, window, len);
            let reach = len + 5;
            // A test's memory may stay: the world's parameters are static.
            let table: &[f32] = noise(num_heads * Distances::width(reach), 77).leak();
            let distances = distances.then_some(Distances { table, reach });
            world.params = Params { both_ways: true, distances, ..world.params };
            let width = num_heads * head_dim;
            let positions = [0, 1, 63, 64, 75, len / 2, len - 1];
            let wanted = positions.map(|position| (position, world.want(position)));
            for isa in Isa::available() {
                let got = world.run(isa, 2, &[(0, len)]);
                for (position, want) in &wanted {
                    for (got, want) in got[position * width..][..width].iter().zip(want) {
                        let close = (got - want).abs() < tolerance;
                        assert!(close, "{dtype:?} {} {head_dim}: {got} {want}", isa.name());
                    }
                }
                assert_eq!(got, world.run(isa, 1, &[(0, len)]), "threads");
            }
        }
    }
}

#[test]
fn a_row_is_the_same_in_prefill_and_decode_and_on_any_number_of_threads() {
    for dtype in [KvDtype::F32, KvDtype::Bf16, KvDtype::Int8] {
        for (window, num_heads, num_kv_heads) in [(None, 6, 2), (Some(600), 3, 1), (None, 5, 1)] {
            let len = 1100;
            let mut world = World::new(layout(num_kv_heads, 32, dtype), num_heads, window, len);
            let width = num_heads * 32;
            let isas = Isa::available();
            for isa in [isas[0], isas[isas.len() / 2], isas[isas.len() - 1]] {
                let all = world.run(isa, 1, &[(0, len)]);
                let chunked = world.run(isa, 3, &[(700, 400), (0, 1), (1, 36), (37, 663)]);
                assert_eq!(chunked[..400 * width], all[700 * width..]);
                assert_eq!(chunked[400 * width..], all[..700 * width]);
                for position in [0, 5, 511, 512, 600, 1099] {
                    for threads in [1, 2, 5] {
                        let alone = world.run(isa, threads, &[(position, 1)]);
                        assert_eq!(alone, all[position * width..][..width], "{position} {threads}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_an_earlier_owner_left_in_a_block_counts_for_nothing() {
    // `World` fills the memory with bytes that are no numbers before it writes.
    for dtype in [KvDtype::F32, KvDtype::Bf16, KvDtype::Int8] {
        let mut world = World::new(layout(1, 16, dtype), 1, None, 19);
        for isa in Isa::available() {
            assert!(world.run(isa, 1, &[(0, 19)]).iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn keys_and_values_lie_in_memory_the_same_whatever_wrote_them() {
    for (dtype, head_dim) in [
        (KvDtype::F32, 24),
        (KvDtype::Bf16, 24),
        (KvDtype::Bf16, 64),
        (KvDtype::Int8, 24),
        (KvDtype::Int8, 18),
        (KvDtype::Int8, 64),
    ] {
        let mut world = World::new(layout(2, head_dim, dtype), 2, None, 37);
        world.memory.fill(0xff);
        world.write(Isa::Portable);
        let want = world.memory.clone();
        for isa in Isa::available() {
            world.memory.fill(0xff);
            world.write(isa);
            assert!(world.memory == want, "{dtype:?} {head_dim} {}", isa.name());
            // Written again, as rejected drafts are: what is there stays.
            world.write(isa);
            assert!(world.memory == want, "{dtype:?} {head_dim} {} again", isa.name());
        }
    }
}
