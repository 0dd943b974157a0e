-- Throughput that is held ready for a project, billed by the hour. Hours are Unix hours: the first,
-- and the first after the last.
CREATE TABLE provisions (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    model TEXT NOT NULL,
    units BIGINT NOT NULL,
    from_hour BIGINT NOT NULL,
    until_hour BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX provisions_by_organization ON provisions (organization_id, created_at);

-- What an organization pays at least for each month: micro-units of the currency, and months as
-- server/metering numbers them, the first and the first after the last.
CREATE TABLE commitments (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL PRIMARY KEY,
    amount BIGINT NOT NULL,
    from_month BIGINT NOT NULL,
    until_month BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX commitments_by_organization ON commitments (organization_id, created_at);

-- The last hour and the last month that are billed, `hour` and `month`, of all organizations.
CREATE TABLE counted (
    what TEXT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
);
