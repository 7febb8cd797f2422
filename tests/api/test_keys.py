# SPDX-License-Identifier: AGPL-3.0-or-later
"""API keys while the hub runs: what the command line changes holds for the very next call."""
import re
import stat
import string
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
        wait_until(lambda: answers(hub, key) == {(400, error)}, 60, "the key is refused")
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
    assert "expire" not in second and second["name"] is None
    listed = hub.cli("key", "list", account.email)
    assert [(key["kind"], key["name"]) for key in listed] == [("v1", None), ("v2", "Für é"), ("v2", None)]
    for key, text in zip(listed, (account.key, made["api_key"], second["api_key"])):
        assert key["trunc"] == f"{text[:3]}...{text[-6:]}"
        assert text not in str(listed)
    assert listed[1]["id"] == made["id"] and listed[1]["expire"] == made["expire"]
    assert listed[0]["expire"] is None and all(key["account_id"] == account.id for key in listed)


def number_of(digits):
    """What six digits of base 62 stand for."""
    alphabet = string.digits + string.ascii_lowercase + string.ascii_uppercase
    return sum(alphabet.index(digit) * 62 ** power for power, digit in enumerate(reversed(digits)))


def test_a_key_ends_with_its_id(hub, account):
    made = hub.cli("key", "create", account.id)
    assert number_of(made["api_key"][-6:]) == made["id"]


@pytest.mark.parametrize("number, works", [(61, True), (62, True), (2147483646, True), (2147483647, False)])
def test_the_range_of_ids(hub_factory, number, works):
    """The key of the id behind `number`."""
    hub = hub_factory()
    account = hub.account()
    hub.stop()
    if hub.database_url:
        execute(hub, f"ALTER TABLE api_keys ALTER COLUMN id RESTART WITH {number + 1}")
    else:
        execute(hub, "UPDATE sqlite_sequence SET seq = ? WHERE name = 'api_keys'", number)
    if not works:
        with pytest.raises(CommandFailed):
            hub.cli("key", "create", account.id)
        return
    made = hub.cli("key", "create", account.id)
    assert made["id"] == number + 1 == number_of(made["api_key"][-6:])
    hub.start()
    assert answers(hub, made["api_key"]) == {(200, None)}


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


def ids(hub, account):
    return [key["id"] for key in hub.cli("key", "list", account.id)]


def test_an_expired_key_is_deleted_when_it_is_used(hub, account):
    made, other = (hub.cli("key", "create", account.id, "--expires", "2020-01-31") for _ in range(2))
    assert made["id"] in ids(hub, account)
    assert not works(hub, made["api_key"])
    wait_until(lambda: made["id"] not in ids(hub, account), 60, "the key is deleted")
    assert other["id"] in ids(hub, account)


def last_active(hub, key_id):
    [(time_ms,)] = execute(hub, "SELECT last_active FROM api_keys WHERE id = ?", key_id)
    return time_ms


def test_when_a_key_was_used(hub_factory):
    """It is written at the first use, and not again soon, though the key is remembered."""
    hub = hub_factory()
    account = hub.account()
    made = hub.cli("key", "create", account.id)
    assert last_active(hub, made["id"]) is None
    assert works(hub, made["api_key"])
    wait_until(lambda: last_active(hub, made["id"]), 60, "the use is noted")
    execute(hub, "UPDATE api_keys SET last_active = 1 WHERE id = ?", made["id"])
    second = hub.cli("key", "create", account.id)
    assert works(hub, made["api_key"]) and works(hub, second["api_key"])
    wait_until(lambda: last_active(hub, second["id"]), 60, "what came later is noted")
    assert last_active(hub, made["id"]) == 1
    hub.restart()
    assert works(hub, made["api_key"])
    wait_until(lambda: last_active(hub, made["id"]) > 1, 60, "the use is noted again")
    [shown] = [key for key in hub.cli("key", "list", account.id) if key["id"] == made["id"]]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown["last_active"])


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
        wait_until(lambda: answers(hub, account.key) == {(200, None)}, 60, "the key is accepted again")
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


def project_call(hub, key, project=""):
    return hub.rpc(key, "system.test", {}, project=project)[1]


SIGN_IN = {"error": "must sign in as project or account"}


def test_a_key_of_a_project_dies_with_its_creators_collaboration(hub, account, project):
    """Also where the key is remembered; and it does not come back with them."""
    other = hub.account()
    hub.call("invite_collaborator", key=account, project_id=project, account_id=other.id)
    key, staying = (hub.cli("key", "create", who.id, "--project", project) for who in (other, account))
    for _ in range(4):  # every loop of the hub
        assert project_call(hub, key["api_key"])["project_id"] == project
    hub.call("remove_collaborator", key=account, project_id=project, account_id=other.id)
    if hub.database_url:
        wait_until(lambda: project_call(hub, key["api_key"]) == SIGN_IN, 60, "the key is refused")
    assert all(project_call(hub, key["api_key"]) == SIGN_IN for _ in range(4))
    assert key["id"] not in ids(hub, other) and staying["id"] in ids(hub, account)
    hub.call("invite_collaborator", key=account, project_id=project, account_id=other.id)
    assert project_call(hub, key["api_key"]) == SIGN_IN
    assert project_call(hub, staying["api_key"])["project_id"] == project


@pytest.mark.parametrize("change", ["DELETE FROM project_users WHERE project_id = ? AND account_id = ?",
                                    "UPDATE project_users SET \"group\" = 'viewer' WHERE project_id = ? AND account_id = ?"])
def test_the_collaboration_is_looked_at_when_a_key_is_used(hub, account, project, change):
    made = hub.cli("key", "create", account.id, "--project", project)
    execute(hub, change, project, account.id)
    assert project_call(hub, made["api_key"]) == SIGN_IN
    wait_until(lambda: made["id"] not in ids(hub, account), 60, "the key is deleted")


@pytest.mark.parametrize("command", ["ban", "delete"])
def test_a_key_of_a_project_whose_creator_is_gone(hub, account, project, command):
    made = hub.cli("key", "create", account.id, "--project", project)
    assert project_call(hub, made["api_key"])["project_id"] == project
    hub.cli("account", command, account.id)
    wait_until(lambda: project_call(hub, made["api_key"]) == SIGN_IN, 60, "the key is refused")


def test_a_key_of_a_project_is_for_who_works_on_it(hub, account, project):
    other = hub.account()
    with pytest.raises(CommandFailed, match="user must be collaborator on project to manage project_id api keys"):
        hub.cli("key", "create", other.id, "--project", project)
    assert len(ids(hub, other)) == 1


def test_as_many_keys_as_an_account_may_have(hub, account):
    """It has one."""
    execute(hub, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99998)"
            " INSERT INTO api_keys (account_id, kind, hash, trunc, created)"
            " SELECT ?, 'v2', ? || i, 'x', 1 FROM n", account.id, account.id)
    hub.cli("key", "create", account.id)
    with pytest.raises(CommandFailed, match="There is a limit of 100000 per account; please delete some api keys."):
        hub.cli("key", "create", account.id)
    execute(hub, "DELETE FROM api_keys WHERE account_id = ? AND trunc = 'x'", account.id)


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
