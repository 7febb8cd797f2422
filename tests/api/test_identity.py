# SPDX-License-Identifier: AGPL-3.0-or-later
"""delete_account, unlink_passport, and the list of ways to sign in. Addresses: test_email.py."""
import json
import uuid

import httpx
import pytest

from harness.store import execute

NOT_FOUND = {"error": "No account found. Is your API key wrong?"}


def delete(hub, caller, account_id):
    reply = hub.call("delete_account", key=caller, account_id=account_id, id="mine")
    assert reply.pop("event") == "account_deleted" and reply.pop("id") == "mine" and set(reply) <= {"error"}
    return reply.get("error")


def row(hub, account):
    return execute(hub, "SELECT deleted, email_address, email_address_before_delete, passports FROM accounts"
                        " WHERE account_id = ?", account.id)[0]


# ---- delete_account ----

def test_the_own_account(hub):
    person, friend = hub.account(password="the password"), hub.account()
    project = hub.project(person)
    execute(hub, "UPDATE accounts SET passports = '{\"google-1\":{}}' WHERE account_id = ?", person.id)
    assert delete(hub, person, person.id.upper()) is None
    assert row(hub, person) == (1, None, person.email, None)
    assert hub.api("ping", key=person).json() == hub.api("delete_account", key=person, json={"account_id": person.id}).json() == NOT_FOUND
    assert hub.call("user_auth", key=friend, account_id=person.id, password="the password")["error"] == "no such account"
    assert hub.cli("project", "show", project)["users"] == {person.id: {"group": "owner"}}
    assert hub.call("get_usernames", account_ids=[person.id])["usernames"][person.id]["first_name"] == "Ada"
    assert hub.call("create_account", email_address=person.email)["event"] == "account_created"


def test_an_administrator_deletes_any_account(hub):
    admin, person = hub.account(admin=True), hub.account()
    for _ in range(2):  # the second time changes nothing, the address is kept
        assert delete(hub, admin, person.id) is None
        assert row(hub, person) == (1, None, person.email, None)


def test_nobody_else_does(hub, account):
    person = hub.account()
    assert delete(hub, account, person.id) == f"only the account itself or an administrator may delete account {person.id}"
    assert row(hub, person) == (0, person.email, None, None)


def test_what_is_deleted_or_never_was_is_answered_alike(hub, account):
    gone = hub.account()
    hub.cli("account", "delete", gone.id)
    for account_id in (gone.id, str(uuid.uuid4())):
        assert delete(hub, account, account_id) is None
        assert delete(hub, hub.account(admin=True), account_id) is None
    assert row(hub, gone) == (1, None, gone.email, None)


@pytest.mark.parametrize("account_id", ["", "nonsense", "12345678-1234-4234-8234-12345678901g"])
def test_a_malformed_id(hub, account, account_id):
    assert delete(hub, account, account_id) == f"invalid account_id -- {account_id}"


# ---- unlink_passport ----

@pytest.fixture
def linked(hub, account):
    """Sets the account's identities, and gives them back after a call."""
    def unlink(before, strategy, identity):
        execute(hub, "UPDATE accounts SET passports = ? WHERE account_id = ?", before, account.id)
        reply = hub.call("unlink_passport", key=account, strategy=strategy, id=identity)
        assert reply == {"event": "success", "id": identity}
        return json.loads(execute(hub, "SELECT passports FROM accounts WHERE account_id = ?", account.id)[0][0] or "null")
    return unlink


def test_unlink(linked):
    both = '{"google-17":{"id":"17","a":[1.5,null]},"facebook-14159265358":{"id":"14159265358"}}'
    assert linked(both, "facebook", "14159265358") == {"google-17": {"id": "17", "a": [1.5, None]}}
    assert linked(both, "facebook", 14159265358) == {"google-17": {"id": "17", "a": [1.5, None]}}
    assert linked('{"google-17":{}}', "google", "17") == {}


@pytest.mark.parametrize("before", [None, "{}", '{"google-17":{"id":"17"}}'])
@pytest.mark.parametrize("strategy, identity", [("google", "18"), ("Google", "17"), ("", ""), ("google", {"id": "17"}), ("google-17", "")])
def test_unlink_what_is_not_linked(linked, before, strategy, identity):
    assert linked(before, strategy, identity) == json.loads(before or "null")


def test_unlink_needs_an_id(hub, account):
    reply = hub.api("unlink_passport", key=account, json={"strategy": "google"})
    assert reply.status_code == 400 and "property 'id' must be specified" in reply.json()["error"]


def test_unlink_as_a_form(hub, account):
    execute(hub, "UPDATE accounts SET passports = '{\"facebook-14159265358\":{}}' WHERE account_id = ?", account.id)
    reply = hub.api("unlink_passport", key=account, form={"strategy": "facebook", "id": "14159265358"})
    assert reply.json() == {"event": "success", "id": "14159265358"}
    assert execute(hub, "SELECT passports FROM accounts WHERE account_id = ?", account.id) == [("{}",)]


# ---- /auth/strategies ----

def test_strategies(hub):
    names = httpx.get(f"{hub.url}/auth/strategies", timeout=60)
    assert names.json() == ["email"] and names.headers["Content-Type"].startswith("application/json")
    [email] = httpx.get(f"{hub.url}/auth/strategies", params={"v": "2"}, timeout=60).json()
    assert email == {"name": "email", "display": "Email", "type": "email", "icon": None, "public": True}


# ---- Everybody needs a key ----

@pytest.mark.parametrize("event, parameters", [
    ("delete_account", {"account_id": "x"}), ("change_password", {"account_id": "x", "new_password": "x"}),
    ("forgot_password", {"email_address": "x"}), ("reset_forgot_password", {"reset_code": "x", "new_password": "x"}),
    ("change_email_address", {"account_id": "x", "new_email_address": "x"}), ("unlink_passport", {"strategy": "x", "id": "x"}),
    ("user_search", {"query": "x"}),
])
def test_a_blank_key(hub, event, parameters):
    reply = hub.api(event, key="", json=parameters)
    assert (reply.status_code, reply.json()) == (400, NOT_FOUND)
