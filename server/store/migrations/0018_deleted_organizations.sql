-- Organizations that were deleted, so that what journals have of them does not come back.
CREATE TABLE deleted_organizations (
    organization_id TEXT NOT NULL PRIMARY KEY,
    -- Unix milliseconds; the largest number until the deletion is through.
    deleted_at BIGINT NOT NULL
);
CREATE INDEX deleted_organizations_by_time ON deleted_organizations (deleted_at);
