# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a hub's database holds, for what no call and no command shows or sets yet."""
import contextlib
import sqlite3


def execute(hub, statement, *values):
    """Runs one statement on the hub's database, which may be in use, and gives the rows."""
    with contextlib.closing(sqlite3.connect(hub.data / "hub.sqlite3", timeout=30)) as database, database:
        return database.execute(statement, values).fetchall()


def add_user(hub, project_id, account, group):
    """Makes an account a user of a project: owner, collaborator, viewer, invited_collaborator or invited_viewer."""
    execute(hub, 'INSERT INTO project_users (project_id, account_id, "group") VALUES (?, ?, ?)', project_id,
            account.id, group)
