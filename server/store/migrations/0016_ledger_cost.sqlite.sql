-- Sums of whole days, so that a report of a month reads one row for each day, key and model, and
-- not one for each hour. Written as those of hours are, in the transaction that writes the ledger.
CREATE TABLE usage_days (
    organization_id TEXT NOT NULL,
    day BIGINT NOT NULL,
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
    PRIMARY KEY (organization_id, day, project_id, key_id, model, tier, endpoint, tag)
) WITHOUT ROWID;

-- As the ledger adds: what does not fit stays at the largest.
INSERT INTO usage_days (day, organization_id, project_id, key_id, model, tier, endpoint, tag,
    num_requests, input_tokens, cached_input_tokens, output_tokens, embedding_tokens, images,
    audio_millis, compute_millis, storage_byte_hours, provisioned_hours, cost_micros, cost_picos)
SELECT hour / 24, organization_id, project_id, key_id, model, tier, endpoint, tag,
    num_requests, input_tokens, cached_input_tokens, output_tokens, embedding_tokens, images,
    audio_millis, compute_millis, storage_byte_hours, provisioned_hours, cost_micros, cost_picos
FROM usage_hours WHERE 1 = 1
ON CONFLICT (organization_id, day, project_id, key_id, model, tier, endpoint, tag)
DO UPDATE SET
    num_requests = CASE
        WHEN usage_days.num_requests > 9223372036854775807 - excluded.num_requests
        THEN 9223372036854775807 ELSE usage_days.num_requests + excluded.num_requests END,
    input_tokens = CASE
        WHEN usage_days.input_tokens > 9223372036854775807 - excluded.input_tokens
        THEN 9223372036854775807 ELSE usage_days.input_tokens + excluded.input_tokens END,
    cached_input_tokens = CASE
        WHEN usage_days.cached_input_tokens > 9223372036854775807 - excluded.cached_input_tokens
        THEN 9223372036854775807
        ELSE usage_days.cached_input_tokens + excluded.cached_input_tokens END,
    output_tokens = CASE
        WHEN usage_days.output_tokens > 9223372036854775807 - excluded.output_tokens
        THEN 9223372036854775807 ELSE usage_days.output_tokens + excluded.output_tokens END,
    embedding_tokens = CASE
        WHEN usage_days.embedding_tokens > 9223372036854775807 - excluded.embedding_tokens
        THEN 9223372036854775807
        ELSE usage_days.embedding_tokens + excluded.embedding_tokens END,
    images = CASE
        WHEN usage_days.images > 9223372036854775807 - excluded.images
        THEN 9223372036854775807 ELSE usage_days.images + excluded.images END,
    audio_millis = CASE
        WHEN usage_days.audio_millis > 9223372036854775807 - excluded.audio_millis
        THEN 9223372036854775807 ELSE usage_days.audio_millis + excluded.audio_millis END,
    compute_millis = CASE
        WHEN usage_days.compute_millis > 9223372036854775807 - excluded.compute_millis
        THEN 9223372036854775807 ELSE usage_days.compute_millis + excluded.compute_millis END,
    storage_byte_hours = CASE
        WHEN usage_days.storage_byte_hours > 9223372036854775807 - excluded.storage_byte_hours
        THEN 9223372036854775807
        ELSE usage_days.storage_byte_hours + excluded.storage_byte_hours END,
    provisioned_hours = CASE
        WHEN usage_days.provisioned_hours > 9223372036854775807 - excluded.provisioned_hours
        THEN 9223372036854775807
        ELSE usage_days.provisioned_hours + excluded.provisioned_hours END,
    cost_micros = CASE
        WHEN usage_days.cost_micros > 9223372036854775807 - excluded.cost_micros
        THEN 9223372036854775807 ELSE usage_days.cost_micros + excluded.cost_micros END,
    cost_picos = CASE
        WHEN usage_days.cost_picos > 9223372036854775807 - excluded.cost_picos
        THEN 9223372036854775807 ELSE usage_days.cost_picos + excluded.cost_picos END;

-- The same rows in the order of their keys, in one tree: a table with row numbers has another one
-- for its key, of all its texts once more.
CREATE TABLE usage_hours_in_order (
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
) WITHOUT ROWID;
INSERT INTO usage_hours_in_order (hour, organization_id, project_id, key_id, model, tier,
    endpoint, tag, num_requests, input_tokens, cached_input_tokens, output_tokens,
    embedding_tokens, images, audio_millis, compute_millis, storage_byte_hours,
    provisioned_hours, cost_micros, cost_picos)
SELECT hour, organization_id, project_id, key_id, model, tier, endpoint, tag,
    num_requests, input_tokens, cached_input_tokens, output_tokens, embedding_tokens, images,
    audio_millis, compute_millis, storage_byte_hours, provisioned_hours, cost_micros, cost_picos
FROM usage_hours ORDER BY organization_id, hour;
DROP TABLE usage_hours;
ALTER TABLE usage_hours_in_order RENAME TO usage_hours;

-- The period comes first: what is counted now lies together, and what is over is found without an
-- index of its own.
CREATE TABLE usage_sums_in_order (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    tier TEXT NOT NULL,
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
    PRIMARY KEY (period, number, organization_id, project_id, key_id, model, tier)
) WITHOUT ROWID;
INSERT INTO usage_sums_in_order (period, number, organization_id, project_id, key_id, model, tier,
    input_tokens, cached_input_tokens, output_tokens, embedding_tokens, images, audio_millis,
    compute_millis, storage_byte_hours, provisioned_hours, cost_micros, cost_picos)
SELECT period, number, organization_id, project_id, key_id, model, tier,
    input_tokens, cached_input_tokens, output_tokens, embedding_tokens, images, audio_millis,
    compute_millis, storage_byte_hours, provisioned_hours, cost_micros, cost_picos
FROM usage_sums ORDER BY period, number, organization_id, project_id, key_id, model, tier;
DROP TABLE usage_sums;
ALTER TABLE usage_sums_in_order RENAME TO usage_sums;
