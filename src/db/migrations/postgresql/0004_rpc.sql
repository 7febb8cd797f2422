-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What the methods of the RPC read and write besides. Conventions as in 0001.

-- ---- Histories of files that are edited together ----

CREATE TABLE syncstrings (
    string_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,  -- SHA-1 of project id and path, hexadecimal
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    path TEXT COLLATE "C" NOT NULL,
    last_seq BIGINT NOT NULL DEFAULT 0,     -- of its patches; counted up where one is appended
    users TEXT COLLATE "C",                 -- JSON array of accounts; patches hold places in it
    doctype TEXT COLLATE "C",
    last_active BIGINT,
    init TEXT COLLATE "C",                  -- JSON: time, size, error
    save TEXT COLLATE "C",                  -- JSON: state, error, hash, time, expected_hash
    read_only BIGINT,
    snapshot_interval BIGINT,
    settings TEXT COLLATE "C"               -- JSON
);
CREATE INDEX syncstrings_project ON syncstrings (project_id, last_active);

CREATE TABLE patches (
    string_id TEXT COLLATE "C" NOT NULL REFERENCES syncstrings (string_id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    time BIGINT NOT NULL,                   -- when it was appended
    logical_time BIGINT NOT NULL,
    wall BIGINT,
    user_id BIGINT,                         -- place in syncstrings.users
    parents TEXT COLLATE "C",               -- JSON array of logical times
    version BIGINT,
    is_snapshot BIGINT,
    seq_info TEXT COLLATE "C",              -- JSON
    headers TEXT COLLATE "C",               -- JSON
    key TEXT COLLATE "C",
    patch TEXT COLLATE "C",                 -- JSON of the compressed list
    snapshot TEXT COLLATE "C",              -- last, as of blobs
    PRIMARY KEY (string_id, seq)
);
