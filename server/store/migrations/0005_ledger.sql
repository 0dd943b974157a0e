-- Each request that was billed, once. Times are Unix milliseconds, the cost is in pico-units
-- (10⁻¹²) of the currency.
CREATE TABLE ledger (
    request_id TEXT NOT NULL PRIMARY KEY,
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    tier TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    tag TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    settled_at BIGINT NOT NULL,
    ending TEXT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    embedding_tokens BIGINT NOT NULL,
    images BIGINT NOT NULL,
    audio_millis BIGINT NOT NULL,
    compute_millis BIGINT NOT NULL,
    storage_byte_hours BIGINT NOT NULL,
    provisioned_hours BIGINT NOT NULL,
    cost BIGINT NOT NULL
);
CREATE INDEX ledger_by_time ON ledger (organization_id, settled_at);

-- Sums of it by the hour a request was settled in, Unix hours: what reports read. Written in the
-- transaction that writes the ledger. A sum may be of more than 64 bits of pico-units, which are
-- 9.2 million of the currency: its cost is cost_micros × 10⁶ + cost_picos pico-units.
CREATE TABLE usage_hours (
    organization_id TEXT NOT NULL,
    hour BIGINT NOT NULL,
    project_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    tier TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    tag TEXT NOT NULL,
    num_requests BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    embedding_tokens BIGINT NOT NULL,
    images BIGINT NOT NULL,
    audio_millis BIGINT NOT NULL,
    compute_millis BIGINT NOT NULL,
    storage_byte_hours BIGINT NOT NULL,
    provisioned_hours BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    cost_picos BIGINT NOT NULL,
    PRIMARY KEY (organization_id, hour, project_id, key_id, model, tier, endpoint, tag)
);

-- Sums of it that limits and tariffs go on from when a server starts. Of an account its model and
-- tier are empty, and of an organization or project what is below, too; of what an organization
-- used of a model, its project and key.
CREATE TABLE usage_sums (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    tier TEXT NOT NULL,
    -- `day`, `month` or `total`, and which: as server/metering numbers them. Lines are added to
    -- days; when a day is long over, it is added to its month and to the total, and removed.
    period TEXT NOT NULL,
    number BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    embedding_tokens BIGINT NOT NULL,
    images BIGINT NOT NULL,
    audio_millis BIGINT NOT NULL,
    compute_millis BIGINT NOT NULL,
    storage_byte_hours BIGINT NOT NULL,
    provisioned_hours BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    cost_picos BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id, key_id, model, tier, period, number)
);
CREATE INDEX usage_sums_by_period ON usage_sums (period, number);

-- Price lists; of no organization, for all of them.
CREATE TABLE prices (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL PRIMARY KEY,
    model TEXT NOT NULL,
    tier TEXT NOT NULL,
    -- Unix milliseconds.
    valid_from BIGINT NOT NULL,
    valid_until BIGINT,
    list TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT,
    revision BIGINT NOT NULL
);
CREATE INDEX prices_by_revision ON prices (revision);
