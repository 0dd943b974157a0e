//! Submits what an encoder is to read, and waits for its rows, for the request's cancel and for
//! its deadline.
//!
//! Invariant: whichever comes first ends the wait, and the rest is taken out of the queue.

use std::future::poll_fn;
use std::sync::Arc;

use engine_core::EncodeInput;
use scheduler_batching::{EncodeRefusal, InvalidInput, SubmitError};
use server_api::InputUsage;
use server_metering::{Ending, Meter, Usage};

use super::input::{Asked, Places};
use super::tokens::tokens;
use crate::meter::{self, Wanted};
use crate::served::ServedEncoder;
use crate::ticket::Life;
use crate::{ApiError, AppState, Caller};

/// What came back.
pub(super) struct Encoded {
    /// One for each input, in order.
    pub(super) rows: Vec<Vec<f32>>,
    pub(super) usage: InputUsage,
}

/// The rows of all that is asked.
pub(super) async fn encode(
    state: &AppState,
    caller: &Caller,
    model: &Arc<ServedEncoder>,
    asked: Asked,
) -> Result<Encoded, ApiError> {
    let places = asked.places;
    let inputs = tokens(state, model, asked).await?;
    rows(state, caller, model, inputs, &places).await
}

/// The rows of what is tokens already.
pub(super) async fn rows(
    state: &AppState,
    caller: &Caller,
    model: &ServedEncoder,
    inputs: Vec<Arc<EncodeInput>>,
    places: &Places,
) -> Result<Encoded, ApiError> {
    let mut life = Life::of_current(None);
    life.check()?;
    let num_tokens = inputs.iter().map(|input| input.tokens.len() as u64).sum();
    let usage = InputUsage { prompt_tokens: num_tokens, total_tokens: num_tokens };
    let used = Usage::NONE.with(Meter::EmbeddingTokens, num_tokens);
    let wanted = Wanted::to_read(caller, (&model.id, &model.version), used);
    let mut metered = meter::admit(state, wanted).await?;
    let submitted = model.handle.submit(&caller.tenant, inputs);
    let mut rows = submitted.map_err(|refusal| refused(refusal, places))?;
    let (answer, used, ending) = tokio::select! {
        biased;
        error = poll_fn(|cx| life.poll_over(cx)) => (Err(error), Usage::NONE, Ending::Cancelled),
        answer = &mut rows => match answer {
            Ok(rows) => (Ok(rows), used, Ending::Finished),
            Err(error) => {
                let error = ApiError::from_request(&error, places.rest.0);
                (Err(error), Usage::NONE, Ending::Failed)
            }
        }
    };
    metered.computing(rows.began());
    // What is not awaited any more leaves the queue.
    drop(rows);
    metered.settle(used, ending);
    metered.settled().await;
    Ok(Encoded { rows: answer?, usage })
}

fn refused(refusal: EncodeRefusal, places: &Places) -> ApiError {
    let (index, problem) = match refusal {
        EncodeRefusal::QueueFull { waiting, retry_after_s } => {
            let message = format!("The queue is full: {waiting} inputs are waiting. Retry later.");
            return ApiError::unavailable("queue_full", message, retry_after_s);
        }
        EncodeRefusal::ShuttingDown => {
            return ApiError::from_submit(SubmitError::ShuttingDown, places.rest.0);
        }
        EncodeRefusal::Invalid { index, problem } => (index, problem),
    };
    let name = places.name(index);
    match problem {
        InvalidInput::Empty => super::input::empty(&name),
        InvalidInput::TooLong { tokens, max } => {
            let max = u32::try_from(max).unwrap_or(u32::MAX);
            let message = format!(
                "This model's maximum context length is {max} tokens. However, '{name}' has \
                 {tokens} tokens. Please reduce its length, or have it cut."
            );
            ApiError::invalid(Some(&name), message).code("context_length_exceeded")
        }
        InvalidInput::UnknownToken { token, vocab_size } => {
            let message = format!("Token id {token} is outside the vocabulary of {vocab_size}.");
            ApiError::invalid(Some(&name), message)
        }
        InvalidInput::Types { .. } => ApiError::internal(),
    }
}
