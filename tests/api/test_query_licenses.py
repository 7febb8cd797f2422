# SPDX-License-Identifier: AGPL-3.0-or-later
"""User queries on licenses (user-query 12.13)."""
import uuid

import pytest

from harness.queries import refusal, result
from harness.store import execute

NEVER = "00000000-0000-4000-8000-000000000000"
NOT_ADMIN = "FATAL: user must be an admin"
FORCED = [{"set": True}]
LIST_ONLY = "Error: only query requesting multiple results is implemented"
OF_A_LIST = "query must be an array (you must request to get multiple values back)"
MANAGER_FIELDS = ["id", "title", "description", "info", "expires", "activates", "created", "last_used", "managers",
                  "upgrades", "quota", "run_limit", "apply_limit", "voucher_code", "subscription_id"]


@pytest.fixture
def admin(hub):
    return hub.account(admin=True)


def make(hub, admin, **fields):
    license_id = str(uuid.uuid4())
    fields = {"title": "L", "activates": "2020-01-01", **fields}
    assert result(hub, admin, {"site_licenses": {"id": license_id, **fields}}) == {}
    return license_id


def use(hub, license_id, *projects, stop=None):
    for number, project in enumerate(projects):
        execute(hub, "INSERT INTO site_license_usage_log (license_id, project_id, start, stop) VALUES (?, ?, ?, ?)",
                license_id, project, 1000 + number, stop)


# ---- site_licenses ----

def test_what_an_administrator_writes_is_read(hub, admin):
    fields = {"title": "T", "description": "D", "info": {"a": {"b": 1}}, "expires": "2099-01-01T00:00:00.000Z",
              "activates": "2020-01-01T00:00:00.000Z", "created": "2020-01-02T00:00:00.000Z",
              "last_used": "2020-01-03T00:00:00.000Z", "managers": [admin.id], "restricted": True,
              "upgrades": {"cores": 1, "network": True}, "quota": {"cpu": 1, "ram": "2", "member": True, "user": "academic"},
              "run_limit": 3, "apply_limit": 4}
    license_id = make(hub, admin, **fields)
    wanted = {"id": license_id, **fields, "voucher_code": None, "subscription_id": None}
    assert result(hub, admin, {"site_licenses": {**dict.fromkeys(wanted), "id": license_id}}) == {"site_licenses": wanted}


def test_the_last_used_come_first(hub, admin):
    title = str(uuid.uuid4())
    old, new = (make(hub, admin, title=title, last_used=time) for time in ("2020-01-01", "2021-01-01"))
    assert result(hub, admin, {"site_licenses": [{"id": None, "title": title}]}) == {
        "site_licenses": [{"id": new, "title": title}, {"id": old, "title": title}]}


@pytest.mark.parametrize("query", [
    {"site_licenses": [{"id": None}]}, {"site_licenses": {"id": NEVER, "title": "x"}},
    {"matching_site_licenses": [{"search": "x", "id": None}]}, {"site_license_usage_stats": {"running": None}},
    {"projects_using_site_license": [{"license_id": NEVER, "title": None}]},
    {"number_of_projects_using_site_license": {"license_id": NEVER, "number": None}}])
def test_who_is_no_administrator(hub, account, query):
    assert refusal(hub, account, query) == NOT_ADMIN


@pytest.mark.parametrize("field, value, reason", [
    ("upgrades", {"gpu": 1}, "invalid upgrades field 'gpu'"),
    ("upgrades", {"cores": -1}, "invalid value for upgrades field 'cores'"),
    ("upgrades", {"memory": 1e300}, "invalid value for upgrades field 'memory'"),
    ("upgrades", {"memory": "much"}, "invalid value for upgrades field 'memory'"),
    ("quota", {"ram": -2}, "invalid value for quota field 'ram'"),
    ("quota", {"member": 1}, "invalid value for quota field 'member'"),
    ("quota", 7, "must be an object"), ("run_limit", -1, "must not be negative"),
    ("expires", "2019-01-01", "must be later than activates"),
    ("managers", [NEVER] * 101, "must have at most 100 entries"),
    ("title", "x" * 20001, "must have at most 20000 characters")])
def test_a_value_that_no_license_has(hub, admin, field, value, reason):
    query = {"site_licenses": {"id": NEVER, "activates": "2020-01-01", field: value}}
    assert refusal(hub, admin, query) == f"FATAL: error setting '{field}' -- Error: {reason}"
    assert execute(hub, "SELECT 1 FROM site_licenses WHERE id = ?", NEVER) == []


def test_managers_are_ids(hub, admin):
    assert refusal(hub, admin, {"site_licenses": {"id": NEVER, "managers": ["x"]}}) == \
        'postgresql error: invalid input syntax for type uuid: "x"'


def test_an_id_must_be_given_and_nothing_is_deleted(hub, admin):
    assert refusal(hub, admin, {"site_licenses": {"title": "x"}}) == "FATAL: must specify site_licenses.id"
    assert refusal(hub, admin, {"site_licenses": {"id": NEVER}}, [{"set": True}, {"delete": True}]) == \
        "FATAL: delete from site_licenses not allowed"


def test_a_license_made_by_a_query_raises_a_quota(hub, admin, account):
    license_id = make(hub, admin, quota={"ram": 2}, run_limit=0)
    project = hub.project(account, license=license_id)
    hub.exec(account, project, "true")
    assert hub.cli("project", "show", project)["run_quota"]["memory_limit"] == 2000


# ---- matching_site_licenses ----

def test_every_word_must_occur_somewhere(hub, admin):
    word = uuid.uuid4().hex
    first = make(hub, admin, title=f"ALPHA {word}", description="Beta", last_used="2020-01-01")
    second = make(hub, admin, title="Other", info={"note": f"alpha {word}"}, last_used="2021-01-01")

    def found(search, options=...):
        return [row["id"] for row in result(hub, admin, {"matching_site_licenses": [{"search": search, "id": None}]},
                                            options)["matching_site_licenses"]]
    assert found(f"alpha {word}") == [second, first]
    assert found(f"  {word}   BETA ") == [first]
    assert found(first) == [first]
    assert found(f"{word} gamma") == []
    assert found(word, [{"limit": 1}]) == [second]


def test_what_a_search_needs(hub, admin):
    assert refusal(hub, admin, {"matching_site_licenses": {"search": "x", "id": None}}) == LIST_ONLY
    assert refusal(hub, admin, {"matching_site_licenses": [{"id": None}]}) == \
        "FATAL: must specify matching_site_licenses.search"


# ---- manager_site_licenses ----

def test_managers_get_whole_rows(hub, admin, account):
    license_id = make(hub, admin, managers=[admin.id, account.id], quota={"cpu": 1})
    make(hub, admin, managers=[admin.id])
    row, = result(hub, account, {"manager_site_licenses": [{"id": None}]})["manager_site_licenses"]
    assert list(row) == MANAGER_FIELDS
    assert row["id"] == license_id and row["quota"] == {"cpu": 1} and row["expires"] is None
    assert refusal(hub, account, {"manager_site_licenses": {"id": None}}) == LIST_ONLY


def test_managers_get_what_the_pattern_names(hub, admin, account):
    first, second, foreign = (make(hub, admin, title=title, managers=[who.id])
                              for title, who in (("A", account), ("B", account), ("A", admin)))
    for condition, wanted in (({"id": first, "title": None}, [first]), ({"id": second.upper(), "title": None}, [second]),
                              ({"id": foreign, "title": None}, []), ({"id": None, "title": "A"}, [first]),
                              ({"id": first, "title": "B", "info": None}, [])):
        rows = result(hub, account, {"manager_site_licenses": [condition]})["manager_site_licenses"]
        assert [row["id"] for row in rows] == wanted and all(list(row) == MANAGER_FIELDS for row in rows)


def test_managers_change_titles_and_managers(hub, admin, account):
    license_id = make(hub, admin, managers=[account.id])
    change = {"id": license_id, "title": "New", "description": "D", "managers": [account.id, admin.id]}
    assert result(hub, account, {"manager_site_licenses": change}) == {}
    assert result(hub, admin, {"site_licenses": {**dict.fromkeys(change), "id": license_id}})["site_licenses"] == change


def test_others_change_nothing(hub, admin, account):
    license_id = make(hub, admin, managers=[account.id])
    text = "Error: user must be a manager of the license to change it"
    for who, which in ((admin, license_id), (hub.account(), license_id), (account, NEVER)):
        assert refusal(hub, who, {"manager_site_licenses": {"id": which, "title": "x"}}) == text
    assert refusal(hub, account, {"manager_site_licenses": {"title": "x"}}) == "must provide primary key"
    assert refusal(hub, account, {"manager_site_licenses": {"id": license_id, "quota": {"cpu": 9}}}) == \
        "FATAL: changing manager_site_licenses.quota not allowed"


def test_who_bought_it_stays(hub, admin, account):
    license_id = make(hub, admin, managers=[account.id, admin.id], info={"purchased": {"account_id": account.id}})
    query = {"manager_site_licenses": {"id": license_id, "managers": [admin.id]}}
    assert refusal(hub, admin, query) == \
        "you cannot remove as manager the person who originally purchased the license"


# ---- site_license_public_info ----

def test_what_anybody_learns(hub, admin, account, project):
    license_id = make(hub, admin, description="D", quota={"cpu": 1}, run_limit=5, managers=[admin.id])
    use(hub, license_id, project)
    use(hub, license_id, NEVER, stop=2000)
    wanted = {"id": license_id, "title": "L", "description": "D", "activates": "2020-01-01T00:00:00.000Z",
              "quota": {"cpu": 1}, "run_limit": 5, "running": 1, "is_manager": False}
    query = {"site_license_public_info": {"id": license_id, "title": None}}
    assert result(hub, account, query) == {"site_license_public_info": wanted}
    assert result(hub, admin, {"site_license_public_info": [query["site_license_public_info"]]}) == {
        "site_license_public_info": {**wanted, "managers": [admin.id], "is_manager": True}}


@pytest.mark.parametrize("pattern", [{"title": None}, {"id": None}, {"id": "x", "title": None},
                                     {"id": 7, "title": None}])
def test_public_info_without_an_id(hub, account, pattern):
    assert refusal(hub, account, {"site_license_public_info": pattern}) == \
        "must be a single object query with id specified"


def test_public_info_of_no_license(hub, account):
    assert refusal(hub, account, {"site_license_public_info": {"id": NEVER, "title": None}}) == \
        f"Error: no license with id {NEVER}"


# ---- Who uses them ----

def test_how_many_run_with_each(hub, admin, account):
    license_id, other = make(hub, admin), make(hub, admin)
    use(hub, license_id, hub.project(account), hub.project(account))
    use(hub, other, NEVER, stop=2000)
    stats = result(hub, admin, {"site_license_usage_stats": {"running": None}})["site_license_usage_stats"]
    assert stats["running"][license_id] == 2 and other not in stats["running"]
    assert stats["time"].endswith("Z")


def test_the_projects_that_use_one(hub, admin, account):
    license_id = make(hub, admin)
    running = hub.project(account, title="é" * 90, description="d" * 90)
    stopped = hub.project(account, title="Old")
    use(hub, license_id, running)
    use(hub, license_id, stopped, stop=1600000000000)

    def projects(table="projects_using_site_license", **pattern):
        return result(hub, admin, {table: [{"license_id": license_id, "project_id": None, **pattern}]})[table]

    assert projects(title=None, description=None, users=None, cutoff=None) == [
        {"license_id": license_id, "project_id": running, "title": "é" * 80, "description": "d" * 80,
         "users": {account.id: {"group": "owner"}}}]
    assert {row["project_id"] for row in projects(cutoff="2020-09-13T12:26:40Z")} == {running, stopped}
    assert [row["project_id"] for row in projects(cutoff="2020-09-13T12:26:41Z")] == [running]
    assert len(projects(cutoff="2020-01-01", limit=1)) == 1
    number = "number_of_projects_using_site_license"
    for cutoff, count in ((None, 1), ("2020-09-13T12:26:40.000Z", 2)):
        pattern = {"license_id": license_id, "cutoff": cutoff, "number": None}
        assert result(hub, admin, {number: pattern}) == {number: {**pattern, "number": count}}


@pytest.mark.parametrize("query, text", [
    ({"projects_using_site_license": {"license_id": NEVER, "title": None}}, OF_A_LIST),
    ({"projects_using_site_license": [{"license_id": "x", "title": None}]},
     "query must be of the form [{license_id:uuid, ...}]"),
    ({"number_of_projects_using_site_license": [{"license_id": NEVER, "number": None}]},
     "query must NOT be an array (do not request multiple values back)"),
    ({"number_of_projects_using_site_license": {"license_id": 5, "number": None}},
     "query must be of the form {license_id:uuid, cutoff?:<date>, count:null...}]"),
    ({"projects_using_site_license": [{"license_id": NEVER, "cutoff": "x", "title": None}]},
     'postgresql error: invalid input syntax for type timestamp: "x"')])
def test_how_to_ask_who_uses_one(hub, admin, query, text):
    assert refusal(hub, admin, query) == text
