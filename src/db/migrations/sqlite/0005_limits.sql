-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What is kept of each account is counted. Conventions as in 0001.

CREATE INDEX copy_paths_account_finished ON copy_paths (account_id, finished)
    WHERE finished IS NOT NULL;

-- What is part of a key or an index has at most 2500 bytes, which fit into a row of any index; longer
-- ones were of no use to anybody. Of a longer token, which may keep strangers out, the beginning stays.
DELETE FROM file_access_log WHERE length(CAST(filename AS BLOB)) > 2500;
DELETE FROM mentions WHERE length(CAST(path AS BLOB)) > 2500;
DELETE FROM listings WHERE length(CAST(path AS BLOB)) > 2500;
DELETE FROM server_settings WHERE length(CAST(name AS BLOB)) > 2500;
UPDATE central_log SET event = substr(event, 1, 625) WHERE length(CAST(event AS BLOB)) > 2500;
UPDATE OR REPLACE registration_tokens SET token = substr(token, 1, 625)
    WHERE length(CAST(token AS BLOB)) > 2500;
