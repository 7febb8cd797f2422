# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a hub's database holds, for what no call and no command shows or sets yet."""
import contextlib
import sqlite3

from harness import database
from harness.server import COHUB


def _connect(hub):
    if hub.database_url is None:
        return sqlite3.connect(hub.data / "hub.sqlite3", timeout=30)
    import psycopg2  # nobody else needs it
    return psycopg2.connect(hub.database_url)


def _own_words(hub, statement):
    """With the marks for values that this database's module wants."""
    return statement if hub.database_url is None else statement.replace("%", "%%").replace("?", "%s")


def execute(hub, statement, *values):
    """Runs one statement on the hub's database, which may be in use, and gives the rows."""
    with contextlib.closing(_connect(hub)) as connection, connection:
        cursor = connection.cursor()
        cursor.execute(_own_words(hub, statement), values)
        return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def holding_writes(hub):
    """What the hub writes to accounts waits meanwhile; what it gives ends the waiting early."""
    with contextlib.closing(_connect(hub)) as connection:
        cursor = connection.cursor()
        cursor.execute("BEGIN IMMEDIATE" if hub.database_url is None else "LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE")
        yield connection.rollback


def execute_many(hub, statement, rows):
    """Runs one statement with the values of each row, all in one transaction."""
    with contextlib.closing(_connect(hub)) as connection, connection:
        connection.cursor().executemany(_own_words(hub, statement), rows)


def everything(hub):
    """The bytes of all that a hub has stored, which need not run."""
    if hub.database_url is None:
        return b"".join(file.read_bytes() for file in hub.data.glob("hub.sqlite3*"))
    return database.dump(COHUB, hub.database_url)


def add_user(hub, project_id, account, group):
    """Makes an account a user of a project: owner, collaborator, viewer, invited_collaborator or invited_viewer."""
    execute(hub, 'INSERT INTO project_users (project_id, account_id, "group") VALUES (?, ?, ?)', project_id,
            account.id, group)
