-- What each tenant keeps, written in the transactions that change it: a limit needs no counting.
CREATE TABLE tenants (
    tenant TEXT NOT NULL PRIMARY KEY,
    num_rows BIGINT NOT NULL,
    num_bytes BIGINT NOT NULL
);

CREATE TABLE responses (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    status TEXT NOT NULL,
    previous_id TEXT,
    conversation_id TEXT,
    body TEXT NOT NULL,
    input TEXT NOT NULL,
    num_bytes BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX responses_by_end ON responses (expires_at);
CREATE INDEX responses_by_status ON responses (status);

-- Which response made an item, for requests that name items only.
CREATE TABLE response_outputs (
    tenant TEXT NOT NULL,
    item_id TEXT NOT NULL,
    response_id TEXT NOT NULL,
    PRIMARY KEY (tenant, item_id),
    FOREIGN KEY (tenant, response_id) REFERENCES responses (tenant, id) ON DELETE CASCADE
);
CREATE INDEX response_outputs_by_response ON response_outputs (tenant, response_id);

CREATE TABLE conversations (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    metadata TEXT NOT NULL,
    num_items BIGINT NOT NULL,
    next_position BIGINT NOT NULL,
    num_bytes BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX conversations_by_end ON conversations (expires_at);

CREATE TABLE conversation_items (
    tenant TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    id TEXT NOT NULL,
    item TEXT NOT NULL,
    num_bytes BIGINT NOT NULL,
    PRIMARY KEY (tenant, conversation_id, position),
    UNIQUE (tenant, conversation_id, id),
    FOREIGN KEY (tenant, conversation_id) REFERENCES conversations (tenant, id) ON DELETE CASCADE
);

CREATE TABLE completions (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    model TEXT NOT NULL,
    body TEXT NOT NULL,
    messages TEXT NOT NULL,
    num_bytes BIGINT NOT NULL,
    -- The order within a second.
    position BIGINT NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, position)
);
CREATE INDEX completions_by_end ON completions (expires_at);
CREATE INDEX completions_by_time ON completions (tenant, created_at, position);

CREATE TABLE completion_metadata (
    tenant TEXT NOT NULL,
    completion_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (tenant, completion_id, name),
    FOREIGN KEY (tenant, completion_id) REFERENCES completions (tenant, id) ON DELETE CASCADE
);
