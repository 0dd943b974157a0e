//! Images, towers and whole models against Pillow and transformers, on the same weights.

mod support;

use std::sync::Arc;

use engine_core::{
    BlockId, BlockTable, Encoder, Engine, ImageReader, Inset, InsetRows, SeqId, SeqWork, Step, Want,
};
use engine_encoder::Precision;
use engine_llm::{
    LlmEngine,
    executors::cpu::{CpuExecutor, CpuOptions, KvDtype, Precision as LlmPrecision},
    weights,
};
use engine_vision::{Reader, VisionSpec};
use serde::Deserialize;
use support::{MODELS, files, image, model, off, testdata, tower};

#[test]
fn pieces_are_those_that_pillow_makes() {
    for name in MODELS {
        let (model, golden) = model(name);
        let reader = Reader::new(&model);
        for (file, cut) in &golden.images {
            let bytes = image(file);
            let plan = reader.plan(&bytes).expect("a plan");
            assert_eq!(plan.text, cut.text, "{name}: {file}");
            let num_tiles = cut.rows * cut.cols + 1;
            assert_eq!(plan.num_rows, num_tiles * model.spec.rows_per_tile(), "{name}: {file}");
            let read = reader.read(&bytes).expect("an image");
            assert_eq!(read.tokens, vec![model.image_token; plan.num_rows]);
            let tiles = read.tiles.expect("pieces");
            let want = std::fs::read(testdata().join(name).join(format!("{file}.tiles")));
            let want = want.expect("pieces");
            assert_eq!(tiles.pixels.len(), want.len(), "{name}: {file}");
            let differ = tiles.pixels.iter().zip(&want).filter(|(a, b)| a != b).count();
            assert_eq!(differ, 0, "{name}: {file}: bytes that differ");
        }
    }
}

#[test]
fn places_of_patches_are_those_of_the_reference() {
    #[derive(Deserialize)]
    struct Places {
        grid: usize,
        learned: usize,
        ids: Vec<usize>,
    }
    let all = std::fs::read(testdata().join("positions.json")).expect("positions.json");
    let all: Vec<Places> = serde_json::from_slice(&all).expect("what the script writes");
    let spec = model("smolvlm").0.spec;
    for Places { grid, learned, ids } in all {
        let spec = VisionSpec { grid, learned_grid: learned, ..spec.clone() };
        assert_eq!(spec.positions(), ids, "{grid} of {learned}");
    }
}

#[test]
fn towers_and_connectors_see_as_the_reference_does() {
    for name in MODELS {
        let (model, golden) = model(name);
        let (reader, seen) = (Reader::new(&model), &golden.seen);
        let input = reader.read(&image(&seen.image)).expect("an image");
        let tiles = input.tiles.clone().expect("pieces");
        let mut tower = tower(&model, Precision::Exact);
        let values = tower.pixel_values(&tiles).expect("values");
        // Of the reference whole planes, of ours patches.
        let (side, patch) = (tiles.side, model.spec.patch);
        for (i, want) in seen.values.iter().enumerate() {
            let (channel, y, x) = (i / (side * side), i / side % side, i % side);
            let place = y / patch * model.spec.grid + x / patch;
            let within = (channel * patch + y % patch) * patch + x % patch;
            let got = values[place * model.spec.patch_len() + within];
            assert!((got - want).abs() < 1e-5, "{name}: value {i}: {got}, not {want}");
        }
        let states = tower.states(&tiles).expect("states");
        let worst = off(&states, &seen.states);
        assert!(worst < 1e-4, "{name}: states are off by {worst}");
        let rows = tower.encode(&[Arc::new(input.clone())]).expect("rows").remove(0);
        let worst = off(&rows, &seen.rows);
        assert!(worst < 1e-4, "{name}: rows are off by {worst}");
        // A piece's rows do not depend on what is beside it.
        let both = tower.encode(&[Arc::new(input.clone()), Arc::new(input.clone())]);
        assert_eq!(both.expect("rows"), [rows.clone(), rows.clone()], "{name}");
        let mut fast = support::tower(&model, Precision::Fast);
        let fast = fast.encode(&[Arc::new(input)]).expect("rows").remove(0);
        let rms = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
        let share =
            rms(&mut fast.iter().zip(&rows).map(|(a, b)| a - b)) / rms(&mut rows.iter().copied());
        assert!(share < 0.03, "{name}: fast rows are off by {share} of all");
    }
}

/// The language model in exact arithmetic.
fn speaker(name: &str) -> LlmEngine {
    let files = files(&testdata().join(name));
    let model = weights::open(&files).unwrap_or_else(|error| panic!("{name}: {error}"));
    let options = CpuOptions {
        threads: 2,
        kv_cache_bytes: 8 << 20,
        kv_dtype: KvDtype::F32,
        max_step_tokens: 512,
        precision: LlmPrecision::Exact,
        max_adapter_rank: 0,
        packed: None,
    };
    let (vocab_size, max_len) = (model.spec.vocab_size, model.spec.max_model_len);
    let executor = CpuExecutor::new(model.spec, &model.weights, options).expect("it loads");
    LlmEngine::new(Box::new(executor), vocab_size, max_len, 4)
}

/// All logits of a prompt that is computed in chunks.
fn logits(engine: &mut LlmEngine, tokens: &[u32], insets: &[Inset], chunk: usize) -> Vec<f32> {
    let num_blocks = tokens.len().div_ceil(16) as u32;
    let mut all = Vec::new();
    for (i, input) in tokens.chunks(chunk).enumerate() {
        let cached = i * chunk;
        let insets = insets.iter().filter_map(|inset| inset.within(cached..cached + input.len()));
        let work = SeqWork {
            seq: SeqId(0),
            adapter: None,
            input: input.to_vec(),
            insets: insets.collect(),
            num_drafts: 0,
            num_cached_tokens: cached as u32,
            block_table: BlockTable((0..num_blocks).map(BlockId).collect()),
            want: Want::Nothing,
            score: None,
        };
        engine.execute(&Step { step_idx: i as u64, work: vec![work] }).expect("it runs");
        all.extend(engine.logits_of(0).expect("logits"));
    }
    all
}

#[test]
fn logits_after_images_are_those_of_the_reference() {
    for name in MODELS {
        let (model, golden) = model(name);
        let reader = Reader::new(&model);
        let mut tower = tower(&model, Precision::Exact);
        for prompt in &golden.prompts {
            let mut rows = prompt.images.iter().flat_map(|file| {
                let input = reader.read(&image(file)).expect("an image");
                tower.encode(&[Arc::new(input)]).expect("rows").remove(0)
            });
            let all: Vec<f32> = rows.by_ref().collect();
            let rows = InsetRows::new([0; 32], model.spec.width, all);
            let places =
                (0..).zip(&prompt.tokens).filter(|(_, token)| **token == model.image_token);
            let inset = |(row, (at, _))| Inset { at, len: 1, rows: rows.clone(), first_row: row };
            let insets: Vec<Inset> = (0..).zip(places).map(inset).collect();
            assert_eq!(insets.len(), rows.num_rows(), "{name}: places and rows");
            let whole = logits(&mut speaker(name), &prompt.tokens, &insets, 512);
            let want = prompt.logits.concat();
            let worst = off(&whole[whole.len() - want.len()..], &want);
            assert!(worst < 1e-4, "{name}: {:?}: off by {worst}", prompt.images);
            let chunks = logits(&mut speaker(name), &prompt.tokens, &insets, 7);
            assert_eq!(chunks, whole, "{name}: chunks change the result");
            if !insets.is_empty() {
                let blind = logits(&mut speaker(name), &prompt.tokens, &[], 512);
                let apart = off(&blind[whole.len() - want.len()..], &want);
                assert!(apart > 1e-2, "{name}: images make a difference of {apart} only");
            }
        }
    }
}
