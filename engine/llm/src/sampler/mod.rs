//! From one row of logits to a token and its log-probabilities.
//!
//! Invariant: the outcome is a function of the logits and [`Sample`] alone; nothing is kept
//! between steps, so the same seed gives the same text whatever else runs in the batch, and a
//! preempted sequence goes on as if nothing had happened.

mod draw;
mod logprobs;
mod processors;
mod survey;

use std::cell::RefCell;

use engine_core::{GrammarError, NoMask, Sample, Sampled, TokenId};

use self::survey::Survey;

pub use logprobs::token_logprobs;

thread_local! {
    /// Memory that the rows of a thread share, so that none is taken for each token. Nothing in
    /// it outlives a row.
    static SURVEY: RefCell<Survey> = RefCell::default();
}

/// The model gave logits of which nothing can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model gave logits that are not numbers")]
pub struct NotFinite;

/// Why no token could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The fault is the model's.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The fault is the grammar's.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// What the grammar allows is not known in time; it may be later.
    #[error("{}", NoMask::Late)]
    Late,
}

impl From<NoMask> for SampleError {
    fn from(error: NoMask) -> Self {
        match error {
            NoMask::Late => Self::Late,
            NoMask::Failed(error) => Self::Grammar(error),
        }
    }
}

/// Chooses the next token. `logits` (one row, `vocab_size` long) is scratch afterwards.
///
/// The order is the usual one: log-probabilities of the plain distribution first; then bias,
/// bans, penalties, the grammar's mask, temperature, `min_p`, `top_k`, `top_p`, and the draw.
///
/// # Errors
/// [`NotFinite`] if there is a NaN, or no finite logit at all, or none is left by the request's
/// bias and bans; what the grammar says if it fails, is late, or nothing may follow.
pub fn sample(logits: &mut [f32], request: &Sample) -> Result<Sampled, SampleError> {
    let params = &*request.params;
    // Kept before anything is changed; most requests do not ask for it.
    let plain = params.logprobs.map(|_| logits.to_vec());
    let token = SURVEY.with_borrow_mut(|survey| -> Result<TokenId, SampleError> {
        survey.take(logits)?;
        if processors::apply(logits, request) {
            survey.take(logits)?;
        }
        if let Some(mask) = &request.mask {
            mask.wait()?.apply(logits);
            let nothing_left = |NotFinite| GrammarError("no token may follow".to_owned());
            survey.take(logits).map_err(nothing_left)?;
        }
        Ok(if params.temperature <= 0.0 {
            survey.argmax(logits)
        } else {
            let u = draw::uniform(request.seed, request.num_generated);
            draw::draw(survey, logits, params, u)
        })
    })?;
    let logprobs =
        plain.zip(params.logprobs).map(|(plain, num_top)| token_logprobs(&plain, token, num_top));
    Ok(Sampled { token, logprobs })
}

/// Whether a row of logits is a distribution at all.
///
/// # Errors
/// [`NotFinite`] if there is a NaN, or no finite logit at all.
pub fn check_row(logits: &[f32]) -> Result<(), NotFinite> {
    SURVEY.with_borrow_mut(|survey| survey.take(logits))
}

/// Candidates by falling logit, equals by rising id: the one order used everywhere.
fn by_rank(a: &(TokenId, f32), b: &(TokenId, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine_core::SamplingParams;

    use super::*;

    fn request(params: SamplingParams) -> Sample {
        Sample {
            params: Arc::new(params),
            seed: 3,
            num_generated: 0,
            min_tokens: 0,
            banned: Arc::new([]),
            history: None,
            mask: None,
        }
    }

    #[test]
    fn greedy_takes_the_first_of_equals_and_reports_plain_probabilities() {
        let params = SamplingParams {
            temperature: 0.0,
            logprobs: Some(2),
            logit_bias: vec![(0, 50.0)],
            ..Default::default()
        };
        let sampled = sample(&mut [1.0, 3.0, 3.0], &request(params)).expect("finite");
        assert_eq!(sampled.token, 0, "the bias decides");
        let logprobs = sampled.logprobs.expect("asked for");
        assert_eq!(logprobs.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2]);
        let total = 1_f32.exp() + 2.0 * 3_f32.exp();
        assert!((logprobs.logprob - (1.0 - total.ln())).abs() < 1e-5, "before the bias");
        let params = SamplingParams { temperature: 0.0, ..Default::default() };
        let sampled = sample(&mut [1.0, 3.0, 3.0], &request(params)).expect("finite");
        assert_eq!((sampled.token, sampled.logprobs), (1, None));
    }

    #[test]
    fn logits_that_are_no_numbers_are_an_error() {
        for mut logits in [vec![1.0, f32::NAN], vec![f32::NEG_INFINITY; 3], vec![f32::INFINITY]] {
            let request = request(SamplingParams::default());
            assert_eq!(sample(&mut logits, &request), Err(NotFinite.into()), "{logits:?}");
        }
    }
}
