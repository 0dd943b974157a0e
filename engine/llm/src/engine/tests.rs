//! Steps through an executor that has no weights.

use engine_core::{BlockId, BlockTable, CacheGroups, InsetRows, Sample, Score, SeqId};

use super::*;
use crate::executors::EachRow;

/// Token 7 gives logits that are no numbers, every other one the token after it; rows in place of
/// embeddings are two wide.
struct Echo(Vec<u32>);

impl Executor for Echo {
    fn block_size(&self) -> usize {
        4
    }

    fn num_blocks(&self) -> usize {
        8
    }

    fn max_rows(&self) -> usize {
        16
    }

    fn max_logit_rows(&self) -> usize {
        2
    }

    fn embedding_width(&self) -> usize {
        2
    }

    fn forward(&mut self, batch: &Batch) -> Result<(), EngineError> {
        self.0.clone_from(&batch.tokens);
        Ok(())
    }

    fn logits(&mut self, rows: &[usize], each: &EachRow<'_>) -> Result<(), EngineError> {
        for (i, row) in rows.iter().enumerate() {
            let token = self.0[*row];
            let mut logits = [if token == 7 { f32::NAN } else { 0.0 }; 10];
            logits[(token as usize + 1) % 10] = 50.0;
            each(i, &mut logits);
        }
        Ok(())
    }
}

fn work(seq: u64, input: &[u32], score: bool) -> SeqWork {
    let sample = Sample {
        params: Default::default(),
        seed: 0,
        num_generated: 0,
        min_tokens: 0,
        banned: [].into(),
        history: None,
        mask: None,
    };
    SeqWork {
        seq: SeqId(seq),
        adapter: None,
        input: input.to_vec(),
        insets: Vec::new(),
        num_drafts: 0,
        num_cached_tokens: 0,
        block_table: BlockTable(vec![BlockId(seq as u32)]),
        want: Want::Sample(sample),
        score: score.then(|| Score { targets: input[1..].to_vec(), num_top: 1 }),
    }
}

#[test]
fn a_row_that_is_not_finite_fails_its_own_sequence_only() {
    let mut engine = LlmEngine::new(Box::new(Echo(Vec::new())), 10, 100, 4);
    let work = vec![
        work(0, &[1, 2], true),
        work(1, &[7], false),
        work(2, &[7, 3], true),
        work(3, &[7, 4], false),
    ];
    let out = engine.execute(&Step { step_idx: 0, work }).expect("the step itself is well");
    let got: Vec<_> = out
        .outputs
        .iter()
        .map(|o| (o.error.is_some(), o.sampled.first().map(|s| s.token), o.scores.len()))
        .collect();
    assert_eq!((got[0], got[3]), ((false, Some(3), 1), (false, Some(5), 0)));
    assert_eq!((got[1].0, got[1].1), (true, None));
    // Its sample is well, a score is not.
    assert!(got[2].0, "{got:?}");
    let text = out.outputs[1].error.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(text.contains("not numbers"), "{text}");
}

#[test]
fn tokens_count_as_far_as_the_drafts_before_them_are_right() {
    // More rows than the executor gives logits for at a time.
    for (input, num_drafts, expect) in [
        (&[1, 2, 3, 4][..], 3, vec![2, 3, 4, 5]),
        (&[1, 2, 3, 9], 3, vec![2, 3, 4]),
        (&[1, 5, 6, 7], 3, vec![2]),
        (&[0, 1, 3, 4], 2, vec![2]),
        (&[0, 1, 2], 1, vec![2, 3]),
        // The row of the 7 is bad: as far as it, all is well.
        (&[5, 6, 7, 8], 3, vec![6, 7]),
        // It is bad, and nobody asks.
        (&[1, 7], 1, vec![2]),
    ] {
        let mut engine = LlmEngine::new(Box::new(Echo(Vec::new())), 10, 100, 4);
        let drafted = SeqWork { num_drafts, ..work(0, input, false) };
        let step = Step { step_idx: 0, work: vec![drafted, work(1, &[3], false)] };
        let out = engine.execute(&step).expect("the step is well").outputs;
        let tokens: Vec<_> = out[0].sampled.iter().map(|s| s.token).collect();
        assert_eq!((tokens, &out[0].error), (expect, &None), "{input:?}");
        assert_eq!(out[1].sampled[0].token, 4);
    }
}

#[test]
fn tables_are_columns_of_all_groups() {
    let groups = CacheGroups { whole: 1, windowed: 2, window: 4 };
    let limits = LlmEngine::new(Box::new(Echo(Vec::new())), 10, 100, 4).limits();
    let limits = EngineLimits { groups, ..limits };
    let with = |blocks: &[u32]| SeqWork {
        block_table: BlockTable(blocks.iter().copied().map(BlockId).collect()),
        ..work(0, &[1, 2, 3, 4, 5], false)
    };
    for (blocks, expect) in [
        (&[0, 1, 2, 3, 4, 5][..], Ok(())),
        (&[0, 1, 2], Err("the block table does not cover the input")),
        (&[0, 1, 2, 3, 4], Err("the block table does not cover the input")),
        (&[0, 1, 2, 3, 4, 5, 6], Err("a block table without a block of every group")),
        (&[0, 1, 2, 3, 4, 8], Err("a block that does not exist")),
    ] {
        assert_eq!(check_work(&with(blocks), &limits, 2), expect, "{blocks:?}");
    }
    let step = Step { step_idx: 0, work: vec![with(&[7, 6, 5, 4, 3, 2]), with(&[1, 0, 7])] };
    let mut batch = Batch::default();
    flatten(&step, 3, &mut batch);
    let tables = |span: usize| [0, 1, 2].map(|group| batch.table(&batch.spans[span], group));
    assert_eq!(tables(0), [[7, 4], [6, 3], [5, 2]]);
    assert_eq!(tables(1), [[1], [0], [7]]);
}

#[test]
fn drafts_that_make_no_sense_are_refused() {
    let all = SeqWork { num_drafts: 2, ..work(0, &[1, 2], false) };
    let more = SeqWork { num_drafts: 3, ..work(0, &[1, 2], false) };
    let unasked = SeqWork { num_drafts: 1, want: Want::Nothing, ..work(0, &[1, 2], false) };
    let twice = SeqWork { num_drafts: 1, ..work(0, &[1, 2], true) };
    for (work, expect) in [
        (all, "no input but drafts"),
        (more, "no input but drafts"),
        (unasked, "nothing is sampled"),
        (twice, "wanted twice"),
    ] {
        let mut engine = LlmEngine::new(Box::new(Echo(Vec::new())), 10, 100, 4);
        let error = engine.execute(&Step { step_idx: 0, work: vec![work] }).expect_err(expect);
        assert!(error.to_string().contains(expect), "{error}");
    }
}

#[test]
fn rows_in_place_of_embeddings_must_fit() {
    let inset = |width, num_rows, at, len, first_row| {
        let rows = InsetRows::new([0; 32], width, vec![0.0; width * num_rows]);
        vec![Inset { at, len, rows, first_row }]
    };
    for (insets, is_well) in [
        (inset(2, 3, 1, 2, 1), true),
        (inset(3, 3, 1, 2, 1), false),
        (inset(2, 3, 2, 2, 1), false),
        (inset(2, 3, 1, 2, 2), false),
        (inset(2, 3, 1, 0, 0), false),
        (inset(0, 3, 1, 1, 0), false),
        (inset(2, 3, u32::MAX, u32::MAX, u32::MAX), false),
    ] {
        let mut engine = LlmEngine::new(Box::new(Echo(Vec::new())), 10, 100, 4);
        let work = SeqWork { insets: insets.clone(), ..work(0, &[1, 2, 3], false) };
        let done = engine.execute(&Step { step_idx: 0, work: vec![work] });
        assert_eq!(done.is_ok(), is_well, "{insets:?}");
    }
}
