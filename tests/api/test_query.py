# SPDX-License-Identifier: AGPL-3.0-or-later
"""User queries in general (user-query 1 to 5, 8 to 11, 13 to 17): transport, shapes, get or set, options, the order of
checks, sets, merging, types, rights. What single tables do has tests of its own."""
import json
import os
import re
import threading
import uuid

import pytest

from harness.pending import Pending
from harness.process import wait_until
from harness.queries import refusal, result, send
from harness.store import add_user, execute, holding_writes

NOT_AN_OBJECT = "FATAL: invalid user_query of '{}' -- query must be an object"
ADMIN = "FATAL: user must be an admin"
FORCED = [{"set": True}]


@pytest.fixture
def me(hub):
    return hub.account(first_name="Ada", last_name="L")


@pytest.fixture
def project(hub, me):
    return hub.project(me, title="T1", description="D1")


def title(hub, project):
    return execute(hub, "SELECT title FROM projects WHERE project_id = ?", project)[0][0]


def read(hub, key, table, **where):
    """One row by a get: fields that are None are asked for."""
    return result(hub, key, {table: where}, [{"set": False}])[table]


# ---- Transport (1) ----

def test_a_get_answers_with_its_row_and_the_call_s_id(hub, me):
    assert send(hub, me, {"accounts": {"first_name": None}}, id="i1") == {
        "event": "query", "id": "i1", "query": {"accounts": {"first_name": "Ada"}}, "multi_response": False}


def test_options_and_changes_come_back(hub, me):
    reply = send(hub, me, {"accounts": {"first_name": None}}, [{"limit": 1}], id="i1", changes=True)
    assert reply == {"event": "query", "id": "i1", "query": {"accounts": {"first_name": "Ada"}},
                     "multi_response": False, "options": [{"limit": 1}], "changes": True}


def test_options_that_are_null_are_absent(hub, me):
    assert "options" not in send(hub, me, {"accounts": {"first_name": None}}, None)


@pytest.mark.parametrize("parameters, wanted", [
    ({}, "invalid parameters 'Error: misc.defaults -- TypeError: property 'query' must be specified: '"),
    ({"query": None}, "invalid parameters 'Error: misc.defaults -- TypeError: property 'query' must be specified: '"),
    ({"query": {"accounts": {"first_name": None}}, "table": 1},
     "invalid parameters 'Error: misc.defaults -- TypeError: got an unexpected argument 'table' '"),
    ({"query": {"accounts": {"first_name": None}}, "multi_response": True}, "multi_response queries aren't supported"),
])
def test_parameters_that_do_not_fit(hub, me, parameters, wanted):
    response = hub.api("query", json=parameters, key=me)
    assert (response.status_code, response.json()) == (400, {"error": wanted})


def test_a_query_in_a_form_is_a_text(hub, me):
    response = hub.api("query", form={"query": '{"accounts":{"first_name":null}}', "id": "i1"}, key=me)
    assert (response.status_code, response.json()) == (
        200, {"event": "error", "id": "i1", "error": NOT_AN_OBJECT.format("undefined")})


def test_without_a_key(hub):
    response = hub.api("query", json={"query": {"public_paths": [{"path": None}]}}, key="")
    assert (response.status_code, response.json()) == (400, {"error": "No account found. Is your API key wrong?"})


def test_a_body_that_is_too_large(hub, me):
    body = {"query": {"accounts": {"evaluate_key": "x" * (3 * 1024 * 1024)}}}
    assert hub.api("query", json=body, key=me).status_code == 413


# ---- Shapes (2) ----

@pytest.mark.parametrize("query, wanted", [
    ({"accounts": {"first_name": None}, "projects": [{"project_id": None}]},
     "FATAL: must specify exactly one key in the query"),
    ({}, NOT_AN_OBJECT.format("undefined")),
    ("accounts", NOT_AN_OBJECT.format("undefined")),
    (7, NOT_AN_OBJECT.format("undefined")),
    ({"accounts": None}, NOT_AN_OBJECT.format("accounts")),
    ({"accounts": "first_name"}, NOT_AN_OBJECT.format("accounts")),
    ({"accounts": 7}, NOT_AN_OBJECT.format("accounts")),
    ({"accounts": []}, NOT_AN_OBJECT.format("accounts")),
    ({"accounts": [7]}, NOT_AN_OBJECT.format("accounts")),
    ({"accounts": [{"first_name": None}, {"last_name": None}]}, "FATAL: array of length > 1 not yet implemented"),
    ({"Accounts": {"first_name": None}}, "FATAL: get queries not allowed for table 'Accounts'"),
    ({"accounts": {"First_name": None}}, "FATAL: user get query not allowed for accounts.First_name"),
    ([{}], NOT_AN_OBJECT.format("undefined")),
])
def test_shapes_that_are_none(hub, me, query, wanted):
    assert refusal(hub, me, query) == wanted


def test_a_batch_runs_in_its_order(hub, me, project):
    assert result(hub, me, [
        {"accounts": {"first_name": None}},
        {"projects_all": [{"project_id": project, "title": None}]},
        {"accounts": {"first_name": "Eve"}},
        [],
        [{"accounts": {"first_name": None}}, [{"accounts": [{"first_name": None}]}]],
        {"accounts": {}},
    ]) == [
        {"accounts": {"first_name": "Ada"}},
        {"projects_all": [{"project_id": project, "title": "T1"}]},
        {},
        [],
        [{"accounts": {"first_name": "Eve"}}, [{"accounts": [{"first_name": "Eve"}]}]],
        {},
    ]


def test_an_empty_batch(hub, me):
    assert result(hub, me, []) == []


def test_the_first_error_ends_a_batch_and_what_ran_stays(hub, me):
    assert refusal(hub, me, [{"accounts": {"first_name": "Zoe"}}, [{"accounts": {"foo": 1}}],
                             {"accounts": {"last_name": "X"}}]) == "FATAL: changing accounts.foo not allowed"
    assert read(hub, me, "accounts", first_name=None, last_name=None) == {"first_name": "Zoe", "last_name": "L"}


def test_options_belong_to_every_member_of_a_batch(hub, me):
    hub.project(me)
    hub.project(me)
    one, two = result(hub, me, [{"projects_all": [{"project_id": None}]}] * 2, [{"limit": 1}])
    assert len(one["projects_all"]) == len(two["projects_all"]) == 1


def test_a_batch_has_an_end(hub, me):
    member = {"accounts": {"account_id": me.id}}
    assert len(result(hub, me, [[member] * 500, [member] * 500])[1]) == 500
    assert refusal(hub, me, [[member] * 500, [member] * 501]) == "a batch can have 1000 queries at most"


# ---- Get or set (3) ----

def test_a_list_without_null_writes(hub, me, project):
    assert result(hub, me, {"projects_all": [{"project_id": project, "title": "W"}]}) == {}
    assert title(hub, project) == "W"


def test_a_get_can_be_forced(hub, me, project):
    query = {"projects_all": [{"project_id": project, "title": "W"}]}
    assert result(hub, me, query, [{"set": False}]) == {"projects_all": []}
    assert title(hub, project) == "T1"
    assert result(hub, me, {"accounts": {"first_name": "Ada"}}, [{"set": False}]) == {"accounts": {"first_name": "Ada"}}


def test_a_set_can_be_forced_and_the_last_word_counts(hub, me):
    result(hub, me, {"accounts": {"first_name": "Eve", "ssh_keys": {"b": None}}}, [{"set": False}, {"set": 1}])
    assert read(hub, me, "accounts", first_name=None) == {"first_name": "Eve"}
    result(hub, me, {"accounts": {"first_name": "Zoe"}}, [{"set": True}, {"set": 0}])
    assert read(hub, me, "accounts", first_name=None) == {"first_name": "Eve"}


def test_a_null_deep_inside_makes_a_get(hub, me):
    result(hub, me, {"accounts": {"ssh_keys": {"b": {"title": "t"}}}})
    assert result(hub, me, {"accounts": {"ssh_keys": {"b": None}}}) == {}
    assert result(hub, me, {"accounts": {"ssh_keys": [[None]]}}) == {}
    assert read(hub, me, "accounts", ssh_keys=None) == {"ssh_keys": {"b": {"title": "t"}}}


@pytest.mark.parametrize("value", [False, 0, ""])
def test_what_is_not_null_is_a_value(hub, me, value):
    assert result(hub, me, {"accounts": {"evaluate_key": value}}) == {}


# ---- Placeholders (4) ----

def test_placeholders(hub, me):
    result(hub, me, {"accounts": {"account_id": "{account_id}", "ssh_keys": {"{account_id}": "{account_id}",
                                                                            "x{account_id}": "{account_id}x"}}})
    assert read(hub, me, "accounts", account_id="{account_id}", ssh_keys=None) == {
        "account_id": me.id, "ssh_keys": {me.id: me.id, "x{account_id}": "{account_id}x"}}


def test_a_placeholder_without_a_value_stays(hub, me):
    assert refusal(hub, me, {"projects": {"project_id": "{project_id}", "title": "x"}}) == (
        'postgresql error: invalid input syntax for type uuid: "{project_id}"')


# ---- Options of sets (5) ----

def test_options_that_are_no_list(hub, me):
    assert refusal(hub, me, {"accounts": {"first_name": "x"}}, {"set": True}) == (
        'FATAL: options (={"set":true}) must be an array')


@pytest.mark.parametrize("option", [{"limit": -1}, {"order_by": "'"}, {"only_changes": True}, {"heartbeat": 1},
                                    {"slice": 1}, {"heads": True}])
def test_options_that_sets_ignore(hub, me, option):
    assert result(hub, me, {"accounts": {"last_name": "New"}}, [option]) == {}
    assert read(hub, me, "accounts", last_name=None) == {"last_name": "New"}


def test_administrators_act_for_others(hub, me, project):
    admin = hub.account(admin=True)
    sudo = [{"account_id": me.id}]
    assert refusal(hub, me, {"accounts": {"first_name": "x"}}, [{"account_id": me.id}]) == "user must be admin to sudo"
    assert result(hub, admin, {"accounts": {"first_name": None}}, sudo) == {"accounts": {"first_name": "Ada"}}
    assert result(hub, admin, {"accounts": {"first_name": "Eve", "ssh_keys": {"{account_id}": 1}}}, sudo) == {}
    assert read(hub, me, "accounts", first_name=None, ssh_keys=None) == {"first_name": "Eve", "ssh_keys": {me.id: 1}}
    stranger = hub.account()
    query = {"projects": {"project_id": project, "title": "x"}}
    assert refusal(hub, admin, query, [{"account_id": stranger.id}]) == ADMIN


def test_acting_for_an_account_that_does_not_exist_makes_none(hub):
    admin = hub.account(admin=True)
    nobody = str(uuid.uuid4())
    assert result(hub, admin, {"accounts": {"first_name": "x"}}, [{"account_id": nobody}]) == {}
    assert execute(hub, "SELECT count(*) FROM accounts WHERE account_id = ?", nobody) == [(0,)]


# ---- The order of checks (8.1, 11.1) ----

def test_tables_that_cannot_be_written(hub, me):
    assert refusal(hub, me, {"nope": {"x": 1}}) == "FATAL: table 'nope' does not exist"
    assert refusal(hub, me, {"collaborators": {"account_id": me.id}}) == (
        "FATAL: user set queries not allowed for table 'collaborators'")


@pytest.mark.parametrize("table", ["webapp_errors", "copy_paths", "site_license_usage_log", "passport_settings", "stats",
                                   "api_keys", "remember_me", "auth_tokens", "account_creation_actions", "password_reset",
                                   "password_reset_attempts"])
def test_tables_that_are_the_server_s_own(hub, table):
    for account in (hub.account(), hub.account(admin=True)):
        assert refusal(hub, account, {table: {"id": None}}) == f"FATAL: get queries not allowed for table '{table}'"
        assert refusal(hub, account, {table: {"id": "x"}}) == f"FATAL: user set queries not allowed for table '{table}'"


@pytest.mark.parametrize("name", ["constructor", "toString", "__proto__", "hasOwnProperty", "project_id ", ""])
def test_fields_that_cannot_be_written(hub, me, project, name):
    assert refusal(hub, me, {"projects": {"project_id": project, name: 1}}) == (
        f"FATAL: changing projects.{name} not allowed")


def test_fields_that_can_only_be_read(hub, me):
    assert refusal(hub, me, {"accounts": {"email_address": "z@x.org"}}) == (
        "FATAL: changing accounts.email_address not allowed")


def test_nothing_to_do_is_done_before_everything_else(hub, me, project):
    stranger = hub.account()
    assert result(hub, stranger, {"projects": {"project_id": project}}) == {}
    assert result(hub, stranger, {"projects": {"project_id": "foo"}}) == {}
    assert result(hub, stranger, {"projects": {"project_id": project}}, [{"delete": True}]) == {}
    assert result(hub, stranger, {"accounts": {"account_id": "foo"}}) == {}
    assert result(hub, stranger, {"projects": {}}) == result(hub, stranger, {"projects": [{}]}) == {}
    assert title(hub, project) == "T1"


def test_rules_come_before_fields_and_fields_before_rights(hub, me, project):
    stranger = hub.account()
    assert refusal(hub, stranger, {"projects": {"foo": 1}}) == "FATAL: must specify projects.project_id"
    assert refusal(hub, stranger, {"projects": {"foo": 1, "project_id": None}}, FORCED) == (
        "FATAL: must specify projects.project_id")
    assert refusal(hub, stranger, {"projects": {"project_id": project, "foo": 1, "first_name": 7}}) == (
        "FATAL: changing projects.foo not allowed")
    assert refusal(hub, me, {"accounts": {"foo": 1, "first_name": 7}}) == (
        "FATAL: error setting 'first_name' -- Error: must be a string")


def test_the_option_delete_comes_before_rights(hub, me, project):
    stranger = hub.account()
    query = {"projects": {"project_id": project, "title": "x"}}
    for option in (True, 1, "no"):
        assert refusal(hub, stranger, query, [{"delete": option}]) == "FATAL: delete from projects not allowed"
    for option in (False, 0, "", None):
        assert refusal(hub, stranger, query, [{"delete": option}]) == ADMIN


def test_types_come_after_rights(hub, me, project):
    query = {"projects": {"project_id": project, "deleted": "x"}}
    assert refusal(hub, hub.account(), query) == ADMIN
    assert refusal(hub, me, query) == 'postgresql error: invalid input syntax for type boolean: "x"'


# ---- Rights (8.3) ----

@pytest.mark.parametrize("group", ["viewer", "invited_collaborator", "invited_viewer"])
def test_who_may_not_write(hub, me, project, group):
    guest = hub.account()
    assert refusal(hub, guest, {"projects": {"project_id": project, "title": "x"}}) == ADMIN
    add_user(hub, project, guest, group)
    assert refusal(hub, guest, {"projects": {"project_id": project, "title": "x"}}) == ADMIN
    assert title(hub, project) == "T1"


def test_who_may_write(hub, me, project):
    collaborator, admin = hub.account(), hub.account(admin=True)
    add_user(hub, project, collaborator, "collaborator")
    for account in (collaborator, admin, me):
        assert result(hub, account, {"projects": {"project_id": project, "title": account.id}}) == {}
        assert title(hub, project) == account.id


def test_what_owners_alone_may_write(hub, me, project):
    collaborator, admin = hub.account(), hub.account(admin=True)
    add_user(hub, project, collaborator, "collaborator")
    query = {"projects_owner": {"project_id": project, "course": {"pay": "x"}}}
    assert refusal(hub, collaborator, query) == ADMIN
    assert result(hub, me, query) == result(hub, admin, query) == {}
    assert refusal(hub, me, {"projects_owner": {"course": {}}}) == "FATAL: must specify projects_owner.project_id"


def test_ids_of_projects(hub, me, project):
    admin = hub.account(admin=True)
    unknown = str(uuid.uuid4())
    for account in (me, admin):
        assert refusal(hub, account, {"projects": {"project_id": unknown, "title": "x"}}) == (
            f"FATAL: unknown project_id '{unknown}'")
        assert refusal(hub, account, {"projects": {"project_id": "foo", "title": "x"}}) == (
            'postgresql error: invalid input syntax for type uuid: "foo"')
        assert refusal(hub, account, {"projects": {"project_id": 7, "title": "x"}}) == (
            'postgresql error: invalid input syntax for type uuid: "7"')
        assert refusal(hub, account, {"projects": {"project_id": [project], "title": "x"}}).startswith(
            'postgresql error: invalid input syntax for type uuid: "')
    assert result(hub, me, {"projects": {"project_id": project.upper(), "title": "upper"}}) == {}
    assert title(hub, project) == "upper"
    assert execute(hub, "SELECT count(*) FROM projects WHERE project_id = ?", unknown) == [(0,)]


def test_one_s_own_account_whatever_is_named(hub, me):
    other = hub.account(first_name="Bob")
    assert result(hub, me, {"accounts": {"account_id": other.id, "first_name": "Eve"}}) == {}
    assert read(hub, other, "accounts", first_name=None) == {"first_name": "Bob"}
    assert read(hub, me, "accounts", first_name=None) == {"first_name": "Eve"}


# ---- Writing (8.4) ----

def test_only_what_is_given_changes(hub, me, project):
    before = execute(hub, "SELECT * FROM projects WHERE project_id = ?", project)[0]
    result(hub, me, {"projects": {"project_id": project, "title": "T2"}})
    after = execute(hub, "SELECT * FROM projects WHERE project_id = ?", project)[0]
    assert [(old, new) for old, new in zip(before, after) if old != new] == [("T1", "T2")]


def test_null_leaves_a_plain_field_as_it_is(hub, me):
    assert result(hub, me, {"accounts": {"first_name": None, "autosave": None, "editor_settings": None,
                                         "last_name": "New"}}, FORCED) == {}
    assert read(hub, me, "accounts", first_name=None, last_name=None) == {"first_name": "Ada", "last_name": "New"}
    assert execute(hub, "SELECT autosave, editor_settings FROM accounts WHERE account_id = ?", me.id) == [(None, None)]


def test_long_names_are_cut_between_characters(hub, me):
    result(hub, me, {"accounts": {"first_name": "x" + "\U0001f600" * 200, "last_name": "ä" * 255}})
    assert read(hub, me, "accounts", first_name=None, last_name=None) == {
        "first_name": "x" + "\U0001f600" * 126, "last_name": "ä" * 254}


def test_many_set_the_same_row_at_once(hub, me):
    def add(number):
        result(hub, me, {"accounts": {"ssh_keys": {f"key{number}": {"title": "t"}}}})

    threads = [threading.Thread(target=add, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read(hub, me, "accounts", ssh_keys=None)["ssh_keys"]) == sorted(f"key{n}" for n in range(16))


# ---- Merging (9) ----

def merged(hub, me, *changes):
    for change in changes:
        assert result(hub, me, {"accounts": {"ssh_keys": change}}, FORCED) == {}
    return read(hub, me, "accounts", ssh_keys=None)["ssh_keys"]


@pytest.mark.parametrize("changes, wanted", [
    ([{"a": 1}, {"b": 2}], {"a": 1, "b": 2}),
    ([{"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"d": 3}}], {"a": 1, "b": {"c": 1, "d": 3}}),
    ([{"a": 1, "b": 2}, {"a": None}], {"b": 2}),
    ([{"a": {"b": 1, "c": 2}}, {"a": {"b": None}}], {"a": {"c": 2}}),
    ([{"a": {"b": 1}}, {"a": {}}], {"a": {"b": 1}}),
    ([{}, {"a": {}}], {"a": {}}),
    ([{"a": {"b": 1}}, {"a": 7}], {"a": 7}),
    ([{"a": 7}, {"a": {"b": {"c": 1, "d": None}}}], {"a": {"b": {"c": 1}}}),
    ([{"a": [1, 2, 3]}, {"a": [4, None, {"b": None}]}], {"a": [4, None, {"b": None}]}),
    ([{"a": {"b": 1}}, {"a": [1]}], {"a": [1]}),
    ([{"a": [1]}, {"a": {"b": 1}}], {"a": {"b": 1}}),
    ([{"a": 1}, {"zzz": None}], {"a": 1}),
    ([{"a'}": 1, "b,c": 2, "": 3, '"\\': 4}, {"b,c": 5, "a'}": None}], {"b,c": 5, "": 3, '"\\': 4}),
    ([{"a": "2020-01-01T00:00:00+02:00", "b": 1e300, "c": -0.5, "d": True}],
     {"a": "2020-01-01T00:00:00+02:00", "b": 1e300, "c": -0.5, "d": True}),
    ([{"a": {"b": None, "c": 1}, "d": None}], {"a": {"c": 1}}),
])
def test_maps_are_merged(hub, me, changes, wanted):
    assert merged(hub, me, *changes) == wanted


@pytest.mark.parametrize("value", [7, "text", [1], True])
def test_maps_are_objects(hub, me, value):
    assert refusal(hub, me, {"accounts": {"editor_settings": value}}) == (
        "FATAL: error setting 'editor_settings' -- Error: must be an object")


def test_many_keys_are_merged(hub, me):
    keys = {str(n): n for n in range(20000)}
    assert merged(hub, me, keys, {key: 0 for key in keys}) == {key: 0 for key in keys}


def test_arrays_are_replaced(hub, me):
    for tags in (["a", "b", "c"], ["d"], []):
        result(hub, me, {"accounts": {"tags": tags}})
        assert read(hub, me, "accounts", tags=None) == {"tags": tags}


# ---- Types (10.1) ----

@pytest.mark.parametrize("field, value, wanted", [
    ("evaluate_key", "ä\n\U0001f600", "ä\n\U0001f600"),
    ("evaluate_key", 7, "7"),
    ("evaluate_key", True, "true"),
    ("evaluate_key", {"a": 1}, '{"a":1}'),
    ("autosave", "30", 30),
    ("autosave", -2147483648, -2147483648),
    ("unlisted", "yes", True),
    ("unlisted", "F", False),
    ("unlisted", "0", False),
    ("unlisted", True, True),
])
def test_values_that_fit(hub, me, field, value, wanted):
    assert result(hub, me, {"accounts": {field: value}}) == {}
    assert read(hub, me, "accounts", **{field: None}) == {field: wanted}


@pytest.mark.parametrize("field, value, wanted", [
    ("autosave", "x", 'invalid input syntax for type integer: "x"'),
    ("autosave", 1.5, 'invalid input syntax for type integer: "1.5"'),
    ("unlisted", "x", 'invalid input syntax for type boolean: "x"'),
])
def test_values_that_do_not_fit(hub, me, field, value, wanted):
    assert refusal(hub, me, {"accounts": {field: value}}) == f"postgresql error: {wanted}"


@pytest.mark.parametrize("value, wanted", [
    ("2020-09-17T10:00:00+02:00", "2020-09-17T08:00:00.000Z"),
    ("2020-09-17T10:00:00.123999", "2020-09-17T10:00:00.123Z"),
    ("2020-09-17", "2020-09-17T00:00:00.000Z"),
    (1600000000000, "2020-09-13T12:26:40.000Z"),
    (-1, "1969-12-31T23:59:59.999Z"),
])
def test_times_that_fit(hub, me, project, value, wanted):
    path = {"project_id": project, "path": "a"}
    assert result(hub, me, {"public_paths": {**path, "created": value}}) == {}
    assert read(hub, me, "public_paths", **path, created=None) == {**path, "created": wanted}


def test_nul_characters(hub, me):
    body = b'{"query":{"accounts":{"first_name":"a\\u0000b"}}}'
    response = hub.api("query", key=me, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400


# ---- Bounds ----

def test_one_account_s_batches_wait_so_many_and_no_more(hub, me):
    pending = Pending(hub, me)
    waiting = os.cpu_count() + 256
    with holding_writes(hub) as let_go:  # so that each worker waits at its first member
        for _ in range(waiting + 2):
            pending.send("query", query=[{"accounts": {"last_name": "x"}}])
        wait_until(lambda: len(pending.selector.select(0)) == 2, 60, "two are refused")
        let_go()
    outcomes = [reply.get("error", reply["event"]) for reply in pending.replies().values()]
    assert sorted(outcomes) == ["query"] * waiting + ["too many of your queries are waiting; try again later"] * 2


def test_what_a_batch_has_made_so_far_counts_as_memory(hub_factory):
    """It ends with the turn in which there is no more: its last members take many turns."""
    hub = hub_factory(env={"COHUB_HTTP_MEMORY_MAX": str(8 << 20)})
    me = hub.account(first_name="Ada")
    blob = str(uuid.uuid4())
    execute(hub, "INSERT INTO blobs (id, size, project_id, account_id, created, blob) VALUES (?, ?, ?, ?, 1, ?)", blob,
            300_000, hub.project(me), me.id, b"x" * 300_000)
    batch = [{"blobs": {"id": blob, "blob": None}}] * 10 + [{"accounts": {"last_name": "x"}}] * 900 + [
        {"accounts": {"first_name": "Eve"}}]
    response = hub.api("query", key=me, json={"query": batch})
    assert "memory" in response.json()["error"]
    assert read(hub, me, "accounts", first_name=None) == {"first_name": "Ada"}


def settings(size):
    """Text that makes a row large, and each change of it some milliseconds of work."""
    return {f"k{i}": i for i in range(size // 12)}


def test_a_map_of_too_many_values(hub, me):
    values = {f"k{i}": [0] * 9 for i in range(2600)}
    assert refusal(hub, me, {"accounts": {"profile": values}}) == (
        "FATAL: error setting 'profile' -- Error: must have at most 25000 values")
    assert result(hub, me, {"accounts": {"profile": dict(list(values.items())[:2400])}}) == {}


PADDING = "x" * 200_000


def send_behind(hub, pending, key, **parameters):
    """Sends a call, and waits until the hub has it."""
    def bodies():
        text = hub.client.get(f"{hub.url}/metrics").text
        return int(re.search(r"^cohub_memory_bodies_bytes (\d+)$", text, re.M)[1])

    before = bodies()
    pending.send("query", id=PADDING, **parameters)
    wait_until(lambda: bodies() > before + len(PADDING) // 2, 60, "the hub has it")
    for _ in range(10):
        hub.call("ping", key=key)  # behind it


def title_of(hub, account, project):
    """A query by which an account learns the title of a project: the number of the last change to it."""
    execute(hub, "UPDATE projects SET title = '0' WHERE project_id = ?", project)
    add_user(hub, project, account, "collaborator")
    return {"projects": [{"project_id": project, "title": None}]}


def titles(pending):
    """The numbers that the one call of `pending` has found."""
    (reply,) = pending.replies().values()
    return [int(row["title"]) for member in reply["query"] for row in member.get("projects", [])]


@pytest.mark.long
def test_an_account_that_merges_large_maps_does_not_hold_up_what_others_write(hub, me, project):
    assert result(hub, me, {"accounts": {"profile": settings(200_000)}}) == {}
    other = hub.account()
    found = title_of(hub, other, project)
    with holding_writes(hub) as let_go, Pending(hub, me) as merges, Pending(hub, other) as single:
        for number in range(1, 101):
            merges.send("query", query=[{"accounts": {"profile": {"z": 1}}},
                                        {"projects": {"project_id": project, "title": str(number)}}])
        send_behind(hub, single, other, query=[{"accounts": {"first_name": "Bo"}}, found])
        let_go()
        assert sum(titles(single)) < 50
        assert all(reply["event"] == "query" for reply in merges.replies(300).values())


def test_who_sends_one_query_does_not_wait_for_all_of_those_who_send_many(hub, me, project):
    other, late = hub.account(), hub.account()
    projects = project, hub.project(other)
    found = [title_of(hub, late, one) for one in projects]
    with (holding_writes(hub) as let_go,  # so that each worker waits at its first member
          Pending(hub, me) as mine, Pending(hub, other) as others, Pending(hub, late) as single):
        for pending, running, changed in ((mine, os.cpu_count(), projects[0]), (others, 0, projects[1])):
            for number in range(1, running + 256 + 2):
                pending.send("query", query=[{"accounts": {"last_name": "x"}},
                                             {"projects": {"project_id": changed, "title": str(number)}}])
            wait_until(lambda queue=pending: len(queue.selector.select(0)) == 1, 60, "as many wait as may")
        send_behind(hub, single, late, query=[{"accounts": {"last_name": "x"}}, *found])
        let_go()
        assert sum(titles(single)) < 256


def test_deep_nesting_is_refused_or_survived(hub, me):
    body = '{"query":{"accounts":{"ssh_keys":' + '{"a":' * 90 + "1" + "}" * 90 + "}}}"
    response = hub.api("query", key=me, content=body.encode(), headers={"Content-Type": "application/json"})
    assert response.json()["query"] == {}
    assert json.dumps(read(hub, me, "accounts", ssh_keys=None)["ssh_keys"]).count("{") == 90
