# SPDX-License-Identifier: AGPL-3.0-or-later
"""Queries about what goes on in projects: their log, who works with which file, listings, invite tokens, images
(user-query 12.3, 12.6, 12.7, 12.9)."""
import datetime
import hashlib
import json
import random
import string
import time
import uuid

import pytest

from harness.process import wait_until
from harness.queries import refusal, result, send
from harness.store import add_user, execute, execute_many

MISSING = "12345678-1234-4234-8234-123456789012"
TIME = "2001-02-03T04:05:06.789Z"
DAY_S = 24 * 3600
NOT_ADMIN = "FATAL: user must be an admin"


def set_(hub, account, table, **fields):
    assert result(hub, account, {table: fields}) == {}


def rows(hub, account, table, options=..., **fields):
    return result(hub, account, {table: [fields]}, options)[table]


def now_ms():
    return round(time.time() * 1000)


def ago(seconds):
    """The time that long ago."""
    moment = datetime.datetime.fromtimestamp(time.time() - seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms(iso):
    return round(datetime.datetime.fromisoformat(iso.replace("Z", "+00:00")).timestamp() * 1000)


def colleague(hub, project, group="collaborator"):
    account = hub.account()
    add_user(hub, project, account, group)
    return account


def numbered(project, n):
    """A UUID that no other project's rows have."""
    return f"{project[:-12]}{n:012d}"


def fill(hub, table, project, count, values):
    """Puts rows into a table: values(n) gives the columns of the n-th, from 1."""
    columns = ("project_id", *values(1))
    execute_many(hub, f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                 [(project, *values(n).values()) for n in range(1, count + 1)])


# ---- project_log (12.3) ----


def log(hub, account, project, table="project_log_all", options=..., **where):
    return rows(hub, account, table, options, **{"project_id": project, "id": None, "time": None, "account_id": None,
                                                 "event": None, **where})


def test_an_entry_of_the_log_reads_as_it_was_written(hub, account, project):
    set_(hub, account, "project_log", project_id=project, time=TIME, event={"event": "x", "who": "{account_id}"})
    [entry] = log(hub, account, project)
    assert uuid.UUID(entry.pop("id")).version == 4
    assert entry == {"project_id": project, "time": TIME, "account_id": account.id,
                     "event": {"event": "x", "who": account.id}}


def test_an_entry_keeps_the_id_that_it_was_given(hub, account, project):
    set_(hub, account, "project_log_all", id=MISSING.replace("1234-4", "ffff-4"), project_id=project, event={})
    assert [entry["id"] for entry in log(hub, account, project)] == [MISSING.replace("1234-4", "ffff-4")]


def test_the_author_of_an_entry_is_the_caller(hub, account, project):
    set_(hub, account, "project_log", project_id=project, account_id=hub.account().id, event={})
    assert log(hub, account, project)[0]["account_id"] == account.id


def test_an_entry_without_a_time_has_the_present(hub, account, project):
    before = ago(1)
    set_(hub, account, "project_log", project_id=project, event={"event": "x"})
    [entry] = log(hub, account, project, "project_log")
    assert before <= entry["time"] <= ago(-1)


def test_a_time_that_is_null_is_filled_in_too(hub, account, project):
    assert result(hub, account, {"project_log": {"project_id": project, "time": None, "event": {}}},
                  [{"set": True}]) == {}
    assert "time" in log(hub, account, project)[0]


def test_writing_an_entry_again_merges_its_event_and_keeps_its_time(hub, account, project):
    entry = str(uuid.uuid4())
    set_(hub, account, "project_log", id=entry, project_id=project, time=TIME, event={"a": 1, "b": {"c": 2}})
    set_(hub, account, "project_log", id=entry, project_id=project, event={"b": {"d": 3}})
    [found] = log(hub, account, project)
    assert (found["event"], found["time"]) == ({"a": 1, "b": {"c": 2, "d": 3}}, TIME)


def test_a_log_shows_the_newest_entries_first(hub, account, project):
    for day in (2, 1, 3):
        set_(hub, account, "project_log", project_id=project, time=ago(day * DAY_S), event={"day": day})
    assert [entry["event"]["day"] for entry in log(hub, account, project, "project_log")] == [1, 2, 3]


@pytest.mark.parametrize("days, found", [(60, 1), (62, 0)])
def test_project_log_has_a_window_of_61_days(hub, account, project, days, found):
    set_(hub, account, "project_log", project_id=project, time=ago(days * DAY_S), event={})
    assert len(log(hub, account, project, "project_log")) == found
    assert len(log(hub, account, project)) == 1


@pytest.mark.parametrize("table, limit", [("project_log", 750), ("project_log_all", 7500)])
def test_a_log_is_cut_at_its_limit(hub, account, project, table, limit):
    now = now_ms()
    fill(hub, "project_log", project, limit + 1, lambda n: {"id": numbered(project, n), "time": now - n})
    assert len(log(hub, account, project, table)) == limit


def test_an_event_is_bounded(hub, account, project):
    entry = str(uuid.uuid4())
    text = "FATAL: error setting 'event' -- Error: must have at most 20480 characters"
    assert refusal(hub, account, {"project_log": {"project_id": project, "event": {"x": "y" * 20480}}}) == text
    set_(hub, account, "project_log", id=entry, project_id=project, event={"a": "y" * 15000})
    assert refusal(hub, account, {"project_log": {"id": entry, "project_id": project,
                                                  "event": {"b": "y" * 15000}}}) == text
    assert set(log(hub, account, project)[0]["event"]) == {"a"}


@pytest.mark.long
@pytest.mark.parametrize("table, kept", [("project_log", 20000), ("file_use", 5000), ("mentions", 5000)])
def test_a_project_keeps_its_newest_rows(hub, account, project, table, kept):
    time_column = "last_edited" if table == "file_use" else "time"
    own = {"mentions": lambda n: {"path": "p", "target": "t", "source": "s"}}.get(
        table, lambda n: {"id": numbered(project, n)})
    fill(hub, table, project, kept + 50, lambda n: {time_column: n, **own(n)})

    def add_rows():
        key = {"mentions": {"source": account.id, "target": account.id, "path": "new"},
               "file_use": {"path": str(uuid.uuid4()), "last_edited": "{now}"}, "project_log": {"event": {}}}[table]
        assert result(hub, account, [{table: {"project_id": project, **key}}] * 100) == [{}] * 100
        return execute(hub, f"SELECT count(*) FROM {table} WHERE project_id = ? AND {time_column} <= 50", project) == [(0,)]

    wait_until(add_rows, 180, "the oldest rows are gone")
    assert execute(hub, f"SELECT count(*) FROM {table} WHERE project_id = ?", project)[0][0] <= kept + 1000


def test_who_works_on_no_project_of_the_log_sees_none(hub, account, project):
    set_(hub, account, "project_log", project_id=project, event={})
    assert rows(hub, hub.account(), "project_log", id=None) == []
    assert rows(hub, colleague(hub, project, "viewer"), "project_log", id=None) == []
    assert len(rows(hub, colleague(hub, project), "project_log", id=None)) == 1


def test_a_log_of_a_foreign_project_is_closed(hub, project):
    stranger = hub.account()
    for table in ("project_log", "project_log_all", "file_use", "mentions", "listings", "project_invite_tokens"):
        assert refusal(hub, stranger, {table: [{"project_id": project}]}, [{"set": False}]) == \
            "FATAL: you do not have read access to this project"
        if table != "listings":
            keys = {"mentions": {"path": "p", "source": stranger.id, "target": stranger.id}, "file_use": {"path": "p"},
                    "project_invite_tokens": {"token": "t"}}.get(table, {"event": {}})
            assert refusal(hub, stranger, {table: {"project_id": project, **keys}}) == NOT_ADMIN


def test_an_entry_of_a_foreign_project_cannot_be_rewritten_by_its_id(hub, account, project):
    set_(hub, account, "project_log", id=project, project_id=project, event={"mine": 1})
    stranger = hub.account()
    own = hub.project(stranger)
    assert refusal(hub, stranger, {"project_log": {"id": project, "project_id": own, "event": {"mine": 2}}}) == NOT_ADMIN
    assert log(hub, account, project)[0]["event"] == {"mine": 1}


# ---- file_use (12.6) ----


def use(hub, account, project, path="a.txt", **actions):
    set_(hub, account, "file_use", project_id=project, path=path, users={account.id: actions}, last_edited="{now}")


def notes(hub, project):
    return execute(hub, "SELECT account_id, filename, time, edited FROM file_access_log WHERE project_id = ?"
                        " ORDER BY time", project)


def test_a_use_of_a_file_is_merged_into_those_before(hub, account, project):
    use(hub, account, project, edit=TIME)
    use(hub, account, project, read="2001-02-03T04:05:07+01:00")
    [row] = rows(hub, account, "file_use", id=None, project_id=project, path=None, users=None)
    assert row == {"id": hashlib.sha1(f"{project}a.txt".encode()).hexdigest(), "project_id": project, "path": "a.txt",
                   "users": {account.id: {"edit": TIME, "read": "2001-02-03T03:05:07.000Z"}}}


def test_the_id_of_a_use_is_computed_whatever_is_sent(hub, account, project):
    set_(hub, account, "file_use", id="0" * 40, project_id=project, path="ä", last_edited="{now}")
    assert rows(hub, account, "file_use", project_id=project, id=None) == \
        [{"project_id": project, "id": hashlib.sha1(f"{project}ä".encode()).hexdigest()}]


@pytest.mark.parametrize("days, found", [(20, 1), (22, 0)])
def test_file_use_has_a_window_of_21_days(hub, account, project, days, found):
    set_(hub, account, "file_use", project_id=project, path="a", last_edited=ago(days * DAY_S))
    assert len(rows(hub, account, "file_use", project_id=project, path=None)) == found


def test_file_use_shows_the_200_last_edited(hub, account, project):
    now = now_ms()
    fill(hub, "file_use", project, 201, lambda n: {"id": numbered(project, n), "path": str(n), "last_edited": now - n})
    paths = [row["path"] for row in rows(hub, account, "file_use", project_id=project, path=None)]
    assert paths == [str(n) for n in range(1, 201)]


@pytest.mark.parametrize("table, fields", [("file_use", {"users": {}}), ("public_paths", {"description": "x"})])
def test_what_has_a_path_must_say_which(hub, account, project, table, fields):
    assert refusal(hub, account, {table: {"project_id": project, **fields}}) == f"FATAL: must specify {table}.path"


@pytest.mark.parametrize("table, most", [("file_use", 2500), ("public_paths", 4096), ("mentions", 2500)])
def test_paths_are_as_long_as_an_index_or_the_system_takes_them(hub, account, project, table, most):
    """Of random text: nothing that is stored of it becomes shorter."""
    fields = {"file_use": {"users": {account.id: {"edit": ago(1)}}}, "public_paths": {},
              "mentions": {"source": account.id, "target": account.id}}[table]
    path = "".join(random.choices(string.ascii_letters + string.digits, k=most - 3)) + "日"
    set_(hub, account, table, project_id=project, path=path, **fields)
    assert refusal(hub, account, {table: {"project_id": project, "path": path + "x", **fields}}) == \
        f"FATAL: error setting 'path' -- Error: must have at most {most} bytes"
    assert table != "file_use" or [noted for _, noted, *_ in notes(hub, project)] == [path]


def test_the_users_of_a_file_are_bounded(hub, account, project):
    use(hub, account, project, edit="x" * 100000)
    assert refusal(hub, account, {"file_use": {"project_id": project, "path": "a.txt",
                                               "users": {account.id: {"read": "x" * 100000}}}}) == \
        "FATAL: error setting 'users' -- Error: must have at most 131072 characters"


@pytest.mark.parametrize("action", ["edit", "chat", "open"])
def test_work_on_a_file_marks_project_and_account_and_is_noted(hub, project, action):
    worker = colleague(hub, project)
    execute(hub, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    before = now_ms()
    use(hub, worker, project, **{action: ago(150)})
    [(who, path, noted, edited)] = notes(hub, project)
    assert (who, path, edited) == (worker.id, "a.txt", action == "edit")
    after = now_ms()
    assert before <= noted <= after
    [[last_edited]] = execute(hub, "SELECT last_edited FROM projects WHERE project_id = ?", project)
    [[last_active]] = execute(hub, "SELECT last_active FROM project_users WHERE account_id = ?", worker.id)
    assert before <= last_edited <= after and before <= last_active <= after
    wait_until(lambda: execute(hub, "SELECT last_active FROM accounts WHERE account_id = ?", worker.id)[0][0],
               60, "the account is active")


def test_work_on_a_file_may_be_told_in_milliseconds(hub, account, project):
    use(hub, account, project, open=now_ms())
    assert len(notes(hub, project)) == 1


@pytest.mark.parametrize("action, seconds", [("edit", 190), ("read", 0)])
def test_what_is_no_work_right_now_is_not_noted(hub, account, project, action, seconds):
    execute(hub, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    use(hub, account, project, **{action: ago(seconds)})
    assert notes(hub, project) == []
    assert execute(hub, "SELECT last_edited FROM projects WHERE project_id = ?", project) == [(1,)]


def test_what_a_client_says_of_others_is_not_noted(hub, account, project):
    other = colleague(hub, project)
    set_(hub, account, "file_use", project_id=project, path="a", users={other.id: {"edit": ago(0)}})
    assert notes(hub, project) == []


def test_work_on_a_file_is_noted_once_a_minute(hub, account, project):
    use(hub, account, project, open=ago(0))
    execute(hub, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    use(hub, account, project, open=ago(0))
    assert len(notes(hub, project)) == 1
    assert execute(hub, "SELECT last_edited FROM projects WHERE project_id = ?", project) == [(1,)]
    execute(hub, "UPDATE file_access_log SET time = time - 61000 WHERE project_id = ?", project)
    use(hub, account, project, open=ago(0))
    assert len(notes(hub, project)) == 2


def test_each_file_and_each_account_is_noted_for_itself(hub, account, project):
    use(hub, account, project, open=ago(0))
    use(hub, account, project, "b.txt", open=ago(0))
    use(hub, colleague(hub, project), project, open=ago(0))
    assert len(notes(hub, project)) == 3


def test_notes_are_kept_a_year(hub, account, project):
    use(hub, account, project, open=ago(0))
    assert execute(hub, "SELECT expire - time FROM file_access_log WHERE project_id = ?", project) == \
        [(365 * DAY_S * 1000,)]


# ---- file_use_times ----


def times(hub, caller, project, account, path="a.txt", options=..., **asked):
    return result(hub, caller, {"file_use_times": {"project_id": project, "account_id": account.id, "path": path,
                                                   **asked}}, options)["file_use_times"]


def test_times_of_a_file_are_when_it_was_opened_and_when_edited(hub, account, project):
    use(hub, account, project, open=ago(0))
    execute(hub, "UPDATE file_access_log SET time = time - 61000 WHERE project_id = ?", project)
    use(hub, account, project, edit=ago(0))
    first, second = [note[2] for note in notes(hub, project)]
    assert times(hub, account, project, account, access_times=None, edit_times=None) == {
        "project_id": project, "account_id": account.id, "path": "a.txt", "access_times": [second, first],
        "edit_times": [second]}


def test_an_edit_within_the_minute_of_an_opening_counts(hub, account, project):
    use(hub, account, project, open=ago(0))
    assert times(hub, account, project, account, edit_times=None)["edit_times"] == []
    use(hub, account, project, edit=ago(0))
    assert times(hub, account, project, account, edit_times=None)["edit_times"] == [notes(hub, project)[0][2]]


def test_times_are_those_of_one_account_and_one_file(hub, account, project):
    other = colleague(hub, project)
    use(hub, account, project, open=ago(0))
    assert times(hub, account, project, other, access_times=None)["access_times"] == []
    assert times(hub, account, project, account, "b.txt", access_times=None)["access_times"] == []
    assert len(times(hub, other, project, account, access_times=None)["access_times"]) == 1


def test_times_asked_for_in_a_list_are_one_object(hub, account, project):
    pattern = {"project_id": project, "account_id": account.id, "path": "a", "edit_times": None}
    assert result(hub, account, {"file_use_times": [pattern]}) == {"file_use_times": {**pattern, "edit_times": []}}


def test_asking_for_no_times_gives_the_pattern(hub, account, project):
    assert times(hub, account, project, account, options=[{"set": False}]) == {
        "project_id": project, "account_id": account.id, "path": "a.txt"}


@pytest.mark.parametrize("options, count", [
    (..., 1000), ([{"limit": 2}], 2), ([{"limit": 1001}], 1001), ([{"set": False}, {"limit": 1}, {"limit": 2}], 1)])
def test_times_are_cut_at_a_limit(hub, account, project, options, count):
    fill(hub, "file_access_log", project, 1001, lambda n: {"id": numbered(project, n), "account_id": account.id,
                                                           "filename": "a.txt", "time": n})
    found = times(hub, account, project, account, options=options, access_times=None)["access_times"]
    assert found == list(range(1001, 1001 - count, -1))


@pytest.mark.parametrize("gone", ["project_id", "account_id", "path"])
def test_times_need_all_three(hub, account, project, gone):
    pattern = {"project_id": project, "account_id": account.id, "path": "a", "edit_times": None}
    text = "project_id, account_id, and path must all be specified"
    assert refusal(hub, account, {"file_use_times": {**pattern, gone: None}}) == text
    del pattern[gone]
    assert refusal(hub, account, {"file_use_times": pattern}) == text


@pytest.mark.parametrize("name", ["project_id", "account_id"])
def test_times_of_what_is_no_id(hub, account, project, name):
    pattern = {"project_id": project, "account_id": account.id, "path": "a", "edit_times": None, name: "x"}
    assert refusal(hub, account, {"file_use_times": pattern}) == f"invalid {name} -- x"


def test_times_are_for_those_who_are_listed_in_the_project(hub, account, project):
    def ask(caller, project_id=project):
        return send(hub, caller, {"file_use_times": {"project_id": project_id, "account_id": account.id, "path": "a",
                                                     "edit_times": None}})
    refused = "Error: user does not have read access to the given project"
    assert ask(hub.account())["error"] == refused
    assert ask(account, MISSING)["error"] == refused
    assert ask(colleague(hub, project, "invited_viewer"))["event"] == "query"
    assert ask(hub.account(admin=True))["event"] == "query"


# ---- file_access_log ----


def test_the_log_of_accesses_is_for_administrators(hub, account, project):
    use(hub, account, project, open=ago(0))
    assert refusal(hub, account, {"file_access_log": [{"filename": None}]}) == NOT_ADMIN
    [row] = rows(hub, hub.account(admin=True), "file_access_log", project_id=project, id=None, account_id=None,
                 filename=None, time=None)
    assert uuid.UUID(row.pop("id"))
    assert row == {"project_id": project, "account_id": account.id, "filename": "a.txt",
                   "time": row["time"]} and ms(row["time"]) == notes(hub, project)[0][2]


def test_the_log_of_accesses_cannot_be_written(hub):
    assert refusal(hub, hub.account(admin=True), {"file_access_log": {"filename": "x"}}) == \
        "FATAL: user set queries not allowed for table 'file_access_log'"


# ---- project_invite_tokens (12.7) ----


def test_an_invite_token_reads_as_it_was_written(hub, account, project):
    token = str(uuid.uuid4())
    set_(hub, account, "project_invite_tokens", project_id=project, token=token, expires=TIME, usage_limit=3,
         created="2001-02-03T05:05:06+01:00")
    assert rows(hub, account, "project_invite_tokens", project_id=project, token=None, expires=None, created=None,
                usage_limit=None, counter=None) == [
        {"project_id": project, "token": token, "expires": TIME, "created": "2001-02-03T04:05:06.000Z",
         "usage_limit": 3, "counter": 0}]


def test_nothing_is_filled_in_for_a_token(hub, account, project):
    token = str(uuid.uuid4())
    set_(hub, account, "project_invite_tokens", project_id=project, token=token)
    assert result(hub, account, {"project_invite_tokens": {"token": token, "created": None, "expires": None,
                                                           "usage_limit": None}}) == {
        "project_invite_tokens": {"token": token, "created": None, "expires": None, "usage_limit": None}}


def test_a_token_keeps_what_is_not_written_again(hub, account, project):
    token = str(uuid.uuid4())
    set_(hub, account, "project_invite_tokens", project_id=project, token=token, usage_limit=3)
    set_(hub, account, "project_invite_tokens", project_id=project, token=token, expires=1600000000000)
    [row] = rows(hub, account, "project_invite_tokens", token=token, usage_limit=None, expires=None)
    assert (row["usage_limit"], row["expires"]) == (3, "2020-09-13T12:26:40.000Z")


def test_a_token_of_a_query_lets_somebody_join(hub, account, project):
    token, newcomer = str(uuid.uuid4()), hub.account()
    set_(hub, account, "project_invite_tokens", project_id=project, token=token, usage_limit=1)
    reply = hub.call("add_collaborator", key=newcomer, account_id=newcomer.id, token_id=token)
    assert reply["event"] != "error", reply
    assert rows(hub, account, "project_invite_tokens", token=token, counter=None)[0]["counter"] == 1
    assert hub.cli("project", "show", project)["users"][newcomer.id]["group"] == "collaborator"


def test_tokens_come_newest_first_and_those_without_a_time_before_them(hub, account, project):
    for name, created in (("b", {"created": TIME}), ("a", {"created": 1000}), ("c", {})):
        set_(hub, account, "project_invite_tokens", project_id=project, token=f"{project}{name}", **created)
    assert [row["token"][-1] for row in rows(hub, account, "project_invite_tokens", project_id=project, token=None)] \
        == ["c", "b", "a"]


@pytest.mark.parametrize("fields, text", [
    ({"usage_limit": 1}, "FATAL: must specify project_invite_tokens.token"),
    ({"token": "x", "counter": 5}, "FATAL: changing project_invite_tokens.counter not allowed"),
    ({"token": ""}, "an invite token has 1 to 254 characters"),
    ({"token": "x" * 255}, "an invite token has 1 to 254 characters"),
    ({"token": "x", "expires": "never"}, 'postgresql error: invalid input syntax for type timestamp: "never"'),
    ({"token": "x", "usage_limit": "y"}, 'postgresql error: invalid input syntax for type double precision: "y"'),
])
def test_a_token_that_cannot_be_written(hub, account, project, fields, text):
    assert refusal(hub, account, {"project_invite_tokens": {"project_id": project, **fields}}) == text


def test_a_token_needs_its_project(hub, account):
    assert refusal(hub, account, {"project_invite_tokens": {"token": "x"}}) == \
        "FATAL: must specify project_invite_tokens.project_id"


def test_a_token_of_another_project_cannot_be_taken_over(hub, account, project):
    token = str(uuid.uuid4())
    set_(hub, account, "project_invite_tokens", project_id=project, token=token)
    for thief in (hub.account(), account):
        assert refusal(hub, thief, {"project_invite_tokens": {"project_id": hub.project(thief), "token": token}}) == \
            "the token belongs to another project"
    assert [row["token"] for row in rows(hub, account, "project_invite_tokens", project_id=project, token=None)] == [token]


def test_a_project_has_so_many_tokens(hub, account, project):
    fill(hub, "project_invite_tokens", project, 1000, lambda n: {"token": f"{project}{n}"})
    assert refusal(hub, account, {"project_invite_tokens": {"project_id": project, "token": project}}) == \
        "a project has at most 1000 invite tokens"
    set_(hub, account, "project_invite_tokens", project_id=project, token=f"{project}7", usage_limit=1)


# ---- listings (12.9) ----


def test_listings_that_projects_wrote_are_read_by_their_people(hub, account, project):
    execute(hub, "INSERT INTO listings (project_id, path, time, interest, listing, missing, error, deleted)"
                 " VALUES (?, 'a', 1000, 2000, ?, 1.5, 'e', ?)", project, json.dumps([{"name": "x", "size": 3}]),
            json.dumps(["gone"]))
    assert rows(hub, account, "listings", project_id=project, path=None, time=None, interest=None, listing=None,
                missing=None, error=None, deleted=None, compute_server_id=None) == [
        {"project_id": project, "path": "a", "time": "1970-01-01T00:00:01.000Z",
         "interest": "1970-01-01T00:00:02.000Z", "listing": [{"name": "x", "size": 3}], "missing": 1.5, "error": "e",
         "deleted": ["gone"], "compute_server_id": 0}]


def test_listings_are_the_50_that_interested_somebody_last(hub, account, project):
    fill(hub, "listings", project, 51, lambda n: {"path": str(n), "interest": n})
    assert [row["path"] for row in rows(hub, account, "listings", project_id=project, path=None)] == \
        [str(n) for n in range(51, 1, -1)]


@pytest.mark.parametrize("options", [..., [{"delete": True}]])
def test_accounts_write_no_listings(hub, account, project, options):
    assert refusal(hub, account, {"listings": {"project_id": project, "path": "a"}}, options) == \
        "FATAL: project_id must be specified"


# ---- compute_images (12.9) ----


@pytest.fixture
def images(hub_factory):
    hub = hub_factory(start=False)
    hub.start()
    for name in ("sage", "anaconda"):
        (hub.data / "images" / name).mkdir()
    (hub.data / "images" / ".hidden").mkdir()
    (hub.data / "images" / "file").touch()
    return hub


def test_images_are_the_folders_of_the_server_and_its_own_system(images):
    assert rows(images, images.key, "compute_images", id=None) == [{"id": "anaconda"}, {"id": "default"}, {"id": "sage"}]


def test_an_image_tells_what_is_known_of_it(images):
    fields = dict.fromkeys(("src", "type", "display", "url", "desc", "path", "disabled"))
    assert result(images, images.key, {"compute_images": {"id": "sage", **fields}}) == {
        "compute_images": {"id": "sage", **fields, "display": "sage"}}
    assert rows(images, images.key, "compute_images", id="default", **fields) == [
        {"id": "default", "display": "default", "desc": "The system of the server"}]


@pytest.mark.parametrize("condition, ids", [
    ("sage", ["sage"]), ("nope", []), ({"!=": "sage"}, ["anaconda", "default"]), ({"<>": "sage"}, ["anaconda", "default"]),
    ({">": "anaconda", "<=": "sage"}, ["default", "sage"]), ({"==": "sage"}, ["sage"]), ({"<": "b"}, ["anaconda"]),
    ({">=": "sage"}, ["sage"]), ({"=": "default"}, ["default"]), ({">": None}, ["anaconda", "default", "sage"]),
])
def test_images_by_a_condition(images, condition, ids):
    found = rows(images, images.key, "compute_images", [{"set": False}], id=condition)
    assert [row["id"] for row in found] == ids


def test_images_in_an_order_and_up_to_a_limit(images):
    assert rows(images, images.key, "compute_images", [{"order_by": "-id"}, {"limit": 2}], id=None) == [
        {"id": "sage"}, {"id": "default"}]
    assert result(images, images.key, {"compute_images": {"id": "none such", "src": None}}) == {}


@pytest.mark.parametrize("order", ["nonsense", "-nonsense", "", "-", "--id", 7])
def test_images_in_an_order_that_is_none(hub, account, order):
    assert refusal(hub, account, {"compute_images": [{"id": None}]}, [{"order_by": order}, {"order_by": "id"}]) == (
        f'postgresql error: column "{str(order).removeprefix("-")}" does not exist')


def test_a_project_runs_in_an_image_that_is_listed(images):
    for image in rows(images, images.key, "compute_images", id=None):
        assert images.call("create_project", image=image["id"])["event"] == "project_created"


def test_images_cannot_be_written(hub, account):
    assert refusal(hub, account, {"compute_images": {"id": "x"}}) == \
        "FATAL: user set queries not allowed for table 'compute_images'"
