# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fills the database of a hub that does not run with many accounts, each owner of one project."""
import random
import sqlite3
import uuid

CREATED_MS = 1_767_225_600_000  # 2026-01-01


def fill(path, count):
    """Adds the rows; the list of the new accounts' ids. The same ones in each run."""
    random_bits = random.Random(1)
    new_id = lambda: str(uuid.UUID(int=random_bits.getrandbits(128), version=4))  # noqa: E731
    accounts = [new_id() for _ in range(count)]
    projects = [new_id() for _ in range(count)]
    database = sqlite3.connect(path)
    with database:
        database.executemany(
            "INSERT INTO accounts (account_id, email_address, first_name, last_name, created, last_active)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            ((account, f"person{number}@example.org", f"First{number}", f"Last{number}", CREATED_MS + number, CREATED_MS)
             for number, account in enumerate(accounts)))
        database.executemany(
            "INSERT INTO projects (project_id, title, description, created, last_edited) VALUES (?, ?, '', ?, ?)",
            ((project, f"Project {number}", CREATED_MS + number, CREATED_MS) for number, project in enumerate(projects)))
        database.executemany("INSERT INTO project_users (project_id, account_id, \"group\") VALUES (?, ?, 'owner')",
                             zip(projects, accounts))
        database.execute("ANALYZE")
    database.close()
    return accounts
