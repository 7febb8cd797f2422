# SPDX-License-Identifier: AGPL-3.0-or-later
"""create_account, get_usernames, user_auth."""
import concurrent.futures
import json
import re
import time
import uuid

import pytest

from harness import parts
from harness.pending import Pending
from harness.process import stopped
from harness.raw import Raw, request
from harness.store import execute

TAKEN = {"email_address": "This e-mail address is already taken."}
BAD_EMAIL = {"email_address": "Email address does not appear to be valid."}
BAD_PASSWORD = {"password": "Password must be between 6 and 64 characters in length."}
INCORRECT = "incorrect password"
WAIT = "banned -- please wait at least 60s before trying again"


def address(name="someone"):
    return f"{name}-{uuid.uuid4()}@example.org"


def rows(hub, sql, *values):
    return execute(hub, sql, *values)


def row(hub, account_id, columns):
    return rows(hub, f"SELECT {columns} FROM accounts WHERE account_id = ?", account_id)[0]


def created(reply):
    assert reply["event"] == "account_created", reply
    return reply["account_id"]


def refused(reply, reason):
    assert reply == {"event": "account_creation_failed", "id": reply["id"], "reason": reason}


def other(text):
    return {"other": f'Unable to create account. Error: "{text}"'}


# ---- create_account ----

def test_an_account(hub):
    email = address("Mixed.Case")
    reply = hub.call("create_account", first_name="Grace", last_name="Hopper", email_address=email, password="secret1",
                     agreed_to_terms=True, usage_intent="to test", id="mine")
    account_id = created(reply)
    assert reply == {"event": "account_created", "id": "mine", "account_id": account_id}
    assert hub.call("get_usernames", account_ids=[account_id])["usernames"] == {
        account_id: {"first_name": "Grace", "last_name": "Hopper"}}
    *stored, password_hash, made = row(
        hub, account_id, "email_address, created_by, sign_up_usage_intent, banned, deleted, password_hash, created")
    assert stored == [email.lower(), "127.0.0.1", "to test", 0, 0]
    assert password_hash.startswith("$argon2id$") and "secret1" not in password_hash
    assert made > 1_600_000_000_000
    logged = rows(hub, "SELECT value FROM central_log WHERE event = 'create_account' AND value LIKE ?", f"%{account_id}%")
    assert len(logged) == 1 and json.loads(logged[0][0])["account_id"] == account_id


def test_the_reason_to_sign_up_is_bounded(hub):
    too_long = other("usage_intent not valid: at most 1000 characters are allowed")
    refused(hub.call("create_account", usage_intent="x" * 1001), too_long)
    account_id = created(hub.call("create_account", usage_intent="\u20ac" * 1000))
    assert row(hub, account_id, "length(sign_up_usage_intent)") == (1000,)


@pytest.mark.parametrize("answer", [False, "false", "no", 0])
def test_who_declines_the_terms_gets_no_account(hub, answer):
    reply = hub.call("create_account", email_address="not an address", agreed_to_terms=answer)
    assert (reply["event"], reply["reason"]) == (
        "account_creation_failed", {"agreed_to_terms": "Agree to the Terms of Service."})


def test_an_account_without_anything(hub):
    one, two = created(hub.call("create_account")), created(hub.call("create_account"))
    assert one != two
    assert row(hub, one, "email_address, password_hash, first_name") == (None, None, None)
    assert hub.call("get_usernames", account_ids=[one])["usernames"] == {one: {}}


def test_empty_texts_are_as_if_left_out(hub):
    for _ in range(2):  # an empty address is nobody's
        account_id = created(hub.call("create_account", email_address="", password="", token="", first_name=""))
        assert row(hub, account_id, "email_address, password_hash") == (None, None)


@pytest.mark.parametrize("email", [
    "plain", "@example.org", "a@", "a@@b", "a b@example.org", "a@exa mple.org", "a@-x.org", "a@x-.org", "a@x..org", "a@.org",
    "a@x.org.", ".a@x.org", "a.@x.org", "a..b@x.org", "a@x.org\n", "\na@x.org", "a@[x", "<a@x.org>", "a@x.org, b@x.org",
    '"a@x.org', "a@x_y.org", "a" * 250 + "@x.org", "a@x.org\r\nBcc: b@x.org", "mailto:a@x.org",
])
def test_a_malformed_address(hub, email):
    refused(hub.call("create_account", email_address=email, password="secret1"), BAD_EMAIL)


@pytest.mark.parametrize("template", [
    "{0}@localhost", "{0}+tag@x.org", "o'hara-{0}@x.org", '"quoted {0}"@x.org', "{0}@[127.0.0.1]", "{0}@x-y.co.uk",
    "é{0}@x.org", "{0}@bücher.example", "!#$%&*/=?^_`{{|}}~{0}@x.org",
])
def test_a_valid_address(hub, template):
    email = template.format(uuid.uuid4().hex)
    account_id = created(hub.call("create_account", email_address=email))
    assert row(hub, account_id, "email_address") == (email.lower(),)


def test_the_longest_address(hub):
    name = uuid.uuid4().hex
    longest = name + "a" * (254 - len(name) - len("@x.org")) + "@x.org"
    assert len(longest) == 254
    refused(hub.call("create_account", email_address="a" + longest), BAD_EMAIL)
    created(hub.call("create_account", email_address=longest))


@pytest.mark.parametrize("password, fits", [
    ("12345", False), ("123456", True), ("x" * 64, True), ("x" * 65, False), ("é" * 6, True), ("é" * 64, True),
    ("\U0001f600" * 3, True), ("\U0001f600" * 2 + "x", False), ("\U0001f600" * 32, True), ("\U0001f600" * 32 + "x", False),
    (" " * 6, True),
])
def test_the_length_of_a_password_in_utf16_units(hub, password, fits):
    reply = hub.call("create_account", email_address=address(), password=password)
    if fits:
        token = hub.call("user_auth", account_id=created(reply), password=password)
        assert token["event"] == "user_auth_token"
    else:
        refused(reply, BAD_PASSWORD)


def test_address_and_password_are_reported_together(hub):
    refused(hub.call("create_account", email_address="bad", password="bad"), {**BAD_EMAIL, **BAD_PASSWORD})
    refused(hub.call("create_account", email_address="bad", get_api_key=True), BAD_EMAIL)


def test_a_taken_address(hub):
    email = address()
    created(hub.call("create_account", email_address=email))
    for again in (email, email.upper()):
        refused(hub.call("create_account", email_address=again, password="secret1"), TAKEN)


def test_the_address_of_a_deleted_account_is_free(hub, account):
    hub.cli("account", "ban", account.email)
    refused(hub.call("create_account", email_address=account.email), TAKEN)
    hub.cli("account", "delete", account.email)
    assert created(hub.call("create_account", email_address=account.email)) != account.id


@pytest.mark.parametrize("field", ["first_name", "last_name"])
@pytest.mark.parametrize("name, found", [
    ("evil.com", "evil.com"), ("see https://x.org/y now", "https://x.org/y"), ("a.io b.de", "a.io and b.de"),
    ("a.io b.de c.fr", "a.io, b.de and c.fr"), ("Win at 1.cc!", "1.cc!"),
])
def test_a_name_with_an_url(hub, field, name, found):
    refused(hub.call("create_account", **{field: name}), other(f"{field} not valid: URLs are not allowed. Found {found}"))


def test_a_name_with_a_mail_link(hub):
    refused(hub.call("create_account", last_name="mailto:x@y"), other("last_name not valid: email addresses are not allowed"))


@pytest.mark.parametrize("name", ["J. R. R.", "Dr.Strangelove", "St. John", "O'Neil-Smith", "Ünï Cødé \U0001f600", "a.b", "…",
                                  "<b>&amp;", "x" * 254, "mailto: me", "a@b", "'; DROP TABLE accounts; --", "{}", "%s%n"])
def test_a_name_as_people_have_it(hub, name):
    account_id = created(hub.call("create_account", first_name=name))
    assert hub.call("get_usernames", account_ids=[account_id])["usernames"] == {account_id: {"first_name": name}}


def test_a_name_that_is_too_long(hub):
    reply = hub.call("create_account", first_name="x" * 255)
    assert reply["event"] == "account_creation_failed" and "254" in reply["reason"]["other"]


def test_get_api_key(hub):
    reply = hub.call("create_account", email_address=address(), password="secret1", get_api_key=True)
    key = reply["api_key"]
    assert re.fullmatch("sk_[A-Za-z0-9]{24}", key)
    assert hub.call("get_usernames", key=key, account_ids=[created(reply)])["event"] == "usernames"
    assert "api_key" not in hub.call("create_account", email_address=address(), password="secret1", get_api_key=False)


def test_get_api_key_without_a_password_makes_no_account(hub):
    email = address()
    refused(hub.call("create_account", email_address=email, get_api_key=True),
            other("password must be given if passport is not true"))
    created(hub.call("create_account", email_address=email))


def test_of_many_with_one_address_exactly_one_wins(hub):
    email = address()

    def create(number):
        return hub.call("create_account", email_address=email.upper() if number % 2 else email, password="secret1",
                        first_name=f"Number {number}")

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(create, range(12)))
    winners = [reply for reply in replies if reply["event"] == "account_created"]
    assert len(winners) == 1
    for reply in replies:
        if reply is not winners[0]:
            refused(reply, TAKEN)
    assert rows(hub, "SELECT account_id FROM accounts WHERE email_address = ?", email) == [(winners[0]["account_id"],)]


# ---- Who may sign up ----

def test_sign_up_closed(hub_factory):
    hub = hub_factory(env={"COHUB_SITE_SIGN_UP": "closed"})
    refused(hub.call("create_account", email_address="malformed"), {"other": "Signing up via email/password is disabled."})
    hub.account()  # the command line's accounts are the administrator's


def test_sign_up_by_token_without_any_token(hub_factory):
    hub = hub_factory(env={"COHUB_SITE_SIGN_UP": "token"})
    refused(hub.call("create_account"), {"token": "No registration token provided"})
    refused(hub.call("create_account", token="x"), {"token": "Registration token is wrong."})


def test_registration_tokens(hub_factory):
    hub = hub_factory()
    now = int(time.time() * 1000)

    def add(token, limit=None, expires=None, counter=0, disabled=0):
        rows(hub, 'INSERT INTO registration_tokens (token, "limit", expires, counter, disabled) VALUES (?, ?, ?, ?, ?)',
             token, limit, expires, counter, disabled)

    def used(token):
        return rows(hub, "SELECT counter FROM registration_tokens WHERE token = ?", token)[0][0]

    add("off", disabled=1)
    created(hub.call("create_account"))  # a disabled token asks nobody for one
    add("free")
    add("two", limit=2)
    add("old", expires=now - 1000)
    add("young", expires=now + 3_600_000)
    add("full", limit=3, counter=3)
    for token, text in (("", "No registration token provided"), (None, "No registration token provided"),
                        ("nonsense", "Registration token is wrong."), ("FREE", "Registration token is wrong."),
                        ("off", "Registration token disabled."), ("old", "Registration token no longer valid."),
                        ("full", "Registration token used up.")):
        refused(hub.call("create_account", token=token), {"token": text})
    email = address()
    created(hub.call("create_account", token="two", email_address=email))
    refused(hub.call("create_account", token="two", email_address=email), TAKEN)
    created(hub.call("create_account", token="two"))
    refused(hub.call("create_account", token="two"), {"token": "Registration token used up."})
    for token in ("free", "free", "young"):
        created(hub.call("create_account", token=token))
    assert [used(token) for token in ("two", "free", "young", "full", "old", "off")] == [2, 2, 1, 3, 0, 0]
    assert len(rows(hub, "SELECT 1 FROM central_log WHERE event = 'create_account_registration_token'")) == 5


def test_registration_tokens_of_the_command_line(hub_factory):
    hub = hub_factory(env={"COHUB_SITE_SIGN_UP": "token"})
    token = hub.cli("registration-token", "create", "--limit", "1", "--descr", "a class", "--expires", "1d")
    assert {key: token[key] for key in ("descr", "limit", "counter", "disabled")} == {
        "descr": "a class", "limit": 1, "counter": 0, "disabled": False}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", token["expires"])
    created(hub.call("create_account", token=token["token"]))
    refused(hub.call("create_account", token=token["token"]), {"token": "Registration token used up."})
    again = hub.cli("registration-token", "create", "--token", token["token"])
    assert again == {"token": token["token"], "counter": 1, "disabled": False}  # as new, but for its use
    created(hub.call("create_account", token=token["token"]))
    assert hub.cli("registration-token", "list") == [{**again, "counter": 2}]
    assert hub.cli("registration-token", "delete", token["token"]) == {"deleted": token["token"]}
    assert hub.cli("registration-token", "list") == []
    refused(hub.call("create_account", token=token["token"]), {"token": "Registration token is wrong."})


@pytest.mark.parametrize("args, text", [
    (["create", "--limit", "0"], "--limit is a number of accounts, not 0"),
    (["create", "--limit", "many"], "--limit is a number of accounts, not many"),
    (["create", "--expires", "soon"], "--expires is a time like"),
    (["create", "--token", ""], "a registration token must not be empty"),
    (["delete", "nosuch"], "no registration token nosuch"),
])
def test_wrong_registration_tokens(hub, args, text):
    done = hub.cli_run("registration-token", *args)
    assert (done.returncode, done.stdout) == (1, "") and text in done.stderr


def test_a_token_of_one_use_is_used_once(hub_factory):
    hub = hub_factory()
    rows(hub, 'INSERT INTO registration_tokens (token, "limit") VALUES (?, 1)', "once")
    key = hub.key
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: hub.call("create_account", key=key, token="once"), range(8)))
    assert sorted(reply["event"] for reply in replies) == ["account_created"] + ["account_creation_failed"] * 7
    for reply in replies:
        assert reply.get("reason", {"token": "Registration token used up."}) == {"token": "Registration token used up."}


# ---- How many from one address ----

def too_many(ip, limit):
    return other(f"Error: Too many accounts are being created from the ip address {ip}; try again later.  By default at most "
                 f"{limit} accounts can be created every 30 minutes from one IP; if you're using the API and need a higher "
                 "limit, contact us.")


def sign_up(hub, *forwarded):
    """A sign-up with such X-Forwarded-For headers."""
    body = b"{}"
    head, rest = request("/api/v1/create_account", key=hub.key, body=body, Content_Type="application/json").split(b"\r\n", 1)
    lines = b"".join(b"\r\nX-Forwarded-For: " + value.encode() for value in forwarded)
    with Raw(hub.url) as raw:
        return json.loads(raw.send(head + lines + b"\r\n" + rest).reply().body)


def test_the_limit_of_sign_ups(hub_factory):
    hub = hub_factory(env={"COHUB_LIMITS_SIGN_UPS_PER_HALF_HOUR": "2"})
    for _ in range(2):
        created(sign_up(hub))
    refused(sign_up(hub), too_many("127.0.0.1", 2))
    refused(hub.call("create_account", email_address="bad"), BAD_EMAIL)
    # from behind the proxy: each address by itself
    for _ in range(2):
        created(sign_up(hub, "203.0.113.5"))
    refused(sign_up(hub, "203.0.113.5"), too_many("203.0.113.5", 2))
    # an IPv6 address with its network
    created(sign_up(hub, "2001:db8::1"))
    created(sign_up(hub, "2001:db8:0:0:ffff::2"))
    refused(sign_up(hub, "2001:db8::3"), too_many("2001:db8::3", 2))
    created(sign_up(hub, "2001:db8:0:1::1"))
    # what a client wrote in front of what the proxy saw does not count, on one line or two
    refused(sign_up(hub, "198.51.100.7, 203.0.113.5"), too_many("203.0.113.5", 2))
    refused(sign_up(hub, "198.51.100.7", "203.0.113.5"), too_many("203.0.113.5", 2))
    refused(sign_up(hub, "203.0.113.5, 127.0.0.1"), too_many("203.0.113.5", 2))
    # nonsense is the peer's
    refused(sign_up(hub, "nonsense"), too_many("127.0.0.1", 2))
    # an old sign-up no longer counts
    rows(hub, "UPDATE sign_up_attempts SET time = time - 1800001 WHERE ip_address = '203.0.113.5'")
    created(sign_up(hub, "203.0.113.5"))
    # administrators' accounts are not limited
    hub.account()


def test_a_group_with_a_higher_limit(hub_factory):
    hub = hub_factory(env={"COHUB_LIMITS_SIGN_UPS_PER_HALF_HOUR": "1"})
    gold = hub.account()
    rows(hub, "UPDATE accounts SET \"groups\" = '[\"gold\"]' WHERE account_id = ?", gold.id)
    for _ in range(10):
        created(hub.call("create_account", key=gold))
    refused(hub.call("create_account", key=gold), too_many("127.0.0.1", 10))


def test_an_untrusted_peer_is_itself(hub_factory):
    hub = hub_factory(env={"COHUB_LIMITS_SIGN_UPS_PER_HALF_HOUR": "1", "COHUB_HTTP_TRUSTED_PROXIES": "10.0.0.0/8"})
    created(sign_up(hub, "203.0.113.5"))
    refused(sign_up(hub, "203.0.113.6"), too_many("127.0.0.1", 1))


# ---- get_usernames ----

def test_names(hub):
    one, two = hub.account(first_name="One", last_name="Eins"), hub.account(first_name="Two", last_name="Zwei")
    unknown = str(uuid.uuid4())
    names = {one.id: {"first_name": "One", "last_name": "Eins"}, two.id: {"first_name": "Two", "last_name": "Zwei"}}
    assert hub.call("get_usernames", account_ids=[], id=1) == {"event": "usernames", "id": 1, "usernames": {}}
    assert hub.call("get_usernames", account_ids=[one.id, two.id])["usernames"] == names
    assert hub.call("get_usernames", account_ids=[two.id, unknown])["usernames"] == {two.id: names[two.id], unknown: {}}
    text = hub.api("get_usernames", json={"account_ids": [one.id] * 3}).text
    assert text.count(one.id) == 1
    upper = hub.call("get_usernames", account_ids=[one.id.upper(), one.id])["usernames"]
    assert set(upper) == {one.id, one.id.upper()} and upper[one.id] == names[one.id]


def test_a_deleted_account_is_still_named(hub, account):
    hub.cli("account", "delete", account.id)
    assert hub.call("get_usernames", account_ids=[account.id])["usernames"][account.id]["first_name"] == "Ada"


def test_many_names(hub):
    ids = [str(uuid.uuid4()) for _ in range(5000)]
    assert hub.call("get_usernames", account_ids=ids)["usernames"] == {account_id: {} for account_id in ids}


# ---- user_auth ----

@pytest.fixture
def target(hub):
    return hub.account(password="the right one")


def error_of(reply):
    assert reply["event"] == "error", reply
    return reply["error"]


def tokens_logged(hub, target):
    found = rows(hub, "SELECT value FROM central_log WHERE event = 'get_user_auth_token' AND value LIKE ?",
                 f'%"user_account_id":"{target.id}"%')
    return [json.loads(value) for value, in found]


def test_tokens(hub, account, target):
    replies = [hub.call("user_auth", key=account, account_id=target.id, password="the right one") for _ in range(2)]
    tokens = [reply["auth_token"] for reply in replies]
    assert tokens[0] != tokens[1]
    for reply in replies:
        assert set(reply) == {"event", "id", "auth_token"} and reply["event"] == "user_auth_token"
        assert re.fullmatch("[A-Za-z0-9]{24}", reply["auth_token"])
    stored = rows(hub, "SELECT auth_token, expire - created FROM auth_tokens WHERE account_id = ?", target.id)
    assert [life for _, life in stored] == [12 * 3600 * 1000] * 2
    assert not any(token in hashed for token in tokens for hashed, _ in stored)
    logged = {"account_id": account.id, "user_account_id": target.id, "is_admin": "false"}
    assert tokens_logged(hub, target) == [logged, logged]


def test_an_id_in_upper_case(hub, account, target):
    reply = hub.call("user_auth", key=account, account_id=target.id.upper(), password="the right one")
    assert reply["event"] == "user_auth_token"


@pytest.mark.parametrize("password", ["wrong", "", "the right one ", "The right one", "the right", "x" * 100_000])
def test_a_wrong_password(hub, account, target, password):
    assert error_of(hub.call("user_auth", key=account, account_id=target.id, password=password)) == INCORRECT


def test_after_a_failure_that_caller_waits_for_that_account(hub, account, target):
    second, bystander = hub.account(password="another one"), hub.account()

    def auth(caller, whom, password):
        return hub.call("user_auth", key=caller, account_id=whom.id, password=password)

    assert error_of(auth(account, target, "wrong")) == INCORRECT
    for password in ("wrong", "the right one"):
        assert error_of(auth(account, target, password)) == WAIT
    assert auth(account, second, "another one")["event"] == "user_auth_token"
    assert auth(bystander, target, "the right one")["event"] == "user_auth_token"
    assert error_of(auth(account, target, "the right one")) == WAIT
    rows(hub, "UPDATE user_auth_failures SET time = time - 60001 WHERE account_id = ?", account.id)
    assert auth(account, target, "the right one")["event"] == "user_auth_token"


def test_guesses_at_once_are_one_guess(hub, account, target):
    """Of many sent together one is told that it was wrong; the others learn nothing."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda number: hub.call("user_auth", key=account, account_id=target.id,
                                                        password=f"guess {number}"), range(24)))
    assert sorted(error_of(reply) for reply in replies) == [WAIT] * 23 + [INCORRECT]
    assert error_of(hub.call("user_auth", key=account, account_id=target.id, password="the right one")) == WAIT


def test_calls_of_one_caller_cannot_fill_the_queue(hub, account, target):
    with Pending(hub, account) as calls:
        with stopped(parts.serving(hub)):  # so that they come all at once
            for _ in range(150):
                calls.send("user_auth", account_id=target.id, password="the right one")
        replies = calls.replies(300).values()
    assert {reply.get("error") for reply in replies} == {
        None, "too many of your calls with a password are under way; try again later"}


def test_an_account_without_password(hub, account):
    other_account = hub.account()
    for caller in (account, hub.account()):
        assert error_of(hub.call("user_auth", key=caller, account_id=other_account.id, password="")) == INCORRECT


def test_nobody_and_nonsense(hub, account, target):
    unknown = str(uuid.uuid4())
    assert error_of(hub.call("user_auth", key=account, account_id=unknown, password="x")) == "no such account"
    assert error_of(hub.call("user_auth", key=account, account_id="nonsense", password="x")) == "invalid account_id -- nonsense"
    hub.cli("account", "delete", target.id)
    assert error_of(hub.call("user_auth", key=account, account_id=target.id, password="the right one")) == "no such account"


def test_an_administrator_needs_no_password(hub, account, target):
    admin = hub.account(admin=True)
    without = hub.account()
    for whom in (target, without):
        assert hub.call("user_auth", key=admin, account_id=whom.id, password="")["event"] == "user_auth_token"
    stored = rows(hub, "SELECT is_admin, created_by FROM auth_tokens WHERE account_id = ?", target.id)
    assert stored == [(1, admin.id)]
    assert tokens_logged(hub, target) == [{"account_id": admin.id, "user_account_id": target.id, "is_admin": "true"}]
    assert error_of(hub.call("user_auth", key=admin, account_id=target.id, password="wrong")) == INCORRECT
    hub.cli("account", "admin", account.id, "on")
    assert hub.call("user_auth", key=account, account_id=target.id, password="")["event"] == "user_auth_token"
    hub.cli("account", "admin", account.id, "off")
    assert error_of(hub.call("user_auth", key=account, account_id=target.id, password="")) == INCORRECT


# ---- ping, log_client_error ----

def test_ping_tells_the_time(hub):
    reply = hub.call("ping")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", reply["now"])
    assert set(reply) == {"event", "id", "now"}


def test_an_error_of_a_client_is_kept(hub, account):
    text = f"it broke é \U0001f600 {uuid.uuid4()}"
    reply = hub.call("log_client_error", key=account, error=text, id=7)
    assert reply == {"event": "success", "id": 7}
    [(event, account_id, life)] = rows(
        hub, "SELECT event, account_id, expire - time FROM client_error_log WHERE error = ?", text)
    assert (event, account_id, life) == ("error", account.id, 30 * 24 * 3600 * 1000)


@pytest.mark.parametrize("text, kept", [("x" * 32768, 32768), ("x" * 2_000_000, 32768), ("x" + "\u20ac" * 20000, 32767)])
def test_of_a_large_error_the_beginning_is_kept(hub, account, text, kept):
    assert hub.call("log_client_error", key=account, error=text)["event"] == "success"
    [(error,)] = rows(hub, "SELECT error FROM client_error_log WHERE account_id = ?", account.id)
    assert text.startswith(error) and len(error.encode()) == kept


def test_errors_of_clients_are_counted_by_the_hour(hub, account):
    for number in range(60):
        assert hub.call("log_client_error", key=account, error=f"error {number}")["event"] == "success"
    assert error_of(hub.call("log_client_error", key=account, error="one more")) == \
        "too many errors reported: at most 60 an hour are kept; try again later"
    assert hub.call("log_client_error", key=hub.account(), error="somebody else's")["event"] == "success"
    rows(hub, "UPDATE client_error_log SET time = time - 3600000 WHERE account_id = ?", account.id)
    assert hub.call("log_client_error", key=account, error="an hour later")["event"] == "success"
