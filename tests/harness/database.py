# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where hubs under test keep their data: COHUB_TEST_DATABASE=postgresql gives each a database of its own on one server for
all tests of a process, anything else leaves them the SQLite file in their data folder. Only the standard library."""
import atexit
import functools
import itertools
import os
import pathlib
import subprocess
import tempfile

from harness.postgres import Cluster

ON_POSTGRES = os.environ.get("COHUB_TEST_DATABASE") == "postgresql"
TEMPLATE = "migrated"
_numbers = itertools.count(1)


@functools.cache
def _cluster(program):
    """The server, with a database that has all tables; the others are copies of it."""
    cluster = Cluster().__enter__()
    atexit.register(cluster.remove)
    with tempfile.TemporaryDirectory(prefix="cohub-", dir="/tmp") as folder:
        pathlib.Path(folder, "data").mkdir()
        pathlib.Path(folder).chmod(0o755)
        subprocess.run([program, "account", "list", "--data", pathlib.Path(folder, "data"), "--database",
                        cluster.create(TEMPLATE)], check=True, capture_output=True)
    return cluster


def postgres_url(program, empty=False):
    """The URL of a new database on PostgreSQL, wherever hubs have theirs otherwise; with all tables, unless it is empty."""
    return _cluster(program).create(f"hub{next(_numbers)}", None if empty else TEMPLATE)


def new_url(program):
    """The URL of a new database with all tables, or None where hubs make their own."""
    return postgres_url(program) if ON_POSTGRES else None


def dump(program, url):
    """All that is in a database, as text. The hub may run."""
    cluster = _cluster(program)
    return subprocess.run([cluster.programs / "pg_dump", url], check=True, capture_output=True).stdout
