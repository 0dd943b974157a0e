-- What a project has said of what is kept; null is as the server has it. `never` or `when_asked`.
ALTER TABLE projects ADD COLUMN store_prompts TEXT;
ALTER TABLE projects ADD COLUMN retention_days BIGINT;

-- What holds for all organizations. One row, made by the first change.
CREATE TABLE installation (
    id BIGINT NOT NULL PRIMARY KEY,
    -- Of all amounts, as ISO 4217 names it, in lower case; null is `usd`.
    currency TEXT,
    -- Lines of the ledger from before this Unix time in milliseconds, a whole hour, were deleted.
    lines_since BIGINT NOT NULL DEFAULT 0
);
