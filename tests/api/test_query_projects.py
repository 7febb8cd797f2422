# SPDX-License-Identifier: AGPL-3.0-or-later
"""User queries on projects, projects_all, projects_admin, projects_owner, project_invite_requests,
project_avatar_images, public_projects (user-query 12.2, 12.4)."""
import os
import time

import pytest

from harness.process import wait_until
from harness.queries import refusal, result
from harness.store import add_user, execute

FORCED = [{"set": True}]
ADMIN = "FATAL: user must be an admin"
NO_READ = "FATAL: you do not have read access to this project"
USERS = "FATAL: error setting 'users' -- Error: "
GROUP = USERS + "changing collaborator group via user_set_query is not allowed"
MISSING = "12345678-1234-4234-8234-123456789012"
LICENSE, OTHER_LICENSE = "22222222-2222-4222-8222-222222222222", "33333333-2222-4222-8222-222222222222"
DAY_MS = 24 * 3600 * 1000
SETTINGS = {"disk_quota": 3000, "cores": 1, "cpu_shares": 0, "memory": 1000, "memory_request": 0, "mintime": 1800,
            "network": 0, "member_host": 0, "ephemeral_state": 0, "ephemeral_disk": 0, "always_running": 0}
# What a project that was made just now reads as.
NEW = {"title": "T1", "description": "D1", "invite": None, "invite_requests": None, "deleted": None, "host": None,
       "settings": SETTINGS, "site_license": {}, "status": None, "state": None, "last_active": None,
       "action_request": None, "course": None, "compute_image": "default", "addons": None, "env": None, "name": None,
       "run_quota": None, "manage_users_owner_only": None, "ephemeral": None, "sandbox": None,
       "avatar_image_tiny": None, "color": None, "pay_as_you_go_quotas": None}


@pytest.fixture
def me(hub):
    return hub.account(first_name="Ada", last_name="L")


@pytest.fixture
def project(hub, me):
    return hub.project(me, title="T1", description="D1")


@pytest.fixture
def other(hub, project):
    """Somebody who works on the project too."""
    account = hub.account(first_name="Bob")
    add_user(hub, project, account, "collaborator")
    return account


def make_admin(hub):
    admin = hub.account()
    hub.cli("account", "admin", admin.id, "on")
    return admin


def read(hub, key, project, *fields):
    row = result(hub, key, {"projects": {"project_id": project, **dict.fromkeys(fields)}})["projects"]
    assert row.pop("project_id") == project
    return row[fields[0]] if len(fields) == 1 else row


def write(hub, key, project, options=..., **fields):
    assert result(hub, key, {"projects": {"project_id": project, **fields}}, options) == {}


def refused(hub, key, project, options=..., **fields):
    return refusal(hub, key, {"projects": {"project_id": project, **fields}}, options)


def set_value(hub, project, column, value):
    execute(hub, f"UPDATE projects SET {column} = ? WHERE project_id = ?", value, project)


# ---- Reading ----

def test_a_new_project(hub, me, project):
    assert read(hub, me, project, *NEW) == NEW
    assert result(hub, me, {"projects": [{"project_id": project, "title": None, "deleted": None, "state": None}]}) == {
        "projects": [{"project_id": project, "title": "T1"}]}
    times = read(hub, me, project, "created", "last_edited")
    assert times["created"] == times["last_edited"] and times["created"].endswith("Z")


def test_fields_that_nobody_reads(hub, me, project):
    for field in ("secret_token", "notes", "lti_data", "last_started", "avatar_image_full", "disk_size"):
        assert refused(hub, me, project, **{field: None}) == f"FATAL: user get query not allowed for projects.{field}"


def test_users(hub, me, project, other):
    assert read(hub, me, project, "users") == {me.id: {"group": "owner"}, other.id: {"group": "collaborator"}}
    execute(hub, "UPDATE project_users SET hide = 1, upgrades = '{\"cores\":1.5}', ssh_keys = '{\"f\":{\"title\":\"a, }\"}}'"
                 " WHERE account_id = ?", other.id)
    execute(hub, "UPDATE project_users SET upgrades = '{}', ssh_keys = '{}' WHERE account_id = ?", me.id)
    add_user(hub, project, guest := hub.account(), "viewer")
    assert read(hub, me, project, "users") == {
        me.id: {"group": "owner"}, guest.id: {"group": "viewer"},
        other.id: {"group": "collaborator", "hide": True, "upgrades": {"cores": 1.5}, "ssh_keys": {"f": {"title": "a, }"}}}}


def test_last_active(hub, me, project, other):
    execute(hub, "UPDATE project_users SET last_active = 1600000000000 WHERE account_id = ?", me.id)
    assert read(hub, me, project, "last_active") == {me.id: "2020-09-13T12:26:40.000Z"}
    execute(hub, "UPDATE project_users SET last_active = 1600000000001 WHERE account_id = ?", other.id)
    assert read(hub, me, project, "last_active") == {me.id: "2020-09-13T12:26:40.000Z",
                                                    other.id: "2020-09-13T12:26:40.001Z"}


def test_state(hub, me, project):
    execute(hub, "UPDATE projects SET state = 'starting', state_time = created + 1, state_error = NULL,"
                 " created = created - 0 WHERE project_id = ?", project)
    created = execute(hub, "SELECT created FROM projects WHERE project_id = ?", project)[0][0]
    state = read(hub, me, project, "state")
    assert state.pop("time")[-4:] == f"{(created + 1) % 1000:03}Z" and state == {"state": "starting"}
    set_value(hub, project, "state_error", 'no "room"\x1f')
    assert read(hub, me, project, "state")["error"] == 'no "room"\x1f'


def test_settings_are_completed(hub, me, project):
    set_value(hub, project, "settings", '{"memory":4000}')
    assert read(hub, me, project, "settings") == {**SETTINGS, "memory": 4000}


def test_maps_of_the_site(hub, me, project):
    set_value(hub, project, "invite", '{"a@b.c":{"time":"2020-01-01T00:00:00Z"}}')
    set_value(hub, project, "run_quota", '{"network":true}')
    set_value(hub, project, "status", '{"memory":{"rss":1}}')
    assert read(hub, me, project, "invite", "run_quota", "status") == {
        "invite": {"a@b.c": {"time": "2020-01-01T00:00:00.000Z"}}, "run_quota": {"network": True},
        "status": {"memory": {"rss": 1}}}


def test_conditions_on_what_is_put_together(hub, me, project):
    query = {"projects": [{"project_id": None, "users": {me.id: {"group": "owner"}}}]}
    assert result(hub, me, query)["projects"] == [{"project_id": project, "users": {me.id: {"group": "owner"}}}]
    query["projects"][0]["users"] = {me.id: {"group": "collaborator"}}
    assert result(hub, me, query) == {"projects": []}


def test_three_weeks(hub, me, project):
    now = int(time.time() * 1000)
    set_value(hub, project, "last_edited", now - 20 * DAY_MS)
    assert read(hub, me, project, "title") == "T1"
    set_value(hub, project, "last_edited", now - 22 * DAY_MS)
    assert result(hub, me, {"projects": {"project_id": project, "title": None}}) == {}
    assert result(hub, me, {"projects_all": {"project_id": project, "title": None}}) == {
        "projects_all": {"project_id": project, "title": "T1"}}
    set_value(hub, project, "last_edited", None)
    assert result(hub, me, {"projects": [{"project_id": None}]}) == {"projects": []}


def test_the_last_edited_come_first(hub, me):
    projects = [hub.project(me) for _ in range(3)]
    for age, project in enumerate((projects[1], projects[0], projects[2])):
        set_value(hub, project, "last_edited", int(time.time() * 1000) - age * DAY_MS)
    listed = result(hub, me, {"projects": [{"project_id": None}]})["projects"]
    assert [row["project_id"] for row in listed] == [projects[1], projects[0], projects[2]]
    assert result(hub, me, {"projects": {"project_id": None}}) == {"projects": {"project_id": projects[1]}}


def test_three_hundred_at_most(hub, me):
    execute(hub, "WITH RECURSIVE n(i) AS (SELECT 10000001 UNION ALL SELECT i + 1 FROM n WHERE i < 10000301)"
                 " INSERT INTO projects (project_id, created, last_edited)"
                 " SELECT CAST(i AS TEXT) || ?, 0, ? FROM n", me.id[8:], int(time.time() * 1000))
    execute(hub, "INSERT INTO project_users (project_id, account_id, \"group\") SELECT project_id, ?, 'owner'"
                 " FROM projects WHERE substr(project_id, 9) = ?", me.id, me.id[8:])
    assert len(result(hub, me, {"projects": [{"project_id": None}]})["projects"]) == 300
    assert len(result(hub, me, {"projects": [{"project_id": None}]}, [{"limit": 301}])["projects"]) == 301
    assert len(result(hub, me, {"projects_all": [{"project_id": None}]})["projects_all"]) == 301


@pytest.mark.parametrize("table", ["projects", "projects_all"])
def test_whose_projects(hub, me, project, other, table):
    stranger, admin = hub.account(), make_admin(hub)
    named, listed = {table: {"project_id": project, "title": None}}, {table: [{"project_id": None}]}
    for account in (me, other):
        assert result(hub, account, listed) == {table: [{"project_id": project}]}
    assert refusal(hub, stranger, named) == NO_READ
    assert result(hub, stranger, listed) == result(hub, admin, listed) == {table: []}
    assert result(hub, admin, named) == {table: {"project_id": project, "title": "T1"}}
    assert refusal(hub, me, {table: {"project_id": MISSING, "title": None}}) == NO_READ
    assert result(hub, admin, {table: {"project_id": MISSING, "title": None}}) == {}


@pytest.mark.parametrize("group", ["viewer", "invited_collaborator", "invited_viewer"])
def test_who_does_not_work_on_it_does_not_see_it(hub, project, group):
    add_user(hub, project, guest := hub.account(), group)
    assert result(hub, guest, {"projects_all": [{"project_id": None}]}) == {"projects_all": []}
    assert refusal(hub, guest, {"projects_all": {"project_id": project, "title": None}}) == NO_READ


def test_projects_admin(hub, me, project):
    admin = make_admin(hub)
    query = {"projects_admin": {"project_id": project, **dict.fromkeys(NEW)}}
    assert result(hub, admin, query) == {"projects_admin": {"project_id": project, **NEW}}
    assert refusal(hub, me, query) == ADMIN
    assert refusal(hub, admin, {"projects_admin": {"title": None}}) == "FATAL: must specify project_id"
    assert refusal(hub, admin, {"projects_admin": {"project_id": project, "title": "x"}}) == (
        "FATAL: user set queries not allowed for table 'projects_admin'")


# ---- Writing single values ----

@pytest.mark.parametrize("field, value", [
    ("title", "New é"), ("description", ""), ("deleted", True), ("deleted", False), ("sandbox", True),
    ("compute_image", "default"), ("color", "#ff0000"), ("avatar_image_tiny", "data:,x"),
    ("course", {"project_id": MISSING, "path": "a.course"}), ("manage_users_owner_only", True),
    ("name", "My.Project-1"), ("env", {"A": "1"}),
    ("invite_requests", {MISSING: {"timestamp": "2020-01-01T00:00:00.000Z", "message": "hi"}})])
@pytest.mark.parametrize("table", ["projects", "projects_all"])
def test_what_is_written_is_read(hub, me, table, project, field, value):
    edited = read(hub, me, project, "last_edited")
    assert result(hub, me, {table: {"project_id": project, field: value}}) == {}
    assert read(hub, me, project, field) == value
    assert read(hub, me, project, "last_edited") == edited


@pytest.mark.parametrize("field", ["state", "status", "settings", "host", "last_edited", "invite", "created",
                                   "run_quota", "secret_token", "last_active", "addons", "ephemeral"])
def test_what_nobody_writes(hub, me, project, field):
    assert refused(hub, me, project, **{field: "x"}) == f"FATAL: changing projects.{field} not allowed"


def test_who_writes(hub, me, project, other):
    write(hub, other, project, title="Bob's")
    assert refused(hub, hub.account(), project, title="x") == ADMIN
    write(hub, make_admin(hub), project, description="admin's")
    assert read(hub, me, project, "title", "description") == {"title": "Bob's", "description": "admin's"}
    assert refusal(hub, me, {"projects": {"title": "x"}}) == "FATAL: must specify projects.project_id"
    assert refused(hub, me, MISSING, title="x") == f"FATAL: unknown project_id '{MISSING}'"


def test_deleted_is_a_flag(hub, me, project):
    write(hub, me, project, deleted=True)
    assert result(hub, me, {"projects": [{"project_id": None, "deleted": None}]}) == {
        "projects": [{"project_id": project, "deleted": True}]}
    write(hub, me, project, deleted=False)
    assert result(hub, me, {"projects_all": [{"project_id": None, "deleted": False}]}) == {
        "projects_all": [{"project_id": project, "deleted": False}]}


@pytest.mark.parametrize("field, value, wanted", [
    ("title", "x" * 1001, "must have at most 1000 characters"),
    ("description", "x" * 100_001, "must have at most 100000 characters"),
    ("color", "x" * 1001, "must have at most 1000 characters"),
    ("avatar_image_tiny", "x" * 65_537, "must have at most 65536 characters"),
    ("avatar_image_full", "x" * 1_048_577, "must have at most 1048576 characters"),
    ("env", {"A": "x" * 24_576}, "must have at most 24576 characters"),
    ("env", {"A": 1}, "the value of 'A' must be a string"),
    ("env", {"A=B": "1"}, "'A=B' is no name of a variable"),
    ("env", {"": "1"}, "'' is no name of a variable"),
    ("env", "x", "must be an object"),
    ("course", {"path": "x" * 16_384}, "must have at most 16384 characters"),
    ("course", "x", "must be an object"),
    ("compute_image", "no such", 'there is no image "no such"'),
    ("compute_image", {"a": 1}, 'there is no image "[object Object]"'),
    ("manage_users_owner_only", "yes", "manage_users_owner_only must be a boolean"),
    ("manage_users_owner_only", 1, "manage_users_owner_only must be a boolean"),
    ("site_license", "x", "must be an object"),
    ("site_license", {"x": {}}, 'license id "x" is not a UUID'),
    ("site_license", {LICENSE: 1}, "each license must be an object"),
    ("site_license", {f"{i:08x}-2222-4222-8222-222222222222": {} for i in range(101)},
     "a project can have 100 licenses at most"),
    ("invite_requests", {"x": {}}, "invalid account_id 'x'"),
    ("invite_requests", {MISSING: 1}, "each request must be an object"),
    ("invite_requests", {MISSING: {"message": 1}}, "message must be a string"),
    ("invite_requests", {MISSING: {"timestamp": {}}}, "timestamp must be a time"),
    ("invite_requests", {MISSING: {"message": "x" * 2001}}, "must have at most 2000 characters"),
    ("invite_requests", {MISSING: {"foo": "x"}}, "unknown field 'foo'"),
])
def test_values_that_are_none(hub, me, project, field, value, wanted):
    assert refused(hub, me, project, **{field: value}) == f"FATAL: error setting '{field}' -- Error: {wanted}"


def test_the_variables_of_a_project(hub, me, project):
    write(hub, me, project, env={"A": "1", "B": "2"})
    write(hub, me, project, env={"B": "3"})
    write(hub, me, project, FORCED, env={"A": None})
    assert read(hub, me, project, "env") == {"B": "3"}
    assert hub.exec(me, project, "echo $B$A", bash=True)["stdout"] == "3\n"


def test_the_variables_do_not_grow_for_ever(hub, me, project):
    write(hub, me, project, env={"A": "x" * 16_000})
    assert refused(hub, me, project, env={"B": "x" * 16_000}, title="x") == (
        "FATAL: error setting 'env' -- Error: must have at most 24576 characters")
    assert hub.exec(me, project, "true")["exit_code"] == 0  # what is stored starts
    assert read(hub, me, project, "title") == "T1"


@pytest.mark.parametrize("name, wanted", [
    ("", "Error: name must have at least 1 character"),
    ("a" * 101, "Error: name must have at most 100 characters"),
    ("-a", "Error: name must contain only a-z,A-Z,0-9, . or -, and not start with hyphen or have spaces."),
    ("a b", "Error: name must contain only a-z,A-Z,0-9, . or -, and not start with hyphen or have spaces."),
    ("é", "Error: name must contain only a-z,A-Z,0-9, . or -, and not start with hyphen or have spaces."),
    ({"a": 1}, "Error: name must contain only a-z,A-Z,0-9, . or -, and not start with hyphen or have spaces."),
])
def test_names_that_are_none(hub, me, project, name, wanted):
    assert refused(hub, me, project, name=name) == wanted


def test_a_name_is_one_project_s_of_its_owner(hub, me, project, other):
    second = hub.project(me)
    write(hub, me, project, name="Same")
    write(hub, me, project, name="same")
    assert refused(hub, me, second, name="SAME") == (
        "There is already a project with the same owner as this project and name='SAME'.   "
        "Names are not case sensitive.")
    write(hub, other, hub.project(other), name="SAME")


def test_owners_name_projects(hub, project, other):
    assert refused(hub, other, project, name="x") == (
        "Only the owner of the project can currently change the project name.")
    write(hub, make_admin(hub), project, name="x")


def test_owners_say_who_manages_people(hub, me, project, other):
    assert refused(hub, other, project, manage_users_owner_only=True, title="x") == (
        "Error: Only project owners can change collaborator management settings")
    assert read(hub, me, project, "manage_users_owner_only", "title") == {"manage_users_owner_only": None,
                                                                         "title": "T1"}
    write(hub, make_admin(hub), project, manage_users_owner_only=False)


def test_owners_alone_manage_people_where_they_say_so(hub, me, project, other):
    wanted = "OwnershipError: Only owners can manage collaborators when this setting is enabled"
    third, fourth = hub.account(), hub.account()
    add = {"project_id": project, "account_id": third.id}
    write(hub, me, project, manage_users_owner_only=True)
    for event in ("add_collaborator", "invite_collaborator"):
        assert wanted in hub.call(event, key=other, **add)["error"]
    assert wanted in hub.call("remove_collaborator", key=other, project_id=project, account_id=me.id)["error"]
    token = {"project_invite_tokens": {"project_id": project, "token": "t" + project}}
    assert refusal(hub, other, token) == wanted
    assert hub.call("add_collaborator", key=me, **add)["event"] == "success"
    assert result(hub, make_admin(hub), token) == {}
    assert hub.call("remove_collaborator", key=other, project_id=project, account_id=other.id)["event"] == "success"
    write(hub, me, project, manage_users_owner_only=False)
    assert hub.call("add_collaborator", key=third, project_id=project, account_id=fourth.id)["event"] == "success"


def test_a_set_writes_nothing_to_the_log(hub, me, project):
    write(hub, me, project, title="x")
    assert result(hub, me, {"project_log_all": [{"project_id": project, "id": None}]}) == {"project_log_all": []}


# ---- Licences ----

def test_licences(hub, me, project):
    write(hub, me, project, site_license={LICENSE: {}})
    write(hub, me, project, site_license={OTHER_LICENSE.upper(): {"cores": 9}})
    assert read(hub, me, project, "site_license") == {LICENSE: {}, OTHER_LICENSE: {}}
    write(hub, me, project, FORCED, site_license={LICENSE: None})
    assert read(hub, me, project, "site_license") == {OTHER_LICENSE: {}}


def test_a_licence_holds_from_the_next_start(hub, me, project):
    license_id = hub.cli("license", "create", "--title", "L", "--memory", "1234")["id"]
    write(hub, me, project, site_license={license_id: {}})
    hub.exec(me, project, "true")
    assert wait_until(lambda: read(hub, me, project, "run_quota"), 60, "its quota is stored")["memory_limit"] == 1234


def test_licences_have_an_end(hub, me, project):
    for first in (0, 60):
        licenses = {f"{i:08x}-2222-4222-8222-222222222222": {} for i in range(first, first + 40)}
        write(hub, me, project, site_license=licenses)
    licenses = {f"{i:08x}-2222-4222-8222-222222222222": {} for i in range(200, 221)}
    assert refused(hub, me, project, site_license=licenses) == "a project can have 100 licenses at most"
    assert len(read(hub, me, project, "site_license")) == 80


# ---- Users ----

@pytest.mark.parametrize("entry, wanted", [
    ({"foo": 1}, "unknown field 'foo"),
    ({"group": "viewer"}, "invalid value for field 'group'"),
    ({"group": 1}, "invalid value for field 'group'"),
    ({"hide": 1}, "invalid type for field 'hide'"),
    ({"hide": "true"}, "invalid type for field 'hide'"),
    ({"upgrades": 1}, "invalid type for field 'upgrades'"),
    ({"upgrades": [1]}, "invalid type for field 'upgrades'"),
    ({"upgrades": {"gpu": 1}}, "invalid upgrades field 'gpu'"),
    ({"upgrades": {"cores": {}}}, "invalid upgrades field 'cores'"),
    ({"upgrades": {"cores": "many"}}, "invalid upgrades field 'cores'"),
    ({"ssh_keys": 1}, "ssh_keys must be an object"),
    ({"ssh_keys": {"f": 1}}, "each key in ssh_keys must be an object"),
    ({"ssh_keys": {"f": {"foo": 1}}}, "invalid ssh_keys field 'foo'"),
    (1, "user entry must be an object"),
])
def test_entries_that_are_none(hub, me, project, entry, wanted):
    assert refused(hub, me, project, users={me.id: entry}) == USERS + wanted
    assert refused(hub, hub.account(), project, users={me.id: entry}) == USERS + wanted  # before the rights


def test_users_that_are_none(hub, me, project):
    assert refused(hub, me, project, users="x") == USERS + "users must be an object"
    assert refused(hub, me, project, FORCED, users={me.id: None}) == USERS + "user entry must be an object"
    many = {f"{i:08x}-2222-4222-8222-222222222222": {} for i in range(1001)}
    assert refused(hub, me, project, users=many) == USERS + "must have at most 1000 entries"


def test_what_is_no_id_is_dropped(hub, me, project):
    write(hub, me, project, users={"foo": {"group": "owner"}, me.id: {"hide": True}})
    assert read(hub, me, project, "users") == {me.id: {"group": "owner", "hide": True}}


def test_hiding(hub, me, project, other):
    write(hub, me, project, users={me.id: {"hide": True}, other.id.upper(): {"hide": True}})
    assert read(hub, me, project, "users") == {me.id: {"group": "owner", "hide": True},
                                              other.id: {"group": "collaborator", "hide": True}}
    write(hub, me, project, users={me.id: {"hide": False}})
    write(hub, me, project, FORCED, users={other.id: {"hide": None}})
    assert read(hub, me, project, "users") == {me.id: {"group": "owner"}, other.id: {"group": "collaborator"}}


@pytest.mark.parametrize("group", ["owner", "collaborator"])
def test_nobody_is_added(hub, me, project, group):
    stranger = hub.account()
    assert refused(hub, me, project, users={stranger.id: {"group": group}}) == GROUP
    assert refused(hub, me, project, users={stranger.id: {}}) == USERS + f"{stranger.id} does not work on this project"
    assert read(hub, me, project, "users") == {me.id: {"group": "owner"}}


def test_nobody_becomes_owner_and_no_owner_is_lost(hub, me, project, other):
    before = read(hub, me, project, "users")
    assert refused(hub, other, project, users={other.id: {"group": "owner"}}) == GROUP
    assert refused(hub, other, project, users={me.id: {"group": "collaborator"}}) == GROUP
    assert refused(hub, me, project, users={me.id: {"group": "collaborator"}}) == GROUP
    assert refused(hub, make_admin(hub), project, users={other.id: {"group": "owner"}}) == GROUP
    assert refused(hub, me, project, FORCED, users={me.id: {"group": None}}) == USERS + (
        "invalid value for field 'group'")
    write(hub, me, project, FORCED, users=None)
    assert read(hub, me, project, "users") == before


def test_a_group_may_be_repeated(hub, me, project):
    write(hub, me, project, users={me.id: {"group": "owner", "hide": True}})
    assert read(hub, me, project, "users") == {me.id: {"group": "owner", "hide": True}}


def test_administrators_who_do_not_work_on_it_are_not_added(hub, me, project):
    admin = make_admin(hub)
    assert refused(hub, admin, project, users={admin.id: {"hide": True}}) == USERS + (
        f"{admin.id} does not work on this project")
    write(hub, admin, project, users={me.id: {"hide": True}})


def test_keys(hub, me, project, other):
    key = {"title": "t", "value": "ssh-rsa", "creation_date": 1, "last_use_date": 2}
    write(hub, me, project, users={me.id: {"ssh_keys": {"f": key, "g": {"title": "g"}}}})
    write(hub, me, project, users={me.id: {"ssh_keys": {"f": {"last_use_date": 3}, "g": False}}})
    assert read(hub, me, project, "users")[me.id]["ssh_keys"] == {"f": {**key, "last_use_date": 3}}
    write(hub, me, project, FORCED, users={me.id: {"ssh_keys": {"f": None, "h": {"title": "h", "value": None}}}})
    assert read(hub, me, project, "users")[me.id]["ssh_keys"] == {"h": {"title": "h"}}
    assert refused(hub, other, project, users={me.id: {"ssh_keys": {"f": key}}}) == (
        USERS + "users set queries may only change ssh_keys for the requesting account")
    write(hub, me, project, FORCED, users={me.id: {"ssh_keys": None}})
    assert read(hub, me, project, "users")[me.id] == {"group": "owner"}


def test_keys_do_not_grow_for_ever(hub, me, project):
    write(hub, me, project, users={me.id: {"ssh_keys": {"f": {"value": "x" * 10_000}}}})
    assert refused(hub, me, project, users={me.id: {"ssh_keys": {"g": {"value": "x" * 10_000}}}}) == (
        USERS + "must have at most 16384 characters")


# ---- Upgrades ----

def give_total(hub, account, *amounts):
    hub.cli("upgrades", "set", account.id, *amounts)


def upgrades(hub, key, project, account):
    return read(hub, key, project, "users")[account.id].get("upgrades")


def test_own_upgrades(hub, me, project):
    give_total(hub, me, "cores=2", "cpu_shares=2048", "memory=5000")
    write(hub, me, project, users={me.id: {"upgrades": {"cores": 1, "cpu_shares": 768}}})
    write(hub, me, project, users={me.id: {"upgrades": {"cpu_shares": "1024"}}})
    assert upgrades(hub, me, project, me) == {"cores": 1, "cpu_shares": 1024}
    write(hub, me, project, FORCED, users={me.id: {"upgrades": {"cores": None}}})
    assert upgrades(hub, me, project, me) == {"cpu_shares": 1024}
    write(hub, me, project, FORCED, users={me.id: {"upgrades": None}})
    assert read(hub, me, project, "users") == {me.id: {"group": "owner"}}


def test_nobody_gives_more_than_there_is(hub, me, project):
    give_total(hub, me, "cores=2")
    second = hub.project(me)
    write(hub, me, project, users={me.id: {"upgrades": {"cores": 1.5}}})
    write(hub, me, second, users={me.id: {"upgrades": {"cores": 5, "memory": 100}}})
    given = [upgrades(hub, me, p, me) for p in (project, second)]
    assert sum(amounts["cores"] for amounts in given) == 2
    assert sum(amounts.get("memory", 0) for amounts in given) == 0


def test_upgrades_of_others(hub, me, project, other):
    give_total(hub, other, "cores=2")
    write(hub, other, project, users={other.id: {"upgrades": {"cores": 1}}})
    wanted = f"FATAL: user '{me.id}' tried to change user '{other.id}' allocation toward a project"
    for amounts in ({"cores": 2}, {"cores": 1, "memory": 5}, {}):
        assert refused(hub, me, project, users={other.id: {"upgrades": amounts}}) == wanted
    assert refused(hub, me, project, FORCED, users={other.id: {"upgrades": None}}) == wanted
    stranger = hub.account()
    assert refused(hub, me, project, users={stranger.id: {"upgrades": {"cores": 1}}}) == (
        f"FATAL: user '{me.id}' tried to change user '{stranger.id}' allocation toward a project")
    write(hub, me, project, users={other.id: {"upgrades": {"cores": 1}}})
    write(hub, me, project, users={me.id: {"hide": True}})  # others need not be named
    assert upgrades(hub, me, project, other) == {"cores": 1}


def test_an_action_does_not_let_upgrades_pass(hub, me, project, other):
    assert refused(hub, me, project, users={other.id: {"upgrades": {"cores": 1}}},
                   action_request={"action": "test"}).endswith("allocation toward a project")


def test_upgrades_reach_the_running_project(hub, me, project):
    give_total(hub, me, "memory=2000")
    hub.exec(me, project, "true")
    before = wait_until(lambda: read(hub, me, project, "run_quota"), 60, "its quota is stored")["memory_limit"]
    write(hub, me, project, users={me.id: {"upgrades": {"memory": 500}}})
    wait_until(lambda: read(hub, me, project, "run_quota")["memory_limit"] == before + 500, 60, "its quota has grown")


# ---- Actions ----

def state(hub, project):
    return execute(hub, "SELECT state FROM projects WHERE project_id = ?", project)[0][0]


def finished(hub, key, project):
    """The request, once it has ended."""
    return wait_until(lambda: (lambda r: r if "finished" in r else None)(read(hub, key, project, "action_request")),
                      60, "the action has ended")


def act(hub, key, project, action, **more):
    write(hub, key, project, action_request={"action": action, **more})
    return finished(hub, key, project)


def test_starting_and_stopping(hub, me, project, other):
    request = act(hub, other, project, "start")
    assert sorted(request) == ["action", "finished", "started"] and request["action"] == "start"
    assert request["started"] <= request["finished"]
    assert wait_until(lambda: state(hub, project) == "running", 60, "its state is stored")
    assert read(hub, me, project, "state")["state"] == "running"
    assert act(hub, me, project, "stop", time="t1")["time"] == "t1"
    assert wait_until(lambda: state(hub, project) == "opened", 60, "its state is stored")
    assert not hub.sandbox(project)
    assert read(hub, me, project, "state")["state"] == "opened"


def test_restarting(hub, me, project):
    act(hub, me, project, "start")
    before = set(hub.sandbox(project))
    request = act(hub, me, project, "restart", time=7)
    assert "err" not in request and request["time"] == 7
    after = set(hub.sandbox(project))
    assert after and not after & before


def test_closing_stops(hub, me, project):
    act(hub, me, project, "start")
    assert "err" not in act(hub, me, project, "close", time=1)
    assert not hub.sandbox(project)


def test_saving(hub, me, project):
    assert "err" not in act(hub, me, project, "save")
    os.rmdir(hub.data / "projects" / project)
    assert act(hub, me, project, "save", time=1)["err"].startswith("the project cannot be saved: ")


def test_a_test_is_only_stored(hub, me, project):
    write(hub, me, project, action_request={"action": "test", "time": "2020-01-01T00:00:00.000Z"}, title="both")
    assert read(hub, me, project, "action_request", "title") == {
        "action_request": {"action": "test", "time": "2020-01-01T00:00:00.000Z"}, "title": "both"}


def test_actions_that_are_none(hub, me, project):
    request = act(hub, me, project, "fly")
    assert request.pop("started") == request.pop("finished")
    assert request == {"action": "fly", "err": "FATAL: action 'fly' not implemented"}


def test_a_request_takes_the_place_of_the_one_before(hub, me, project):
    act(hub, me, project, "fly", time="t1")
    assert sorted(act(hub, me, project, "save")) == ["action", "finished", "started"]


@pytest.mark.parametrize("when", ["t1", 1600000000000])
def test_the_same_time_is_the_same_request(hub, me, project, when):
    first = act(hub, me, project, "save", time=when)
    write(hub, me, project, action_request={"action": "fly", "time": when})
    assert read(hub, me, project, "action_request") == first
    assert act(hub, me, project, "fly", time=str(when) + "0")["err"]


def test_without_a_time_it_is_another_request(hub, me, project):
    write(hub, me, project, action_request={"action": "test"})
    assert act(hub, me, project, "save")["action"] == "save"
    assert act(hub, me, project, "fly")["action"] == "fly"


def test_a_start_that_fails(hub, me, project):
    write(hub, me, project, deleted=True)
    assert act(hub, me, project, "start")["err"] == f"project {project} does not exist"


def test_strangers_ask_for_nothing(hub, project):
    assert refused(hub, hub.account(), project, action_request={"action": "start"}) == ADMIN


@pytest.mark.parametrize("request_, wanted", [
    ("start", "must be an object"), ({"time": 1}, "action must be a string"), ({"action": 1}, "action must be a string"),
    ({"action": "start", "time": {}}, "time must be a string or a number"),
    ({"action": "x" * 101}, "must have at most 100 characters"),
    ({"action": "start", "time": "x" * 101}, "must have at most 100 characters"),
])
def test_requests_that_are_none(hub, me, project, request_, wanted):
    assert refused(hub, me, project, action_request=request_) == (
        f"FATAL: error setting 'action_request' -- Error: {wanted}")


def test_an_action_whose_hub_was_gone_ends(hub_factory):
    hub = hub_factory()
    me = hub.account()
    old, young, other = (hub.project(me) for _ in range(3))
    begun = '{"action":"start","time":"t1","started":"2020-01-01T00:00:00.000Z"}'
    hub.stop()
    for project, since in ((old, 1), (young, 1 << 52), (other, None)):
        execute(hub, "UPDATE projects SET action_request = ?, acting_since = ? WHERE project_id = ?", begun, since,
                project)
    hub.start()
    request = finished(hub, me, old)
    assert request.pop("finished") and request == {"action": "start", "time": "t1",
                                                   "started": "2020-01-01T00:00:00.000Z",
                                                   "err": "the server ended meanwhile"}
    assert "finished" not in read(hub, me, young, "action_request") | read(hub, me, other, "action_request")


def test_what_has_ended_is_not_taken_for_lost(hub, me, project):
    for action in ("start", "fly", "save"):
        act(hub, me, project, action)
        assert execute(hub, "SELECT acting_since FROM projects WHERE project_id = ?", project) == [(None,)]
    write(hub, me, project, action_request={"action": "test"})
    assert execute(hub, "SELECT acting_since FROM projects WHERE project_id = ?", project) == [(None,)]


# ---- projects_owner ----

def test_owners_write_the_course(hub, me, project, other):
    query = {"projects_owner": {"project_id": project, "course": {"path": "a.course"}}}
    assert result(hub, me, query) == {}
    assert refusal(hub, other, query) == ADMIN
    assert read(hub, me, project, "course") == {"path": "a.course"}
    assert refusal(hub, me, {"projects_owner": {"project_id": project, "course": {"path": "x" * 20_000}}}) == (
        "FATAL: error setting 'course' -- Error: must have at most 16384 characters")
    assert refusal(hub, me, {"projects_owner": {"project_id": project, "title": "x"}}) == (
        "FATAL: changing projects_owner.title not allowed")
    assert refusal(hub, me, {"projects_owner": {"project_id": project, "course": None}}) == (
        "FATAL: get queries not allowed for table 'projects_owner'")


# ---- project_invite_requests ----

def ask(account, project, **request):
    return {"project_invite_requests": {"project_id": project, "invite_requests": {account.id: request}}}


def test_strangers_ask_to_join(hub, me, project):
    bob, eve = hub.account(), hub.account()
    for account in (bob, eve):
        assert result(hub, account, ask(account, project.upper(), message="please", timestamp="2020-01-01T00:00:00Z")) == {}
    wanted = {"message": "please", "timestamp": "2020-01-01T00:00:00.000Z"}
    assert read(hub, me, project, "invite_requests") == {bob.id: wanted, eve.id: wanted}
    assert result(hub, bob, {"project_invite_requests": {"project_id": project, "invite_requests": {bob.id: None}}},
                  FORCED) == {}
    assert read(hub, me, project, "invite_requests") == {eve.id: wanted}


def test_nobody_asks_for_others(hub, me, project):
    bob, eve = hub.account(), hub.account()
    wanted = ("FATAL: error setting 'invite_requests' -- Error: the only entry must be that of the requesting account")
    assert refusal(hub, bob, ask(eve, project, message="x")) == wanted
    assert refusal(hub, bob, {"project_invite_requests": {"project_id": project, "invite_requests": {
        bob.id: {}, eve.id: {}}}}) == wanted
    assert refusal(hub, bob, {"project_invite_requests": {"project_id": project, "invite_requests": {
        bob.id: {}, bob.id.upper(): {}}}}) == wanted  # so that nobody takes the place of others
    assert read(hub, me, project, "invite_requests") is None


def test_requests_to_join_that_are_none(hub, me, project):
    bob = hub.account()
    assert refusal(hub, bob, ask(bob, MISSING)) == f"FATAL: unknown project_id '{MISSING}'"
    assert refusal(hub, bob, ask(bob, "foo")) == 'postgresql error: invalid input syntax for type uuid: "foo"'
    assert refusal(hub, bob, ask(bob, project, message="x" * 2001)) == (
        "FATAL: error setting 'invite_requests' -- Error: must have at most 2000 characters")
    assert refusal(hub, bob, {"project_invite_requests": {"invite_requests": {bob.id: {}}}}) == (
        "FATAL: must specify project_invite_requests.project_id")
    assert refusal(hub, bob, {"project_invite_requests": {"project_id": project, "title": "x"}}) == (
        "FATAL: changing project_invite_requests.title not allowed")
    assert execute(hub, "SELECT 1 FROM projects WHERE project_id = ?", MISSING) == []


# ---- project_avatar_images ----

def test_large_pictures(hub, me, project):
    write(hub, me, project, avatar_image_full="data:,full")
    query = {"project_avatar_images": {"project_id": project, "avatar_image_full": None}}
    assert result(hub, me, query) == {"project_avatar_images": {"project_id": project, "avatar_image_full": "data:,full"}}
    assert refusal(hub, hub.account(), query) == NO_READ


# ---- public_projects ----

def test_public_projects(hub, me, project):
    stranger = hub.account()
    query = {"public_projects": {"project_id": project, "title": None, "description": None, "name": None}}
    assert refusal(hub, stranger, query) == "project does not have any public paths"
    result(hub, me, {"public_paths": {"project_id": project, "path": "a", "disabled": True}})
    assert refusal(hub, stranger, query) == "project does not have any public paths"
    result(hub, me, {"public_paths": {"project_id": project, "path": "b"}})
    assert result(hub, stranger, query) == {"public_projects": {
        "project_id": project, "title": "T1", "description": "D1", "name": None}}
    assert refusal(hub, stranger, {"public_projects": {"title": None}}) == "FATAL: must specify project_id"
    assert refusal(hub, stranger, {"public_projects": {"project_id": project, "users": None}}) == (
        "FATAL: user get query not allowed for public_projects.users")


def test_public_projects_that_do_not_exist(hub):
    assert refusal(hub, hub.account(), {"public_projects": {"project_id": MISSING, "title": None}}) == (
        "project does not have any public paths")
