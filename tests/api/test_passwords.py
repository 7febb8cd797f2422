# SPDX-License-Identifier: AGPL-3.0-or-later
"""change_password, forgot_password, reset_forgot_password."""
import contextlib
import json
import re
import uuid

import httpx
import pytest

from harness.mailbox import link_in, mail_to, mails
from harness.pending import Pending
from harness.store import execute

LENGTH = "Password must be between 6 and 64 characters in length."
MISSING = "Password must be specified."
NO_TEXT = [7, True, ["long enough"], {"a": "b"}]
BAD_LENGTH = ["", "short", "x" * 65, "é" * 5, "\U0001f600" * 33]
NOT_VALID = "Password reset request is no longer valid."
TOO_MANY = "too many wrong passwords; try again later"


def may_sign_in(hub, account_id, password):
    """user_auth looks at the password; each asker may be wrong once a minute, so each time another asks."""
    reply = hub.call("user_auth", key=hub.account(), account_id=account_id, password=password)
    assert reply["event"] == "user_auth_token" or reply["error"] == "incorrect password", reply
    return reply["event"] == "user_auth_token"


def change(hub, caller, new, old=None, account_id=None, **more):
    """The error of change_password, None for success."""
    if old is not None:
        more["old_password"] = old
    reply = hub.call("change_password", key=caller, account_id=account_id or caller.id, new_password=new, id="mine", **more)
    assert reply.pop("event") == "changed_password" and reply.pop("id") == "mine" and set(reply) <= {"error"}
    return reply.get("error")


# ---- change_password ----

@pytest.fixture
def person(hub):
    return hub.account(password="first password")


def test_change(hub, person):
    assert change(hub, person, "second password", "first password") is None
    assert may_sign_in(hub, person.id, "second password") and not may_sign_in(hub, person.id, "first password")
    assert hub.call("get_usernames", key=person, account_ids=[])["event"] == "usernames"  # the key stays good
    logged = execute(hub, "SELECT value FROM central_log WHERE event = 'change_password' AND value LIKE ?", f"%{person.id}%")
    assert [json.loads(value) for value, in logged] == [{"account_id": person.id, "ip_address": "127.0.0.1"}]


def test_as_a_form(hub, person):
    reply = hub.api("change_password", key=person, form={"account_id": person.id.upper(), "old_password": "first password",
                                                         "new_password": "123456"}).json()
    assert set(reply) == {"event", "id"} and may_sign_in(hub, person.id, "123456")


def test_a_wrong_old_password(hub, person):
    assert change(hub, person, "second password", "wrong") == "invalid old password"
    assert change(hub, person, "second password") == "invalid old password"
    assert change(hub, person, "short", "wrong") == "invalid old password"  # looked at before the new one
    assert may_sign_in(hub, person.id, "first password")
    [(logged,), *_] = execute(hub, "SELECT value FROM central_log WHERE event = 'change_password' AND value LIKE ?",
                              f"%{person.id}%")
    assert json.loads(logged) == {"account_id": person.id, "ip_address": "127.0.0.1",
                                  "error": "invalid old password"}
    assert change(hub, person, "second password", "first password") is None


@pytest.mark.parametrize("new", BAD_LENGTH)
def test_a_new_password_of_bad_length(hub, new):
    person = hub.account()
    assert change(hub, person, new) == {"new_password": LENGTH}


@pytest.mark.parametrize("new", NO_TEXT)
def test_a_new_password_that_is_no_text(hub, new):
    assert change(hub, hub.account(), new) == {"new_password": MISSING}


@pytest.mark.parametrize("new", ["x" * 6, "x" * 64, "é" * 64, "\U0001f600" * 32, " spaces "])
def test_a_new_password_of_good_length(hub, new):
    person = hub.account()
    assert change(hub, person, new) is None
    assert may_sign_in(hub, person.id, new)


def test_somebody_elses_account(hub, person):
    other = hub.account(password="first password")
    assert change(hub, person, "second password", "first password", account_id=other.id) == "invalid old password"
    assert change(hub, person, "second password", "first password", account_id="nonsense") == "invalid old password"
    assert change(hub, person, "second password", "first password", account_id=str(uuid.uuid4())) == "invalid old password"
    for account in (person, other):
        assert may_sign_in(hub, account.id, "first password")


@pytest.mark.parametrize("old", ["", "anything"])
def test_an_account_without_password_takes_any(hub, old):
    person = hub.account()
    assert change(hub, person, "first password", old) is None
    assert may_sign_in(hub, person.id, "first password")
    assert change(hub, person, "second password", old) == "invalid old password"


def test_who_is_signed_in_is_signed_out(hub, person):
    hub.call("user_auth", key=person, account_id=person.id, password="first password")
    assert change(hub, person, "second password", "first password") is None
    assert execute(hub, "SELECT * FROM auth_tokens WHERE account_id = ?", person.id) == []


def test_guesses_are_counted_by_the_minute(hub, person):
    for number in range(5):
        assert change(hub, person, "second password", f"guess {number}") == "invalid old password"
    for old in ("another guess", "first password"):
        assert change(hub, person, "second password", old) == TOO_MANY
    assert may_sign_in(hub, person.id, "first password")
    execute(hub, "UPDATE password_failures SET time = time - 60001 WHERE account_id = ?", person.id)
    assert change(hub, person, "second password", "first password") is None


def test_guesses_are_counted_by_the_hour(hub, person):
    for _ in range(29):
        execute(hub, "INSERT INTO password_failures (account_id, time)"
                     " VALUES (?, (SELECT created FROM accounts WHERE account_id = ?) - 120000)", person.id, person.id)
    assert change(hub, person, "second password", "guess") == "invalid old password"
    assert change(hub, person, "second password", "first password") == TOO_MANY
    execute(hub, "UPDATE password_failures SET time = time - 3600000 WHERE account_id = ?", person.id)
    assert change(hub, person, "second password", "first password") is None


def test_guesses_at_once_are_counted_one_by_one(hub, person):
    """Of many sent together five are told that they were wrong; the others learn nothing, the right one neither."""
    with Pending(hub, person) as pending:
        for old in [f"guess {number}" for number in range(12)] + ["first password"]:
            pending.send("change_password", account_id=person.id, new_password="short", old_password=old)
        errors = [reply["error"] for reply in pending.replies().values()]
    assert errors.count("invalid old password") == 5 and set(map(str, errors)) <= {
        "invalid old password", TOO_MANY, str({"new_password": LENGTH})}


def test_a_stop_does_not_wait_for_all_passwords(hub_factory):
    """Each takes a tenth of a second, and any account can have many of them wait."""
    hub = hub_factory()
    account = hub.account(password="the password")
    with contextlib.ExitStack() as stack:
        calls = [stack.enter_context(Pending(hub, caller)) for caller in (account, hub.account(), hub.account())]
        for pending in calls * 60:
            pending.send("user_auth", account_id=account.id, password="the password")
        assert calls[0].selector.select(60)  # the first answer
        hub.process.terminate()
        replies = [reply for pending in calls for reply in pending.replies(300).values()]
    assert hub.process.wait(120) == 0
    assert "the server is shutting down" in [reply.get("error") for reply in replies if reply], replies


def test_of_two_changes_one_wins(hub, person):
    with Pending(hub, person) as pending:
        for new in ("second password", "third password"):
            pending.send("change_password", account_id=person.id, old_password="first password", new_password=new)
        replies = pending.replies().values()
    assert sorted(reply.get("error", "") for reply in replies) == ["", "invalid old password"]


# ---- forgot_password ----

def forgot(hub, address, **options):
    reply = hub.api("forgot_password", json={"email_address": address, "id": 3}, **options).json()
    assert reply.pop("event") == "forgot_password_response" and reply.pop("id") == 3 and set(reply) == {"error"}
    return reply["error"]


@pytest.fixture(scope="module")
def from_anywhere(tmp_path_factory):
    """A header that makes a call come from an address of its own."""
    numbers = iter(range(1, 1 << 20))

    def headers():
        number = next(numbers)
        return {"X-Forwarded-For": f"2001:db8:{number >> 16:x}:{number & 0xffff:x}::1"}
    return headers


def stranger():
    return f"nobody-{uuid.uuid4()}@example.org"


def test_the_mail(hub, person, from_anywhere):
    assert forgot(hub, person.email.upper(), headers=from_anywhere()) is False
    mail = mail_to(hub, person.email)
    assert mail["subject"] == "cohub Password Reset"
    link = link_in(mail, "/auth/password_reset")
    url, code = link.split("?token=")
    assert url.startswith("http") and str(uuid.UUID(code)) == code
    assert link in mail["text"] and "ignore" in mail["text"] and mail["headers"]["From"].startswith("cohub Help <")
    [(address, life)] = execute(hub, "SELECT r.email_address, r.expire - a.time FROM password_reset r JOIN"
                                     " password_reset_attempts a USING (email_address) WHERE r.id = ?", code)
    assert address == person.email and life == 3_600_000


@pytest.mark.parametrize("address", ["", "nonsense", "a@", "a b@example.org", "a@example.org, b@example.org", "a@x.org\r\nBcc: b@x"])
def test_a_malformed_address(hub, address):
    assert forgot(hub, address) == "Invalid email address."


def test_an_address_without_account_is_not_told(hub, from_anywhere):
    address = stranger()
    assert forgot(hub, address, headers=from_anywhere()) is False
    assert execute(hub, "SELECT * FROM mail WHERE recipient = ?", address) == [] and mails(hub, address) == []


def test_a_deleted_account_gets_no_mail(hub, person, from_anywhere):
    hub.cli("account", "delete", person.id)
    assert forgot(hub, person.email, headers=from_anywhere()) is False
    assert mails(hub, person.email) == []


def test_an_address_without_account_is_told_where_the_site_says_so(hub_factory):
    hub = hub_factory(env={"COHUB_SITE_REVEAL_ACCOUNTS": "1"})
    address = stranger().capitalize()
    assert forgot(hub, address) == f"No account with e-mail address {address.lower()}"
    assert execute(hub, "SELECT * FROM password_reset") == []


def test_an_address_that_gets_no_mail(hub, from_anywhere):
    assert forgot(hub, f"{uuid.uuid4()}@qq.com", headers=from_anywhere()) == "banned domain"
    known = f"{uuid.uuid4()}@qq.com"
    hub.account(known)
    assert forgot(hub, known, headers=from_anywhere()) == "banned domain"


def test_thirty_an_hour_for_an_address(hub, person, from_anywhere):
    for address in (person.email, stranger()):
        for _ in range(30):
            assert forgot(hub, address, headers=from_anywhere()) is False
        for _ in range(2):
            assert forgot(hub, address.upper(), headers=from_anywhere()) == \
                "Too many password resets for this email per hour; try again later."
        execute(hub, "UPDATE password_reset_attempts SET time = time - 3600000 WHERE email_address = ?", address)
        assert forgot(hub, address, headers=from_anywhere()) is False


def test_what_refuses_for_an_hour_is_enough_to_keep(hub, from_anywhere):
    """However often somebody asks within a minute."""
    address = stranger()
    for _ in range(40):
        forgot(hub, address, headers=from_anywhere())
    count = "SELECT count(*) FROM password_reset_attempts WHERE email_address = ?"
    assert execute(hub, count, address) == [(31,)]
    execute(hub, "UPDATE password_reset_attempts SET time = time - 60001 WHERE email_address = ?", address)
    assert forgot(hub, address, headers=from_anywhere()) == \
        "Too many password resets for this email per hour; try again later."
    assert execute(hub, count, address) == [(32,)]  # what is refused counts an hour too


def test_the_limits_of_one_client(hub, from_anywhere):
    client = from_anywhere()
    ip = client["X-Forwarded-For"].replace("::1", "::/64")
    for _ in range(10):
        assert forgot(hub, stranger(), headers=client) is False
    for _ in range(3):
        assert forgot(hub, stranger(), headers=client) == "Too many password resets per minute; try again later."
    assert forgot(hub, stranger(), headers=from_anywhere()) is False
    for _ in range(4):  # what was refused counts as well
        execute(hub, "UPDATE password_reset_attempts SET time = time - 60001 WHERE ip_address = ?", ip)
        for _ in range(10):
            assert forgot(hub, stranger(), headers=client) is False
    execute(hub, "UPDATE password_reset_attempts SET time = time - 60001 WHERE ip_address = ?", ip)
    for _ in range(7):
        assert forgot(hub, stranger(), headers=client) is False
    assert forgot(hub, stranger(), headers=client) == "Too many password resets per hour; try again later."


def test_addresses_of_one_network_count_together(hub, from_anywhere):
    network = from_anywhere()["X-Forwarded-For"].removesuffix("::1")
    for host in range(10):
        assert forgot(hub, stranger(), headers={"X-Forwarded-For": f"{network}:{host:x}::2"}) is False
    assert forgot(hub, stranger(), headers={"X-Forwarded-For": f"{network}:ffff::2"}) == \
        "Too many password resets per minute; try again later."


# ---- reset_forgot_password ----

def reset(hub, code, new, key=...):
    reply = hub.call("reset_forgot_password", key=key, reset_code=code, new_password=new, id="mine")
    assert reply.pop("event") == "reset_forgot_password_response" and reply.pop("id") == "mine" and set(reply) == {"error"}
    return reply["error"]


@pytest.fixture
def code(hub, person, from_anywhere):
    assert forgot(hub, person.email, headers=from_anywhere()) is False
    return link_in(mail_to(hub, person.email), "/auth/password_reset").split("?token=")[1]


def test_reset(hub, person, code):
    hub.call("user_auth", key=person, account_id=person.id, password="first password")
    assert reset(hub, code.upper(), "second password") is False
    assert may_sign_in(hub, person.id, "second password") and not may_sign_in(hub, person.id, "first password")
    assert len(execute(hub, "SELECT * FROM auth_tokens WHERE account_id = ?", person.id)) == 1  # that of may_sign_in
    assert reset(hub, code, "third password") == NOT_VALID


@pytest.mark.parametrize("new, problem", [(new, LENGTH) for new in BAD_LENGTH] + [(new, MISSING) for new in NO_TEXT])
def test_reset_to_a_bad_password(hub, new, problem):
    assert reset(hub, str(uuid.uuid4()), new) == problem  # looked at before the code


def test_a_bad_password_does_not_use_the_code_up(hub, person, code):
    assert reset(hub, code, "short") == LENGTH
    assert reset(hub, code, "second password") is False


@pytest.mark.parametrize("code", ["", "nonsense", "5a3e5f3c-2f66-4a52-9d9d-0c6ef0c6b1f1"])
def test_reset_with_a_code_that_is_none(hub, code):
    assert reset(hub, code, "second password") == NOT_VALID


def test_reset_with_an_expired_code(hub, code):
    execute(hub, "UPDATE password_reset SET expire = expire - 3600001 WHERE id = ?", code)
    assert reset(hub, code, "second password") == NOT_VALID


def test_a_code_is_for_the_address_it_was_sent_to(hub, person, code):
    execute(hub, "UPDATE accounts SET email_address = ? WHERE account_id = ?", stranger(), person.id)
    assert reset(hub, code, "second password") == NOT_VALID


def test_a_code_of_a_deleted_account(hub, person, code):
    hub.cli("account", "delete", person.id)
    assert reset(hub, code, "second password") == NOT_VALID


def codes_of(hub, address):
    return [row[0] for row in execute(hub, "SELECT id FROM password_reset WHERE email_address = ?", address)]


@pytest.mark.parametrize("which", [0, 1])
def test_of_several_codes_each_is_good_until_one_is_used(hub, person, code, from_anywhere, which):
    other = hub.account()
    assert forgot(hub, person.email, headers=from_anywhere()) is False
    assert forgot(hub, other.email, headers=from_anywhere()) is False
    codes = codes_of(hub, person.email)
    assert len(codes) == 2 and code in codes
    assert reset(hub, codes[which], "password 1") is False
    assert reset(hub, codes[1 - which], "password 2") == NOT_VALID
    assert may_sign_in(hub, person.id, "password 1") and len(codes_of(hub, other.email)) == 1


def test_a_changed_password_ends_the_codes(hub, person, code):
    assert change(hub, person, "second password", "wrong password") == "invalid old password"
    assert codes_of(hub, person.email) == [code]
    assert change(hub, person, "second password", "first password") is None
    assert reset(hub, code, "third password") == NOT_VALID


def test_a_password_that_the_administrator_sets_ends_the_codes(hub, person, code):
    hub.cli("account", "password", person.id)
    assert reset(hub, code, "fourth password") == NOT_VALID


def test_a_code_is_used_once_however_many_try(hub, person, code):
    with Pending(hub, person) as pending:
        for number in range(6):
            pending.send("reset_forgot_password", reset_code=code, new_password=f"password {number}")
        replies = pending.replies().values()
    assert sorted(str(reply["error"]) for reply in replies) == ["False"] + [NOT_VALID] * 5


# ---- The page behind the mail ----

def test_the_page_sets_the_password(hub, person, code):
    with httpx.Client(base_url=hub.url, follow_redirects=True) as browser:
        page = browser.get("/app", params={"forgot": code})
        assert page.status_code == 200 and page.url.path == "/auth/password_reset"
        token = re.search(r'name="token" value="([^"]+)"', page.text)[1]
        assert token == code and "<script" not in page.text
        assert page.headers["Cache-Control"] == "no-store" and page.headers["Referrer-Policy"] == "no-referrer"

        def send(password, again):
            return browser.post("/auth/password_reset", data={"token": token, "password": password, "password_again": again})

        differ = send("second password", "second passwort")
        assert differ.status_code == 400 and "The two passwords differ." in differ.text and "second" not in differ.text
        short = send("short", "short")
        assert short.status_code == 400 and LENGTH in short.text
        assert send("second password", "second password").status_code == 200
        assert may_sign_in(hub, person.id, "second password")
        for again in (send("third password", "third password"), browser.get("/auth/password_reset", params={"token": code})):
            assert again.status_code == 404 and NOT_VALID in again.text
    assert not may_sign_in(hub, person.id, "third password")


@pytest.mark.parametrize("token", ["", "nonsense", "5a3e5f3c-2f66-4a52-9d9d-0c6ef0c6b1f1", '"><script>alert(1)</script>', "\x00", "é" * 30])
def test_the_page_with_a_code_that_is_none(hub, token):
    for reply in (httpx.get(f"{hub.url}/auth/password_reset", params={"token": token}),
                  httpx.post(f"{hub.url}/auth/password_reset", data={"token": token, "password": "x" * 8, "password_again": "x" * 8})):
        assert reply.status_code in (400, 404) and "<script" not in reply.text


def test_looking_at_the_page_changes_nothing(hub, person, code):
    for _ in range(2):
        assert httpx.get(f"{hub.url}/auth/password_reset", params={"token": code}).status_code == 200
    assert reset(hub, code, "second password") is False


def test_the_old_link_without_a_code(hub):
    assert httpx.get(f"{hub.url}/app").status_code == 404
    old = httpx.get(f"{hub.url}/app", params={"forgot": "x\r\nSet-Cookie: a=b"})
    assert old.is_redirect and "set-cookie" not in old.headers
