-- What clients ask to be kept is a project's, not its whole organization's. What was kept before is
-- of the project `default`, which every organization begins with, or of the first one that goes on
-- where there is no such project.
--
-- A server of the version before, which knows no projects, goes on with what is of `default`; what
-- newer ones keep of other projects it reads, and is refused to add to.

-- Who migrates sees no rows otherwise.
SELECT set_config('app.every_tenant', 'on', true);
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

ALTER TABLE responses ADD COLUMN project_id TEXT NOT NULL DEFAULT 'default';
ALTER TABLE conversations ADD COLUMN project_id TEXT NOT NULL DEFAULT 'default';
ALTER TABLE completions ADD COLUMN project_id TEXT NOT NULL DEFAULT 'default';
ALTER TABLE response_outputs ADD COLUMN project_id TEXT NOT NULL DEFAULT 'default';
ALTER TABLE conversation_items ADD COLUMN project_id TEXT NOT NULL DEFAULT 'default';
ALTER TABLE completion_metadata ADD COLUMN project_id TEXT NOT NULL DEFAULT 'default';

-- With the references to it.
ALTER TABLE responses DROP CONSTRAINT responses_pkey CASCADE;
ALTER TABLE conversations DROP CONSTRAINT conversations_pkey CASCADE;
ALTER TABLE completions DROP CONSTRAINT completions_pkey CASCADE;
ALTER TABLE response_outputs DROP CONSTRAINT response_outputs_pkey;
ALTER TABLE conversation_items DROP CONSTRAINT conversation_items_pkey;
ALTER TABLE completion_metadata DROP CONSTRAINT completion_metadata_pkey;
ALTER TABLE conversation_items
    DROP CONSTRAINT conversation_items_tenant_conversation_id_id_key;
ALTER TABLE completions DROP CONSTRAINT completions_tenant_position_key;

UPDATE responses SET project_id = f.project_id FROM first_projects AS f
    WHERE f.tenant = responses.tenant;
UPDATE conversations SET project_id = f.project_id FROM first_projects AS f
    WHERE f.tenant = conversations.tenant;
UPDATE completions SET project_id = f.project_id FROM first_projects AS f
    WHERE f.tenant = completions.tenant;
UPDATE response_outputs SET project_id = f.project_id FROM first_projects AS f
    WHERE f.tenant = response_outputs.tenant;
UPDATE conversation_items SET project_id = f.project_id FROM first_projects AS f
    WHERE f.tenant = conversation_items.tenant;
UPDATE completion_metadata SET project_id = f.project_id FROM first_projects AS f
    WHERE f.tenant = completion_metadata.tenant;
DROP TABLE first_projects;

ALTER TABLE responses ADD PRIMARY KEY (tenant, project_id, id);
ALTER TABLE conversations ADD PRIMARY KEY (tenant, project_id, id);
ALTER TABLE completions ADD PRIMARY KEY (tenant, project_id, id),
    ADD UNIQUE (tenant, project_id, position);
ALTER TABLE response_outputs ADD PRIMARY KEY (tenant, project_id, item_id),
    ADD FOREIGN KEY (tenant, project_id, response_id)
        REFERENCES responses (tenant, project_id, id) ON DELETE CASCADE;
ALTER TABLE conversation_items ADD PRIMARY KEY (tenant, project_id, conversation_id, position),
    ADD UNIQUE (tenant, project_id, conversation_id, id),
    ADD FOREIGN KEY (tenant, project_id, conversation_id)
        REFERENCES conversations (tenant, project_id, id) ON DELETE CASCADE;
ALTER TABLE completion_metadata ADD PRIMARY KEY (tenant, project_id, completion_id, name),
    ADD FOREIGN KEY (tenant, project_id, completion_id)
        REFERENCES completions (tenant, project_id, id) ON DELETE CASCADE;
DROP INDEX response_outputs_by_response;
CREATE INDEX response_outputs_by_response ON response_outputs (tenant, project_id, response_id);
DROP INDEX completions_by_time;
CREATE INDEX completions_by_time ON completions (tenant, project_id, created_at, position);

-- The wall of 0003, and one between projects within it: a transaction that was begun for a project
-- sees no other's rows. One that was begun for the organization sees those of all its projects: it
-- sweeps or deletes, or is of a server that knows no projects.
ALTER POLICY of_tenant ON responses USING (
    (tenant = current_setting('app.tenant', true)
        AND project_id = COALESCE(NULLIF(current_setting('app.project', true), ''), project_id))
    OR current_setting('app.every_tenant', true) = 'on');
ALTER POLICY of_tenant ON conversations USING (
    (tenant = current_setting('app.tenant', true)
        AND project_id = COALESCE(NULLIF(current_setting('app.project', true), ''), project_id))
    OR current_setting('app.every_tenant', true) = 'on');
ALTER POLICY of_tenant ON completions USING (
    (tenant = current_setting('app.tenant', true)
        AND project_id = COALESCE(NULLIF(current_setting('app.project', true), ''), project_id))
    OR current_setting('app.every_tenant', true) = 'on');
ALTER POLICY of_tenant ON response_outputs USING (
    (tenant = current_setting('app.tenant', true)
        AND project_id = COALESCE(NULLIF(current_setting('app.project', true), ''), project_id))
    OR current_setting('app.every_tenant', true) = 'on');
ALTER POLICY of_tenant ON conversation_items USING (
    (tenant = current_setting('app.tenant', true)
        AND project_id = COALESCE(NULLIF(current_setting('app.project', true), ''), project_id))
    OR current_setting('app.every_tenant', true) = 'on');
ALTER POLICY of_tenant ON completion_metadata USING (
    (tenant = current_setting('app.tenant', true)
        AND project_id = COALESCE(NULLIF(current_setting('app.project', true), ''), project_id))
    OR current_setting('app.every_tenant', true) = 'on');
