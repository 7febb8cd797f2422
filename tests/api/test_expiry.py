# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rows past their time are deleted without anybody asking; what is good stays."""
import uuid

import pytest

from harness.process import wait_until
from harness.store import execute

EXPIRING = {
    "auth_tokens": "INSERT INTO auth_tokens (auth_token, account_id, created, expire) VALUES (?1, ?2, 1, ?3)",
    "account_creation_actions":
        "INSERT INTO account_creation_actions (id, email_address, action, expire) VALUES (?1, ?2, '{}', ?3)",
    "password_reset": "INSERT INTO password_reset (id, email_address, expire) VALUES (?1, ?2, ?3)",
    "client_error_log": "INSERT INTO client_error_log (id, account_id, event, time, expire) VALUES (?1, ?2, 'error', 1, ?3)",
    "central_log": "INSERT INTO central_log (id, event, time, expire) VALUES (?1, ?2, 1, ?3)",
    "password_reset_attempts":
        "INSERT INTO password_reset_attempts (ip_address, email_address, time) VALUES (?1, ?2, ?3)",
    "password_failures": "INSERT INTO password_failures (account_id, time) SELECT ?2, ?3 WHERE ?1 <> ''",
    "user_auth_failures": "INSERT INTO user_auth_failures (account_id, target_account_id, time) VALUES (?1, ?2, ?3)",
    "sign_up_attempts": "INSERT INTO sign_up_attempts (ip_address, time) SELECT ?1, ?3 WHERE ?2 <> ''",
    "file_access_log": "INSERT INTO file_access_log (id, project_id, account_id, filename, time, expire)"
                       " SELECT ?1, '', ?2, '', 1, ?3",
    "mentions": "INSERT INTO mentions (project_id, path, target, source, time, expire)"
                " SELECT '', ?1, ?2, '', 1, ?3",
    "blobs": "INSERT INTO blobs (id, account_id, project_id, size, created, blob, expire)"
             " SELECT ?1, ?2, '', 0, 1, x'', ?3",
    "invitation_mails": "INSERT INTO invitation_mails (account_id, recipient, time) VALUES (?1, ?2, ?3)",
}
FUTURE = 1 << 52


@pytest.mark.parametrize("many", [1, 1200], ids=["one", "more than go at once"])
def test_what_is_past_its_time_is_deleted(hub_factory, many):
    hub = hub_factory()
    account = hub.account()
    kept = {table: len(execute(hub, f"SELECT * FROM {table}")) + 1 for table in EXPIRING}
    hub.stop()
    for statement in EXPIRING.values():
        execute(hub, f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})"
                     + statement.replace("VALUES (?1, ?2, ?3)", "SELECT ?1 || i, ?2, ?3 FROM n")
                     if "VALUES (?1, ?2, ?3)" in statement else statement, str(uuid.uuid4()), account.id, 5)
        execute(hub, statement, str(uuid.uuid4()), account.id, FUTURE)
    hub.start()
    for table, count in kept.items():
        wait_until(lambda: len(execute(hub, f"SELECT * FROM {table}")) == count, 20, f"{table} is cleared")
