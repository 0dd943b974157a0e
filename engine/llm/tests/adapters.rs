//! Adapters: alone against PEFT, on the same weights; together as alone, bit for bit; and files
//! that lie.

#[path = "support/adapters.rs"]
mod adapters;
#[path = "support/distance.rs"]
mod distance;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/golden.rs"]
mod golden;

use adapters::{AdapterGolden, work};
use distance::worst;
use engine::{engine, exact, kv_in_8_bits, standard};
use engine_core::{Adapter, Engine, EngineError, Step};
use engine_llm::{LlmEngine, adapters::Kept, executors::cpu::CpuOptions, weights::Model};
use proptest::prelude::*;

/// Logits of all of the prompt, in chunks.
fn logits(
    engine: &mut LlmEngine,
    adapter: Option<&Adapter>,
    (prompt, chunk): (&[u32], usize),
) -> Vec<f32> {
    let mut rows = Vec::new();
    for (i, tokens) in prompt.chunks(chunk).enumerate() {
        let work = vec![work(engine, 0, adapter, (tokens, i * chunk))];
        engine.execute(&Step { step_idx: i as u64, work }).expect("the step runs");
        rows.extend(engine.logits_of(0).expect("there are logits"));
    }
    rows
}

fn check(name: &str, model: Model, golden: &AdapterGolden) -> Result<(), String> {
    let adapter = adapters::load(&model.base, name, Kept::F32);
    let mut engine = engine(model, exact());
    let whole = logits(&mut engine, Some(&adapter), (&golden.prompt, usize::MAX));
    let off = worst(whole.iter().copied(), &golden.logits);
    if off >= 1e-4 {
        return Err(format!("{name}: logits are off by {off}"));
    }
    if logits(&mut engine, Some(&adapter), (&golden.prompt, 3)) != whole {
        return Err(format!("{name}: chunks change the result"));
    }
    Ok(())
}

#[test]
fn models_with_adapters_answer_as_peft_does() {
    let (mut failed, mut num_gguf) = (Vec::new(), 0);
    for name in adapters::names() {
        let golden = adapters::golden(&name);
        match golden.base.split_once('/').expect("a folder") {
            ("tiny", base) => failed.extend(check(&name, golden::tiny(base).0, &golden).err()),
            (_, base) => {
                failed.extend(check(&name, golden::family(base).0, &golden).err());
                let (model, _) = golden::family_gguf(base).expect("a GGUF file");
                let gguf = check(&name, model, &golden);
                failed.extend(gguf.err().map(|what| format!("GGUF: {what}")));
                num_gguf += 1;
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(num_gguf, 10, "GGUF files");
}

/// Numbers in half the bytes are close to those that the files have.
#[test]
fn fast_settings_stay_close_to_the_exact_ones() {
    for name in ["llama-attention", "llama-rslora", "llama-patterns"] {
        let golden = adapters::golden(name);
        let (model, _) = golden::tiny("llama");
        let adapter = adapters::load(&model.base, name, Kept::Bf16);
        let mut engine = engine(model, standard());
        let got = logits(&mut engine, Some(&adapter), (&golden.prompt, usize::MAX));
        let rms = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
        let off = rms(&mut got.iter().zip(&golden.logits).map(|(a, b)| a - b));
        let share = off / rms(&mut golden.logits.iter().copied());
        assert!(share < 0.02, "{name}: off by {share} of all logits");
    }
}

/// The tiny Llama's adapters, and none.
const NAMES: [Option<&str>; 5] = [
    Some("llama-attention"),
    None,
    Some("llama-rslora"),
    Some("llama-patterns"),
    Some("llama-layer"),
];

/// A sequence: which of [`NAMES`], and how many tokens of it come in each step.
type Plan = (usize, Vec<usize>);

/// Prompts of sequences, each its own.
fn prompt(seq: usize, len: usize) -> Vec<u32> {
    (0..len).map(|i| ((i * 7 + seq * 31 + 3) % 290) as u32).collect()
}

/// Runs the sequences side by side, as `plans` have it, and gives the logits of each.
fn together(
    engine: &mut LlmEngine,
    loaded: &[Option<Adapter>],
    plans: &[Plan],
    order: &[usize],
) -> Vec<Vec<f32>> {
    let mut rows = vec![Vec::new(); plans.len()];
    let mut done = vec![0; plans.len()];
    let num_steps = plans.iter().map(|(_, chunks)| chunks.len()).max().unwrap_or(0);
    for step_idx in 0..num_steps {
        let (mut all, mut who) = (Vec::new(), Vec::new());
        for &seq in order {
            let (adapter, chunks) = &plans[seq];
            let Some(&len) = chunks.get(step_idx) else { continue };
            let tokens = &prompt(seq, done[seq] + len)[done[seq]..];
            let adapter = loaded[*adapter].as_ref();
            all.push(work(engine, seq as u64, adapter, (tokens, done[seq])));
            who.push(seq);
            done[seq] += len;
        }
        let step = Step { step_idx: step_idx as u64, work: all };
        engine.execute(&step).expect("the step runs");
        for (i, seq) in who.into_iter().enumerate() {
            rows[seq].extend(engine.logits_of(i).expect("there are logits"));
        }
    }
    rows
}

fn check_together(options: CpuOptions, kept: Kept, plans: &[Plan], order: &[usize]) {
    let (model, _) = golden::tiny("llama");
    let load = |name: &Option<&str>| name.map(|name| adapters::load(&model.base, name, kept));
    let loaded: Vec<_> = NAMES.iter().map(load).collect();
    let mut engine = engine(model, options);
    let mixed = together(&mut engine, &loaded, plans, order);
    for (seq, plan) in plans.iter().enumerate() {
        let whole = (plan.0, vec![plan.1.iter().sum()]);
        // Under the same number: its prompt is its own.
        let mut alone: Vec<_> = plans.iter().map(|_| (1, Vec::new())).collect();
        alone[seq] = whole;
        let alone = together(&mut engine, &loaded, &alone, &[seq]);
        assert!(alone[seq] == mixed[seq], "sequence {seq} with {:?} differs", NAMES[plan.0]);
    }
}

#[test]
fn a_batch_of_different_adapters_is_each_alone_bit_for_bit() {
    let plans = [(0, vec![9, 1, 1]), (1, vec![1, 1, 12]), (2, vec![3, 1, 1, 1]), (3, vec![20, 1])];
    for (options, kept) in
        [(exact(), Kept::F32), (standard(), Kept::Bf16), (kv_in_8_bits(), Kept::Bf16)]
    {
        check_together(options.clone(), kept, &plans, &[0, 1, 2, 3]);
        check_together(options, kept, &plans, &[3, 1, 0, 2]);
    }
}

/// Where every layer has gate and up projection in one product, sequences without adapters go
/// through it alone and beside others not: it makes no difference.
#[test]
fn a_sequence_without_adapter_is_the_same_beside_others() {
    for family in ["phi3", "granite", "gemma3"] {
        for options in [exact(), standard()] {
            let (model, _) = golden::family(family);
            let adapter = adapters::load(&model.base, family, Kept::Bf16);
            let mut engine = engine(model, options);
            let loaded = [Some(adapter), None];
            let plans = [(1, vec![7, 1]), (0, vec![5, 1]), (1, vec![1, 6])];
            let mixed = together(&mut engine, &loaded, &plans, &[0, 1, 2]);
            for seq in [0, 2] {
                let alone = together(&mut engine, &loaded, &plans, &[seq]);
                assert!(alone[seq] == mixed[seq], "{family}: sequence {seq} differs");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn any_batch_in_any_order_is_each_alone(
        plans in prop::collection::vec((0..5_usize, prop::collection::vec(1..9_usize, 1..5)), 1..5),
        seed in any::<u64>(),
    ) {
        let mut order: Vec<_> = (0..plans.len()).collect();
        order.sort_by_key(|i| (*i as u64 + 1).wrapping_mul(seed | 1).rotate_left(29));
        check_together(standard(), Kept::Bf16, &plans, &order);
    }
}

#[test]
fn what_is_no_adapter_for_this_model_is_refused() {
    let (llama, _) = golden::tiny("llama");
    let (phi3, _) = golden::family("phi3");
    let (base, other) = (llama.base.clone(), phi3.base.clone());
    let no_adapters = engine(llama, CpuOptions { max_adapter_rank: 0, ..standard() });
    let small = engine(phi3, CpuOptions { max_adapter_rank: 3, ..standard() });
    let mut engines = [no_adapters, small];
    let for_llama = adapters::load(&base, "llama-attention", Kept::F32);
    let for_phi3 = adapters::load(&other, "phi3", Kept::F32);
    let none = Adapter::new("x", std::sync::Arc::new(7_u32));
    for (i, adapter) in
        [(0, &for_llama), (0, &for_phi3), (0, &none), (1, &for_llama), (1, &for_phi3)]
    {
        let work = vec![work(&engines[i], 0, Some(adapter), (&[1, 2], 0))];
        let error = engines[i].execute(&Step { step_idx: 0, work }).expect_err("it is refused");
        assert!(matches!(&error, EngineError::InvalidStep(what) if what.contains("adapter")));
    }
}
