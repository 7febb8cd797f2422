-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What user queries read and write besides: logs, uses of files, mentions, notices, blobs, messages,
-- organizations. Conventions as in 0001.

-- Never set is another thing than set to false: a query tells them apart.
ALTER TABLE projects RENAME COLUMN deleted TO deleted_was;
ALTER TABLE projects RENAME COLUMN sandbox TO sandbox_was;
ALTER TABLE projects RENAME COLUMN manage_users_owner_only TO manage_users_owner_only_was;
ALTER TABLE projects ADD COLUMN deleted INTEGER;
ALTER TABLE projects ADD COLUMN sandbox INTEGER;
ALTER TABLE projects ADD COLUMN manage_users_owner_only INTEGER;
UPDATE projects SET deleted = NULLIF(deleted_was, 0), sandbox = NULLIF(sandbox_was, 0),
    manage_users_owner_only = NULLIF(manage_users_owner_only_was, 0)
    WHERE deleted_was + sandbox_was + manage_users_owner_only_was > 0;
ALTER TABLE projects DROP COLUMN deleted_was;
ALTER TABLE projects DROP COLUMN sandbox_was;
ALTER TABLE projects DROP COLUMN manage_users_owner_only_was;

ALTER TABLE public_paths RENAME COLUMN disabled TO disabled_was;
ALTER TABLE public_paths RENAME COLUMN unlisted TO unlisted_was;
ALTER TABLE public_paths ADD COLUMN disabled INTEGER;
ALTER TABLE public_paths ADD COLUMN unlisted INTEGER;
UPDATE public_paths SET disabled = NULLIF(disabled_was, 0), unlisted = NULLIF(unlisted_was, 0);
ALTER TABLE public_paths DROP COLUMN disabled_was;
ALTER TABLE public_paths DROP COLUMN unlisted_was;
ALTER TABLE public_paths ADD COLUMN authenticated INTEGER;
ALTER TABLE public_paths ADD COLUMN cross_origin_isolation INTEGER;
ALTER TABLE public_paths ADD COLUMN jupyter_api INTEGER;
ALTER TABLE public_paths ADD COLUMN site_license_id TEXT;
ALTER TABLE public_paths ADD COLUMN url TEXT;
ALTER TABLE public_paths ADD COLUMN image TEXT;
ALTER TABLE public_paths ADD COLUMN redirect TEXT;
CREATE UNIQUE INDEX public_paths_name ON public_paths (project_id, lower(name))
    WHERE name IS NOT NULL;

-- When the action of action_request began that has not ended.
ALTER TABLE projects ADD COLUMN acting_since INTEGER;
CREATE INDEX projects_acting ON projects (acting_since) WHERE acting_since IS NOT NULL;

ALTER TABLE accounts ADD COLUMN email_daily_statements INTEGER;
ALTER TABLE accounts ADD COLUMN auto_balance TEXT;  -- JSON
CREATE UNIQUE INDEX accounts_name ON accounts (lower(name)) WHERE name IS NOT NULL;

-- ---- What happened in projects ----

CREATE TABLE project_log (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    time INTEGER,
    account_id TEXT,
    event TEXT                           -- JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX project_log_project ON project_log (project_id, time);

CREATE TABLE file_use (
    id TEXT NOT NULL PRIMARY KEY,        -- SHA-1 of project id and path, hexadecimal
    project_id TEXT NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    path TEXT,
    users TEXT,                          -- JSON: account -> action -> time
    last_edited INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX file_use_project ON file_use (project_id, last_edited);

CREATE TABLE file_access_log (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    filename TEXT NOT NULL,
    time INTEGER NOT NULL,
    edited INTEGER NOT NULL DEFAULT 0,   -- 1: not only opened
    expire INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX file_access_log_file ON file_access_log (project_id, filename, account_id, time);
CREATE INDEX file_access_log_time ON file_access_log (time);
CREATE INDEX file_access_log_expire ON file_access_log (expire) WHERE expire IS NOT NULL;

CREATE TABLE mentions (
    time INTEGER NOT NULL,
    project_id TEXT NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    target TEXT NOT NULL,                -- account
    source TEXT NOT NULL,                -- account
    description TEXT,
    fragment_id TEXT,
    priority REAL,
    users TEXT,                          -- JSON: account -> read, saved
    action TEXT,                         -- what was done about it: email, ignore
    error TEXT,
    mailed INTEGER,                      -- when mail of it was queued, by the server's clock
    expire INTEGER,
    PRIMARY KEY (project_id, time, path, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX mentions_target ON mentions (target, time);
CREATE INDEX mentions_mailed ON mentions (target, mailed) WHERE mailed IS NOT NULL;
CREATE INDEX mentions_expire ON mentions (expire) WHERE expire IS NOT NULL;

CREATE TABLE listings (
    project_id TEXT NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    compute_server_id INTEGER NOT NULL DEFAULT 0,
    time INTEGER,
    interest INTEGER,
    listing TEXT,                        -- JSON array
    missing REAL,
    error TEXT,
    deleted TEXT,                        -- JSON array of names
    PRIMARY KEY (project_id, path, compute_server_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX listings_interest ON listings (project_id, interest);

-- ---- What the site tells, and what is told to it ----

CREATE TABLE system_notifications (
    id TEXT NOT NULL PRIMARY KEY,
    time INTEGER,
    text TEXT,
    priority TEXT,
    done INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX system_notifications_time ON system_notifications (time);

CREATE TABLE user_tracking (
    account_id TEXT NOT NULL,
    time INTEGER NOT NULL,
    event TEXT NOT NULL,
    value TEXT,                          -- JSON
    expire INTEGER,
    PRIMARY KEY (account_id, time)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_tracking_event ON user_tracking (event);
CREATE INDEX user_tracking_time ON user_tracking (time);
CREATE INDEX user_tracking_expire ON user_tracking (expire) WHERE expire IS NOT NULL;

ALTER TABLE central_log ADD COLUMN account_id TEXT;  -- who wrote it by a query
CREATE INDEX central_log_account ON central_log (account_id, expire) WHERE account_id IS NOT NULL;

-- ---- Blobs ----

CREATE TABLE blobs (
    id TEXT NOT NULL PRIMARY KEY,        -- derived from the SHA-1 of the content
    size INTEGER NOT NULL,
    project_id TEXT NOT NULL,
    account_id TEXT,
    created INTEGER NOT NULL,
    last_active INTEGER,
    count INTEGER NOT NULL DEFAULT 0,    -- how often it was read
    expire INTEGER,
    blob BLOB NOT NULL                   -- last: what is behind it is read through it
) STRICT;
CREATE INDEX blobs_account ON blobs (account_id, size);
CREATE INDEX blobs_expire ON blobs (expire) WHERE expire IS NOT NULL;

-- ---- Messages ----

-- The states are texts of 0 and 1: the first of the sender, then one for each recipient in the order
-- of to_ids. NULL: all 0.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sent INTEGER,                        -- NULL: a draft
    from_id TEXT NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    to_ids TEXT NOT NULL,                -- JSON array of accounts
    created INTEGER NOT NULL,            -- by the server's clock
    thread_id INTEGER,
    read TEXT,
    saved TEXT,
    starred TEXT,
    liked TEXT,
    deleted TEXT,
    expire TEXT,
    subject TEXT NOT NULL,
    body TEXT NOT NULL                   -- last, as of blobs
) STRICT;
CREATE INDEX messages_from_id ON messages (from_id, id);
CREATE INDEX messages_thread ON messages (thread_id) WHERE thread_id IS NOT NULL;

CREATE TABLE message_recipients (
    account_id TEXT NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    PRIMARY KEY (account_id, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_recipients_message ON message_recipients (message_id);

-- ---- Organizations ----

CREATE TABLE organizations (
    organization_id TEXT NOT NULL PRIMARY KEY,
    created INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    name TEXT,
    title TEXT,
    description TEXT,
    link TEXT,
    email_address TEXT,
    profile TEXT,                        -- JSON
    users TEXT,                          -- JSON: account -> anything
    admin_account_ids TEXT               -- JSON array
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX organizations_name ON organizations (lower(name)) WHERE name IS NOT NULL;
CREATE INDEX accounts_org ON accounts (org) WHERE org IS NOT NULL;
