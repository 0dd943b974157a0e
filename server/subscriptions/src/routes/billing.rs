//! `/api/v1/organization/billing`: the plan, what is owed, and links to Stripe's pages.

use axum::extract::{Request, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use server_accounts::{Allowed, Demand, may};
use server_admin::{Asker, Refusals};
use server_api::ErrorBody;
use server_billing::{BillingError, CustomerDetails, ReturnUrls};
use server_http::{ApiError, AuthError, read_json};
use server_metering::OrganizationId;

use crate::Subscriptions;
use crate::error::told;
use crate::store;
use crate::wire::{
    BillingBody, BillingObject, CheckoutBody, InvoiceObject, LinkObject, NoticeObject,
};

const MAX_BODY_BYTES: usize = 16 << 10;
const NUM_INVOICES: u32 = 20;
const NUM_NOTICES: i64 = 20;

pub(super) fn routes() -> Router<Subscriptions> {
    Router::new()
        .route("/api/v1/organization/billing", get(retrieve).post(update))
        .route("/api/v1/organization/billing/checkout", post(checkout))
        .route("/api/v1/organization/billing/portal", post(portal))
}

/// The plan, how the subscription stands, and the newest invoices.
#[utoipa::path(get, path = "/api/v1/organization/billing", tag = "Billing",
    operation_id = "retrieve_billing",
    responses((status = 200, description = "It", body = BillingObject), Refusals))]
pub(crate) async fn retrieve(
    State(subscriptions): State<Subscriptions>,
    asker: Asker,
) -> Result<Json<BillingObject>, ApiError> {
    let allowed: Allowed<may::ReadBilling> = asker.may()?;
    Ok(Json(shown(&subscriptions, &allowed).await?))
}

/// Says where letters about invoices go, beside the owners.
#[utoipa::path(post, path = "/api/v1/organization/billing", tag = "Billing",
    operation_id = "update_billing", request_body = BillingBody,
    responses((status = 200, description = "As it is now", body = BillingObject), Refusals))]
pub(crate) async fn update(
    State(subscriptions): State<Subscriptions>,
    asker: Asker,
    request: Request,
) -> Result<Json<BillingObject>, ApiError> {
    let allowed: Allowed<may::WriteBilling> = asker.may()?;
    let BillingBody { email } = read_json(request, MAX_BODY_BYTES).await?;
    subscriptions.store().set_billing_email(&allowed, email.as_deref()).await?;
    let read = by_server(&organization(&allowed)?)?;
    Ok(Json(shown(&subscriptions, &read).await?))
}

async fn shown(
    subscriptions: &Subscriptions,
    allowed: &Allowed<may::ReadBilling>,
) -> Result<BillingObject, ApiError> {
    let (organization, billing) = (organization(allowed)?, subscriptions.billing());
    let state = billing.state(&organization).await.map_err(told)?;
    let standing = state.standing(billing.plans());
    let currency = subscriptions.store().currency().await?;
    let mut object = BillingObject::new(&standing, billing.plans().all(), currency);
    object.email = subscriptions.store().billing_email(allowed).await?;
    if state.customer().is_some() {
        let invoices = billing.invoices(&organization, None, NUM_INVOICES).await.map_err(told)?;
        object.invoices = invoices.data.into_iter().map(InvoiceObject::from).collect();
    }
    for row in subscriptions.store().billing_notices(allowed, NUM_NOTICES).await? {
        let notice = serde_json::from_str(&row.notice).unwrap_or_default();
        object.notices.push(NoticeObject { created_at: row.created_at, notice });
    }
    Ok(object)
}

/// A page of Stripe's where a plan is bought. The page of before is closed.
#[utoipa::path(post, path = "/api/v1/organization/billing/checkout", tag = "Billing",
    operation_id = "create_billing_checkout", request_body = CheckoutBody,
    responses((status = 200, description = "Where it is", body = LinkObject),
        (status = 409, description = "It has a subscription: see its portal", body = ErrorBody),
        Refusals))]
pub(crate) async fn checkout(
    State(subscriptions): State<Subscriptions>,
    asker: Asker,
    request: Request,
) -> Result<Json<LinkObject>, ApiError> {
    let allowed: Allowed<may::WriteBilling> = asker.may()?;
    let organization = organization(&allowed)?;
    let CheckoutBody { plan } = read_json(request, MAX_BODY_BYTES).await?;
    let store = subscriptions.store();
    let name = store.organization(&by_server(&organization)?).await?.name;
    let email = store.billing_email(&by_server(&organization)?).await?;
    let details = CustomerDetails { name: Some(name), email, ..CustomerDetails::of(organization) };
    let (paid, cancelled) =
        (subscriptions.return_url("paid"), subscriptions.return_url("cancelled"));
    let urls = ReturnUrls { success: &paid, cancel: &cancelled };
    let session =
        subscriptions.billing().checkout(&details, &plan, &urls, subscriptions.now()).await;
    // Stripe gives an address of each page that is open.
    let url = session.map_err(told)?.url.ok_or_else(|| told(BillingError::Busy))?;
    Ok(Json(LinkObject { object: "organization.billing.checkout", url }))
}

/// A page of Stripe's where invoices are seen and paid, cards changed, and subscriptions cancelled.
#[utoipa::path(post, path = "/api/v1/organization/billing/portal", tag = "Billing",
    operation_id = "create_billing_portal",
    responses((status = 200, description = "Where it is", body = LinkObject),
        (status = 409, description = "It never bought anything", body = ErrorBody), Refusals))]
pub(crate) async fn portal(
    State(subscriptions): State<Subscriptions>,
    asker: Asker,
) -> Result<Json<LinkObject>, ApiError> {
    let allowed: Allowed<may::WriteBilling> = asker.may()?;
    let organization = organization(&allowed)?;
    let url = subscriptions.plain_return_url();
    let session = subscriptions.billing().portal(&organization, url).await.map_err(told)?;
    Ok(Json(LinkObject { object: "organization.billing.portal", url: session.url }))
}

/// Leave of the server itself: whoever may buy need not be let read all of it.
fn by_server<P: Demand>(organization: &OrganizationId) -> Result<Allowed<P>, ApiError> {
    store::may(organization).map_err(|error| told(error.into()))
}

fn organization<P>(allowed: &Allowed<P>) -> Result<OrganizationId, ApiError> {
    let id = OrganizationId::new(allowed.organization());
    id.map_err(|error| AuthError::from(error).into())
}
