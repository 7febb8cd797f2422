# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fills the database of a hub that does not run with many accounts."""
import contextlib
import itertools
import random
import sqlite3
import time
import uuid

CREATED_MS = 1_767_225_600_000  # 2026-01-01


# As src/svc/account_index.h: where the index splits a prefix, and the longest prefix it has.
BUCKET, PREFIX, NEVER = 32, 24, 1 << 52


def fill(path, count):
    """Adds accounts, each the owner of one project; the list of their ids. The same ones in each run."""
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
        index_names(database)
        database.execute("ANALYZE")
    database.close()
    return accounts


def fill_projects(path, count, caller, shared):
    """Adds accounts, each the owner of one project; the list of the ids of `shared` projects, spread among them, on which
    the caller works, too. Their names are in no index, so that a million are there within seconds."""
    numbers = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count)"
    new_id = "printf('%08x-0000-4000-8000-%012x', i * 2654435761 & 4294967295, i)"  # in no order, as random ones
    values = {"count": count, "now": time.time_ns() // 1_000_000, "caller": caller, "every": count // shared, "shared": shared}
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA cache_size = -262144")
        database.execute(f"CREATE TEMP TABLE made AS {numbers} SELECT {new_id} AS id, i FROM n ORDER BY 1", values)
        # Marked as searchable: else the hub would begin to index them, and each write costs readers what they have cached.
        database.execute("INSERT INTO accounts (account_id, email_address, first_name, last_name, created, last_active, searchable)"
                         " SELECT id, printf('person%07d@example.org', i), 'First' || i, 'Last' || i, :now, :now, 1 FROM made",
                         values)
        database.execute("INSERT INTO projects (project_id, title, description, created, last_edited)"
                         " SELECT id, 'Project ' || i, '', :now, :now + i FROM made", values)
        database.execute("INSERT INTO project_users (project_id, account_id, \"group\") SELECT id, id, 'owner' FROM made")
        database.execute("INSERT INTO project_users (project_id, account_id, \"group\") SELECT id, :caller, 'collaborator' FROM made"
                         " WHERE i % :every = 0 AND i / :every < :shared", values)
        database.execute("ANALYZE")
        return [row[0] for row in database.execute("SELECT project_id FROM project_users WHERE account_id = :caller", values)]


# ---- People with names as people have them ----

COMMON = ("james john robert michael william david joseph maria anna elizabeth jennifer linda patricia susan jessica sarah karen"
          " thomas charles daniel matthew anthony mark donald paul andrew joshua kenneth kevin brian george edward").split()
FAMILIES = "smith johnson williams brown jones garcia miller davis martinez lopez wilson anderson taylor moore jackson".split()


def _made_up(random_bits, count):
    """Names of two to four syllables."""
    syllables = [a + b for a, b in itertools.product("bcdfghjklmnprstvwz", "aeiou")]
    return ["".join(random_bits.choices(syllables, k=random_bits.randint(2, 4))) for _ in range(count)]


def _drawn(random_bits, names, count):
    """The first names are the most frequent, as they are among people."""
    weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(len(names))))
    return random_bits.choices(names, cum_weights=weights, k=count)


def fill_people(path, count):
    """Adds accounts whose names, and times of last activity, are spread as they are among people."""
    random_bits = random.Random(2)
    firsts = _drawn(random_bits, COMMON + _made_up(random_bits, 5000), count)
    lasts = _drawn(random_bits, FAMILIES + _made_up(random_bits, 50_000), count)
    new_id = lambda: str(uuid.UUID(int=random_bits.getrandbits(128), version=4))  # noqa: E731
    active = lambda: CREATED_MS + random_bits.randrange(1 << 35) if random_bits.random() < 0.8 else None  # noqa: E731
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.executemany(
            "INSERT INTO accounts (account_id, email_address, first_name, last_name, created, last_active)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            ((new_id(), f"person{number}@example.org", first.capitalize(), last.capitalize(), CREATED_MS, active())
             for number, (first, last) in enumerate(zip(firsts, lasts))))
        index_names(database)
        database.execute("ANALYZE")


# ---- The index of names ----

def _woven(first, last):
    """The key of both names (src/svc/account_index.h)."""
    width = max(len(first), len(last))
    return " " + "".join(a + b for a, b in zip(first.ljust(width), last.ljust(width)))


def index_names(database):
    """Puts all accounts that are not in the index of names there, as the hub would one by one. For names of one word, and
    an index that has only few others."""
    database.create_function("woven", 2, _woven, deterministic=True)
    database.execute("PRAGMA cache_size = -262144")
    [(before,)] = database.execute("SELECT coalesce(max(id), 0) FROM account_names")
    database.execute(
        "INSERT INTO account_names (account_id, first_name, last_name, recency) SELECT account_id, lower(first_name),"
        f" lower(last_name), coalesce(last_active, created - {NEVER}) FROM accounts WHERE searchable = 0")
    database.execute("UPDATE accounts SET searchable = 1")
    database.execute(
        "CREATE TEMP TABLE keys AS SELECT id, recency, first_name AS key, 0 AS start FROM account_names WHERE id > ?1"
        " UNION ALL SELECT id, recency, last_name, 0 FROM account_names WHERE id > ?1"
        " UNION ALL SELECT id, recency, woven(first_name, last_name), 1 FROM account_names WHERE id > ?1", (before,))
    for size in range(1, PREFIX + 1):  # `keys` shrinks to those whose prefix is split
        database.execute("CREATE TEMP TABLE level AS SELECT substr(key, 1, ?1 + start) AS prefix, recency, id, key, start FROM keys"
                         " WHERE length(key) >= ?1 + start ORDER BY 1, 2, 3", (size,))
        database.execute("INSERT OR IGNORE INTO account_search SELECT prefix, recency, id FROM level")
        database.execute("CREATE TEMP TABLE split (prefix TEXT PRIMARY KEY)")
        database.execute("INSERT INTO split SELECT prefix FROM level GROUP BY prefix HAVING count(*) > ?", (BUCKET,))
        database.execute("INSERT OR IGNORE INTO account_search_splits SELECT prefix FROM split")
        database.execute("DROP TABLE keys")
        database.execute("CREATE TEMP TABLE keys AS SELECT id, recency, key, start FROM level WHERE prefix IN (SELECT prefix FROM split)")
        database.execute("DROP TABLE level")
        database.execute("DROP TABLE split")
    database.execute("DROP TABLE keys")
