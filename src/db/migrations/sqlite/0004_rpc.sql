-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What the methods of the RPC read and write besides. Conventions as in 0001.

-- ---- Histories of files that are edited together ----

CREATE TABLE syncstrings (
    string_id TEXT NOT NULL PRIMARY KEY, -- SHA-1 of project id and path, hexadecimal
    project_id TEXT NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    last_seq INTEGER NOT NULL DEFAULT 0, -- of its patches; counted up where one is appended
    users TEXT,                          -- JSON array of accounts; patches hold places in it
    doctype TEXT,
    last_active INTEGER,
    init TEXT,                           -- JSON: time, size, error
    save TEXT,                           -- JSON: state, error, hash, time, expected_hash
    read_only INTEGER,
    snapshot_interval INTEGER,
    settings TEXT                        -- JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX syncstrings_project ON syncstrings (project_id, last_active);

CREATE TABLE patches (
    string_id TEXT NOT NULL REFERENCES syncstrings (string_id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,               -- when it was appended
    logical_time INTEGER NOT NULL,
    wall INTEGER,
    user_id INTEGER,                     -- place in syncstrings.users
    parents TEXT,                        -- JSON array of logical times
    version INTEGER,
    is_snapshot INTEGER,
    seq_info TEXT,                       -- JSON
    headers TEXT,                        -- JSON
    key TEXT,
    patch TEXT,                          -- JSON of the compressed list
    snapshot TEXT,                       -- last, as of blobs
    PRIMARY KEY (string_id, seq)
) STRICT;

-- ---- Projects ----

-- 1: no outside network, whatever its quota has.
ALTER TABLE projects ADD COLUMN disable_internet INTEGER;
-- For queries that say: ephemeral IS NOT NULL AND coalesce(deleted, 0) = 0
CREATE INDEX projects_ephemeral ON projects ((created + ephemeral))
    WHERE ephemeral IS NOT NULL AND coalesce(deleted, 0) = 0;

-- ---- Copies ----

ALTER TABLE copy_paths ADD COLUMN bandwidth INTEGER;     -- KB a second, NULL: any
ALTER TABLE copy_paths ADD COLUMN exclude_patterns TEXT; -- of names, one a line

-- ---- Keys and browsers that are signed in ----

-- A key without a name has none, rather than an empty one.
UPDATE api_keys SET name = NULL WHERE name = '';

-- Found by the keyed hash of what the browser's cookie holds.
CREATE TABLE remember_me (
    hash TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    expire INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX remember_me_account ON remember_me (account_id);
CREATE INDEX remember_me_expire ON remember_me (expire);

-- ---- Messages and organizations ----

-- What a recipient's messages are listed by, made of the time and the marks of the message: whether
-- it is still there (not expunged), new (neither read nor put away), starred, liked (unless deleted).
ALTER TABLE message_recipients ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message_recipients ADD COLUMN kept INTEGER NOT NULL DEFAULT 1;
ALTER TABLE message_recipients ADD COLUMN fresh INTEGER NOT NULL DEFAULT 1;
ALTER TABLE message_recipients ADD COLUMN starred INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message_recipients ADD COLUMN liked INTEGER NOT NULL DEFAULT 0;
UPDATE message_recipients SET sent = own.sent,
    kept = CASE WHEN own.expire = '1' THEN 0 ELSE 1 END,
    fresh = CASE WHEN '1' IN (own.read, own.saved, own.deleted, own.expire) THEN 0 ELSE 1 END,
    starred = CASE WHEN own.starred = '1' AND '1' NOT IN (own.deleted, own.expire) THEN 1 ELSE 0 END,
    liked = CASE WHEN own.liked = '1' AND '1' NOT IN (own.deleted, own.expire) THEN 1 ELSE 0 END
    FROM (SELECT account_id, message_id, sent,
              coalesce(substr(read, place, 1), '') AS read,
              coalesce(substr(saved, place, 1), '') AS saved,
              coalesce(substr(starred, place, 1), '') AS starred,
              coalesce(substr(liked, place, 1), '') AS liked,
              coalesce(substr(deleted, place, 1), '') AS deleted,
              coalesce(substr(expire, place, 1), '') AS expire
          FROM (SELECT r.account_id, r.message_id, m.sent, m.read, m.saved, m.starred, m.liked,
                    m.deleted, m.expire,
                    (instr(m.to_ids, r.account_id) - 3) / 39 + 2 AS place  -- each id takes 39
                FROM message_recipients r JOIN messages m ON m.id = r.message_id) AS placed) AS own
    WHERE message_recipients.account_id = own.account_id
        AND message_recipients.message_id = own.message_id;
-- Each has its condition as a column too, so that going through it reads nothing else.
CREATE INDEX message_recipients_kept ON message_recipients (account_id, kept, sent, message_id)
    WHERE kept = 1;
CREATE INDEX message_recipients_fresh ON message_recipients (account_id, fresh, sent, message_id)
    WHERE fresh = 1;
CREATE INDEX message_recipients_starred ON message_recipients (account_id, starred, sent, message_id)
    WHERE starred = 1;
CREATE INDEX message_recipients_liked ON message_recipients (account_id, liked, sent, message_id)
    WHERE liked = 1;
-- For queries that say it in these words: what its author has not expunged, drafts at 0.
CREATE INDEX messages_sent ON messages (from_id, coalesce(sent, 0), id)
    WHERE coalesce(substr(expire, 1, 1), '') <> '1';

-- Members are gone through in the order of their ids.
DROP INDEX accounts_org;
CREATE INDEX accounts_org ON accounts (org, account_id) WHERE org IS NOT NULL;
