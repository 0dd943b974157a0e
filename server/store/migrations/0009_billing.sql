-- How organizations stand with Stripe, as server/billing reads it: no address, name or card is in
-- it. Times are Unix seconds, hours Unix hours, amounts micro-units of the currency.
CREATE TABLE billing (
    organization_id TEXT NOT NULL PRIMARY KEY,
    -- JSON.
    state TEXT NOT NULL,
    -- How often it was saved: a state is saved over the one that it was made of.
    version BIGINT NOT NULL,
    -- When it is to be looked at again, if no event comes before.
    next_tick BIGINT,
    -- The plan whose limits the organization was given last, and these, JSON.
    plan TEXT,
    plan_limits TEXT,
    -- Why it was suspended, if it was because it did not pay.
    suspended TEXT,
    -- The last hour whose usage Stripe was told of, and all that it was told.
    watermark BIGINT,
    reported BIGINT NOT NULL,
    -- What Stripe is being told, and perhaps knows.
    pending_hour BIGINT,
    pending_amount BIGINT,
    pending_customer TEXT,
    pending_at BIGINT,
    pending_begun BIGINT,
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX billing_by_tick ON billing (next_tick);

-- Who an organization is at Stripe, or was.
CREATE TABLE billing_customers (
    customer TEXT NOT NULL PRIMARY KEY,
    organization_id TEXT NOT NULL,
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX billing_customers_by_organization ON billing_customers (organization_id);

-- When usage counts, and who pays for it.
CREATE TABLE billing_spans (
    organization_id TEXT NOT NULL,
    subscription TEXT NOT NULL,
    customer TEXT NOT NULL,
    from_at BIGINT NOT NULL,
    -- The second after its last.
    until_at BIGINT,
    PRIMARY KEY (organization_id, subscription),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- What organizations are to be told, each once, and when it was sent.
CREATE TABLE billing_notices (
    organization_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- JSON.
    notice TEXT NOT NULL,
    sent_at BIGINT,
    PRIMARY KEY (organization_id, position),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
