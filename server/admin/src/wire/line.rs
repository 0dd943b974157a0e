//! Lines of files: requests that were billed, and records of the audit log.

use serde::Serialize;
use server_accounts::AuditRecord;
use server_metering::Meter;
use server_store::{LedgerLine, Page};
use utoipa::ToSchema;

use super::money::exact;
use crate::export::Exported;

/// A request that was billed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerRow {
    /// The request.
    request_id: String,
    /// When it was let in, Unix milliseconds.
    opened_at_ms: i64,
    /// When it ended.
    settled_at_ms: i64,
    /// Its project.
    project_id: String,
    /// Its key.
    api_key_id: String,
    /// The version of a model that worked.
    model: String,
    /// How it was served.
    tier: String,
    /// What was asked for.
    endpoint: String,
    /// What its client grouped it by.
    tag: Option<String>,
    /// How it ended.
    ending: String,
    /// Tokens of prompts that were computed.
    input_tokens: u64,
    /// Tokens of prompts that a cache had.
    cached_input_tokens: u64,
    /// Tokens that were generated.
    output_tokens: u64,
    /// Tokens that embeddings, scores or labels were made of.
    embedding_tokens: u64,
    /// Images.
    images: u64,
    /// Milliseconds of recordings.
    audio_millis: u64,
    /// Milliseconds of an accelerator or machine.
    compute_millis: u64,
    /// Bytes kept, times hours.
    storage_byte_hours: u64,
    /// Hours for which a model was held ready.
    provisioned_hours: u64,
    /// What it cost, exactly: `0.0000015`.
    cost: String,
}

/// A record of the audit log, with all that its hash is made of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditRow {
    /// The organization.
    organization_id: String,
    /// Its place in the chain, from 1.
    position: i64,
    /// `audit_log-…`
    id: String,
    /// Unix time in milliseconds.
    at_ms: i64,
    /// Who: `user:…`, `key:…` or `operator`.
    actor: String,
    /// From where, if that was known.
    address: Option<String>,
    /// What was done.
    action: String,
    /// To what.
    target: String,
    /// In which project, if in one.
    project_id: Option<String>,
    /// What changed: a text that is JSON.
    detail: String,
    /// SHA-256 of it and of the hash before.
    hash: String,
}

impl LedgerRow {
    fn new(line: LedgerLine) -> Self {
        let get = |meter| line.usage.get(meter);
        Self {
            input_tokens: get(Meter::InputTokens),
            cached_input_tokens: get(Meter::CachedInputTokens),
            output_tokens: get(Meter::OutputTokens),
            embedding_tokens: get(Meter::EmbeddingTokens),
            images: get(Meter::Images),
            audio_millis: get(Meter::AudioMillis),
            compute_millis: get(Meter::ComputeMillis),
            storage_byte_hours: get(Meter::StorageByteHours),
            provisioned_hours: get(Meter::ProvisionedHours),
            request_id: line.request,
            opened_at_ms: line.opened_at,
            settled_at_ms: line.settled_at,
            project_id: line.project,
            api_key_id: line.key,
            model: line.model,
            tier: line.tier,
            endpoint: line.endpoint,
            tag: line.tag,
            ending: line.ending,
            cost: exact(line.cost),
        }
    }

    /// A page of them.
    pub(crate) fn page(page: Page<LedgerLine>) -> Page<Self> {
        let rows = page.rows.into_iter().map(Self::new).collect();
        Page { rows, has_more: page.has_more }
    }
}

impl AuditRow {
    fn new(record: AuditRecord) -> Self {
        Self {
            organization_id: record.organization,
            position: record.position,
            id: record.id,
            at_ms: record.at,
            actor: record.actor,
            address: record.address,
            action: record.action,
            target: record.target,
            project_id: record.project,
            detail: record.detail,
            hash: record.hash,
        }
    }

    /// A page of them.
    pub(crate) fn page(page: Page<AuditRecord>) -> Page<Self> {
        let rows = page.rows.into_iter().map(Self::new).collect();
        Page { rows, has_more: page.has_more }
    }
}

impl Exported for LedgerRow {
    const COLUMNS: &'static [&'static str] = &[
        "request_id",
        "opened_at_ms",
        "settled_at_ms",
        "project_id",
        "api_key_id",
        "model",
        "tier",
        "endpoint",
        "tag",
        "ending",
        "input_tokens",
        "cached_input_tokens",
        "output_tokens",
        "embedding_tokens",
        "images",
        "audio_millis",
        "compute_millis",
        "storage_byte_hours",
        "provisioned_hours",
        "cost",
    ];

    fn id(&self) -> &str {
        &self.request_id
    }
}

impl Exported for AuditRow {
    const COLUMNS: &'static [&'static str] = &[
        "organization_id",
        "position",
        "id",
        "at_ms",
        "actor",
        "address",
        "action",
        "target",
        "project_id",
        "detail",
        "hash",
    ];

    fn id(&self) -> &str {
        &self.id
    }
}
