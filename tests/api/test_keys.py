# SPDX-License-Identifier: AGPL-3.0-or-later
"""API keys while the hub runs: what the command line changes holds for the very next call."""
import re
import stat
import time

import pytest

from harness.process import wait_until
from harness.server import CommandFailed
from harness.store import everything, execute

NO_ACCOUNT = "No account found. Is your API key wrong?"


def answers(hub, key):
    """What calls with the key get; every loop of the hub is asked."""
    responses = [hub.api("get_usernames", json={"account_ids": []}, key=key, headers={"Connection": "close"}) for _ in range(4)]
    return {(response.status_code, response.json().get("error")) for response in responses}


def works(hub, key):
    """Whether a call with the key is accepted."""
    given = answers(hub, key)
    assert given in ({(200, None)}, {(400, NO_ACCOUNT)}), given
    return given == {(200, None)}


def is_refused(hub, key, error=NO_ACCOUNT):
    """Whether calls with the key are refused since a command: at once on one machine, when the notice of it has come on
    PostgreSQL."""
    if hub.database_url:
        wait_until(lambda: answers(hub, key) == {(400, error)}, 5, "the key is refused")
    return answers(hub, key) == {(400, error)}


def refusal(hub, key):
    response = hub.api("get_usernames", json={"account_ids": []}, key=key)
    assert response.status_code == 400
    return response.json()["error"]


def test_both_forms(hub, account):
    assert re.fullmatch("sk_[A-Za-z0-9]{24}", account.key)
    made = hub.cli("key", "create", account.email)
    assert re.fullmatch("sk-[A-Za-z0-9]{22}", made["api_key"])
    assert works(hub, account.key) and works(hub, made["api_key"])
    for key in (account.key, made["api_key"]):
        assert hub.api("get_usernames", json={"account_ids": []}, key=None,
                       headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_create_and_list(hub, account):
    made = hub.cli("key", "create", account.id, "--name", "Für é", "--expires", "30d")
    assert {"id", "account_id", "name", "expire", "api_key"} == made.keys()
    assert (made["account_id"], made["name"]) == (account.id, "Für é")
    second = hub.cli("key", "create", account.email.upper())
    assert "expire" not in second
    listed = hub.cli("key", "list", account.email)
    assert [(key["kind"], key["name"]) for key in listed] == [("v1", ""), ("v2", "Für é"), ("v2", "")]
    for key, text in zip(listed, (account.key, made["api_key"], second["api_key"])):
        assert key["trunc"] == f"{text[:3]}...{text[-6:]}"
        assert text not in str(listed)
    assert listed[1]["id"] == made["id"] and listed[1]["expire"] == made["expire"]


def test_a_deleted_key_is_refused_at_once(hub, account):
    made = hub.cli("key", "create", account.id)
    assert works(hub, made["api_key"])
    assert hub.cli("key", "delete", str(made["id"])) == {"deleted": made["id"]}
    assert is_refused(hub, made["api_key"])
    assert works(hub, account.key)
    with pytest.raises(CommandFailed, match="no api key"):
        hub.cli("key", "delete", str(made["id"]))
    [first] = hub.cli("key", "list", account.id)
    hub.cli("key", "delete", str(first["id"]))
    assert is_refused(hub, account.key)


def test_a_new_key_works_at_once_where_it_was_refused_before(hub, account):
    assert not works(hub, "sk-" + "a" * 22)
    assert works(hub, hub.cli("key", "create", account.id)["api_key"])


@pytest.mark.parametrize("expires", ["2020-01-31", "2020-01-31T12:00:00Z"])
def test_an_expired_key_is_refused(hub, account, expires):
    assert not works(hub, hub.cli("key", "create", account.id, "--expires", expires)["api_key"])


def test_a_key_that_expires_while_it_is_remembered(hub, account):
    made = hub.cli("key", "create", account.id, "--expires", "1h")
    assert works(hub, made["api_key"])
    [(expire,)] = execute(hub, "SELECT expire FROM api_keys WHERE id = ?", made["id"])
    assert abs(expire - time.time() * 1000 - 3_600_000) < 600_000
    execute(hub, "UPDATE api_keys SET expire = 1000 WHERE id = ?", made["id"])
    hub.cli("account", "unban", account.id)  # any change of accounts has the hub look again
    assert is_refused(hub, made["api_key"])


@pytest.mark.parametrize("args", [["--expires", "tomorrow"], ["--expires", ""], ["--expires", "2020-13-45"], ["--name", "x" * 129],
                                  ["--project", "nonsense"], ["--project", "cc3cb7f1-14f6-4a18-a803-5034af8c0004"]])
def test_what_no_key_is_made_from(hub, account, args):
    with pytest.raises(CommandFailed) as failed:
        hub.cli("key", "create", account.id, *args)
    assert (failed.value.returncode, failed.value.stdout) == (1, "")
    assert len(hub.cli("key", "list", account.id)) == 1


def test_a_ban_and_its_end(hub_factory):
    hub = hub_factory(env={"COHUB_SITE_HELP_EMAIL": "help@site.example"})
    account = hub.account()
    second = hub.cli("key", "create", account.id)["api_key"]
    assert works(hub, account.key) and works(hub, second)
    assert hub.cli("account", "ban", account.email)["banned"] is True
    for key in (account.key, second):
        assert is_refused(hub, key, "User is BANNED.  If this is a mistake, please contact help@site.example")
        assert hub.api("ping", key=key).status_code == 400
    assert hub.cli("account", "unban", account.id)["banned"] is False
    if hub.database_url:
        wait_until(lambda: answers(hub, account.key) == {(200, None)}, 5, "the key is accepted again")
    assert works(hub, account.key) and works(hub, second)


def test_a_deleted_account(hub, account):
    second = hub.cli("key", "create", account.id)["api_key"]
    assert works(hub, account.key) and works(hub, second)
    shown = hub.cli("account", "delete", account.email)
    assert (shown["deleted"], shown["email_address_before_delete"]) == (True, account.email)
    assert is_refused(hub, account.key) and is_refused(hub, second)
    assert hub.cli("account", "delete", account.id)["email_address_before_delete"] == account.email


def test_a_key_of_a_project_is_no_key_of_an_account(hub, account, project):
    made = hub.cli("key", "create", account.id, "--project", project)
    assert made["project_id"] == project
    assert refusal(hub, made["api_key"]) == NO_ACCOUNT
    assert hub.api("ping", key=made["api_key"]).status_code == 400
    assert hub.cli("key", "list", account.id)[1]["project_id"] == project


def test_keys_and_the_files(hub_factory):
    hub = hub_factory()
    account = hub.account(password="hunter2-secret")
    second = hub.cli("key", "create", account.id)["api_key"]
    reply = hub.call("create_account", key=account, email_address="a@example.org", password="hunter2-secret", get_api_key=True)
    keys = [account.key, second, reply["api_key"]]
    hub.restart()
    assert all(works(hub, key) for key in keys)
    hub.stop()
    secret = hub.data / "secret.key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    stored = everything(hub)
    assert b"api_keys" in stored and account.id.encode() in stored
    for text in (*keys, *(key[3:] for key in keys), "hunter2"):
        assert text.encode() not in stored
    assert secret.read_bytes() not in stored
    for file in hub.data.glob("hub.sqlite3*"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_without_its_secret_a_key_is_nobodys(hub_factory):
    hub = hub_factory()
    account = hub.account()
    hub.stop()
    other = hub_factory(start=False)
    other.cli("account", "create", "--email", "other@example.org", "--no-password")
    (hub.data / "secret.key").write_bytes((other.data / "secret.key").read_bytes())
    hub.start()
    assert not works(hub, account.key)
