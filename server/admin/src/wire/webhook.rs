//! Where events are sent.

use std::fmt;

use serde::{Deserialize, Serialize};
use server_identity::WebhookSecret;
use server_store::{Outgoing, Webhook};
use utoipa::ToSchema;

use crate::list::Listed;

/// Where events are sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookObject {
    /// Always `webhook`.
    object: &'static str,
    /// `wh_…`
    id: String,
    /// The address.
    url: String,
    /// Types of events; `*` stands for all.
    events: Vec<String>,
    /// Unix time in seconds.
    created_at: i64,
    /// Since when nothing is sent any more, since its receiver said that it is gone; else null.
    disabled_at: Option<i64>,
    /// What messages are signed with, where it was made; never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// Where events are to be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookRequest {
    /// `https://…` or `http://…`, of at most 2048 bytes.
    pub(crate) url: String,
    /// Types of events like `budget.threshold_reached`, at most 16; without any, all.
    #[serde(default)]
    pub(crate) events: Vec<String>,
}

/// An event that was sent to a webhook, or is to be; what it says is not shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryObject {
    /// Always `webhook.delivery`.
    object: &'static str,
    /// `msg_…`, which its receiver gets as `webhook-id`.
    id: String,
    /// Where it goes.
    webhook_id: String,
    /// Its type, like `budget.threshold_reached`.
    event: String,
    /// `waiting`, `delivered` or `failed`: given up.
    status: &'static str,
    /// How often it was tried.
    attempts: i64,
    /// Unix time in seconds, as all that follow.
    created_at: i64,
    /// When it is tried next; null if it is not.
    next_attempt_at: Option<i64>,
    /// When it was delivered; else null.
    delivered_at: Option<i64>,
    /// When it was given up; else null.
    failed_at: Option<i64>,
    /// Why the last try failed, if it did.
    last_error: Option<String>,
}

impl From<Outgoing> for DeliveryObject {
    fn from(it: Outgoing) -> Self {
        let status = match (it.done_at, it.failed_at) {
            (Some(_), _) => "delivered",
            (None, Some(_)) => "failed",
            (None, None) => "waiting",
        };
        Self {
            object: "webhook.delivery",
            id: it.id,
            webhook_id: it.target,
            event: it.event,
            status,
            attempts: it.attempts,
            created_at: it.created_at,
            next_attempt_at: it.next_at,
            delivered_at: it.done_at,
            failed_at: it.failed_at,
            last_error: it.last_error,
        }
    }
}

impl Listed for DeliveryObject {
    fn id(&self) -> &str {
        &self.id
    }
}

impl WebhookObject {
    pub(crate) fn new(it: Webhook, secret: Option<&WebhookSecret>) -> Self {
        Self {
            object: "webhook",
            id: it.id,
            url: it.url,
            events: it.events,
            created_at: it.created_at,
            disabled_at: it.disabled_at,
            secret: secret.map(|secret| secret.reveal().to_owned()),
        }
    }
}

impl fmt::Debug for WebhookObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookObject({}, …)", self.id)
    }
}

impl Listed for WebhookObject {
    fn id(&self) -> &str {
        &self.id
    }
}
