# SPDX-License-Identifier: AGPL-3.0-or-later
"""Queries of blobs (user-query 12.10)."""
import hashlib
import os

import pytest

from harness.process import wait_until
from harness.queries import refusal, result
from harness.store import execute, execute_many

MISSING = "12345678-1234-4234-8234-123456789012"
HELLO = "aaf4c61d-dcc5-4e8a-adab-ede0f3b482cd"


def id_of(content):
    digits = iter(hashlib.sha1(content).hexdigest())
    return "".join({"x": lambda: next(digits), "y": lambda: f"{int(next(digits), 16) % 4 + 8:x}"}.get(c, lambda: c)()
                   for c in "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx")


def buffer(content):
    return {"type": "Buffer", "data": list(content)}


def new_text():
    return os.urandom(8).hex()


def store(hub, account, project, text, **more):
    assert result(hub, account, {"blobs": {"id": id_of(text.encode()), "blob": text, "project_id": project, **more}}) == {}
    return id_of(text.encode())


def read(hub, account, blob_id):
    return result(hub, account, {"blobs": {"id": blob_id, "blob": None}})["blobs"]


def life(hub, blob_id):
    """Seconds between a blob's being stored and its end; None: for ever."""
    [(created, expire)] = execute(hub, "SELECT created, expire FROM blobs WHERE id = ?", blob_id)
    return expire and (expire - created) / 1000


def put(hub, account, project, ids, size):
    """Makes it as if the account had stored blobs of a size."""
    execute_many(hub, "INSERT INTO blobs (id, size, project_id, account_id, created, blob) VALUES (?, ?, ?, ?, 1, ?)",
                 [(blob_id, size, project, account.id, b"") for blob_id in ids])


def test_the_id_of_the_documented_example():
    assert id_of(b"hello") == HELLO


def test_whoever_knows_the_id_reads_a_blob(hub, account, project):
    store(hub, account, project, "hello")
    assert read(hub, hub.account(), HELLO) == {"id": HELLO, "blob": buffer(b"hello")}


@pytest.mark.parametrize("content", ["", "grün ☃", "x" * 200000], ids=["nothing", "letters", "many"])
def test_a_text_is_stored_as_its_bytes(hub, account, project, content):
    blob_id = store(hub, account, project, content)
    assert read(hub, account, blob_id) == {"id": blob_id, "blob": buffer(content.encode())}


def test_bytes_are_written_in_the_form_they_are_read_in(hub, account, project):
    content = bytes(range(256)) + os.urandom(8)
    blob_id = id_of(content)
    assert result(hub, account, {"blobs": {"id": blob_id.upper(), "blob": buffer(content), "project_id": project}}) == {}
    assert read(hub, account, blob_id) == {"id": blob_id, "blob": buffer(content)}


def test_an_unknown_blob(hub, account):
    assert read(hub, account, MISSING) == {"id": MISSING}


def test_a_list_has_one_blob(hub, account, project):
    blob_id = store(hub, account, project, "hello")
    assert result(hub, account, {"blobs": [{"id": blob_id, "blob": None}]}) == {
        "blobs": [{"id": HELLO, "blob": buffer(b"hello")}]}


def test_a_blob_that_is_not_asked_for_is_not_told(hub, account, project):
    blob_id = store(hub, account, project, "hello")
    assert result(hub, account, {"blobs": {"id": blob_id}}, [{"set": False}]) == {"blobs": {"id": blob_id}}


@pytest.mark.parametrize("pattern, text", [
    ({"blob": None}, "id must be specified"), ({"blob": None, "id": None}, "id must be specified"),
    ({"blob": None, "id": "x"}, "uuid is invalid"), ({"blob": None, "id": 7}, "uuid is invalid"),
    ({"size": None, "id": HELLO}, "FATAL: user get query not allowed for blobs.size"),
])
def test_a_get_that_is_refused(hub, account, pattern, text):
    assert refusal(hub, account, {"blobs": pattern}) == text


@pytest.mark.parametrize("given", [MISSING, HELLO[:-1] + "0"])
def test_the_id_must_be_that_of_the_content(hub, account, project, given):
    assert refusal(hub, account, {"blobs": {"id": given, "blob": "hello", "project_id": project}}) == \
        f"the sha1 uuid (='{HELLO}') of the blob must equal the given uuid (='{given}')"


@pytest.mark.parametrize("fields, text", [
    ({"blob": "hello"}, "FATAL: must specify blobs.id"), ({"id": HELLO}, "FATAL: must specify blobs.blob"),
    ({"id": "x", "blob": "hello"}, 'postgresql error: invalid input syntax for type uuid: "x"'),
    ({"id": HELLO, "blob": {"data": [1]}}, 'postgresql error: invalid input syntax for type bytea: "[object Object]"'),
    ({"id": HELLO, "blob": {"type": "Buffer", "data": [256]}},
     'postgresql error: invalid input syntax for type bytea: "[object Object]"'),
    ({"id": HELLO, "blob": "hello", "ttl": "x"}, 'postgresql error: invalid input syntax for type double precision: "x"'),
    ({"id": HELLO, "blob": "hello", "ttl": -1}, "ttl must be a number of seconds from 0 to 3155760000"),
    ({"id": HELLO, "blob": "hello", "ttl": 1e12}, "ttl must be a number of seconds from 0 to 3155760000"),
    ({"id": HELLO, "blob": "hello", "size": 5}, "FATAL: changing blobs.size not allowed"),
])
def test_a_set_that_is_refused(hub, account, project, fields, text):
    assert refusal(hub, account, {"blobs": {"project_id": project, **fields}}) == text


def test_who_stores_must_work_on_the_project(hub, account, project):
    blob = {"id": HELLO, "blob": "hello"}
    assert refusal(hub, account, {"blobs": blob}) == "FATAL: must specify blobs.project_id"
    assert refusal(hub, hub.account(), {"blobs": {**blob, "project_id": project}}) == "FATAL: user must be an admin"
    assert refusal(hub, account, {"blobs": {**blob, "project_id": MISSING}}) == f"FATAL: unknown project_id '{MISSING}'"


def test_the_same_bytes_are_stored_from_any_project(hub, account, project):
    text = new_text()
    blob_id = store(hub, account, project, text)
    other = hub.account()
    store(hub, other, hub.project(other), text)
    assert execute(hub, "SELECT project_id, account_id, size FROM blobs WHERE id = ?", blob_id) == [
        (project, account.id, 16)]


@pytest.mark.parametrize("ttl, seconds", [(60, 60), (0.5, 0.5), ("60", 60), (0, None)])
def test_a_blob_is_kept_as_long_as_asked(hub, account, project, ttl, seconds):
    assert life(hub, store(hub, account, project, new_text(), ttl=ttl)) == seconds


@pytest.mark.parametrize("first, second, days", [(1, 2, 2), (2, 1, 2), (1, 0, None), (1, None, None), (0, 1, None)])
def test_storing_again_only_prolongs(hub, account, project, first, second, days):
    text = new_text()
    store(hub, account, project, text, ttl=first * 86400)
    blob_id = store(hub, account, project, text, **({} if second is None else {"ttl": second * 86400}))
    seconds = life(hub, blob_id)
    assert (seconds and round(seconds / 86400)) == days


def test_a_blob_past_its_time_is_none_and_can_be_stored_anew(hub, account, project):
    text = new_text()
    blob_id = store(hub, account, project, text, ttl=60)
    execute(hub, "UPDATE blobs SET expire = 1, created = 1 WHERE id = ?", blob_id)
    assert read(hub, account, blob_id) == {"id": blob_id}
    store(hub, account, project, text, ttl=60)
    assert life(hub, blob_id) == 60


def test_reading_is_counted_once_a_minute(hub, account, project):
    def reads():
        [(count, last_active, created)] = execute(hub, "SELECT count, last_active, created FROM blobs WHERE id = ?", blob_id)
        return count, last_active is not None and last_active >= created
    blob_id = store(hub, account, project, new_text())
    assert reads() == (0, False)
    for _ in range(3):
        read(hub, account, blob_id)
    wait_until(lambda: reads() == (1, True), 60, "a read is counted")


def test_an_account_stores_so_many_bytes_and_blobs(hub, account, project):
    put(hub, account, project, [f"big {account.id}"], 199999990)
    kept = store(hub, account, project, "0123456789")
    text = new_text()
    assert refusal(hub, account, {"blobs": {"id": id_of(text.encode()), "blob": text, "project_id": project}}) == \
        "the blobs of an account can have at most 200000000 bytes together"
    store(hub, account, project, "0123456789", ttl=60)
    execute(hub, "DELETE FROM blobs WHERE account_id = ?", account.id)
    put(hub, account, project, (f"{account.id}{n}" for n in range(10000)), 0)
    assert refusal(hub, account, {"blobs": {"id": kept, "blob": "0123456789", "project_id": project}}) == \
        "an account can store at most 10000 blobs"
    execute(hub, "DELETE FROM blobs WHERE account_id = ?", account.id)
