//! `POST /rerank` with `texts`.

use axum::response::Response;
use server_api::{Rank, TeiRerankRequest};

use crate::encoding::answer;
use crate::encoding::input::{check_count, empty, tei_cut};
use crate::encoding::scores::{Pairs, ranked, scores};
use crate::served::Purpose;
use crate::{ApiError, AppState, Caller};

/// Texts, the best first; the route is shared, so errors are shaped here.
pub(crate) async fn rerank(
    state: &AppState,
    caller: &Caller,
    request: Result<TeiRerankRequest, ApiError>,
) -> Response {
    let answer = match request {
        Ok(request) => ranks(state, caller, request).await,
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(super::error)
}

async fn ranks(
    state: &AppState,
    caller: &Caller,
    request: TeiRerankRequest,
) -> Result<Response, ApiError> {
    let model = state.encoder_or_only(request.model.as_deref(), Purpose::Score)?;
    check_count(request.texts.len(), "texts", state.limits())?;
    if request.query.is_empty() {
        return Err(empty("query"));
    }
    let mut texts = match request.return_text.unwrap_or(false) {
        true => request.texts.iter().cloned().map(Some).collect(),
        false => vec![None; request.texts.len()],
    };
    let pairs = Pairs {
        first: vec![request.query],
        second: request.texts,
        fields: ["query", "texts"],
        cut: tei_cut(&model, request.truncate, request.truncation_direction),
        fit_second: false,
        activate: !request.raw_scores.unwrap_or(false),
    };
    let (scores, _) = scores(state, caller, &model, pairs).await?;
    let rank = |index: usize| Rank { index, text: texts[index].take(), score: scores[index] };
    let ranks: Vec<Rank> = ranked(&scores).into_iter().map(rank).collect();
    let size = ranks.iter().map(|rank| 32 + rank.text.as_ref().map_or(0, String::len)).sum();
    answer(state, size, move || ranks).await
}
