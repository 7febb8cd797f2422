# SPDX-License-Identifier: AGPL-3.0-or-later
"""Queries of public_paths and public_paths_by_id (user-query 12.4): what they publish, and the rules for it."""
import hashlib

import pytest

from harness.queries import refusal, result
from harness.store import add_user, execute, execute_many

MISSING = "12345678-1234-4234-8234-123456789012"
FIELDS = ("description", "disabled", "unlisted", "license", "last_edited", "created", "last_saved", "counter", "name",
          "url", "image", "authenticated", "site_license_id", "cross_origin_isolation", "redirect", "jupyter_api")


def id_of(project, path):
    return hashlib.sha1(f"{project}{path}".encode()).hexdigest()


def publish(hub, account, project, path, options=..., **fields):
    assert result(hub, account, {"public_paths": {"project_id": project, "path": path, **fields}}, options) == {}


def paths(hub, project, caller=None, **fields):
    """All records of a project, as somebody who has nothing to do with it sees them."""
    return result(hub, caller or hub.key, {"public_paths": [{"project_id": project, **fields}]})["public_paths"]


def is_public(hub, project, path):
    reply = hub.call("public_get_text_file", project_id=project, path=path)
    return reply["event"] != "error"


def write(hub, account, project, path):
    reply = hub.call("write_text_file_to_project", key=account, project_id=project, path=path, content="x")
    assert reply["event"] == "file_written_to_project"


# ---- Reading ----


def test_what_is_published_has_nothing_filled_in(hub, account, project):
    publish(hub, account, project, "myfile.txt", description="a shared text file")
    assert paths(hub, project, path=None, created=None, last_edited=None, last_saved=None, counter=None,
                 compute_image=None, disabled=None) == [
        {"project_id": project, "path": "myfile.txt", "compute_image": "default"}]


def test_a_single_record_has_its_nulls(hub, account, project):
    publish(hub, account, project, "a")
    asked = {"id": None, "project_id": project, "path": "a", "compute_image": None, **dict.fromkeys(FIELDS)}
    assert result(hub, hub.key, {"public_paths": asked}) == {
        "public_paths": {**asked, "id": id_of(project, "a"), "compute_image": "default"}}


def test_a_record_reads_as_it_was_written(hub, account, project):
    record = {"description": "ä", "disabled": True, "unlisted": False, "license": "MIT", "name": "A.b-1",
              "created": "2020-09-17T08:00:00.000Z", "last_edited": "2020-09-13T12:26:40.000Z",
              "compute_image": "sage", "image": "i.png", "authenticated": True, "site_license_id": "s",
              "cross_origin_isolation": True, "redirect": "/x", "jupyter_api": False}
    publish(hub, account, project, "a/b", **{**record, "created": "2020-09-17T10:00:00+02:00",
                                             "last_edited": 1600000000000})
    assert paths(hub, project, id=None, path=None, **dict.fromkeys(record)) == [
        {"project_id": project, "id": id_of(project, "a/b"), "path": "a/b", **record}]


def test_the_id_is_computed_whatever_is_sent(hub, account, project):
    publish(hub, account, project, "ä b.txt", id="0" * 40)
    assert paths(hub, project, id=None)[0]["id"] == id_of(project, "ä b.txt")


def test_the_id_of_the_documented_example(hub, account):
    known = "29163de6-b5b0-496f-b75d-24be9aa2aa1d"
    execute(hub, "DELETE FROM projects WHERE project_id = ?", known)
    execute(hub, "INSERT INTO projects (project_id, title, description, created, last_edited, state)"
                 " VALUES (?, '', '', 1, 1, 'opened')", known)
    add_user(hub, known, account, "owner")
    publish(hub, account, known.upper(), "myfile.txt")
    assert result(hub, account, {"public_paths": {"project_id": known, "path": "myfile.txt", "id": None}}) == {
        "public_paths": {"project_id": known, "path": "myfile.txt", "id": "b4469ba3962c5b0e8185b8d63e144bf9b673b7c2"}}


@pytest.mark.parametrize("fields", [{}, {"project_id": None}])
def test_records_are_those_of_one_project(hub, account, fields):
    assert refusal(hub, account, {"public_paths": [{"path": None, **fields}]}) == "FATAL: must specify project_id"


@pytest.mark.parametrize("project_id, shown", [("foo", "foo"), ({"==": MISSING}, "[object Object]"), ([MISSING], MISSING)])
def test_records_of_what_is_no_project(hub, account, project_id, shown):
    assert refusal(hub, account, {"public_paths": [{"project_id": project_id, "path": None}]}) == \
        f'postgresql Error: invalid input syntax for type uuid: "{shown}"'


def test_an_unknown_project_has_no_records(hub):
    assert paths(hub, MISSING, path=None) == []


@pytest.mark.parametrize("secret", ["token", "auth", "vhost"])
def test_what_lets_somebody_in_is_never_told(hub, account, project, secret):
    publish(hub, account, project, "a")
    query = {"public_paths": [{"project_id": project, secret: None}]}
    for caller in (account, hub.account(admin=True)):
        assert refusal(hub, caller, query) == f"FATAL: user get query not allowed for public_paths.{secret}"
    assert refusal(hub, account, {"public_paths": {"project_id": project, "path": "a", secret: "x"}}) == \
        f"FATAL: changing public_paths.{secret} not allowed"


def test_a_record_by_its_id(hub, account, project):
    publish(hub, account, project, "a", disabled=True)
    asked = {"id": id_of(project, "a"), "project_id": None, "path": None, "disabled": None, "compute_image": None}
    assert result(hub, hub.key, {"public_paths_by_id": asked}) == {
        "public_paths_by_id": {**asked, "project_id": project, "path": "a", "disabled": True}}
    assert result(hub, hub.key, {"public_paths_by_id": {"id": "0" * 40, "path": None}}) == {}


@pytest.mark.parametrize("id", [..., None, "x" * 39, "x" * 41, 7, {">": "0" * 40}, ["x" * 40]])
def test_a_record_by_what_is_no_id(hub, account, id):
    pattern = {"path": None} if id is ... else {"path": None, "id": id}
    assert refusal(hub, account, {"public_paths_by_id": [pattern]}) == "id must be a sha1 hash"


def test_records_by_id_are_only_read(hub, account):
    assert refusal(hub, account, {"public_paths_by_id": {"id": "0" * 40, "path": "x"}}) == \
        "FATAL: user set queries not allowed for table 'public_paths_by_id'"


# ---- Publishing ----


def test_a_record_publishes_and_unpublishes(hub, account, project):
    write(hub, account, project, "a.txt")
    assert not is_public(hub, project, "a.txt")
    publish(hub, account, project, "a.txt")
    assert is_public(hub, project, "a.txt")
    publish(hub, account, project, "a.txt", disabled=True)
    assert not is_public(hub, project, "a.txt")
    publish(hub, account, project, "a.txt", description="x")
    assert not is_public(hub, project, "a.txt")
    publish(hub, account, project, "a.txt", disabled=False)
    assert is_public(hub, project, "a.txt")


def test_slashes_at_the_end_are_no_part_of_the_path(hub, account, project):
    write(hub, account, project, "A/x.txt")
    publish(hub, account, project, "A//")
    publish(hub, account, project, "A", description="d")
    assert paths(hub, project, id=None, path=None, description=None) == [
        {"project_id": project, "id": id_of(project, "A"), "path": "A", "description": "d"}]
    assert is_public(hub, project, "A/x.txt")


def test_a_query_and_the_command_line_write_the_same_record(hub, account, project):
    hub.cli("project", "publish", project, "a/", "--description", "d")
    publish(hub, account, project, "a", license="MIT")
    assert paths(hub, project, path=None, description=None, license=None) == [
        {"project_id": project, "path": "a", "description": "d", "license": "MIT"}]


def test_the_whole_project_can_be_published(hub, account, project):
    write(hub, account, project, "a.txt")
    publish(hub, account, project, "")
    assert is_public(hub, project, "a.txt")


def test_a_path_that_is_a_number_is_its_text(hub, account, project):
    publish(hub, account, project, 7)
    assert paths(hub, project, path=None, id=None) == [{"project_id": project, "path": "7", "id": id_of(project, "7")}]


@pytest.mark.parametrize("path", ["..", "../a", "a/..", "a/../b", "/etc"])
def test_nothing_outside_of_the_home_is_published(hub, account, project, path):
    assert refusal(hub, account, {"public_paths": {"project_id": project, "path": path}}) == \
        f"path '{path}' must be contained in the project"
    assert paths(hub, project, path=None) == []


@pytest.mark.parametrize("field, most", [("description", 20000), ("license", 1000), ("image", 1000), ("redirect", 1000),
                                         ("compute_image", 1000), ("site_license_id", 1000)])
def test_texts_of_a_record_are_bounded(hub, account, project, field, most):
    publish(hub, account, project, "a", **{field: "ä" * most})
    assert refusal(hub, account, {"public_paths": {"project_id": project, "path": "a", field: "x" * (most + 1)}}) == \
        f"FATAL: error setting '{field}' -- Error: must have at most {most} characters"


def test_only_who_works_on_a_project_publishes(hub, account, project):
    for group in (None, "viewer"):
        stranger = hub.account()
        if group:
            add_user(hub, project, stranger, group)
        assert refusal(hub, stranger, {"public_paths": {"project_id": project, "path": "a"}}) == \
            "FATAL: user must be an admin"
    publish(hub, hub.account(admin=True), project, "a")


@pytest.mark.parametrize("field", ["last_saved", "counter", "url"])
def test_what_is_not_the_publisher_s_to_write(hub, account, project, field):
    assert refusal(hub, account, {"public_paths": {"project_id": project, "path": "a", field: 1}}) == \
        f"FATAL: changing public_paths.{field} not allowed"


def add_records(hub, project, numbers, disabled=None):
    execute_many(hub, "INSERT INTO public_paths (id, project_id, path, disabled) VALUES (?, ?, ?, ?)",
                 [(f"{project}{n}", project, str(n), disabled) for n in numbers])


def test_a_project_has_so_many_public_paths(hub, account, project):
    add_records(hub, project, range(1000))
    assert refusal(hub, account, {"public_paths": {"project_id": project, "path": "a"}}) == \
        "a project has at most 1000 public paths"
    publish(hub, account, project, "a", disabled=True)
    add_records(hub, project, range(1000, 1999), 1)
    assert refusal(hub, account, {"public_paths": {"project_id": project, "path": "b", "disabled": True}}) == \
        "a project has at most 2000 public paths, disabled or not"
    publish(hub, account, project, "a", description="x")


# ---- Names ----


@pytest.mark.parametrize("name", ["a", "A.b-9", "x" * 100, ".a"])
def test_a_name(hub, account, project, name):
    publish(hub, account, project, "a", name=name)
    assert paths(hub, project, name=None)[0]["name"] == name


@pytest.mark.parametrize("name", ["-a", "a b", "a_b", "ä", "a/b"])
def test_a_name_of_wrong_characters(hub, account, project, name):
    assert refusal(hub, account, {"public_paths": {"project_id": project, "path": "a", "name": name}}) == \
        "Error: name must contain only a-z,A-Z,0-9, . or -, and not start with hyphen or have spaces."


@pytest.mark.parametrize("name, text", [("", "at least 1 character"), ("x" * 101, "at most 100 characters")])
def test_a_name_of_a_wrong_length(hub, account, project, name, text):
    assert refusal(hub, account, {"public_paths": {"project_id": project, "path": "a", "name": name}}) == \
        f"Error: name must have {text}"


def test_names_are_unique_in_a_project(hub, account, project):
    publish(hub, account, project, "a", name="Name")
    assert refusal(hub, account, {"public_paths": {"project_id": project, "path": "b", "name": "nAME"}}) == \
        'There is already a public path "a" in this project with the name "nAME".  Names are not case sensitive.'
    publish(hub, account, project, "a", name="NAME")
    publish(hub, account, hub.project(account), "b", name="name")
