//! Where events are sent.

use std::fmt;

use serde::{Deserialize, Serialize};
use server_identity::WebhookSecret;
use server_store::Webhook;
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
