-- What clients ask to be kept is a project's, not its whole organization's. What was kept before is
-- of the project `default`, which every organization begins with, or of the first one that goes on
-- where there is no such project.
--
-- Keys of tables do not change in place here: each is written anew. Those that refer to others go
-- before these, since what refers to a row goes with it.
CREATE TEMPORARY TABLE first_projects (tenant TEXT NOT NULL PRIMARY KEY, project_id TEXT NOT NULL);
INSERT INTO first_projects (tenant, project_id)
SELECT organization_id, project_id FROM (
    SELECT o.id AS organization_id, (
        SELECT p.id FROM projects AS p WHERE p.organization_id = o.id
        ORDER BY CASE WHEN p.id = 'default' THEN 0 ELSE 1 END,
            CASE WHEN p.archived_at IS NULL THEN 0 ELSE 1 END, p.created_at, p.id
        LIMIT 1) AS project_id
    FROM organizations AS o) AS first_ones
WHERE project_id IS NOT NULL AND project_id <> 'default';

CREATE TABLE responses_of_projects (
    tenant TEXT NOT NULL,
    project_id TEXT NOT NULL DEFAULT 'default',
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    status TEXT NOT NULL,
    previous_id TEXT,
    conversation_id TEXT,
    body TEXT NOT NULL,
    input TEXT NOT NULL,
    num_bytes BIGINT NOT NULL,
    process BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, project_id, id)
);
INSERT INTO responses_of_projects (tenant, project_id, id, created_at, expires_at, status,
    previous_id, conversation_id, body, input, num_bytes, process)
SELECT k.tenant, COALESCE(f.project_id, 'default'), id, created_at, expires_at, status, previous_id,
    conversation_id, body, input, num_bytes, process
FROM responses AS k LEFT JOIN first_projects AS f ON f.tenant = k.tenant;

CREATE TABLE response_outputs_of_projects (
    tenant TEXT NOT NULL,
    project_id TEXT NOT NULL DEFAULT 'default',
    item_id TEXT NOT NULL,
    response_id TEXT NOT NULL,
    PRIMARY KEY (tenant, project_id, item_id),
    FOREIGN KEY (tenant, project_id, response_id)
        REFERENCES responses_of_projects (tenant, project_id, id) ON DELETE CASCADE
);
INSERT INTO response_outputs_of_projects (tenant, project_id, item_id, response_id)
SELECT k.tenant, COALESCE(f.project_id, 'default'), item_id, response_id
FROM response_outputs AS k LEFT JOIN first_projects AS f ON f.tenant = k.tenant;

CREATE TABLE conversations_of_projects (
    tenant TEXT NOT NULL,
    project_id TEXT NOT NULL DEFAULT 'default',
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    metadata TEXT NOT NULL,
    num_items BIGINT NOT NULL,
    next_position BIGINT NOT NULL,
    num_bytes BIGINT NOT NULL,
    PRIMARY KEY (tenant, project_id, id)
);
INSERT INTO conversations_of_projects (tenant, project_id, id, created_at, expires_at, metadata,
    num_items, next_position, num_bytes)
SELECT k.tenant, COALESCE(f.project_id, 'default'), id, created_at, expires_at, metadata, num_items,
    next_position, num_bytes
FROM conversations AS k LEFT JOIN first_projects AS f ON f.tenant = k.tenant;

CREATE TABLE conversation_items_of_projects (
    tenant TEXT NOT NULL,
    project_id TEXT NOT NULL DEFAULT 'default',
    conversation_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    id TEXT NOT NULL,
    item TEXT NOT NULL,
    num_bytes BIGINT NOT NULL,
    PRIMARY KEY (tenant, project_id, conversation_id, position),
    UNIQUE (tenant, project_id, conversation_id, id),
    FOREIGN KEY (tenant, project_id, conversation_id)
        REFERENCES conversations_of_projects (tenant, project_id, id) ON DELETE CASCADE
);
INSERT INTO conversation_items_of_projects (tenant, project_id, conversation_id, position, id, item,
    num_bytes)
SELECT k.tenant, COALESCE(f.project_id, 'default'), conversation_id, position, id, item, num_bytes
FROM conversation_items AS k LEFT JOIN first_projects AS f ON f.tenant = k.tenant;

CREATE TABLE completions_of_projects (
    tenant TEXT NOT NULL,
    project_id TEXT NOT NULL DEFAULT 'default',
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    model TEXT NOT NULL,
    body TEXT NOT NULL,
    messages TEXT NOT NULL,
    num_bytes BIGINT NOT NULL,
    -- The order within a second.
    position BIGINT NOT NULL,
    PRIMARY KEY (tenant, project_id, id),
    UNIQUE (tenant, project_id, position)
);
INSERT INTO completions_of_projects (tenant, project_id, id, created_at, expires_at, model, body,
    messages, num_bytes, position)
SELECT k.tenant, COALESCE(f.project_id, 'default'), id, created_at, expires_at, model, body,
    messages, num_bytes, position
FROM completions AS k LEFT JOIN first_projects AS f ON f.tenant = k.tenant;

CREATE TABLE completion_metadata_of_projects (
    tenant TEXT NOT NULL,
    project_id TEXT NOT NULL DEFAULT 'default',
    completion_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (tenant, project_id, completion_id, name),
    FOREIGN KEY (tenant, project_id, completion_id)
        REFERENCES completions_of_projects (tenant, project_id, id) ON DELETE CASCADE
);
INSERT INTO completion_metadata_of_projects (tenant, project_id, completion_id, name, value)
SELECT k.tenant, COALESCE(f.project_id, 'default'), completion_id, name, value
FROM completion_metadata AS k LEFT JOIN first_projects AS f ON f.tenant = k.tenant;

DROP TABLE first_projects;
DROP TABLE response_outputs;
DROP TABLE responses;
DROP TABLE conversation_items;
DROP TABLE conversations;
DROP TABLE completion_metadata;
DROP TABLE completions;
ALTER TABLE responses_of_projects RENAME TO responses;
ALTER TABLE response_outputs_of_projects RENAME TO response_outputs;
ALTER TABLE conversations_of_projects RENAME TO conversations;
ALTER TABLE conversation_items_of_projects RENAME TO conversation_items;
ALTER TABLE completions_of_projects RENAME TO completions;
ALTER TABLE completion_metadata_of_projects RENAME TO completion_metadata;

CREATE INDEX responses_by_end ON responses (expires_at);
CREATE INDEX responses_by_status ON responses (status);
CREATE INDEX response_outputs_by_response ON response_outputs (tenant, project_id, response_id);
CREATE INDEX conversations_by_end ON conversations (expires_at);
CREATE INDEX completions_by_end ON completions (expires_at);
CREATE INDEX completions_by_time ON completions (tenant, project_id, created_at, position);
