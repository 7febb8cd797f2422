-- SPDX-License-Identifier: AGPL-3.0-or-later
-- UUIDs are lower-case text, times integer milliseconds UTC, booleans 0 or 1. Columns marked JSON
-- hold one JSON value as text. All text compares by its bytes, whatever the database's locale is.
-- An "expire" in the past means that the row counts as absent; a clean-up finds such rows by the
-- index on it.

CREATE TABLE accounts (
    account_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    email_address TEXT COLLATE "C" UNIQUE,  -- lower case
    email_address_before_delete TEXT COLLATE "C",
    email_address_verified TEXT COLLATE "C",  -- JSON: address -> time
    email_address_challenge TEXT COLLATE "C",  -- JSON: email, token, time
    email_address_problem TEXT COLLATE "C", -- JSON: address -> problem
    password_hash TEXT COLLATE "C",         -- argon2id string
    first_name TEXT COLLATE "C",
    last_name TEXT COLLATE "C",
    name TEXT COLLATE "C",
    created BIGINT NOT NULL,
    created_by TEXT COLLATE "C",            -- IP address
    last_active BIGINT,
    deleted BIGINT NOT NULL DEFAULT 0,
    banned BIGINT NOT NULL DEFAULT 0,
    unlisted BIGINT NOT NULL DEFAULT 0,
    "groups" TEXT COLLATE "C",              -- JSON array of names
    creation_actions_done BIGINT NOT NULL DEFAULT 0,
    sign_up_usage_intent TEXT COLLATE "C",
    passports TEXT COLLATE "C",             -- JSON: strategy and id -> profile
    editor_settings TEXT COLLATE "C",       -- JSON
    other_settings TEXT COLLATE "C",        -- JSON
    terminal TEXT COLLATE "C",              -- JSON
    profile TEXT COLLATE "C",               -- JSON: image, color
    ssh_keys TEXT COLLATE "C",              -- JSON: fingerprint -> key
    customize TEXT COLLATE "C",             -- JSON
    tags TEXT COLLATE "C",                  -- JSON array
    tours TEXT COLLATE "C",                 -- JSON array
    autosave BIGINT,
    evaluate_key TEXT COLLATE "C",
    font_size BIGINT,
    lti_id TEXT COLLATE "C",                -- JSON array
    lti_data TEXT COLLATE "C",              -- JSON
    ephemeral BIGINT,                       -- lifetime in ms
    org TEXT COLLATE "C",
    owner_id TEXT COLLATE "C",
    notes TEXT COLLATE "C",
    unread_message_count BIGINT,
    last_message_summary BIGINT
);
CREATE INDEX accounts_created ON accounts (created);
CREATE INDEX accounts_created_by ON accounts (created_by, created);
CREATE INDEX accounts_last_active ON accounts (last_active);

CREATE TABLE projects (
    project_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    title TEXT COLLATE "C",
    description TEXT COLLATE "C",
    name TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL DEFAULT 'opened',
    state_time BIGINT,
    state_error TEXT COLLATE "C",
    status TEXT COLLATE "C",                -- JSON, as the running project reports it
    created BIGINT NOT NULL,
    last_edited BIGINT,
    last_started BIGINT,
    last_backup BIGINT,
    deleted BIGINT NOT NULL DEFAULT 0,
    compute_image TEXT COLLATE "C",
    settings TEXT COLLATE "C",              -- JSON: base quotas
    site_license TEXT COLLATE "C",          -- JSON: licence -> quota it grants while running
    run_quota TEXT COLLATE "C",             -- JSON: quota in effect while running
    env TEXT COLLATE "C",                   -- JSON: name -> value
    addons TEXT COLLATE "C",                -- JSON
    host TEXT COLLATE "C",                  -- JSON: host, assigned
    action_request TEXT COLLATE "C",        -- JSON: action, time, started, finished, err
    course TEXT COLLATE "C",                -- JSON: project_id, path, pay, email_address, account_id
    invite TEXT COLLATE "C",                -- JSON: email address -> time, error
    invite_requests TEXT COLLATE "C",       -- JSON: account -> timestamp, message
    manage_users_owner_only BIGINT NOT NULL DEFAULT 0,
    sandbox BIGINT NOT NULL DEFAULT 0,
    ephemeral BIGINT,                       -- lifetime in ms
    idle_timeout BIGINT,
    disk_size BIGINT,
    avatar_image_tiny TEXT COLLATE "C",
    avatar_image_full TEXT COLLATE "C",
    color TEXT COLLATE "C",
    notes TEXT COLLATE "C",
    lti_id TEXT COLLATE "C",                -- JSON array
    lti_data TEXT COLLATE "C",              -- JSON
    secret_token TEXT COLLATE "C"
);
CREATE INDEX projects_created ON projects (created);
CREATE INDEX projects_last_edited ON projects (last_edited);
-- For queries that say: state <> 'opened'
CREATE INDEX projects_active ON projects (state, project_id) WHERE state <> 'opened';

CREATE TABLE project_users (
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    "group" TEXT COLLATE "C" NOT NULL,      -- owner or collaborator
    hide BIGINT NOT NULL DEFAULT 0,
    upgrades TEXT COLLATE "C",              -- JSON: name -> amount
    ssh_keys TEXT COLLATE "C",              -- JSON: fingerprint -> key
    last_active BIGINT,
    PRIMARY KEY (project_id, account_id)
);
CREATE INDEX project_users_account ON project_users (account_id);

-- Keys are found by hash. A 'v1' key (one an account) is also kept sealed, since it can be shown
-- again; a 'v2' key is shown once. A key with a project acts as that project.
CREATE TABLE api_keys (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    project_id TEXT COLLATE "C" REFERENCES projects (project_id) ON DELETE CASCADE,
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('v1', 'v2')),
    name TEXT COLLATE "C",
    hash TEXT COLLATE "C" NOT NULL UNIQUE,
    trunc TEXT COLLATE "C" NOT NULL,
    sealed TEXT COLLATE "C",
    created BIGINT NOT NULL,
    expire BIGINT,
    last_active BIGINT
);
CREATE INDEX api_keys_account ON api_keys (account_id);
CREATE UNIQUE INDEX api_keys_v1 ON api_keys (account_id) WHERE kind = 'v1';
CREATE INDEX api_keys_project ON api_keys (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX api_keys_expire ON api_keys (expire) WHERE expire IS NOT NULL;

CREATE TABLE auth_tokens (
    auth_token TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    created BIGINT NOT NULL,
    created_by TEXT COLLATE "C",            -- account
    is_admin BIGINT NOT NULL DEFAULT 0,
    expire BIGINT NOT NULL
);
CREATE INDEX auth_tokens_account ON auth_tokens (account_id);
CREATE INDEX auth_tokens_expire ON auth_tokens (expire);

-- When a caller last gave a wrong password for an account.
CREATE TABLE user_auth_failures (
    account_id TEXT COLLATE "C" NOT NULL,   -- the caller
    target_account_id TEXT COLLATE "C" NOT NULL,
    time BIGINT NOT NULL,
    PRIMARY KEY (account_id, target_account_id)
);
CREATE INDEX user_auth_failures_time ON user_auth_failures (time);

CREATE TABLE sign_up_attempts (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    ip_address TEXT COLLATE "C" NOT NULL,
    time BIGINT NOT NULL
);
CREATE INDEX sign_up_attempts_ip_address ON sign_up_attempts (ip_address, time);
CREATE INDEX sign_up_attempts_time ON sign_up_attempts (time);

CREATE TABLE registration_tokens (
    token TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    descr TEXT COLLATE "C",
    counter BIGINT NOT NULL DEFAULT 0,
    "limit" BIGINT,
    expires BIGINT,
    disabled BIGINT NOT NULL DEFAULT 0,
    ephemeral BIGINT,
    customize TEXT COLLATE "C"              -- JSON
);

-- What is to be done when an address signs up.
CREATE TABLE account_creation_actions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    email_address TEXT COLLATE "C" NOT NULL,  -- lower case
    action TEXT COLLATE "C" NOT NULL,       -- JSON: action and its parameters
    expire BIGINT NOT NULL
);
CREATE INDEX account_creation_actions_email_address ON account_creation_actions (email_address);
CREATE INDEX account_creation_actions_expire ON account_creation_actions (expire);

CREATE TABLE server_settings (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C",
    readonly BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE client_error_log (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    event TEXT COLLATE "C" NOT NULL,
    error TEXT COLLATE "C",
    account_id TEXT COLLATE "C",
    time BIGINT NOT NULL,
    expire BIGINT
);
CREATE INDEX client_error_log_time ON client_error_log (time);
CREATE INDEX client_error_log_event ON client_error_log (event, time);
CREATE INDEX client_error_log_expire ON client_error_log (expire) WHERE expire IS NOT NULL;

CREATE TABLE central_log (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    event TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C",                 -- JSON
    time BIGINT NOT NULL,
    expire BIGINT
);
CREATE INDEX central_log_time ON central_log (time);
CREATE INDEX central_log_event ON central_log (event, time);
CREATE INDEX central_log_expire ON central_log (expire) WHERE expire IS NOT NULL;
