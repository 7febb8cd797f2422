-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What is kept of each account is counted. Conventions as in 0001.

CREATE INDEX copy_paths_account_finished ON copy_paths (account_id, finished)
    WHERE finished IS NOT NULL;
