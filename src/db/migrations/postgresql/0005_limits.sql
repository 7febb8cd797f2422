-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What is kept of each account is counted. Conventions as in 0001.

CREATE INDEX copy_paths_account_finished ON copy_paths (account_id, finished)
    WHERE finished IS NOT NULL;

-- What is part of a key or an index has at most 2500 bytes, which fit into a row of any index; longer
-- ones were of no use to anybody. Of a longer token, which may keep strangers out, the beginning stays.
DELETE FROM file_access_log WHERE octet_length(filename) > 2500;
DELETE FROM mentions WHERE octet_length(path) > 2500;
DELETE FROM listings WHERE octet_length(path) > 2500;
DELETE FROM server_settings WHERE octet_length(name) > 2500;
UPDATE central_log SET event = substr(event, 1, 625) WHERE octet_length(event) > 2500;
DELETE FROM registration_tokens t USING registration_tokens other
    WHERE octet_length(t.token) > 2500
      AND (other.token = substr(t.token, 1, 625)
           OR octet_length(other.token) > 2500 AND other.token < t.token
              AND substr(other.token, 1, 625) = substr(t.token, 1, 625));
UPDATE registration_tokens SET token = substr(token, 1, 625) WHERE octet_length(token) > 2500;
