-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What the rest of API v1 stores: found names, forgotten passwords, mail, copies, public paths,
-- licences, invitations, support tickets. Conventions as in 0001.

-- ---- Accounts ----

-- What an account may hand to its projects. JSON: name -> amount
ALTER TABLE accounts ADD COLUMN upgrades TEXT;

-- Whether the account's names are in the tables of the search below; what is not yet is put there by
-- the hub in the background.
ALTER TABLE accounts ADD COLUMN searchable INTEGER NOT NULL DEFAULT 0;
CREATE INDEX accounts_not_searchable ON accounts (first_name) WHERE searchable = 0 AND deleted = 0;

-- The lower-cased names of accounts that can be found by them; svc/account_index.c tells how.
CREATE TABLE account_names (
    id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL UNIQUE REFERENCES accounts (account_id) ON DELETE CASCADE,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    recency INTEGER NOT NULL
) STRICT;
CREATE TABLE account_search (
    prefix TEXT NOT NULL,
    recency INTEGER NOT NULL,
    id INTEGER NOT NULL,                 -- of account_names
    PRIMARY KEY (prefix, recency, id)
) STRICT, WITHOUT ROWID;
-- The prefixes that have so many accounts that longer ones have rows too.
CREATE TABLE account_search_splits (
    prefix TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Wrong passwords given with an account's key.
CREATE TABLE password_failures (
    id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL,
    time INTEGER NOT NULL
) STRICT;
CREATE INDEX password_failures_account ON password_failures (account_id, time);
CREATE INDEX password_failures_time ON password_failures (time);

CREATE TABLE password_reset (
    id TEXT NOT NULL PRIMARY KEY,        -- the code
    email_address TEXT NOT NULL,         -- lower case
    expire INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX password_reset_email_address ON password_reset (email_address);
CREATE INDEX password_reset_expire ON password_reset (expire);

CREATE TABLE password_reset_attempts (
    id INTEGER PRIMARY KEY,
    email_address TEXT NOT NULL,
    ip_address TEXT NOT NULL,
    time INTEGER NOT NULL
) STRICT;
CREATE INDEX password_reset_attempts_email_address ON password_reset_attempts (email_address, time);
CREATE INDEX password_reset_attempts_ip_address ON password_reset_attempts (ip_address, time);
CREATE INDEX password_reset_attempts_time ON password_reset_attempts (time);

-- Whether it was carried out; it is kept until it expires, for the page that its mail leads to.
ALTER TABLE account_creation_actions ADD COLUMN done INTEGER NOT NULL DEFAULT 0;

-- ---- Mail that waits, and what became of it ----

CREATE TABLE mail (
    id TEXT NOT NULL PRIMARY KEY,
    category TEXT NOT NULL,              -- welcome, password_reset, invite, ticket
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL,               -- RFC 5322, 7-bit
    project_id TEXT,                     -- of an invitation: where a failure is noted
    created INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt INTEGER,                -- NULL: sent, or given up
    claimed_until INTEGER,               -- some process is sending it
    sent INTEGER,
    error TEXT                           -- of the last attempt
) STRICT;
CREATE INDEX mail_next_attempt ON mail (next_attempt) WHERE next_attempt IS NOT NULL;
CREATE INDEX mail_created ON mail (created);

-- Who asked for which invitation mail when, of the last day: nobody floods others.
CREATE TABLE invitation_mails (
    id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL,
    recipient TEXT NOT NULL,
    time INTEGER NOT NULL
) STRICT;
CREATE INDEX invitation_mails_account ON invitation_mails (account_id, time);
CREATE INDEX invitation_mails_recipient ON invitation_mails (recipient, time);
CREATE INDEX invitation_mails_time ON invitation_mails (time);

-- ---- Errors that clients report ----

CREATE INDEX client_error_log_account ON client_error_log (account_id, time);

-- ---- Projects ----

CREATE TABLE project_invite_tokens (
    token TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    created INTEGER,
    expires INTEGER,
    usage_limit INTEGER,                 -- NULL: none
    counter INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX project_invite_tokens_project ON project_invite_tokens (project_id, created);

CREATE TABLE public_paths (
    id TEXT NOT NULL PRIMARY KEY,        -- SHA-1 of project id and path, hexadecimal
    project_id TEXT NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    path TEXT NOT NULL,                  -- below the home, no slash at its end
    description TEXT,
    disabled INTEGER NOT NULL DEFAULT 0,
    unlisted INTEGER NOT NULL DEFAULT 0,
    license TEXT,
    name TEXT,
    created INTEGER,
    last_edited INTEGER,
    last_saved INTEGER,
    counter INTEGER,
    vhost TEXT UNIQUE,
    auth TEXT,                           -- JSON
    token TEXT,
    compute_image TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX public_paths_project ON public_paths (project_id);

CREATE TABLE copy_paths (
    id TEXT NOT NULL PRIMARY KEY,
    time INTEGER NOT NULL,               -- when it was asked for
    account_id TEXT NOT NULL,            -- by whom
    source_project_id TEXT NOT NULL,
    source_path TEXT NOT NULL,           -- these two as they were sent
    target_project_id TEXT NOT NULL,
    target_path TEXT NOT NULL,
    overwrite_newer INTEGER NOT NULL DEFAULT 0,
    delete_missing INTEGER NOT NULL DEFAULT 0,
    backup INTEGER NOT NULL DEFAULT 0,
    exclude_history INTEGER NOT NULL DEFAULT 0,
    public INTEGER NOT NULL DEFAULT 0,   -- the right to the source is that its path is public
    timeout INTEGER,                     -- seconds without any transfer
    scheduled INTEGER,
    ready INTEGER NOT NULL DEFAULT 0,    -- it may start, and has not
    attempts INTEGER NOT NULL DEFAULT 0, -- how often it has started: it does again when its hub dies
    claimed_by TEXT,                     -- the hub that runs it
    claimed_until INTEGER,               -- unless that says more, it is dead then
    started INTEGER,
    finished INTEGER,
    error TEXT
) STRICT;
CREATE INDEX copy_paths_source ON copy_paths (source_project_id, time);
CREATE INDEX copy_paths_source_pending ON copy_paths (source_project_id, time)
    WHERE finished IS NULL;
CREATE INDEX copy_paths_source_failed ON copy_paths (source_project_id, time)
    WHERE error IS NOT NULL;
CREATE INDEX copy_paths_target ON copy_paths (target_project_id, time);
CREATE INDEX copy_paths_target_pending ON copy_paths (target_project_id, time)
    WHERE finished IS NULL;
CREATE INDEX copy_paths_target_failed ON copy_paths (target_project_id, time)
    WHERE error IS NOT NULL;
CREATE INDEX copy_paths_account ON copy_paths (account_id) WHERE finished IS NULL;
CREATE INDEX copy_paths_ready ON copy_paths (account_id, time) WHERE ready = 1;
CREATE INDEX copy_paths_scheduled ON copy_paths (scheduled)
    WHERE ready = 0 AND started IS NULL AND finished IS NULL;
CREATE INDEX copy_paths_claimed ON copy_paths (claimed_until) WHERE claimed_by IS NOT NULL;
CREATE INDEX copy_paths_finished ON copy_paths (finished) WHERE finished IS NOT NULL;

-- ---- Licences ----

CREATE TABLE site_licenses (
    id TEXT NOT NULL PRIMARY KEY,
    title TEXT,
    description TEXT,
    info TEXT,                           -- JSON
    activates INTEGER,
    expires INTEGER,
    created INTEGER,
    last_used INTEGER,
    managers TEXT,                       -- JSON array of accounts
    restricted INTEGER NOT NULL DEFAULT 0,
    upgrades TEXT,                       -- JSON: upgrade -> amount
    quota TEXT,                          -- JSON: cpu, ram, disk, dedicated_cpu and others
    run_limit INTEGER,                   -- NULL: none
    apply_limit INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX site_licenses_last_used ON site_licenses (last_used);

-- Which project ran with which licence, from when until when. A row without `stop` runs now.
CREATE TABLE site_license_usage_log (
    license_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER,
    PRIMARY KEY (license_id, project_id, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX site_license_usage_log_running ON site_license_usage_log (license_id, project_id)
    WHERE stop IS NULL;
CREATE INDEX site_license_usage_log_project ON site_license_usage_log (project_id)
    WHERE stop IS NULL;

-- ---- Support ----

CREATE TABLE support_tickets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    secret TEXT NOT NULL,                -- in the link to its page
    created_by TEXT NOT NULL,            -- the account that filed it
    account_id TEXT,                     -- whose list shows it
    username TEXT NOT NULL,
    email_address TEXT NOT NULL,
    subject TEXT NOT NULL,
    description TEXT NOT NULL,
    tags TEXT NOT NULL,                  -- JSON array
    location TEXT,
    info TEXT NOT NULL,                  -- JSON
    status TEXT NOT NULL,                -- new, open, pending or closed
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;
CREATE INDEX support_tickets_account ON support_tickets (account_id, id)
    WHERE account_id IS NOT NULL;
CREATE INDEX support_tickets_created_by ON support_tickets (created_by, created);

CREATE TABLE support_ticket_replies (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id INTEGER NOT NULL REFERENCES support_tickets (id) ON DELETE CASCADE,
    staff INTEGER NOT NULL,              -- 1: from the people who run the site; 0: the requester
    body TEXT NOT NULL,
    time INTEGER NOT NULL
) STRICT;
CREATE INDEX support_ticket_replies_ticket ON support_ticket_replies (ticket_id, id);
