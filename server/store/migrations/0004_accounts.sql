-- The last number that was given to a change; what a request depends on has the number of its last
-- one, so a server can ask for what is newer. One row, made by the first change.
CREATE TABLE revisions (
    id BIGINT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
);

-- Times are Unix seconds where nothing else is said. Texts of `limits`, `settings`, `scopes` and
-- `list` are JSON that server/accounts reads.
CREATE TABLE organizations (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    archived_at BIGINT,
    -- Why it may not go on, if it may not.
    suspended TEXT,
    requires_two_factors BIGINT NOT NULL DEFAULT 0,
    settings TEXT NOT NULL DEFAULT '{}',
    limits TEXT NOT NULL DEFAULT '{}',
    revision BIGINT NOT NULL
);
CREATE INDEX organizations_by_revision ON organizations (revision);

CREATE TABLE projects (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    archived_at BIGINT,
    settings TEXT NOT NULL DEFAULT '{}',
    limits TEXT NOT NULL DEFAULT '{}',
    revision BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX projects_by_revision ON projects (revision);

-- A person; of no organization, and of as many as invite.
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    -- In lower case.
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    email_verified_at BIGINT,
    disabled_at BIGINT,
    -- argon2id; none of who logs in elsewhere only.
    password TEXT,
    totp_secret TEXT,
    totp_enabled_at BIGINT,
    -- The last step whose code was taken: none is taken twice.
    totp_step BIGINT
);

CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (user_id, hash),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- Who a user is elsewhere.
CREATE TABLE identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX identities_by_user ON identities (user_id);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- Whether a second factor was shown.
    two_factors BIGINT NOT NULL DEFAULT 0,
    address TEXT,
    agent TEXT,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- What is sent by mail: `verify` an address, `reset` a password.
CREATE TABLE user_tokens (
    hash TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    purpose TEXT NOT NULL,
    email TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX user_tokens_by_user ON user_tokens (user_id);

-- Failed logins in a row.
CREATE TABLE login_failures (
    email TEXT NOT NULL PRIMARY KEY,
    num BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL
);

-- Roles of an organization's own, beside the usual ones.
CREATE TABLE roles (
    organization_id TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Their names, with a space between each two.
    permissions TEXT NOT NULL,
    PRIMARY KEY (organization_id, name),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

CREATE TABLE memberships (
    organization_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, user_id),
    FOREIGN KEY (organization_id) REFERENCES organizations (id),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX memberships_by_user ON memberships (user_id);

-- What a member may in a project beyond what its role in the organization allows.
CREATE TABLE project_memberships (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id, user_id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id),
    FOREIGN KEY (organization_id, user_id)
        REFERENCES memberships (organization_id, user_id) ON DELETE CASCADE
);

CREATE TABLE service_accounts (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, project_id, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id)
);

CREATE TABLE invitations (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    -- JSON: an array of {"id", "role"}.
    projects TEXT NOT NULL DEFAULT '[]',
    hash TEXT NOT NULL UNIQUE,
    invited_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    accepted_at BIGINT,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

CREATE TABLE keys (
    organization_id TEXT NOT NULL,
    -- Empty of an admin key, which is the organization's.
    project_id TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- `project` or `admin`.
    kind TEXT NOT NULL,
    -- Who it is of: `user:ID`, `service_account:ID` or `operator`.
    owner TEXT NOT NULL,
    role TEXT NOT NULL,
    scopes TEXT NOT NULL DEFAULT '{}',
    limits TEXT NOT NULL DEFAULT '{}',
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    used_at BIGINT,
    revision BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX keys_by_revision ON keys (revision);
CREATE INDEX keys_by_project ON keys (organization_id, project_id, created_at);

-- A key that was rotated has two until the overlap ends.
CREATE TABLE key_secrets (
    hash TEXT NOT NULL PRIMARY KEY,
    organization_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    -- Its first and last letters, to be recognised by.
    redacted TEXT NOT NULL,
    -- What AWS's signatures are made with.
    aws_secret TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    FOREIGN KEY (organization_id, key_id) REFERENCES keys (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX key_secrets_by_key ON key_secrets (organization_id, key_id);

-- Each organization's log is a chain of hashes: rows are only added.
CREATE TABLE audit_log (
    organization_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    id TEXT NOT NULL,
    -- Unix milliseconds.
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    project_id TEXT,
    detail TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (organization_id, position),
    UNIQUE (organization_id, id)
);

-- Where each chain ends: a log that was cut off at its end is found out.
CREATE TABLE audit_heads (
    organization_id TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    hash TEXT NOT NULL
);
