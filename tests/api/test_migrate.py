# SPDX-License-Identifier: AGPL-3.0-or-later
"""cohub migrate: all of a database comes over exactly and once, however often it is interrupted."""
import contextlib
import fcntl
import json
import os
import pathlib
import random
import re
import sqlite3
import string
import subprocess

import psycopg2
import pytest

from harness import database
from harness.hub import Hub
from harness.process import wait_until
from harness.server import COHUB

pytestmark = pytest.mark.long

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = ["", "plain", "Zoë 'quoted\" \\ \t\n %s $1", "日本語 🎉", "NULL"]
INTEGERS = [0, -1, 2**53 + 1, -(2**63), 2**63 - 1]
REALS = [0.1, -0.0, 1e308, 5e-324, 2.0]
BYTES = [b"", bytes(range(256)), b"\\x00", b"\0" * 3, os.urandom(5000)]
VALUES = {"TEXT": TEXTS, "INTEGER": INTEGERS, "REAL": REALS, "BLOB": BYTES}
ROWS = len(TEXTS)


# ---- The two sides ----

def tables(connection):
    return [name for name, in connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'schema_migrations'")]


def columns(connection, table):
    return connection.execute("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?)", (table,)).fetchall()


def content(source):
    """{table: sorted rows} of a SQLite file."""
    with contextlib.closing(sqlite3.connect(source)) as connection:
        return {table: rows_of(connection.cursor(), table, [name for name, *_ in columns(connection, table)])
                for table in tables(connection)}


def content_there(source, url):
    """The same of the PostgreSQL database, of the tables and columns that the file has."""
    with contextlib.closing(sqlite3.connect(source)) as here, contextlib.closing(psycopg2.connect(url)) as there:
        return {table: rows_of(there.cursor(), table, [name for name, *_ in columns(here, table)]) for table in tables(here)}


def rows_of(cursor, table, names):
    listed = ", ".join(f'"{name}"' for name in names)
    cursor.execute(f'SELECT {listed} FROM "{table}"')
    return sorted((tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
                   for row in cursor.fetchall()), key=repr)


# ---- Filling ----

def fill(source):
    """Rows of every table with every kind of value, also such as no hub would write."""
    with contextlib.closing(sqlite3.connect(source)) as connection, connection:
        for table in tables(connection):
            parents = {row[3]: (row[2], row[4]) for row in connection.execute("SELECT * FROM pragma_foreign_key_list(?)", (table,))}
            parts = columns(connection, table)
            allowed = choices(connection, table)
            for number in range(ROWS):
                row = [allowed[name][number % len(allowed[name])] if name in allowed else
                       value_of(connection, number, parents.get(name), *part) for name, *part in parts]
                marks = ", ".join("?" * len(row))
                connection.execute(f'INSERT INTO "{table}" VALUES ({marks})', row)


def choices(connection, table):
    """{column: values} of columns that take only some."""
    (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    found = re.findall(r'CHECK \("?(\w+)"? IN \(([^)]*)\)\)', sql)
    return {name: [json.loads(word.replace("'", '"')) for word in words.split(",")] for name, words in found}


def value_of(connection, number, parent, kind, notnull, key):
    if parent:
        table, column = parent
        return connection.execute(f'SELECT "{column}" FROM "{table}" ORDER BY rowid LIMIT 1 OFFSET ?' if table == "messages" else
                                  f'SELECT "{column}" FROM "{table}" ORDER BY 1 LIMIT 1 OFFSET ?', (number,)).fetchone()[0]
    if key:
        return f"key {number} {TEXTS[number]}" if kind == "TEXT" else number * 1000 + 7
    return VALUES[kind][number] if notnull or number else None


def fill_many(source, count):
    """Accounts and projects, each with its owner."""
    with contextlib.closing(sqlite3.connect(source)) as connection, connection:
        connection.executemany("INSERT INTO accounts (account_id, created, first_name) VALUES (?, ?, ?)",
                               ((f"a{i:07}", i, f"Name {i}") for i in range(count)))
        connection.executemany("INSERT INTO projects (project_id, title, created) VALUES (?, ?, ?)",
                               ((f"p{i:07}", f"Title {i}", i) for i in range(count)))
        connection.executemany('INSERT INTO project_users (project_id, account_id, "group") VALUES (?, ?, ?)',
                               ((f"p{i:07}", f"a{i:07}", "owner") for i in range(count)))


class Moving:
    """A data folder with a SQLite database, and a new database to move it to."""

    def __init__(self, folder):
        self.hub = Hub(folder / "data", env={"COHUB_DATABASE_URL": ""})
        self.hub.database_url = None
        self.source = self.hub.data / "hub.sqlite3"
        self.target = database.postgres_url(COHUB, empty=True)

    def command(self, *args, to=None):
        return [COHUB, "migrate", "--data", self.hub.data, "--to", to or self.target, *args]

    def run(self, *args, to=None):
        done = subprocess.run(self.command(*args, to=to), env=self.hub.env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *args, to=None):
        done = subprocess.run(self.command(*args, to=to), env=self.hub.env, capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stdout) == (1, ""), done
        return done.stderr.splitlines()[-1]

    @contextlib.contextmanager
    def killed(self):
        """Runs it, and kills it in the end. What it says has room for one line, so it gets no further than the second that
        nobody reads."""
        reading, writing = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        with open(reading, encoding="utf-8") as said, \
                subprocess.Popen(self.command(), env=self.hub.env, stdout=subprocess.DEVNULL, stderr=writing) as process:
            os.close(writing)
            try:
                yield said
            finally:
                process.kill()

    def killed_at(self, pattern):
        """Runs it until it says this, and kills it."""
        with self.killed() as said:
            assert any(re.search(pattern, line) for line in said), f"it never said {pattern}"

    def is_equal(self):
        return content(self.source) == content_there(self.source, self.target)


@pytest.fixture
def moving(request, tmp_path):
    for folder in (tmp_path, *tmp_path.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o011)  # the command works as the data folder's owner
    made = Moving(tmp_path)
    request.node.extra_hubs.append(made.hub)
    made.hub.start()
    made.hub.stop()
    yield made
    made.hub.end()


# ---- Tests ----

def test_every_value_of_every_table_comes_over(moving):
    fill(moving.source)
    before = content(moving.source)
    report = moving.run()
    assert moving.is_equal() and content(moving.source) == before
    assert not report["continued"] and report["rows"] == sum(map(len, before.values()))
    assert {table["table"]: table["rows"] for table in report["tables"]} == {name: len(rows) for name, rows in before.items()}
    assert all(table["copied"] == table["rows"] and re.fullmatch("[0-9a-f]{64}", table["sum"]) for table in report["tables"])
    assert min(map(len, before.values())) >= ROWS


def test_a_hub_goes_on_with_what_was_moved(moving):
    hub = moving.hub.start()
    account = hub.account(password="correct horse", admin=True)
    project = hub.project(account)
    hub.exec(account, project, "echo kept > file")
    hub.cli("key", "delete", str(hub.cli("key", "create", account.id)["id"]))
    numbers = {key["id"] for key in hub.cli("key", "list", account.id)}
    hub.stop_projects()
    hub.stop()
    moving.run()
    hub.env["COHUB_DATABASE_URL"] = moving.target
    hub.database_url = moving.target
    hub.start()
    assert hub.exec(account, project, "cat file")["stdout"] == "kept\n"
    reply = hub.call("user_auth", key=account, account_id=account.id, password="correct horse")
    assert "auth_token" in reply, reply
    assert hub.cli("key", "create", account.id)["id"] > max(numbers) + 1  # that of the deleted one does not come again
    assert hub.project(account) != project


def test_and_back_again(moving, tmp_path):
    fill(moving.source)
    moving.run()
    back = tmp_path / "data" / "back.sqlite3"
    moving.run("--from", moving.target, to=f"sqlite:{back}")
    assert content(back) == content(moving.source)


@pytest.mark.parametrize("said", ["^copied [0-9]+ rows of accounts", "^copied [0-9]+ rows of projects", "^compared"])
def test_killed_in_the_middle_it_goes_on(moving, said):
    fill_many(moving.source, 5000)
    moving.killed_at(said)
    report = moving.run()
    assert report["continued"] and moving.is_equal()
    copied = {table["table"]: table["copied"] for table in report["tables"]}
    assert copied["accounts"] == 0, "it is not copied again"
    assert "migrate_progress" not in psql_tables(moving.target)


def test_killed_within_a_table_again_and_again(moving):
    """At any row: what the transactions under way had is copied once more, and nothing twice."""
    fill_many(moving.source, 20000)
    for part in (0.1, 0.5, 0.9):
        with moving.killed():
            wait_until(lambda part=part: count_there(moving.target, "projects") >= 20000 * part, 60, "it has got so far")
    report = moving.run()
    assert moving.is_equal() and report["continued"]


def test_the_longest_keys_come_over(moving):
    """Of random text, of which no index is made shorter."""
    fill_keys(moving.source, 2500)
    moving.run()
    assert moving.is_equal()


def test_longer_keys_of_an_older_hub_are_gone(moving):
    fill_keys(moving.source, 2501)
    sql = (ROOT / "src/db/migrations/sqlite/0005_limits.sql").read_text()
    with contextlib.closing(sqlite3.connect(moving.source)) as connection, connection:
        connection.execute("DELETE FROM schema_migrations WHERE number >= 5")
        for index in re.findall(r"CREATE INDEX (\w+)", sql):
            connection.execute(f"DROP INDEX {index}")
    moving.run()
    left = {table: len(rows) for table, rows in content(moving.source).items() if rows}
    assert left == {"accounts": 1, "projects": 1, "project_users": 1, "central_log": 1, "registration_tokens": 1}
    assert moving.is_equal()


def fill_keys(source, size):
    """Rows with keys of so many bytes, one of each table that has such."""
    fill_many(source, 1)
    key = "".join(random.choices(string.ascii_letters, k=size))
    with contextlib.closing(sqlite3.connect(source)) as connection, connection:
        for statement in ("file_access_log (id, project_id, account_id, filename, time) VALUES ('i', 'p', 'a', ?, 1)",
                          "mentions (time, project_id, path, target, source) VALUES (1, 'p0000000', ?, 'a', 'a')",
                          "listings (project_id, path) VALUES ('p0000000', ?)",
                          "central_log (id, event, time) VALUES ('i', ?, 1)",
                          "server_settings (name) VALUES (?)",
                          "registration_tokens (token) VALUES (?)"):
            connection.execute(f"INSERT INTO {statement}", (key,))


def test_what_is_no_text_comes_over_as_far_as_it_is(moving):
    fill_many(moving.source, 1)
    with contextlib.closing(sqlite3.connect(moving.source)) as connection, connection:
        connection.execute("UPDATE projects SET title = CAST(x'61ff0062' AS TEXT)")
    moving.run()
    with contextlib.closing(psycopg2.connect(moving.target)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT title FROM projects")
        assert cursor.fetchall() == [("a\ufffd\ufffdb",)]


def count_there(url, table):
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", (table,))
        if cursor.fetchone()[0] is None:
            return 0
        cursor.execute(f'SELECT count(*) FROM "{table}"')
        return cursor.fetchone()[0]


def psql_tables(url):
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for name, in cursor.fetchall()}


def test_a_copy_that_is_not_finished_serves_nobody(moving):
    fill_many(moving.source, 2000)
    moving.killed_at("^copied [0-9]+ rows of accounts")
    hub = moving.hub
    hub.env["COHUB_DATABASE_URL"] = moving.target
    for command in (["serve", "--listen", "127.0.0.1:0"], ["account", "list"]):
        done = subprocess.run([COHUB, *command, "--data", hub.data], env=hub.env, capture_output=True, text=True, timeout=300)
        assert done.returncode and "a copy that is not finished. Run cohub migrate again" in done.stdout + done.stderr
    assert moving.refused("--from", moving.target, to=f"sqlite:{hub.data}/back.sqlite3").startswith(
        "cohub: The database is a copy that is not finished.")
    hub.env["COHUB_DATABASE_URL"] = ""
    moving.run()
    hub.env["COHUB_DATABASE_URL"] = hub.database_url = moving.target
    hub.start()
    assert len(hub.cli("account", "list")) > 0


def test_a_target_with_data_is_refused(moving):
    moving.run()
    with contextlib.closing(psycopg2.connect(moving.target)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO accounts (account_id, created) VALUES ('somebody', 1)")
    assert moving.refused() == "cohub: the target holds data already (1 rows in accounts)"
    assert count_there(moving.target, "accounts") == 1


def test_what_another_source_left_is_refused(moving, tmp_path):
    fill_many(moving.source, 2000)
    moving.killed_at("^copied [0-9]+ rows of accounts")
    other = Hub(tmp_path / "other" / "data", env={"COHUB_DATABASE_URL": ""})
    other.database_url = None
    other.start()
    other.stop()
    (tmp_path / "other").chmod(0o711)
    other.data.chmod(0o711)
    assert moving.refused("--from", f"sqlite:{other.data}/hub.sqlite3") == (
        "cohub: the target holds what was copied from another database")


def test_a_source_that_changed_between_two_runs_is_refused(moving):
    fill_many(moving.source, 2000)
    moving.killed_at("^copied [0-9]+ rows of accounts")
    with contextlib.closing(sqlite3.connect(moving.source)) as connection, connection:
        connection.execute("UPDATE accounts SET first_name = 'Other' WHERE account_id = 'a0000000'")
    assert moving.refused() == ("cohub: accounts: the source has changed since the run that this one continues; begin again "
                                "with an empty target (2000 rows there, 2000 here)")


def test_not_while_a_hub_runs(moving):
    moving.hub.start()
    assert moving.refused() == "cohub: a hub serves the data folder; stop it first"
    assert not psql_tables(moving.target)


@pytest.mark.parametrize("args, error", [
    (("--from", "sqlite:/nowhere/hub.sqlite3"), "the database /nowhere/hub.sqlite3 cannot be read: No such file or directory"),
    (("--from", "mysql://x"), "Unknown kind of database; expected sqlite:PATH or postgresql://USER@HOST/NAME."),
])
def test_wrong_sources(moving, args, error):
    assert moving.refused(*args) == f"cohub: {error}"


def test_wrong_targets(moving):
    assert moving.refused("--from", moving.target) == "cohub: --from and --to are the same database"
    assert moving.refused(to="mysql://x").startswith("cohub: Unknown kind of database")
    secret = moving.refused(to="postgresql://somebody:hidden-word@127.0.0.1:1/none")
    assert "hidden-word" not in secret and "cannot be reached" in secret
    done = subprocess.run([COHUB, "migrate", "--data", moving.hub.data], env=moving.hub.env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "cohub migrate: missing --to URL; see cohub migrate --help\n")
