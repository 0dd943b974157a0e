//! Perplexity: how well a model predicts a text it is shown.
//!
//! Invariant: the tokens scored and the context each is given are those of llama.cpp's
//! `llama-perplexity`, so that the numbers can be compared: the text is cut into chunks of
//! `context` tokens, each starts from an empty cache (its first token replaced by the model's
//! beginning of text, if it has one), and the tokens after the first half are scored.

use engine_core::{BlockTable, Engine, EngineError, Score, SeqId, SeqWork, Step, TokenId, Want};

/// The shortest context in which a token is scored.
const MIN_CONTEXT: usize = 3;

/// What to score, and how.
#[derive(Clone, Copy, Debug)]
pub struct ScoredText<'a> {
    /// The whole text.
    pub tokens: &'a [TokenId],
    /// Tokens per chunk; what is left over at the end is not scored.
    pub context: usize,
    /// The token that the model puts before a text; takes the place of each chunk's first.
    pub bos: Option<TokenId>,
    /// At most so many chunks, from the start.
    pub max_chunks: usize,
}

/// Negative log-likelihoods (natural logarithm) over the tokens scored so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Perplexity {
    /// Chunks done.
    pub num_chunks: usize,
    /// Tokens scored.
    pub num_tokens: usize,
    /// Sum over those tokens.
    pub nll: f64,
    /// Sum of squares.
    pub nll_squared: f64,
}

/// Why a text could not be scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PerplexityError {
    /// Nothing could be scored in such chunks.
    #[error("a context of {context} tokens is too short; the least is {MIN_CONTEXT}")]
    ContextTooShort {
        /// Tokens asked for.
        context: usize,
    },
    /// Such a chunk does not fit.
    #[error("a context of {context} tokens is over the {max} that the model and its cache hold")]
    ContextTooLong {
        /// Tokens asked for.
        context: usize,
        /// Tokens that fit.
        max: usize,
    },
    /// Not even one chunk.
    #[error("the text has {num_tokens} tokens, less than one context of {context}")]
    TextTooShort {
        /// Tokens of the text.
        num_tokens: usize,
        /// Tokens of a chunk.
        context: usize,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl ScoredText<'_> {
    /// How many chunks there are to score with `engine`.
    ///
    /// # Errors
    /// If there are none, or a chunk does not fit the engine.
    pub fn num_chunks(&self, engine: &dyn Engine) -> Result<usize, PerplexityError> {
        let (context, num_tokens) = (self.context, self.tokens.len());
        let max = engine.limits().max_sequence_len() as usize;
        if context < MIN_CONTEXT {
            return Err(PerplexityError::ContextTooShort { context });
        }
        if context > max {
            return Err(PerplexityError::ContextTooLong { context, max });
        }
        if num_tokens < context {
            return Err(PerplexityError::TextTooShort { num_tokens, context });
        }
        Ok((num_tokens / context).min(self.max_chunks))
    }
}

impl Perplexity {
    /// Scores `text`; `each` is told the state after every chunk.
    ///
    /// # Errors
    /// [`PerplexityError`]: the text or its context does not fit, or the engine failed.
    pub fn of(
        engine: &mut dyn Engine,
        text: &ScoredText<'_>,
        mut each: impl FnMut(&Self),
    ) -> Result<Self, PerplexityError> {
        let num_chunks = text.num_chunks(engine)?;
        let mut state = Self::default();
        for chunk in text.tokens.chunks_exact(text.context).take(num_chunks) {
            let mut chunk = chunk.to_vec();
            chunk[0] = text.bos.unwrap_or(chunk[0]);
            for logprob in score_chunk(engine, &chunk)? {
                let nll = -f64::from(logprob);
                state.num_tokens += 1;
                state.nll += nll;
                state.nll_squared += nll * nll;
            }
            state.num_chunks += 1;
            each(&state);
        }
        Ok(state)
    }

    /// Mean negative log-likelihood per token, in nats.
    pub fn mean(&self) -> f64 {
        self.nll / self.num_tokens as f64
    }

    /// The perplexity: the exponential of the mean.
    pub fn value(&self) -> f64 {
        self.mean().exp()
    }

    /// The standard error of [`value`](Self::value), tokens taken as independent.
    pub fn error(&self) -> f64 {
        let variance = self.nll_squared / self.num_tokens as f64 - self.mean() * self.mean();
        self.value() * (variance.max(0.0) / (self.num_tokens as f64 - 1.0).max(1.0)).sqrt()
    }
}

/// Log-probabilities of the tokens after the first of the second half.
fn score_chunk(engine: &mut dyn Engine, chunk: &[TokenId]) -> Result<Vec<f32>, EngineError> {
    let limits = engine.limits();
    let block_table = BlockTable::alone(&limits, chunk.len() as u32);
    // Nothing follows the last token: it is a target only.
    let (half, last) = (chunk.len() / 2, chunk.len() - 1);
    let (mut from, mut logprobs) = (0, Vec::with_capacity(last - half));
    while from < last {
        let part_end = if from < half { half } else { last };
        let end = part_end.min(from + limits.max_step_tokens as usize);
        let targets = chunk[from + 1..=end].to_vec();
        let work = SeqWork {
            seq: SeqId(0),
            adapter: None,
            input: chunk[from..end].to_vec(),
            insets: Vec::new(),
            num_drafts: 0,
            num_cached_tokens: from as u32,
            block_table: block_table.clone(),
            want: Want::Nothing,
            score: (from >= half).then_some(Score { targets, num_top: 0 }),
        };
        let output = engine.execute(&Step { step_idx: 0, work: vec![work] })?;
        for output in output.outputs {
            output.error.map_or(Ok(()), Err)?;
            logprobs.extend(output.scores.iter().map(|score| score.logprob));
        }
        from = end;
    }
    Ok(logprobs)
}

#[cfg(test)]
mod tests {
    use engine_core::{CacheGroups, EngineLimits, SeqOutput, StepOutput, TokenLogprobs};

    use super::*;

    /// Gives the token that follows position `p` the log-probability `−p`, and remembers what
    /// was computed.
    #[derive(Default)]
    struct Ramp {
        computed: Vec<(usize, Vec<TokenId>)>,
    }

    impl Engine for Ramp {
        fn limits(&self) -> EngineLimits {
            EngineLimits {
                block_size: 4,
                num_blocks: 3,
                max_model_len: 11,
                max_step_tokens: 3,
                max_step_seqs: 1,
                vocab_size: 100,
                groups: CacheGroups::WHOLE,
            }
        }

        fn execute(&mut self, step: &Step) -> Result<StepOutput, EngineError> {
            let work = &step.work[0];
            assert!(work.block_table.0.len() * 4 >= work.num_cached_tokens as usize + 3);
            self.computed.push((work.num_cached_tokens as usize, work.input.clone()));
            let targets = work.score.iter().flat_map(|score| &score.targets);
            let scores = targets.zip(work.num_cached_tokens..).map(|(token, position)| {
                TokenLogprobs { token: *token, logprob: -(position as f32), top: Vec::new() }
            });
            let scores = scores.collect();
            let (sampled, is_late, error) = (Vec::new(), false, None);
            let output = SeqOutput { seq: work.seq, sampled, is_late, scores, error };
            Ok(StepOutput { outputs: vec![output] })
        }
    }

    const TOKENS: [TokenId; 27] = {
        let mut tokens = [0; 27];
        let mut i = 0;
        while i < 27 {
            tokens[i] = i as u32;
            i += 1;
        }
        tokens
    };

    fn text(context: usize) -> ScoredText<'static> {
        ScoredText { tokens: &TOKENS, context, bos: Some(99), max_chunks: usize::MAX }
    }

    #[test]
    fn the_second_half_of_each_chunk_is_scored() {
        let (mut engine, mut told) = (Ramp::default(), Vec::new());
        let got = Perplexity::of(&mut engine, &text(10), |state| told.push(*state)).unwrap();
        // Positions 5 to 8 of either chunk predict the tokens after them; 7 tokens are left over.
        assert_eq!((got.num_chunks, got.num_tokens), (2, 8));
        assert_eq!((got.nll, got.nll_squared), (2.0 * 26.0, 2.0 * (25.0 + 36.0 + 49.0 + 64.0)));
        assert_eq!(got.value(), 6.5_f64.exp());
        assert!((got.error() - got.value() * (1.25_f64 / 7.0).sqrt()).abs() < 1e-9);
        assert_eq!((told[0].num_tokens, told[1]), (4, got));
        let first_chunk = [(0, vec![99, 1, 2]), (3, vec![3, 4]), (5, vec![5, 6, 7]), (8, vec![8])];
        assert_eq!(engine.computed[..4], first_chunk);
        assert_eq!(engine.computed[4], (0, vec![99, 11, 12]));
    }

    #[test]
    fn fewer_chunks_and_no_beginning_of_text() {
        let mut engine = Ramp::default();
        let text = ScoredText { bos: None, max_chunks: 1, ..text(3) };
        let got = Perplexity::of(&mut engine, &text, |_| ()).unwrap();
        assert_eq!((got.num_chunks, got.num_tokens, got.nll), (1, 1, 1.0));
        assert_eq!(got.error(), 0.0);
        assert_eq!(engine.computed, [(0, vec![0]), (1, vec![1])]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |context, tokens| {
            let text = ScoredText { tokens, ..text(context) };
            Perplexity::of(&mut Ramp::default(), &text, |_| ()).unwrap_err()
        };
        assert_eq!(refused(2, &TOKENS), PerplexityError::ContextTooShort { context: 2 });
        let too_long = PerplexityError::ContextTooLong { context: 12, max: 11 };
        assert_eq!(refused(12, &TOKENS), too_long);
        let too_short = PerplexityError::TextTooShort { num_tokens: 9, context: 10 };
        assert_eq!(refused(10, &TOKENS[..9]), too_short);
    }
}
