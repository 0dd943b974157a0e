//! `POST /v1/moderations`: whether texts are harmful, by a classifier that the operator names.
//!
//! Invariant: all of a text is judged, however long: what the model cannot read at once is judged
//! in pieces, and the worst of them counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use engine_core::EncodeInput;
use engine_text::Cut;
use server_api::{ContentPart, Moderation, ModerationInput, ModerationRequest, Moderations};

use super::input::{check_count, empty};
use super::run::{Encoded, rows};
use super::{answer, classify, input, new_id};
use crate::blocking::run_sized;
use crate::json::ApiJson;
use crate::names::place;
use crate::openapi::Refusals;
use crate::served::{Purpose, ServedEncoder};
use crate::{ApiError, AppState, Caller};

/// Bytes of one category in an answer, about.
const BYTES_PER_CATEGORY: usize = 128;
/// What OpenAI's own models for this are called.
const OPENAIS: [&str; 2] = ["omni-moderation-", "text-moderation-"];

/// What judges texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Moderator {
    /// The name of a classifier that is served.
    pub model: String,
    /// A label counts from this score on.
    pub threshold: f32,
    /// Labels that are no harm, such as `neutral`; they are no categories.
    pub harmless: Vec<String>,
}

/// Whether texts are harmful.
#[utoipa::path(post, path = "/v1/moderations", tag = "Classification",
    operation_id = "create_moderation", request_body = ModerationRequest,
    responses((status = 200, description = "What was found", body = Moderations), Refusals))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<ModerationRequest>,
) -> Result<Response, ApiError> {
    let moderator = moderator(&state, request.model.as_deref())?.clone();
    let model = state.encoder_or_only(Some(&moderator.model), Purpose::Classify)?;
    let texts = texts(request.input)?;
    check_count(texts.len(), "input", state.limits())?;
    let num_texts = texts.len();
    if let Some(idx) = texts.iter().position(String::is_empty) {
        return Err(empty(&place("input", idx, num_texts)));
    }
    let (owners, inputs) = pieces(&state, &model, texts).await?;
    let places = input::Places::of("input", inputs.len());
    let Encoded { rows, .. } = rows(&state, &caller, &model, inputs, &places).await?;
    let (labels, activation) = classify::labels(&model)?;
    let mut worst = vec![vec![f32::NEG_INFINITY; labels.len()]; num_texts];
    for (owner, mut row) in owners.into_iter().zip(rows) {
        activation.apply(&mut row);
        worst[owner].iter_mut().zip(row).for_each(|(worst, score)| *worst = worst.max(score));
    }
    let size = num_texts * labels.len() * BYTES_PER_CATEGORY;
    let (id, model) = (new_id("modr"), model.id.clone());
    let body = move || {
        let results = worst.into_iter().map(|scores| judged(&moderator, &labels, scores));
        Moderations { id, model, results: results.collect() }
    };
    answer(&state, size, body).await
}

/// The operator's, if the request names it or one of OpenAI's.
fn moderator<'a>(state: &'a AppState, asked: Option<&str>) -> Result<&'a Moderator, ApiError> {
    let Some(moderator) = state.moderator() else {
        let message = "This server judges no texts: its operator names a classifier for that with \
                       --moderation-model.";
        return Err(ApiError::invalid(Some("model"), message).code("unsupported_model"));
    };
    let is_openais = |asked: &str| OPENAIS.iter().any(|prefix| asked.starts_with(prefix));
    match asked {
        Some(asked) if asked != moderator.model && !is_openais(asked) => {
            // A model that there is may be no classifier, or not the one that judges.
            state.served(asked)?;
            let message = format!(
                "The model `{asked}` is not what judges texts here; that is `{}`.",
                moderator.model
            );
            Err(ApiError::invalid(Some("model"), message).code("unsupported_model"))
        }
        _ => Ok(moderator),
    }
}

fn texts(input: ModerationInput) -> Result<Vec<String>, ApiError> {
    let parts = match input {
        ModerationInput::Texts(texts) => return Ok(texts),
        ModerationInput::Parts(parts) => parts,
    };
    let text = |(idx, part): (usize, ContentPart)| {
        if part.kind != "text" {
            let message = "Only text can be judged.";
            return Err(ApiError::unsupported(&format!("input[{idx}].type"), message));
        }
        part.text.ok_or_else(|| ApiError::missing(&format!("input[{idx}].text")))
    };
    let texts = parts.into_iter().enumerate().map(text).collect::<Result<Vec<_>, _>>()?;
    // Together they are one input.
    Ok(vec![texts.join("\n")])
}

/// Each text in as many pieces as it takes, and whose each piece is.
async fn pieces(
    state: &AppState,
    model: &Arc<ServedEncoder>,
    texts: Vec<String>,
) -> Result<(Vec<usize>, Vec<Arc<EncodeInput>>), ApiError> {
    let size = texts.iter().map(String::len).sum();
    let model = Arc::clone(model);
    let work = move || {
        let (mut owners, mut inputs) = (Vec::new(), Vec::new());
        for (idx, text) in texts.iter().enumerate() {
            let name = place("input", idx, texts.len());
            let tokens = model.text.encode(text, false);
            let tokens = tokens.map_err(|error| ApiError::from_text(&error, &name))?;
            for tokens in windows(&model, &tokens)? {
                let framed = model.text.frame(tokens, None, Cut::default());
                let framed = framed.map_err(|error| ApiError::from_text(&error, &name))?;
                let (tokens, type_ids) = (framed.tokens, framed.type_ids);
                owners.push(idx);
                inputs.push(Arc::new(EncodeInput { tokens, type_ids, ..EncodeInput::default() }));
            }
        }
        Ok((owners, inputs))
    };
    run_sized(state, size, work).await?
}

/// Pieces of tokens that the model can read with what is put around each; one at least.
fn windows<'a>(model: &ServedEncoder, tokens: &'a [u32]) -> Result<Vec<&'a [u32]>, ApiError> {
    let around = model.text.frame(&[], None, Cut::default());
    let around = around.map_err(|error| ApiError::from_text(&error, "model"))?.tokens.len();
    let max = model.info().max_input_len.saturating_sub(around).max(1);
    if tokens.is_empty() { Ok(vec![tokens]) } else { Ok(tokens.chunks(max).collect()) }
}

fn judged(moderator: &Moderator, labels: &[String], scores: Vec<f32>) -> Moderation {
    let harms = labels.iter().zip(scores);
    let harms = harms.filter(|(label, _)| !moderator.harmless.contains(label));
    let category_scores: BTreeMap<String, f32> =
        harms.map(|(label, score)| (label.clone(), score)).collect();
    let is_harm = |(label, score): (&String, &f32)| (label.clone(), *score >= moderator.threshold);
    let categories: BTreeMap<String, bool> = category_scores.iter().map(is_harm).collect();
    let looked_at = categories.keys().map(|label| (label.clone(), vec!["text".to_owned()]));
    Moderation {
        flagged: categories.values().any(|is_harm| *is_harm),
        category_applied_input_types: looked_at.collect(),
        categories,
        category_scores,
    }
}
