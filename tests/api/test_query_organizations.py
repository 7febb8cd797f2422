# SPDX-License-Identifier: AGPL-3.0-or-later
"""User queries on organizations (user-query 12.15)."""
import json
import uuid

import pytest

from harness.queries import refusal, result
from harness.store import execute

NOT_MEMBER = "account must be a member of the organization"


@pytest.fixture
def me(hub):
    return hub.account()


def make(hub, *users, **columns):
    """An organization by SQL, as no call of this interface makes one."""
    columns = {"organization_id": str(uuid.uuid4()), "created": 1600000000000, "name": f"o-{uuid.uuid4().hex[:12]}",
               "users": json.dumps({user.id: {} for user in users}, separators=(",", ":")), **columns}
    execute(hub, f"INSERT INTO organizations ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            *columns.values())
    return columns["organization_id"], columns["name"]


def read(hub, who, organization, *fields):
    return result(hub, who, {"organizations": {"organization_id": organization, **dict.fromkeys(fields)}}).get(
        "organizations")


def change(hub, who, organization, **fields):
    return result(hub, who, {"organizations": {"organization_id": organization, **fields}})


def refused(hub, who, organization, **fields):
    return refusal(hub, who, {"organizations": {"organization_id": organization, **fields}})


def test_members_read_their_organization(hub, me):
    organization, name = make(hub, hub.account(), me, email_address="o@example.com")
    assert read(hub, me, organization, "name", "title", "description", "profile", "email_address", "created") == {
        "organization_id": organization, "name": name, "title": "", "description": "", "profile": {},
        "email_address": "o@example.com", "created": "2020-09-13T12:26:40.000Z"}
    belongs = hub.account()
    execute(hub, "UPDATE accounts SET org = ? WHERE account_id = ?", name, belongs.id)
    assert read(hub, belongs, organization, "name") == {"organization_id": organization, "name": name}


def test_others_do_not(hub, me):
    organization, _ = make(hub, hub.account())
    gone, _ = make(hub, me, deleted=1)
    assert read(hub, me, organization, "name") is None
    assert read(hub, hub.account(admin=True), organization, "name") is None
    assert read(hub, me, gone, "name") is None
    assert result(hub, me, {"organizations": [{"organization_id": organization, "name": None}]}) == {"organizations": []}


def test_one_must_be_named(hub, me):
    text = "FATAL: must specify organizations.organization_id"
    assert refusal(hub, me, {"organizations": [{"organization_id": None, "name": None}]}) == text
    assert refusal(hub, me, {"organizations": {"title": "x"}}) == text


def test_users_change_what_it_says(hub, me):
    organization, _ = make(hub, me)
    name = f"New-{uuid.uuid4().hex[:12]}"
    assert change(hub, me, organization, name=name, title="é" * 300, description="d" * 300, profile={"a": 1}) == {}
    assert change(hub, me, organization, profile={"b": 2}) == {}
    assert read(hub, me, organization, "name", "title", "description", "profile") == {
        "organization_id": organization, "name": name, "title": "é" * 254, "description": "d" * 254,
        "profile": {"a": 1, "b": 2}}


def test_its_members_follow_a_new_name(hub, me):
    organization, name = make(hub, me)
    execute(hub, "UPDATE accounts SET org = ? WHERE account_id = ?", name, me.id)
    new = f"n-{uuid.uuid4().hex[:12]}"
    assert change(hub, me, organization, name=new) == {}
    assert result(hub, me, {"accounts": {"org": None}}) == {"accounts": {"org": new}}


def test_others_change_nothing(hub, me):
    organization, name = make(hub, hub.account())
    execute(hub, "UPDATE accounts SET org = ? WHERE account_id = ?", name, me.id)
    for who in (me, hub.account(admin=True)):
        assert refused(hub, who, organization, title="x") == NOT_MEMBER
    assert refused(hub, me, str(uuid.uuid4()), title="x") == NOT_MEMBER
    gone, _ = make(hub, me, deleted=1)
    assert refused(hub, me, gone, title="x") == NOT_MEMBER


@pytest.mark.parametrize("name, text", [
    ("", "Error: name must have at least 1 character"), ("x" * 40, "Error: name must have at most 39 characters"),
    ("b5f8a3d2-6a4b-4a8e-9a51-0d3a2c1e4f60", "Error: name must not be a v4 UUID"),
    ("a--b", "Error: name must not contain consecutive hyphens"),
    ("a b", "Error: name must contain only a-z,A-Z,0-9, or -, and not start with hyphen."),
    ("Admin", 'Error: username "Admin" is reserved -- not available'),
    (7, "FATAL: error setting 'name' -- Error: must be a string")])
def test_a_name_that_it_cannot_have(hub, me, name, text):
    organization, _ = make(hub, me)
    assert refused(hub, me, organization, name=name) == text


def test_names_are_unique(hub, me):
    organization, _ = make(hub, me)
    _, other = make(hub)
    mine = f"Me-{uuid.uuid4().hex[:12]}"
    assert result(hub, me, {"accounts": {"name": mine}}) == {}
    for taken in (other, other.upper(), mine.lower()):
        assert refused(hub, me, organization, name=taken) == \
            f'name "{taken}" is already taken by another organization or account'
    assert refusal(hub, me, {"accounts": {"name": other}}) == \
        f'name "{other}" is already taken by another organization or account'
    assert change(hub, me, organization, name=read(hub, me, organization, "name")["name"].upper()) == {}


@pytest.mark.parametrize("field", ["email_address", "users", "admin_account_ids", "deleted", "link", "created"])
def test_what_no_query_changes(hub, me, field):
    organization, _ = make(hub, me)
    assert refused(hub, me, organization, **{field: "x"}) == f"FATAL: changing organizations.{field} not allowed"


@pytest.mark.parametrize("field", ["users", "admin_account_ids", "link", "deleted"])
def test_what_no_query_reads(hub, me, field):
    organization, _ = make(hub, me)
    assert refused(hub, me, organization, **{field: None}) == \
        f"FATAL: user get query not allowed for organizations.{field}"


def test_a_profile_that_is_too_large(hub, me):
    organization, _ = make(hub, me)
    assert refused(hub, me, organization, profile={"x": "y" * 262144}) == \
        "FATAL: error setting 'profile' -- Error: must have at most 262144 characters"
