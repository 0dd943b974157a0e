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
use crate::{ApiError, AppState, Caller};

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
        Forms::Documents(request) => rerank(&state, &caller, request, (1, true)).await,
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
    rerank(&state, &caller, request, (1, true)).await
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
    rerank(&state, &caller, request, (2, false)).await
}

async fn rerank(
    state: &AppState,
    caller: &Caller,
    request: RerankRequest,
    (version, returns_documents): (u32, bool),
) -> Result<Response, ApiError> {
    let model = state.encoder_or_only(request.model.as_deref(), Purpose::Score)?;
    check_count(request.documents.len(), "documents", state.limits())?;
    if request.query.is_empty() {
        return Err(empty("query"));
    }
    let top_n = match at_least("top_n", request.top_n, 0)? {
        None | Some(0) => usize::MAX,
        Some(top_n) => top_n,
    };
    let mut cut = cut(&model, request.truncate_prompt_tokens, request.truncation_side)?;
    cut.max_second = at_least("max_tokens_per_doc", request.max_tokens_per_doc, 1)?;
    let returned = request.return_documents.unwrap_or(returns_documents);
    let texts = request.documents.iter().map(|document| document.text.clone()).collect();
    let pairs = Pairs {
        first: vec![request.query],
        second: texts,
        fields: ["query", "documents"],
        cut,
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

/// A count, if it is there.
fn at_least(name: &str, count: Option<i64>, min: usize) -> Result<Option<usize>, ApiError> {
    let Some(count) = count else { return Ok(None) };
    match usize::try_from(count).ok().filter(|count| *count >= min) {
        Some(count) => Ok(Some(count)),
        None => {
            let message = format!("'{name}' must be at least {min}.");
            Err(ApiError::invalid(Some(name), message))
        }
    }
}
