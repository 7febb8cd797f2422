# SPDX-License-Identifier: AGPL-3.0-or-later
"""Methods about accounts: tokens that sign in, links to new passwords, verified addresses, identities, reports."""
import json
import re
import uuid

import httpx
import pytest

from harness.mailbox import link_in, mail_to, mails
from harness.process import wait_until
from harness.store import execute

GENERATE, REVOKE = "system.generateUserAuthToken", "system.revokeUserAuthToken"
WAIT = "Error: banned -- please wait at least 30s before trying again"
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def target(hub):
    return hub.account(password="the right one", first_name="Ada", last_name="Lovelace")


def generate(hub, key, target, **more):
    return hub.method(key, GENERATE, {"user_account_id": target.id, **more})


def signs_in(hub, token):
    page = httpx.get(f"{hub.url}/auth/impersonate", params={"auth_token": token}, trust_env=False, timeout=60)
    assert page.status_code == 302 or "auth_token is not valid" in page.text, page.text
    return page.status_code == 302


# ---- Tokens ----

def test_a_token(hub, account, target):
    token = generate(hub, account, target, password="the right one")
    assert re.fullmatch("[A-Za-z0-9]{24}", token) and signs_in(hub, token) and signs_in(hub, token)
    assert execute(hub, "SELECT expire - created FROM auth_tokens WHERE account_id = ?", target.id) == [(DAY_MS,)]


def test_an_administrator_needs_no_password(hub, target):
    assert signs_in(hub, generate(hub, hub.account(admin=True), target))


def test_a_wrong_password(hub, account, target):
    for more in ({"password": "wrong"}, {"password": "the right one"}):
        error = hub.refusal(account, GENERATE, {"user_account_id": target.id, **more})
        assert error == ("Error: incorrect password" if more["password"] == "wrong" else WAIT)
    assert signs_in(hub, generate(hub, hub.account(), target, password="the right one"))
    execute(hub, "UPDATE user_auth_failures SET time = time - 30001 WHERE account_id = ?", account.id)
    assert signs_in(hub, generate(hub, account, target, password="the right one"))


@pytest.mark.parametrize("args, error", [
    ({}, "Error: user_account_id must be specified"),
    ({"user_account_id": "x"}, "Error: invalid account_id -- x"),
    ({"user_account_id": "cc3cb7f1-14f6-4a18-a803-5034af8c0004", "password": "x"}, "Error: no such account"),
])
def test_whom_no_token_is_for(hub, account, args, error):
    assert hub.refusal(account, GENERATE, args) == error


def test_without_a_password(hub, account, target):
    for whom in (target, hub.account()):
        assert hub.refusal(account, GENERATE, {"user_account_id": whom.id}) == "Error: incorrect password"


def test_revoking(hub, account, target):
    token, other = (generate(hub, target, target, password="the right one") for _ in range(2))
    assert hub.method(account, REVOKE, token) is None
    assert not signs_in(hub, token) and signs_in(hub, other)
    assert hub.method(account, REVOKE, token) is None
    assert hub.refusal(account, REVOKE) == "Error: token must be specified"


# ---- Links to a new password ----

LINK = "system.adminResetPasswordLink"


def test_a_link_to_a_new_password(hub, target):
    path = hub.method(hub.account(admin=True), LINK, {"user_account_id": target.id})
    assert re.fullmatch("/auth/password-reset/[-0-9a-f]{36}", path)
    [(expire,)] = execute(hub, "SELECT expire FROM password_reset WHERE email_address = ?", target.email)
    [(created,)] = execute(hub, "SELECT created FROM accounts WHERE account_id = ?", target.id)
    assert expire - created >= DAY_MS
    page = hub.client.get(f"{hub.url}{path}", follow_redirects=True)
    assert page.status_code == 200 and "Set a new password" in page.text
    code = path.rsplit("/", 1)[1]
    page = hub.client.post(f"{hub.url}/auth/password_reset", data={"token": code, "password": "a fresh one",
                                                                  "password_again": "a fresh one"})
    assert "Your password is set" in page.text
    assert signs_in(hub, generate(hub, target, target, password="a fresh one"))
    assert hub.client.get(f"{hub.url}{path}", follow_redirects=True).status_code == 404


def test_no_link(hub, account, target):
    admin, unknown = hub.account(admin=True), str(uuid.uuid4())
    assert hub.refusal(account, LINK, {"user_account_id": target.id}) == "Error: must be an admin"
    assert hub.refusal(target, LINK, {"user_account_id": target.id}) == "Error: must be an admin"
    nameless = hub.call("create_account", key=account, first_name="A", last_name="B")["account_id"]
    for who in (nameless, unknown):
        assert hub.refusal(admin, LINK, {"user_account_id": who}) == \
            "Error: passwords are only defined for accounts with email"
    assert hub.refusal(admin, LINK, {"user_account_id": "x"}) == 'error: invalid input syntax for type uuid: "x"'


# ---- Verifying an address ----

VERIFY = "system.sendEmailVerification"


@pytest.mark.parametrize("args, subject", [({}, "verify your address"), ({"only_verify": True}, "verify your address"),
                                           ({"only_verify": False}, "Welcome to ")])
def test_verifying_an_address(hub, args, subject):
    account = hub.account()
    assert hub.method(account, VERIFY, args) is None
    mail = mail_to(hub, account.email)
    assert subject in mail["subject"]
    link = httpx.URL(link_in(mail, "/auth/verify"))
    page = hub.client.post(f"{hub.url}/auth/verify", data=dict(link.params))
    assert "Your address is verified" in page.text
    assert hub.method(account, VERIFY, args) is None
    assert len(mails(hub, account.email)) == 1


def test_not_too_many(hub):
    account = hub.account()
    for _ in range(5):
        hub.method(account, VERIFY, {})
    assert hub.refusal(account, VERIFY, {}) == "Error: too many mails to verify an address; try again later"
    wait_until(lambda: len(mails(hub, account.email)) == 5, 60, "there are five mails")


def test_without_an_address(hub, account):
    execute(hub, "UPDATE accounts SET email_address = NULL WHERE account_id = ?", account.id)
    assert hub.refusal(account, VERIFY, {}) == "Error: the account has no email address"


# ---- Linked identities ----

def test_unlinking(hub, account):
    linked = {"facebook-14": {"id": "14"}, "google-15": {"id": "15"}}
    execute(hub, "UPDATE accounts SET passports = ? WHERE account_id = ?", json.dumps(linked), account.id)
    for _ in range(2):
        assert hub.method(account, "system.deletePassport", {"strategy": "facebook", "id": "14"}) is None
        [(left,)] = execute(hub, "SELECT passports FROM accounts WHERE account_id = ?", account.id)
        assert json.loads(left).keys() == {"google-15"}


@pytest.mark.parametrize("args, missing", [({"id": "1"}, "strategy"), ({"strategy": "x"}, "id")])
def test_unlinking_nothing(hub, account, args, missing):
    assert hub.refusal(account, "system.deletePassport", args) == f"Error: {missing} must be specified"


# ---- What clients report ----

def reports(hub, account):
    return execute(hub, "SELECT event, error FROM client_error_log WHERE account_id = ? ORDER BY time", account.id)


def test_client_errors(hub, account):
    assert hub.method(account, "system.logClientError", {"event": "upload", "error": "the disk is full"}) is None
    assert reports(hub, account) == [("upload", "the disk is full")]


def test_webapp_errors(hub, account):
    sent = {"name": "TypeError", "message": "x", "stacktrace": "at f", "lineNumber": 7, "columnNumber": 1, "comment": "c",
            "file": "f.js", "path": "/p", "severity": "bad"}
    assert hub.method(account, "system.webappError", {**sent, "something": "else"}) is None
    assert hub.method(account, "system.webappError", {}) is None
    told = [(event, json.loads(error)) for event, error in reports(hub, account)]  # perhaps of one millisecond
    assert sorted(told, key=repr) == sorted([("webapp_error", sent), ("webapp_error", {})], key=repr)


@pytest.mark.parametrize("method", ["system.logClientError", "system.userTracking"])
def test_names_of_events(hub, account, method):
    for event in ("", "x" * 81):
        assert hub.refusal(account, method, {"event": event, "error": "e"}) == "Error: event must have 1 to 80 characters"
    for event in ("x", "x" * 80):
        assert hub.method(account, method, {"event": event, "error": "e"}) is None
    assert hub.refusal(account, method, {"error": "e"}) == "Error: event must be specified"


def test_so_many_reports(hub, account):
    for _ in range(60):
        hub.method(account, "system.logClientError", {"event": "e", "error": "e"})
    assert "too many errors reported" in hub.refusal(account, "system.webappError", {"name": "n"})


def test_what_people_do_is_noted(hub, account):
    assert hub.method(account, "system.userTracking", {"event": "open", "value": {"type": "ipynb"}}) is None
    assert hub.method(account, "system.userTracking", {"event": "close"}) is None
    noted = execute(hub, "SELECT event, value FROM user_tracking WHERE account_id = ? ORDER BY time", account.id)
    assert [tuple(row) for row in noted] == [("open", '{"type":"ipynb"}'), ("close", None)]
    assert hub.refusal(account, "system.userTracking", {"event": "e", "value": "x" * 4095}) == (
        "Error: value must have at most 4096 bytes as JSON")


def test_so_many_events(hub, account):
    for _ in range(300):
        hub.method(account, "system.userTracking", {"event": "e"})
    assert "too many events reported" in hub.refusal(account, "system.userTracking", {"event": "e"})
