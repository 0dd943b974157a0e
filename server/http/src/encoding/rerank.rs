//! `POST /rerank`, `/v1/rerank` and `/v2/rerank`: documents, the best first.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde::de::IgnoredAny;
use server_api::{
    ApiVersion, BilledUnits, ErrorBody, Rank, Ranked, RankedDocument, Ranking, RankingMeta,
    RerankRequest, TeiError, TeiRerankRequest,
};
use utoipa::ToSchema;

use super::input::{check_count, cut, empty};
use super::scores::{Pairs, ranked, scores};
use super::{answer, new_id, tei};
use crate::json::{ApiJson, FromJson, parse};
use crate::openapi::Refusals;
use crate::served::Purpose;
use crate::{ApiError, AppState, Caller, HttpLimits};

/// Cohere's default of `max_tokens_per_doc`, on its route.
const COHERES_TOKENS_PER_DOC: usize = 4096;

/// What `/rerank` takes: text-embeddings-inference has the route, too.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used; the body is parsed by the form it has")]
pub(crate) enum RerankForms {
    Documents(RerankRequest),
    Texts(TeiRerankRequest),
}

/// What `/rerank` answers.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) enum RankingForms {
    Documents(Ranking),
    Texts(Vec<Rank>),
}

/// What `/rerank` answers instead.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used; `ApiError` writes the answers")]
pub(crate) enum RefusalForms {
    Documents(ErrorBody),
    Texts(TeiError),
}

/// What came, parsed. An error in the other API's form is told in its shape.
pub(crate) enum Forms {
    Documents(RerankRequest),
    Texts(Result<TeiRerankRequest, ApiError>),
}

#[derive(Deserialize)]
struct Fields {
    documents: Option<IgnoredAny>,
    texts: Option<IgnoredAny>,
}

impl FromJson for Forms {
    fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        let fields: Fields = parse(json)?;
        match (fields.documents, fields.texts) {
            (None, Some(_)) => Ok(Self::Texts(parse(json))),
            _ => Ok(Self::Documents(parse(json)?)),
        }
    }
}

/// Documents, the best first: vLLM's route, and with `texts` in place of `documents`
/// text-embeddings-inference's.
#[utoipa::path(post, path = "/rerank", tag = "Ranking", operation_id = "rerank",
    request_body = RerankForms,
    responses((status = 200, description = "The documents, or the texts", body = RankingForms),
        (status = "4XX", description = "The request is at fault", body = RefusalForms),
        (status = "5XX", description = "The server is", body = RefusalForms)))]
pub(crate) async fn either(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<Forms>,
) -> Result<Response, ApiError> {
    match request {
        Forms::Documents(request) => rerank(&state, &caller, request, 1).await,
        Forms::Texts(request) => Ok(tei::rank::rerank(&state, &caller, request).await),
    }
}

/// Documents, the best first: Jina's route, and Cohere's first.
#[utoipa::path(post, path = "/v1/rerank", tag = "Ranking", operation_id = "rerank_v1",
    request_body = RerankRequest,
    responses((status = 200, description = "The documents", body = Ranking), Refusals))]
pub(crate) async fn v1(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<RerankRequest>,
) -> Result<Response, ApiError> {
    rerank(&state, &caller, request, 1).await
}

/// Documents, the best first: Cohere's second route, whose answers repeat no document unasked.
#[utoipa::path(post, path = "/v2/rerank", tag = "Ranking", operation_id = "rerank_v2",
    request_body = RerankRequest,
    responses((status = 200, description = "The documents", body = Ranking), Refusals))]
pub(crate) async fn v2(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    ApiJson(request, _): ApiJson<RerankRequest>,
) -> Result<Response, ApiError> {
    rerank(&state, &caller, request, 2).await
}

/// By the version of Cohere's API; the first is Jina's and vLLM's, too.
async fn rerank(
    state: &AppState,
    caller: &Caller,
    request: RerankRequest,
    version: u32,
) -> Result<Response, ApiError> {
    let model = state.encoder_or_only(request.model.as_deref(), Purpose::Score)?;
    check_texts(&request, state.limits())?;
    let is_coheres_alone = version == 2;
    let top_n = at_least_one("top_n", request.top_n)?.unwrap_or(usize::MAX);
    let truncates = request.truncation.unwrap_or(true);
    let mut cut = cut(&model, request.truncate_prompt_tokens, request.truncation_side)?;
    cut.max_second = at_least_one("max_tokens_per_doc", request.max_tokens_per_doc)?
        .or((truncates && is_coheres_alone).then_some(COHERES_TOKENS_PER_DOC));
    let returned = request.return_documents.unwrap_or(!is_coheres_alone);
    let texts = request.documents.iter().map(|document| document.text.clone()).collect();
    let pairs = Pairs {
        first: vec![request.query],
        second: texts,
        fields: ["query", "documents"],
        cut,
        // Of both together vLLM cuts the longer one.
        fit_second: truncates && request.truncate_prompt_tokens.is_none(),
        activate: request.use_activation.unwrap_or(true),
    };
    let (scores, usage) = scores(state, caller, &model, pairs).await?;
    let mut documents = request.documents;
    let best: Vec<Ranked> = ranked(&scores)
        .into_iter()
        .take(top_n)
        .map(|index| Ranked {
            index,
            relevance_score: scores[index],
            document: returned.then(|| std::mem::take(&mut documents[index])),
        })
        .collect();
    let size = best.iter().map(|ranked| 64 + text_len(ranked.document.as_ref())).sum();
    let (id, model) = (new_id("rerank"), model.id.clone());
    let meta = RankingMeta {
        api_version: ApiVersion { version: version.to_string() },
        billed_units: BilledUnits { search_units: 1 },
    };
    answer(state, size, move || Ranking { id, model, results: best, usage, meta }).await
}

fn text_len(document: Option<&RankedDocument>) -> usize {
    document.map_or(0, |document| document.text.len())
}

/// Refuses what there is nothing to rank of, or by.
fn check_texts(request: &RerankRequest, limits: &HttpLimits) -> Result<(), ApiError> {
    check_count(request.documents.len(), "documents", limits)?;
    if request.query.is_empty() {
        return Err(empty("query"));
    }
    // An empty one among others is ranked, as Cohere does; a list of nothing else is a mistake.
    match request.documents.iter().all(|document| document.text.trim().is_empty()) {
        true => {
            let message = "'documents' must not be only empty strings or whitespace.";
            Err(ApiError::invalid(Some("documents"), message))
        }
        false => Ok(()),
    }
}

/// A count, if it is there.
fn at_least_one(name: &str, count: Option<i64>) -> Result<Option<usize>, ApiError> {
    let Some(count) = count else { return Ok(None) };
    match usize::try_from(count).ok().filter(|count| *count > 0) {
        Some(count) => Ok(Some(count)),
        None => {
            let message = format!("'{name}' must be at least 1.");
            Err(ApiError::invalid(Some(name), message))
        }
    }
}
