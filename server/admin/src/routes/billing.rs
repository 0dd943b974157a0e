//! `/api/v1/organization/usage`, its lines as a file, prices, and `/api/v1/cost_estimate`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use server_accounts::{Allowed, may};
use server_http::ApiError;
use server_metering::{
    Clock, IdError, Meter, ModelId, OrganizationId, PriceError, SystemClock, Tier, Usage,
};
use server_store::{PriceFilter, UsageFilter, UsageQuery};

use crate::Admin;
use crate::body::Body;
use crate::buckets::times;
use crate::export::{Format, file};
use crate::list::ListOf;
use crate::openapi::Refusals;
use crate::params::{OfMoreParams, OfParams, TimeParams};
use crate::query::Query;
use crate::who::Asker;
use crate::wire::billing::{Estimate, EstimateRequest, PriceObject, UsageSum};
use crate::wire::line::LedgerRow;

/// Unix milliseconds.
fn now_ms() -> i64 {
    i64::try_from(SystemClock.utc().0).unwrap_or(i64::MAX)
}

/// Units of a meter that a cost is estimated of: a thousand million million.
const MAX_UNITS: u64 = 1_000_000_000_000_000;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/api/v1/organization/usage", get(usage))
        .route("/api/v1/organization/usage/export", get(export))
        .route("/api/v1/organization/prices", get(prices))
        .route("/api/v1/cost_estimate", post(estimate))
}

/// What was used in a time in all, and what it cost.
#[utoipa::path(get, path = "/api/v1/organization/usage", tag = "Usage",
    operation_id = "usage_total",
    params(TimeParams, OfParams, OfMoreParams),
    responses((status = 200, description = "It", body = UsageSum), Refusals))]
pub(crate) async fn usage(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<UsageSum>, ApiError> {
    let times = times(&query)?;
    let total = admin.store.usage(&asker.may()?, &asked(&query, times)?).await?;
    Ok(Json(UsageSum::new(times, &total, admin.store.currency().await?.code())))
}

/// Each request of a time that was billed, in the order they ended in, as a file.
#[utoipa::path(get, path = "/api/v1/organization/usage/export", tag = "Usage",
    operation_id = "export_usage",
    params(TimeParams, OfParams, OfMoreParams,
        ("format" = Option<String>, Query, description = "`csv` or `jsonl` (the default)")),
    responses((status = 200, description = "The file", body = LedgerRow,
        content_type = "application/jsonl"), Refusals))]
pub(crate) async fn export(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Response, ApiError> {
    let (format, wanted) = (Format::asked(&query)?, asked(&query, times(&query)?)?);
    let allowed: Allowed<may::ReadUsage> = asker.may()?;
    file(format, move |page| {
        let (store, allowed, wanted) = (admin.store.clone(), allowed.clone(), wanted.clone());
        async move {
            let page = store.ledger_lines(&allowed, &wanted, &page).await?;
            Ok(LedgerRow::page(page))
        }
    })
    .await
}

/// Which usage of a time is asked for.
fn asked(query: &Query, (since, until): (i64, i64)) -> Result<UsageQuery, ApiError> {
    let filter = UsageFilter {
        projects: query.texts("project_ids")?,
        keys: query.texts("api_key_ids")?,
        models: query.texts("models")?,
        endpoints: query.texts("endpoints")?,
        tags: query.texts("tags")?,
        tiers: query.texts("tiers")?,
        users: query.texts("user_ids")?,
    };
    Ok(UsageQuery { since: since * 1000, until: until * 1000, filter })
}

/// The prices that hold for the organization: its own and everybody's.
#[utoipa::path(get, path = "/api/v1/organization/prices", tag = "Usage",
    operation_id = "list_prices",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("after" = Option<String>, Query), ("model" = Option<String>, Query),
        ("tier" = Option<String>, Query),
        ("include_all" = Option<bool>, Query,
            description = "Those of the past and the future, too")),
    responses((status = 200, description = "A page of them", body = ListOf<PriceObject>),
        Refusals))]
pub(crate) async fn prices(
    State(admin): State<Admin>,
    asker: Asker,
    query: Query,
) -> Result<Json<ListOf<PriceObject>>, ApiError> {
    let paging = query.paging(false)?;
    let filter = PriceFilter {
        model: query.text("model").map(str::to_owned),
        tier: query.text("tier").map(str::to_owned),
        at: (!query.is_set("include_all")?).then(now_ms),
    };
    let page = admin.store.prices(&asker.may()?, &filter, &paging.page).await?;
    let currency = admin.store.currency().await?;
    Ok(ListOf::page(page, &paging, |price| PriceObject::new(price, currency.code())))
}

/// What a usage would cost the organization now, after what it used in this period.
#[utoipa::path(post, path = "/api/v1/cost_estimate", tag = "Usage",
    operation_id = "cost_estimate", request_body = EstimateRequest,
    responses((status = 200, description = "It", body = Estimate), Refusals))]
pub(crate) async fn estimate(
    State(admin): State<Admin>,
    asker: Asker,
    Body(request): Body<EstimateRequest>,
) -> Result<Json<Estimate>, ApiError> {
    let _: Allowed<may::ReadPrices> = asker.may()?;
    let Some(meters) = &admin.meters else {
        let message = "This server counts no usage, and has no prices.";
        return Err(ApiError::refused(StatusCode::NOT_FOUND, "not_metered", message));
    };
    let tier = request.tier.unwrap_or_else(|| Tier::STANDARD.to_owned());
    let named = |name: &'static str| {
        move |error: IdError| ApiError::invalid(Some(name), format!("{error}."))
    };
    let model_id = ModelId::new(&request.model).map_err(named("model"))?;
    let tier_id = Tier::new(&tier).map_err(named("tier"))?;
    if !Tier::ALL.contains(&&*tier) {
        let message = format!("Invalid 'tier': give one of {}.", Tier::ALL.join(", "));
        return Err(ApiError::invalid(Some("tier"), message));
    }
    let organization = OrganizationId::new(asker.organization());
    let organization = organization.map_err(|_| ApiError::internal())?;
    let mut usage = Usage::NONE;
    for (name, units) in &request.usage {
        let meter: Meter =
            name.parse().map_err(|error| ApiError::invalid(Some("usage"), format!("{error}.")))?;
        if *units > MAX_UNITS {
            let message = format!("Invalid 'usage': {name} is at most {MAX_UNITS}.");
            return Err(ApiError::invalid(Some("usage"), message));
        }
        usage = usage.with(meter, *units);
    }
    meters.refresh(&organization).await.map_err(|error| {
        tracing::error!(%error, "what was used of models cannot be read");
        ApiError::internal()
    })?;
    let quote = meters.quote(&organization, (&model_id, &tier_id), usage);
    let quote = quote.map_err(|error: PriceError| {
        ApiError::refused(StatusCode::NOT_FOUND, "not_priced", format!("{error}."))
    })?;
    if quote.exact.round_up().is_none() {
        let message = "This would cost more than an amount can be: ask for less 'usage'.";
        return Err(ApiError::invalid(Some("usage"), message));
    }
    let currency = admin.store.currency().await?;
    Ok(Json(Estimate::new((request.model, tier), &quote, currency.code())))
}
