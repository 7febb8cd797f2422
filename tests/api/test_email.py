# SPDX-License-Identifier: AGPL-3.0-or-later
"""An account's address: the welcome mail, verifying, change_email_address."""
import html
import json
import re
import uuid
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from harness.mailbox import link_in, mail_to, mails
from harness.pending import Pending
from harness.store import execute

NOT_VALID = "This link is no longer valid, or the address is verified already."
TOO_MANY = "too many wrong passwords; try again later"


def address(name="someone"):
    return f"{name}-{uuid.uuid4()}@example.org"


def sign_up(hub, **parameters):
    """(id, address) of a new account that its owner made."""
    email = parameters.pop("email_address", None) or address()
    headers = {"X-Forwarded-For": f"2001:db8:{uuid.uuid4().hex[:4]}::1"}  # from each address only so many may sign up
    reply = hub.api("create_account", json={"email_address": email, **parameters}, headers=headers).json()
    assert reply["event"] == "account_created", reply
    return reply["account_id"], email


def column(hub, account_id, name):
    return execute(hub, f"SELECT {name} FROM accounts WHERE account_id = ?", account_id)[0][0]


# ---- The welcome mail ----

@pytest.fixture(scope="module")
def verifying_site(tmp_path_factory):
    from harness.hub import Hub
    hub = Hub(tmp_path_factory.mktemp("verifying") / "data",
              env={"COHUB_SITE_VERIFY_EMAIL": "1", "COHUB_SITE_NAME": "Math & Co", "COHUB_SITE_ORGANIZATION": "The <University>",
                   "COHUB_SITE_HELP_EMAIL": "help@example.edu", "COHUB_SITE_URL": "https://math.example.edu/hub"})
    hub.start()
    yield hub
    hub.end()


def test_the_welcome_mail(hub):
    account_id, email = sign_up(hub, first_name="Ada")
    mail = mail_to(hub, email)
    host = urlsplit(hub.url).netloc
    assert mail["subject"] == f"Welcome to cohub - {host}"
    assert email in mail["text"] and f"{hub.url}/api/v1/" in mail["html"] and "mailto:" in mail["html"]
    assert "/auth/verify" in mail["html"] and column(hub, account_id, "email_address_challenge")
    assert len(mails(hub, email)) == 1


def test_without_verification_there_is_no_link(hub_factory):
    hub = hub_factory(env={"COHUB_SITE_VERIFY_EMAIL": "0"})
    account_id, email = sign_up(hub)
    assert "/auth/verify" not in mail_to(hub, email)["html"]
    assert column(hub, account_id, "email_address_challenge") is None


def test_the_welcome_mail_of_a_site_with_a_name(verifying_site):
    _, email = sign_up(verifying_site, email_address=address("o'hara+<x>".replace("<x>", "&")))
    mail = mail_to(verifying_site, email)
    assert mail["subject"] == "Welcome to Math & Co - math.example.edu"
    assert "The <University>" in mail["headers"]["From"] and "help@example.edu" in mail["html"]
    assert "Math &amp; Co" in mail["html"] and email in html.unescape(mail["html"]) and email not in mail["html"]


def test_no_welcome_without_an_address_and_none_for_an_administrators_work(hub):
    before = {mail["id"] for mail in hub.cli("mail", "list")}  # waiting or delivered
    assert hub.call("create_account")["event"] == "account_created"
    assert mails(hub, hub.account().email) == []
    assert {mail["id"] for mail in hub.cli("mail", "list")} <= before


@pytest.mark.parametrize("email", ["{}@qq.com", "é{}@example.org"])
def test_an_address_that_gets_no_mail_can_sign_up(hub, email):
    _, email = sign_up(hub, email_address=email.format(uuid.uuid4()))
    assert mails(hub, email) == []


def test_an_invitation_waits_for_the_address(hub, account, project):
    def wait_for(email):
        reply = hub.call("invite_noncloud_collaborators", key=account, project_id=project, to=email, email="Join us",
                         title="A project", link2proj=f"{hub.url}/projects/{project}")
        assert reply["event"] == "invite_noncloud_collaborators_resp", reply
        return email

    signed_up, _ = sign_up(hub, email_address=wait_for(address()).upper())
    made = hub.account(wait_for(address()))
    moved = hub.account()
    assert change(hub, moved, wait_for(address())) is False
    assert set(hub.cli("project", "show", project)["users"]) == {account.id, signed_up, made.id, moved.id}
    assert column(hub, signed_up, "creation_actions_done") == 1


# ---- Verifying ----

def link(hub, email):
    """The parameters of the link in the welcome mail."""
    url = link_in(mail_to(hub, email), "/auth/verify")
    assert url.startswith("https://math.example.edu/hub/auth/verify?email=")
    return {name: value for name, [value] in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def verify(hub, parameters, method="post"):
    if method == "post":
        return httpx.post(f"{hub.url}/auth/verify", data=parameters, timeout=60)
    return httpx.get(f"{hub.url}/auth/verify", params=parameters, timeout=60)


def test_verify(verifying_site):
    hub = verifying_site
    account_id, email = sign_up(hub, email_address=address("o'hara+&"))
    parameters = link(hub, email)
    assert parameters["email"] == email and re.fullmatch("[a-z0-9]{16}", parameters["token"])
    challenge = json.loads(column(hub, account_id, "email_address_challenge"))
    assert challenge.pop("time").endswith("Z") and challenge == parameters

    for _ in range(2):  # programs that look through mail follow links
        page = verify(hub, parameters, "get")
        assert page.status_code == 200 and "<script" not in page.text
        assert column(hub, account_id, "email_address_verified") is None
    fields = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page.text)}
    assert fields == parameters

    assert verify(hub, fields).status_code == 200
    [(verified, time)] = json.loads(column(hub, account_id, "email_address_verified")).items()
    assert verified == email and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert column(hub, account_id, "email_address_challenge") is None
    for method in ("get", "post"):
        again = verify(hub, fields, method)
        assert again.status_code == 404 and NOT_VALID in again.text


def test_verify_keeps_what_was_verified(verifying_site):
    account_id, email = sign_up(verifying_site)
    execute(verifying_site, "UPDATE accounts SET email_address_verified = '{\"old@example.org\":\"2020-01-01T00:00:00.000Z\"}'"
                            " WHERE account_id = ?", account_id)
    assert verify(verifying_site, {**link(verifying_site, email), "email": email.upper()}).status_code == 200
    assert set(json.loads(column(verifying_site, account_id, "email_address_verified"))) == {"old@example.org", email}


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_wrong_link(verifying_site, method):
    account_id, email = sign_up(verifying_site)
    token = link(verifying_site, email)["token"]
    for parameters in ({}, {"email": email}, {"token": token}, {"email": email, "token": token[:-1]},
                       {"email": email, "token": token.upper() if token.upper() != token else "x" * 16},
                       {"email": email, "token": token + "a"}, {"email": address(), "token": token},
                       {"email": "x" * 5000, "token": token}, {"email": '"><script>', "token": '"><script>'}):
        reply = verify(verifying_site, parameters, method)
        assert reply.status_code == 404 and NOT_VALID in reply.text
    assert column(verifying_site, account_id, "email_address_verified") is None


def test_a_link_lives_a_day_and_is_for_its_address(verifying_site):
    hub = verifying_site
    account_id, email = sign_up(hub)
    parameters = link(hub, email)
    challenge = json.loads(column(hub, account_id, "email_address_challenge"))

    def with_challenge(**changes):
        execute(hub, "UPDATE accounts SET email_address_challenge = ? WHERE account_id = ?",
                json.dumps({**challenge, **changes}), account_id)
        return verify(hub, parameters, "get").status_code

    year = int(challenge["time"][:4])
    assert with_challenge() == 200
    assert with_challenge(time=challenge["time"].replace(str(year), str(year - 1), 1)) == 404
    assert with_challenge(email=address()) == 404
    assert with_challenge(time="nonsense") == 404


# ---- change_email_address ----

def change(hub, caller, email, password=None, **more):
    if password is not None:
        more["password"] = password
    reply = hub.call("change_email_address", key=caller, new_email_address=email, id=5,
                     **{"account_id": caller.id, **more})
    assert reply.pop("event") == "changed_email_address" and reply.pop("id") == 5 and set(reply) == {"error"}
    return reply["error"]


@pytest.fixture
def person(hub):
    return hub.account(password="the password")


def found(hub, email):
    return [result["account_id"] for result in hub.call("user_search", query=email)["results"]]


def test_change(hub, person):
    new = address("New")
    assert change(hub, person, new, "the password", old_email_address="whatever") is False
    assert found(hub, new) == [person.id] and found(hub, person.email) == []
    assert column(hub, person.id, "email_address") == new.lower()
    [(logged,)] = execute(hub, "SELECT value FROM central_log WHERE event = 'change_email_address' AND value LIKE ?",
                          f"%{person.id}%")
    assert json.loads(logged) == {"account_id": person.id, "ip_address": "127.0.0.1"}
    assert mails(hub, new.lower()) == []
    assert hub.call("create_account", email_address=person.email)["event"] == "account_created"  # free again


@pytest.mark.parametrize("email", ["", "nonsense", "a@", "x" * 250 + "@x.org"])
def test_malformed_comes_first(hub, person, email):
    assert change(hub, person, email, "wrong", account_id=hub.account().id) == "email_invalid"


@pytest.mark.parametrize("account_id", ["nonsense", "5a3e5f3c-2f66-4a52-9d9d-0c6ef0c6b1f1", None])
def test_another_account_comes_second(hub, person, account_id):
    account_id = account_id or hub.account(password="the password").id
    assert change(hub, person, address(), "wrong", account_id=account_id) == \
        "account_id in mesg is not what user is signed in as"


@pytest.mark.parametrize("password", [None, "", "wrong"])
def test_a_wrong_password_comes_third(hub, person, password):
    assert change(hub, person, person.email, password) == "invalid_password"
    assert column(hub, person.id, "email_address") == person.email


def test_an_address_in_use(hub, person):
    other = hub.account()
    for email in (other.email, other.email.upper(), person.email):
        assert change(hub, person, email, "the password") == "email_already_taken"


@pytest.mark.parametrize("password", [None, ""])
def test_an_account_without_password_needs_none(hub, password):
    person = hub.account()
    assert change(hub, person, address(), password) is False
    assert column(hub, person.id, "password_hash") is None


def test_an_account_without_password_gets_the_one_that_is_sent(hub):
    person, new = hub.account(), address()
    assert change(hub, person, new, "short") == "invalid_password"
    assert change(hub, person, hub.account().email, "the password") == "email_already_taken"
    assert column(hub, person.id, "password_hash") is None
    assert change(hub, person, new, "the password") is False
    assert change(hub, person, address(), "another") == "invalid_password"
    assert hub.call("user_auth", key=person, account_id=person.id, password="the password")["event"] == "user_auth_token"


def test_wrong_passwords_count_with_those_of_change_password(hub, person):
    for number in range(5):
        assert change(hub, person, address(), f"guess {number}") == "invalid_password"
    assert change(hub, person, address(), "the password") == TOO_MANY
    reply = hub.call("change_password", key=person, account_id=person.id, old_password="the password", new_password="another")
    assert reply["error"] == TOO_MANY


def test_of_two_who_want_one_address_one_gets_it(hub):
    people, new = [hub.account() for _ in range(4)], address()
    replies = []
    for person in people:  # each sends on a connection of its own before any answer is read
        pending = Pending(hub, person)
        pending.send("change_email_address", account_id=person.id, new_email_address=new)
        replies.append(pending)
    errors = [reply["error"] for pending in replies for reply in pending.replies().values()]
    for pending in replies:
        pending.close()
    assert sorted(map(str, errors)) == ["False"] + ["email_already_taken"] * 3
