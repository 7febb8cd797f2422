-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What user queries read and write besides: logs, uses of files, mentions, notices, blobs, messages,
-- organizations. Conventions as in 0001.

-- Never set is another thing than set to false: a query tells them apart.
ALTER TABLE projects
    ALTER COLUMN deleted DROP NOT NULL, ALTER COLUMN deleted DROP DEFAULT,
    ALTER COLUMN sandbox DROP NOT NULL, ALTER COLUMN sandbox DROP DEFAULT,
    ALTER COLUMN manage_users_owner_only DROP NOT NULL,
    ALTER COLUMN manage_users_owner_only DROP DEFAULT;

ALTER TABLE public_paths
    ALTER COLUMN disabled DROP NOT NULL, ALTER COLUMN disabled DROP DEFAULT,
    ALTER COLUMN unlisted DROP NOT NULL, ALTER COLUMN unlisted DROP DEFAULT,
    ADD COLUMN authenticated BIGINT,
    ADD COLUMN cross_origin_isolation BIGINT,
    ADD COLUMN jupyter_api BIGINT,
    ADD COLUMN site_license_id TEXT COLLATE "C",
    ADD COLUMN url TEXT COLLATE "C",
    ADD COLUMN image TEXT COLLATE "C",
    ADD COLUMN redirect TEXT COLLATE "C";
CREATE UNIQUE INDEX public_paths_name ON public_paths (project_id, lower(name))
    WHERE name IS NOT NULL;

-- When the action of action_request began that has not ended.
ALTER TABLE projects ADD COLUMN acting_since BIGINT;
CREATE INDEX projects_acting ON projects (acting_since) WHERE acting_since IS NOT NULL;

ALTER TABLE accounts ADD COLUMN email_daily_statements BIGINT;
ALTER TABLE accounts ADD COLUMN auto_balance TEXT COLLATE "C";  -- JSON
CREATE UNIQUE INDEX accounts_name ON accounts (lower(name)) WHERE name IS NOT NULL;

-- ---- What happened in projects ----

CREATE TABLE project_log (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    time BIGINT,
    account_id TEXT COLLATE "C",
    event TEXT COLLATE "C"                  -- JSON
);
CREATE INDEX project_log_project ON project_log (project_id, time);

CREATE TABLE file_use (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,  -- SHA-1 of project id and path, hexadecimal
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    path TEXT COLLATE "C",
    users TEXT COLLATE "C",                 -- JSON: account -> action -> time
    last_edited BIGINT
);
CREATE INDEX file_use_project ON file_use (project_id, last_edited);

CREATE TABLE file_access_log (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    project_id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    filename TEXT COLLATE "C" NOT NULL,
    time BIGINT NOT NULL,
    edited BIGINT NOT NULL DEFAULT 0,       -- 1: not only opened
    expire BIGINT
);
CREATE INDEX file_access_log_file ON file_access_log (project_id, filename, account_id, time);
CREATE INDEX file_access_log_time ON file_access_log (time);
CREATE INDEX file_access_log_expire ON file_access_log (expire) WHERE expire IS NOT NULL;

CREATE TABLE mentions (
    time BIGINT NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    path TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,       -- account
    source TEXT COLLATE "C" NOT NULL,       -- account
    description TEXT COLLATE "C",
    fragment_id TEXT COLLATE "C",
    priority DOUBLE PRECISION,
    users TEXT COLLATE "C",                 -- JSON: account -> read, saved
    action TEXT COLLATE "C",                -- what was done about it: email, ignore
    error TEXT COLLATE "C",
    mailed BIGINT,                          -- when mail of it was queued, by the server's clock
    expire BIGINT,
    PRIMARY KEY (project_id, time, path, target)
);
CREATE INDEX mentions_target ON mentions (target, time);
CREATE INDEX mentions_mailed ON mentions (target, mailed) WHERE mailed IS NOT NULL;
CREATE INDEX mentions_expire ON mentions (expire) WHERE expire IS NOT NULL;

CREATE TABLE listings (
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    path TEXT COLLATE "C" NOT NULL,
    compute_server_id BIGINT NOT NULL DEFAULT 0,
    time BIGINT,
    interest BIGINT,
    listing TEXT COLLATE "C",               -- JSON array
    missing DOUBLE PRECISION,
    error TEXT COLLATE "C",
    deleted TEXT COLLATE "C",               -- JSON array of names
    PRIMARY KEY (project_id, path, compute_server_id)
);
CREATE INDEX listings_interest ON listings (project_id, interest);

-- ---- What the site tells, and what is told to it ----

CREATE TABLE system_notifications (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    time BIGINT,
    text TEXT COLLATE "C",
    priority TEXT COLLATE "C",
    done BIGINT
);
CREATE INDEX system_notifications_time ON system_notifications (time);

CREATE TABLE user_tracking (
    account_id TEXT COLLATE "C" NOT NULL,
    time BIGINT NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C",                 -- JSON
    expire BIGINT,
    PRIMARY KEY (account_id, time)
);
CREATE INDEX user_tracking_event ON user_tracking (event);
CREATE INDEX user_tracking_time ON user_tracking (time);
CREATE INDEX user_tracking_expire ON user_tracking (expire) WHERE expire IS NOT NULL;

ALTER TABLE central_log ADD COLUMN account_id TEXT COLLATE "C";  -- who wrote it by a query
CREATE INDEX central_log_account ON central_log (account_id, expire) WHERE account_id IS NOT NULL;

-- ---- Blobs ----

CREATE TABLE blobs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,  -- derived from the SHA-1 of the content
    size BIGINT NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C",
    created BIGINT NOT NULL,
    last_active BIGINT,
    count BIGINT NOT NULL DEFAULT 0,        -- how often it was read
    expire BIGINT,
    blob BYTEA NOT NULL
);
CREATE INDEX blobs_account ON blobs (account_id, size);
CREATE INDEX blobs_expire ON blobs (expire) WHERE expire IS NOT NULL;

-- ---- Messages ----

-- The states are texts of 0 and 1: the first of the sender, then one for each recipient in the order
-- of to_ids. NULL: all 0.
CREATE TABLE messages (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    sent BIGINT,                            -- NULL: a draft
    from_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    to_ids TEXT COLLATE "C" NOT NULL,       -- JSON array of accounts
    created BIGINT NOT NULL,                -- by the server's clock
    thread_id BIGINT,
    read TEXT COLLATE "C",
    saved TEXT COLLATE "C",
    starred TEXT COLLATE "C",
    liked TEXT COLLATE "C",
    deleted TEXT COLLATE "C",
    expire TEXT COLLATE "C",
    subject TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL
);
CREATE INDEX messages_from_id ON messages (from_id, id);
CREATE INDEX messages_thread ON messages (thread_id) WHERE thread_id IS NOT NULL;

CREATE TABLE message_recipients (
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    message_id BIGINT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    PRIMARY KEY (account_id, message_id)
);
CREATE INDEX message_recipients_message ON message_recipients (message_id);

-- ---- Organizations ----

CREATE TABLE organizations (
    organization_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created BIGINT NOT NULL,
    deleted BIGINT NOT NULL DEFAULT 0,
    name TEXT COLLATE "C",
    title TEXT COLLATE "C",
    description TEXT COLLATE "C",
    link TEXT COLLATE "C",
    email_address TEXT COLLATE "C",
    profile TEXT COLLATE "C",               -- JSON
    users TEXT COLLATE "C",                 -- JSON: account -> anything
    admin_account_ids TEXT COLLATE "C"      -- JSON array
);
CREATE UNIQUE INDEX organizations_name ON organizations (lower(name)) WHERE name IS NOT NULL;
CREATE INDEX accounts_org ON accounts (org) WHERE org IS NOT NULL;
