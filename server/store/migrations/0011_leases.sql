-- What processes that share the database have reserved of limits: what each may yet bring into the
-- ledger, and how many requests it may run. Of an organization the project and key are empty, of a
-- project the key is.
CREATE TABLE leases (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    -- `money` in pico-units, `requests` at once, or a meter's name, in its units.
    what TEXT NOT NULL,
    -- `day`, `month` or `total`, and which, as usage_sums has them; of requests it is empty.
    period TEXT NOT NULL,
    number BIGINT NOT NULL,
    -- The number that the process is known by.
    process BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    -- Unix milliseconds.
    touched_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id, key_id, what, period, number, process)
);
CREATE INDEX leases_by_process ON leases (process);

-- Rates that such processes have in common, as buckets that fill steadily: the level is in
-- millionths, and was right at a time in Unix milliseconds.
CREATE TABLE shared_rates (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    -- `requests`, `input_tokens` or `output_tokens`.
    kind TEXT NOT NULL,
    level BIGINT NOT NULL,
    filled_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id, key_id, kind)
);
