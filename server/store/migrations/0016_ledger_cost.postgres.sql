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
);

ALTER TABLE usage_days ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_days FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON usage_days USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

-- Who migrates sees no rows otherwise. As the ledger adds: what does not fit stays at the largest.
SELECT set_config('app.every_tenant', 'on', true);
INSERT INTO usage_days (day, organization_id, project_id, key_id, model, tier, endpoint, tag,
    num_requests, input_tokens, cached_input_tokens, output_tokens, embedding_tokens, images,
    audio_millis, compute_millis, storage_byte_hours, provisioned_hours, cost_micros, cost_picos)
SELECT hour / 24, organization_id, project_id, key_id, model, tier, endpoint, tag,
    CAST(LEAST(SUM(num_requests), 9223372036854775807) AS BIGINT),
    CAST(LEAST(SUM(input_tokens), 9223372036854775807) AS BIGINT),
    CAST(LEAST(SUM(cached_input_tokens), 9223372036854775807) AS BIGINT),
    CAST(LEAST(SUM(output_tokens), 9223372036854775807) AS BIGINT),
    CAST(LEAST(SUM(embedding_tokens), 9223372036854775807) AS BIGINT),
    CAST(LEAST(SUM(images), 9223372036854775807) AS BIGINT),
    CAST(LEAST(SUM(audio_millis), 9223372036854775807) AS BIGINT),
    CAST(LEAST(SUM(compute_millis), 9223372036854775807) AS BIGINT),
    CAST(LEAST(SUM(storage_byte_hours), 9223372036854775807) AS BIGINT),
    CAST(LEAST(SUM(provisioned_hours), 9223372036854775807) AS BIGINT),
    CAST(LEAST(SUM(cost_micros), 9223372036854775807) AS BIGINT),
    CAST(LEAST(SUM(cost_picos), 9223372036854775807) AS BIGINT)
FROM usage_hours
GROUP BY hour / 24, organization_id, project_id, key_id, model, tier, endpoint, tag;
