-- SPDX-License-Identifier: AGPL-3.0-or-later
-- UUIDs are lower-case text, times integer milliseconds UTC, booleans 0 or 1. Columns marked JSON
-- hold one JSON value as text. An "expire" in the past means that the row counts as absent; a
-- clean-up finds such rows by the index on it.
--
-- Foreign keys are checked at once, never deferred: many writes share one commit, and a key found
-- broken only there would fail all of them.

CREATE TABLE accounts (
    account_id TEXT NOT NULL PRIMARY KEY,
    email_address TEXT UNIQUE,           -- lower case
    email_address_before_delete TEXT,
    email_address_verified TEXT,         -- JSON: address -> time
    email_address_challenge TEXT,        -- JSON: email, token, time
    email_address_problem TEXT,          -- JSON: address -> problem
    password_hash TEXT,                  -- argon2id string
    first_name TEXT,
    last_name TEXT,
    name TEXT,
    created INTEGER NOT NULL,
    created_by TEXT,                     -- IP address
    last_active INTEGER,
    deleted INTEGER NOT NULL DEFAULT 0,
    banned INTEGER NOT NULL DEFAULT 0,
    unlisted INTEGER NOT NULL DEFAULT 0,
    "groups" TEXT,                       -- JSON array of names
    creation_actions_done INTEGER NOT NULL DEFAULT 0,
    sign_up_usage_intent TEXT,
    passports TEXT,                      -- JSON: strategy and id -> profile
    editor_settings TEXT,                -- JSON
    other_settings TEXT,                 -- JSON
    terminal TEXT,                       -- JSON
    profile TEXT,                        -- JSON: image, color
    ssh_keys TEXT,                       -- JSON: fingerprint -> key
    customize TEXT,                      -- JSON
    tags TEXT,                           -- JSON array
    tours TEXT,                          -- JSON array
    autosave INTEGER,
    evaluate_key TEXT,
    font_size INTEGER,
    lti_id TEXT,                         -- JSON array
    lti_data TEXT,                       -- JSON
    ephemeral INTEGER,                   -- lifetime in ms
    org TEXT,
    owner_id TEXT,
    notes TEXT,
    unread_message_count INTEGER,
    last_message_summary INTEGER
) STRICT;
CREATE INDEX accounts_created ON accounts (created);
CREATE INDEX accounts_created_by ON accounts (created_by, created);
CREATE INDEX accounts_last_active ON accounts (last_active);

CREATE TABLE projects (
    project_id TEXT NOT NULL PRIMARY KEY,
    title TEXT,
    description TEXT,
    name TEXT,
    state TEXT NOT NULL DEFAULT 'opened',
    state_time INTEGER,
    state_error TEXT,
    status TEXT,                         -- JSON, as the running project reports it
    created INTEGER NOT NULL,
    last_edited INTEGER,
    last_started INTEGER,
    last_backup INTEGER,
    deleted INTEGER NOT NULL DEFAULT 0,
    compute_image TEXT,
    settings TEXT,                       -- JSON: base quotas
    site_license TEXT,                   -- JSON: licence -> quota it grants while running
    run_quota TEXT,                      -- JSON: quota in effect while running
    env TEXT,                            -- JSON: name -> value
    addons TEXT,                         -- JSON
    host TEXT,                           -- JSON: host, assigned
    action_request TEXT,                 -- JSON: action, time, started, finished, err
    course TEXT,                         -- JSON: project_id, path, pay, email_address, account_id
    invite TEXT,                         -- JSON: email address -> time, error
    invite_requests TEXT,                -- JSON: account -> timestamp, message
    manage_users_owner_only INTEGER NOT NULL DEFAULT 0,
    sandbox INTEGER NOT NULL DEFAULT 0,
    ephemeral INTEGER,                   -- lifetime in ms
    idle_timeout INTEGER,
    disk_size INTEGER,
    avatar_image_tiny TEXT,
    avatar_image_full TEXT,
    color TEXT,
    notes TEXT,
    lti_id TEXT,                         -- JSON array
    lti_data TEXT,                       -- JSON
    secret_token TEXT
) STRICT;
CREATE INDEX projects_created ON projects (created);
CREATE INDEX projects_last_edited ON projects (last_edited);
-- For queries that say: state <> 'opened'
CREATE INDEX projects_active ON projects (state, project_id) WHERE state <> 'opened';

CREATE TABLE project_users (
    project_id TEXT NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    account_id TEXT NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    "group" TEXT NOT NULL,               -- owner or collaborator
    hide INTEGER NOT NULL DEFAULT 0,
    upgrades TEXT,                       -- JSON: name -> amount
    ssh_keys TEXT,                       -- JSON: fingerprint -> key
    last_active INTEGER,
    PRIMARY KEY (project_id, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX project_users_account ON project_users (account_id);

-- Keys are found by hash. A 'v1' key (one an account) is also kept sealed, since it can be shown
-- again; a 'v2' key is shown once. A key with a project acts as that project.
CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id TEXT NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    project_id TEXT REFERENCES projects (project_id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('v1', 'v2')),
    name TEXT,
    hash TEXT NOT NULL UNIQUE,
    trunc TEXT NOT NULL,
    sealed TEXT,
    created INTEGER NOT NULL,
    expire INTEGER,
    last_active INTEGER
) STRICT;
CREATE INDEX api_keys_account ON api_keys (account_id);
CREATE UNIQUE INDEX api_keys_v1 ON api_keys (account_id) WHERE kind = 'v1';
CREATE INDEX api_keys_project ON api_keys (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX api_keys_expire ON api_keys (expire) WHERE expire IS NOT NULL;

CREATE TABLE auth_tokens (
    auth_token TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    created_by TEXT,                     -- account
    is_admin INTEGER NOT NULL DEFAULT 0,
    expire INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX auth_tokens_account ON auth_tokens (account_id);
CREATE INDEX auth_tokens_expire ON auth_tokens (expire);

-- When a caller last gave a wrong password for an account.
CREATE TABLE user_auth_failures (
    account_id TEXT NOT NULL,            -- the caller
    target_account_id TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (account_id, target_account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_auth_failures_time ON user_auth_failures (time);

CREATE TABLE sign_up_attempts (
    id INTEGER PRIMARY KEY,
    ip_address TEXT NOT NULL,
    time INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_up_attempts_ip_address ON sign_up_attempts (ip_address, time);
CREATE INDEX sign_up_attempts_time ON sign_up_attempts (time);

CREATE TABLE registration_tokens (
    token TEXT NOT NULL PRIMARY KEY,
    descr TEXT,
    counter INTEGER NOT NULL DEFAULT 0,
    "limit" INTEGER,
    expires INTEGER,
    disabled INTEGER NOT NULL DEFAULT 0,
    ephemeral INTEGER,
    customize TEXT                       -- JSON
) STRICT;

-- What is to be done when an address signs up.
CREATE TABLE account_creation_actions (
    id TEXT NOT NULL PRIMARY KEY,
    email_address TEXT NOT NULL,         -- lower case
    action TEXT NOT NULL,                -- JSON: action and its parameters
    expire INTEGER NOT NULL
) STRICT;
CREATE INDEX account_creation_actions_email_address ON account_creation_actions (email_address);
CREATE INDEX account_creation_actions_expire ON account_creation_actions (expire);

CREATE TABLE server_settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT,
    readonly INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE client_error_log (
    id TEXT NOT NULL PRIMARY KEY,
    event TEXT NOT NULL,
    error TEXT,
    account_id TEXT,
    time INTEGER NOT NULL,
    expire INTEGER
) STRICT;
CREATE INDEX client_error_log_time ON client_error_log (time);
CREATE INDEX client_error_log_event ON client_error_log (event, time);
CREATE INDEX client_error_log_expire ON client_error_log (expire) WHERE expire IS NOT NULL;

CREATE TABLE central_log (
    id TEXT NOT NULL PRIMARY KEY,
    event TEXT NOT NULL,
    value TEXT,                          -- JSON
    time INTEGER NOT NULL,
    expire INTEGER
) STRICT;
CREATE INDEX central_log_time ON central_log (time);
CREATE INDEX central_log_event ON central_log (event, time);
CREATE INDEX central_log_expire ON central_log (expire) WHERE expire IS NOT NULL;
