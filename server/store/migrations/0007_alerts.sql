-- Where events of an organization are sent. Times are Unix seconds.
CREATE TABLE webhooks (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    -- `whsec_…`: needed as it is, to sign with.
    secret TEXT NOT NULL,
    -- Types of events, with a space between each two.
    events TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- Since when its receiver has said that it is no more.
    disabled_at BIGINT,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- Whom to tell how much of a budget or a quota is used.
CREATE TABLE alerts (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    -- The account: a key's, else a project's, else the organization's.
    project_id TEXT,
    key_id TEXT,
    -- `budget`, or the meter of a quota.
    what TEXT NOT NULL,
    period TEXT NOT NULL,
    -- Percents, with a space between each two.
    thresholds TEXT NOT NULL,
    by_webhook BIGINT NOT NULL,
    -- Of mail, with a space between each two.
    addresses TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- The last period, as server/metering numbers them, for which an alert's threshold was told.
CREATE TABLE alert_marks (
    organization_id TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    threshold BIGINT NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, alert_id, threshold),
    FOREIGN KEY (organization_id, alert_id)
        REFERENCES alerts (organization_id, id) ON DELETE CASCADE
);

-- What is to be sent, or was.
CREATE TABLE outbox (
    organization_id TEXT NOT NULL,
    -- The receiver knows it: it is the same at each try.
    id TEXT NOT NULL,
    -- `webhook` or `mail`.
    kind TEXT NOT NULL,
    -- The webhook's id, or an address.
    target TEXT NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    -- Nobody else tries it before.
    next_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    done_at BIGINT,
    -- When it was given up.
    failed_at BIGINT,
    last_error TEXT,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX outbox_by_turn ON outbox (next_at) WHERE done_at IS NULL AND failed_at IS NULL;
CREATE INDEX outbox_by_age ON outbox (organization_id, created_at);
