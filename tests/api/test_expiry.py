# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rows past their time are deleted without anybody asking; what is good stays."""
import uuid

import pytest

from harness.process import wait_until
from harness.store import execute, execute_many

ID, ACCOUNT, PROJECT, TIME = object(), object(), object(), object()  # what differs between rows
EXPIRING = {
    "auth_tokens": {"auth_token": ID, "account_id": ACCOUNT, "created": 1, "expire": TIME},
    "remember_me": {"hash": ID, "account_id": ACCOUNT, "created": 1, "expire": TIME},
    "account_creation_actions": {"id": ID, "email_address": ACCOUNT, "action": "{}", "expire": TIME},
    "password_reset": {"id": ID, "email_address": ACCOUNT, "expire": TIME},
    "client_error_log": {"id": ID, "account_id": ACCOUNT, "event": "error", "time": 1, "expire": TIME},
    "central_log": {"id": ID, "event": ACCOUNT, "time": 1, "expire": TIME},
    "password_reset_attempts": {"ip_address": ID, "email_address": ACCOUNT, "time": TIME},
    "password_failures": {"account_id": ACCOUNT, "time": TIME},
    "user_auth_failures": {"account_id": ID, "target_account_id": ACCOUNT, "time": TIME},
    "sign_up_attempts": {"ip_address": ID, "time": TIME},
    "file_access_log": {"id": ID, "project_id": PROJECT, "account_id": ACCOUNT, "filename": "x", "time": 1, "expire": TIME},
    "mentions": {"project_id": PROJECT, "path": ID, "target": ACCOUNT, "source": ACCOUNT, "time": 1, "expire": TIME},
    "blobs": {"id": ID, "account_id": ACCOUNT, "project_id": PROJECT, "size": 0, "created": 1, "blob": b"", "expire": TIME},
    "invitation_mails": {"account_id": ID, "recipient": ACCOUNT, "time": TIME},
}
FUTURE = 1 << 52


def add(hub, table, columns, count, values):
    marks = ", ".join("?" * len(columns))
    execute_many(hub, f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
                 [[{**values, ID: str(uuid.uuid4())}.get(value, value) for value in columns.values()] for _ in range(count)])


@pytest.mark.parametrize("many", [1, 1200], ids=["one", "more than go at once"])
def test_what_is_past_its_time_is_deleted(hub_factory, many):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    kept = {table: len(execute(hub, f"SELECT * FROM {table}")) + 1 for table in EXPIRING}
    hub.stop()
    for table, columns in EXPIRING.items():
        for time, count in ((5, many), (FUTURE, 1)):
            add(hub, table, columns, count, {ACCOUNT: account.id, PROJECT: project, TIME: time})
    hub.start()
    for table, count in kept.items():
        wait_until(lambda: len(execute(hub, f"SELECT * FROM {table}")) == count, 60, f"{table} is cleared")
