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
