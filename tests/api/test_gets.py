# SPDX-License-Identifier: AGPL-3.0-or-later
"""Gets of user queries through the whole server (user-query 6, 7, 10, 18): rights, conditions, what hostile input comes to."""
import json
import uuid

import httpx
import pytest

from harness.queries import refusal, result
from harness.store import add_user, execute

NO_READ = "FATAL: you do not have read access to this project"
NOBODYS = str(uuid.UUID(int=7, version=4))


@pytest.fixture
def me(hub):
    return hub.account(first_name="Ada", last_name="L")


@pytest.fixture
def project(hub, me):
    return hub.project(me, title="T1", description="D1")


def test_one_project(hub, me, project):
    query = {"projects": {"project_id": project, "title": None, "description": None}}
    assert result(hub, me, query) == {"projects": {"project_id": project, "title": "T1", "description": "D1"}}


def test_ids_in_upper_case(hub, me, project):
    query = {"projects": {"project_id": project.upper(), "title": None}}
    assert result(hub, me, query) == {"projects": {"project_id": project, "title": "T1"}}


def test_the_last_edited_project(hub, me, project):
    execute(hub, "UPDATE projects SET last_edited = last_edited - 1000 WHERE project_id = ?", project)
    newer = hub.project(me, title="T2")
    assert result(hub, me, {"projects": {"project_id": None}}) == {"projects": {"project_id": newer}}


def test_a_project_that_was_edited_long_ago(hub, me, project):
    execute(hub, "UPDATE projects SET last_edited = last_edited - 5184000000 WHERE project_id = ?", project)
    query = {"project_id": project, "title": None}
    assert result(hub, me, {"projects": query}) == {}
    assert result(hub, me, {"projects_all": query}) == {"projects_all": {"project_id": project, "title": "T1"}}


@pytest.mark.parametrize("table", ["projects", "projects_all", "project_log"])
@pytest.mark.parametrize("options", [[], [{"heads": True}], [{"limit": 0}], [{"only_changes": True}], [{"limit": "x"}]])
def test_strangers_learn_nothing(hub, me, project, table, options):
    stranger = hub.account()
    for named in (project, NOBODYS):
        assert refusal(hub, stranger, {table: {"project_id": named}}, [{"set": False}, *options]) == NO_READ


def test_only_those_who_work_on_a_project_read_it(hub, me, project):
    viewer, collaborator = hub.account(), hub.account()
    add_user(hub, project, viewer, "viewer")
    add_user(hub, project, collaborator, "collaborator")
    query, listed = {"projects": {"project_id": project, "title": None}}, {"projects": [{"project_id": None}]}
    assert refusal(hub, viewer, query) == NO_READ
    assert result(hub, viewer, listed) == {"projects": []}
    assert result(hub, collaborator, query)["projects"]["title"] == "T1"
    assert result(hub, collaborator, listed) == {"projects": [{"project_id": project}]}


@pytest.mark.parametrize("value, shown", [
    ("foo", "foo"), (7, "7"), (["a", "b"], "a,b"), ({"=": "x"}, "[object Object]"), ("{project_id}", "{project_id}"),
    ("'; DROP TABLE projects; --", "'; DROP TABLE projects; --"), ("é" * 400, "é" * 150)])
def test_project_ids_that_are_none(hub, me, value, shown):
    text = refusal(hub, me, {"projects": {"project_id": value, "title": None}})
    assert text.startswith(f"invalid project_id -- {shown}")


@pytest.mark.parametrize("name", [
    "foo", "", "constructor", "toString", "__proto__", "Title", "title ", "t.title", "title\"", "title' --", "*",
    "(SELECT secret_token)", "secret_token", "é"])
def test_fields_that_are_none(hub, me, project, name):
    query = {"projects": {"project_id": project, name: None}}
    assert refusal(hub, me, query) == f"FATAL: user get query not allowed for projects.{name}"


@pytest.mark.parametrize("order", ["title; DROP TABLE projects", "-(SELECT 1)", "title DESC", "t.title", "--title", "", "secret_token"])
def test_orders_that_are_none(hub, me, order):
    shown = order.removeprefix("-")
    assert refusal(hub, me, {"projects_all": [{"project_id": None}]}, [{"order_by": order}]) == (
        f'postgresql error: column "{shown}" does not exist')


def test_values_are_never_sql(hub, me, project):
    for text in ("' OR '1'='1", "\\", "%", "$1", "\"; --", "a\u2028b", "\U0001f600"):
        assert result(hub, me, {"projects_all": [{"project_id": None, "title": text}]},
                      [{"set": False}]) == {"projects_all": []}


def test_operators_beside_others_are_a_plain_value(hub, me, project):
    query = {"projects_all": [{"project_id": None, "title": {"=": "T1", "= '' OR 1": "x"}}]}
    assert result(hub, me, query) == {"projects_all": []}


SIGNS = ("=", "==", "!=", "<>", "<", "<=", ">", ">=")


def test_many_conditions(hub, me):
    texts = {name: {sign: "x" for sign in (*SIGNS, "LIKE", "ILIKE", "NOT LIKE")}
             for name in ("title", "description", "name", "color", "compute_image", "avatar_image_tiny")}
    assert result(hub, me, {"projects_all": [{"project_id": None, **texts}]}) == {"projects_all": []}
    numbers = {name: {sign: 0 for sign in SIGNS} for name in ("created", "last_edited", "ephemeral", "deleted", "sandbox")}
    assert refusal(hub, me, {"projects_all": [{"project_id": None, **texts, **numbers}]}) == (
        "too many conditions in a query: at most 100 are allowed")


def test_long_lists_and_texts(hub, me):
    ids = [str(uuid.UUID(int=n)) for n in range(50_000)]
    assert refusal(hub, me, {"projects": {"project_id": ids, "title": None}}).startswith(f"invalid project_id -- {ids[0]},")
    assert result(hub, me, {"projects_all": [{"project_id": None, "title": "x" * 2_000_000}]}) == {"projects_all": []}
    assert result(hub, me, {"projects_all": [{"project_id": None, "env": {str(n): n for n in range(50_000)}}]}) == (
        {"projects_all": []})


def test_numbers_beyond_what_is_exact(hub, me, project):
    for number in (2**53 + 1, 2**63, 1e300, -1e300, 0.5):
        assert result(hub, me, {"projects_all": [{"project_id": None, "ephemeral": {">": number}}]}) == {"projects_all": []}


@pytest.mark.parametrize("body", [
    b'{"query":{"projects":{"title":"\\u0000","project_id":null}}}',
    b'{"query":{"projects":{"title":"\xff","project_id":null}}}',
    b'{"query":{"projects":{"title":' + b"[" * 1000 + b"null" + b"]" * 1000 + b"}}}",
    b'{"query":{"projects":{"title":null,"title":null}}}',
])
def test_bodies_that_are_no_good_json(hub, me, body):
    reply = httpx.post(f"{hub.url}/api/v1/query", content=body,
                       headers={"Authorization": f"Bearer {me.key}", "Content-Type": "application/json"}, timeout=60)
    assert reply.status_code == 400 and "error" in reply.json()


def test_a_pattern_of_many_wildcards(hub, me):
    hub.project(me, title="a" * 1000, description="a" * 90_000)
    query = {"projects_all": [{"project_id": None, "description": {"LIKE": "%" + "a" * 5000 + "b%"}}]}
    assert refusal(hub, me, query) == "the query has to look at too much"
    query = {"projects_all": [{"project_id": None, "title": {"LIKE": "%a" * 400 + "b"}}]}
    assert result(hub, me, query) == {"projects_all": []}


def test_administrators_read_any_named_project_and_list_their_own(hub, me, project):
    admin = hub.account(admin=True)
    query = {"projects": {"project_id": project, "title": None}}
    assert result(hub, admin, query)["projects"]["title"] == "T1"
    assert result(hub, admin, {"projects": {"project_id": NOBODYS, "title": None}}) == {}
    assert result(hub, admin, {"projects": [{"title": None}]}) == {"projects": []}


def test_a_list_leaves_nulls_out_and_a_single_keeps_them(hub, me, project):
    pattern = {"project_id": project, "deleted": None, "state": None, "description": None}
    single = result(hub, me, {"projects": pattern})["projects"]
    assert single == {"project_id": project, "deleted": None, "state": single["state"], "description": "D1"}
    assert list(single) == list(pattern)
    assert "deleted" not in result(hub, me, {"projects": [pattern]})["projects"][0]


def test_replies_are_what_was_written(hub, me, project):
    env = {"A": "\u2028\"\\\n", "é": "\U0001f600"}
    assert result(hub, me, {"projects": {"project_id": project, "env": env}}) == {}
    assert json.dumps(result(hub, me, {"projects": {"project_id": project, "env": None}})["projects"]["env"]) == json.dumps(env)
