# SPDX-License-Identifier: AGPL-3.0-or-later
"""Support tickets: filed and listed by the API, followed and answered on their pages and from the command line."""
import html
import re
import time

import httpx
import pytest

from harness.process import wait_until
from harness.server import CommandFailed
from harness.store import execute, execute_many

COURSE = "cc8f1243-d573-4562-9aab-c15a3872d683"
HELP = "help@localhost"


def create(hub, account, **parameters):
    reply = hub.call("create_support_ticket", key=account, **{"email_address": "ada@example.org", "subject": "A question",
                                                              "body": "What now?", **parameters})
    assert reply["event"] == "support_ticket_url", reply
    return reply["url"]


def problem(hub, account, **parameters):
    reply = hub.call("create_support_ticket", key=account, **{"email_address": "ada@example.org", "subject": "A question",
                                                              "body": "What now?", **parameters})
    assert reply["event"] == "error", reply
    return reply["error"]


def tickets(hub, account):
    reply = hub.call("get_support_tickets", key=account)
    assert reply["event"] == "support_tickets", reply
    return reply["tickets"]


def number(url):
    return int(re.search(r"/requests/(\d+)\?key=[A-Za-z0-9]{24}$", url)[1])


def description(hub, account, body, **parameters):
    create(hub, account, account_id=account.id, body=body, **parameters)
    return tickets(hub, account)[0]["description"]


def mail(hub, ticket_number, to):
    """The newest mail of a ticket to an address, whole."""
    def look():
        return next((entry for entry in hub.cli("mail", "list")
                     if entry["subject"].startswith(f"[#{ticket_number}] ") and entry["to"] == to), None)
    return hub.cli("mail", "show", wait_until(look, 60, f"mail of ticket {ticket_number} to {to}")["id"])


# ---- Filing and listing ----

def test_create_and_list(hub, account):
    first = create(hub, account, account_id=account.id)
    second = create(hub, account, account_id=account.id.upper(), subject="Second", username="Ada")
    assert first.startswith(f"{hub.url}/requests/") and number(second) > number(first)
    found = tickets(hub, account)
    assert [ticket["id"] for ticket in found] == [number(second), number(first)]
    assert found[1].keys() == {"id", "subject", "description", "created_at", "updated_at", "status", "url"}
    assert (found[1]["subject"], found[1]["status"], found[1]["url"]) == ("A question", "new", first)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found[1][name]) for name in ("created_at", "updated_at"))


def test_without_account_id_it_is_in_nobodys_list(hub, account):
    create(hub, account)
    assert tickets(hub, account) == []


def test_lists_are_of_ones_own(hub, account):
    create(hub, account, account_id=account.id)
    assert tickets(hub, hub.account()) == []


def test_a_form_does(hub, account):
    reply = hub.api("create_support_ticket", key=account, form=[
        ("email_address", "ada@example.org"), ("subject", "s"), ("body", "b"), ("tags[]", "x"), ("info[course]", COURSE),
        ("account_id", account.id)]).json()
    assert reply["event"] == "support_ticket_url"
    assert f"Course: {hub.url}/projects/{COURSE}" in tickets(hub, account)[0]["description"]


@pytest.mark.parametrize("missing", ["email_address", "subject", "body"])
def test_what_is_required(hub, missing):
    parameters = {"email_address": "ada@example.org", "subject": "s", "body": "b"}
    del parameters[missing]
    response = hub.api("create_support_ticket", json=parameters)
    assert response.status_code == 400
    assert response.json()["error"].startswith(f"invalid parameters 'Error: misc.defaults -- TypeError: property '{missing}' must")


def test_a_key_is_needed(hub):
    assert hub.api("get_support_tickets", key="").json() == {"error": "No account found. Is your API key wrong?"}


# ---- Whose ticket it is ----

def test_nobody_files_into_anothers_list(hub, account):
    other = hub.account()
    assert problem(hub, account, account_id=other.id) == "account_id must be that of your own account"
    assert tickets(hub, other) == []


def test_administrators_file_for_others(hub, account):
    admin = hub.account(admin=True)
    create(hub, admin, account_id=account.id)
    assert len(tickets(hub, account)) == 1 and tickets(hub, admin) == []
    nobody = "00000000-0000-4000-8000-000000000000"
    assert problem(hub, admin, account_id=nobody) == f"there is no account {nobody}"


def test_account_id_that_is_none(hub, account):
    assert problem(hub, account, account_id="x") == "invalid account_id -- x"


# ---- The description (api-v1 10.1) ----

def test_location_and_course(hub, account):
    text = description(hub, account, "package xyz", location="/projects/0010abe1-9283-4b42-b403-fa4fc1e3be57/w.sagews",
                       info={"course": COURSE, "user_agent": "Mozilla/5.0"})
    assert text == (f"package xyz\n\n{hub.url}/projects/0010abe1-9283-4b42-b403-fa4fc1e3be57/w.sagews\n\n"
                    f"Course: {hub.url}/projects/{COURSE}")


@pytest.mark.parametrize("location, line", [
    ("a/b", "/a/b"), ("//a//b", "/a/b"), ("/a\n b", "/ab"), ("https://evil.example", "/https:/evil.example"), ("/é", "/é")])
def test_locations_are_of_this_site(hub, account, location, line):
    assert description(hub, account, "x", location=location) == f"x\n\n{hub.url}{line}"


@pytest.mark.parametrize("course", ["x", 7, None, "../etc", COURSE + "x"])
def test_a_course_that_is_none_is_left_out(hub, account, course):
    assert description(hub, account, "x", info={"course": course}) == "x\n\n(No location was given.)"


@pytest.mark.parametrize("body, expected", [
    ("see {url}/projects/x.", "see {url}/projects/x?session=."),
    ("{url}?a=1 {url}/", "{url}?a=1&session= {url}/?session="),
    ("{url}/x?session=secret&a=1 http://else.example/?b&session=secret", "{url}/x?session=&a=1 http://else.example/?b&session="),
    ("<a href=\"{url}/x\">y</a>", "<a href=\"{url}/x?session=\">y</a>"),
    ("{url}.evil.example/x", "{url}.evil.example/x"),
    ("my session=5 stays", "my session=5 stays")])
def test_sessions_in_addresses(hub, account, body, expected):
    text = description(hub, account, body.format(url=hub.url))
    assert text == expected.format(url=hub.url) + "\n\n(No location was given.)"


# ---- Limits ----

@pytest.mark.parametrize("parameters, error", [
    ({"subject": "x" * 1001}, "subject must have at most 1000 bytes"),
    ({"username": "x" * 1001}, "username must have at most 1000 bytes"),
    ({"location": "x" * 1001}, "location must have at most 1000 bytes"),
    ({"body": "x" * 32769}, "body must have at most 32768 bytes"),
    ({"info": {"x": "x" * 8192}}, "info must have at most 8192 bytes"),
    ({"tags": ["x" * 101]}, "a tag must have at most 100 bytes"),
    ({"tags": ["x"] * 51}, "there must be at most 50 tags"),
    ({"info": [1]}, "info must be an object")])
def test_sizes(hub, account, parameters, error):
    assert problem(hub, account, **parameters) == error


def test_the_largest_ticket(hub, account):
    url = create(hub, account, account_id=account.id, subject='"' * 1000, body='"' * 32768, username='"' * 1000,
                 location="/" + "x" * 999, info={"x": '"' * 4000}, tags=['"' * 100] * 50)
    assert tickets(hub, account)[0]["description"].startswith('"' * 32768)
    assert mail(hub, number(url), HELP)["text"].startswith('"' * 32768)
    assert httpx.get(url, trust_env=False).status_code == 200


def test_tickets_in_an_hour(hub, account):
    for _ in range(20):
        create(hub, account)
    assert problem(hub, account) == "at most 20 support tickets can be created in an hour; try again later"
    execute(hub, "UPDATE support_tickets SET created = created - 3600001 WHERE created_by = ?", account.id)
    create(hub, account)
    admin = hub.account(admin=True)
    for _ in range(21):
        create(hub, admin)


# ---- Mail to those who help, and their answers ----

def test_the_help_address_is_told(hub, account):
    url = create(hub, account, username="Ada L.", tags=["member"], info={"browser": "x"}, body="<b>What</b>\nnow?")
    told = mail(hub, number(url), HELP)
    assert told["headers"]["Reply-To"] == '"Ada L." <ada@example.org>' and told["subject"] == f"[#{number(url)}] A question"
    assert told["text"].startswith("<b>What</b>\nnow?\n\n(No location was given.)\n\nThe request: " + url)
    for line in ("- name: Ada L.", "- address: ada@example.org", f"- account: {account.id}", '- tags: ["member"]',
                 '- info: {"browser":"x"}'):
        assert line in told["text"].splitlines()


def test_reply_and_close(hub, account, tmp_path):
    url = create(hub, account, account_id=account.id)
    shown = hub.cli("ticket", "reply", str(number(url)), input="Try this.\n")
    assert (shown["status"], shown["url"]) == ("pending", url)
    assert [(reply["from"], reply["body"]) for reply in shown["replies"]] == [("support", "Try this.\n")]
    answer = mail(hub, number(url), "ada@example.org")
    assert answer["headers"]["Reply-To"] == f"cohub <{HELP}>"
    assert answer["text"].startswith(f"Try this.\n\nYour request, where you can answer: {url}\n")
    assert tickets(hub, account)[0]["status"] == "pending"
    (tmp_path / "text").write_text("From a file: é", encoding="utf-8")
    shown = hub.cli("ticket", "reply", str(number(url)), "--text-file", str(tmp_path / "text"))
    assert shown["replies"][1]["body"] == "From a file: é"
    assert hub.cli("ticket", "reply", str(number(url)), "--text-file", "-", input="x")["replies"][2]["body"] == "x"
    assert hub.cli("ticket", "close", str(number(url)))["status"] == "closed"
    assert tickets(hub, account)[0]["status"] == "closed"


def test_list_of_all(hub, account):
    url = create(hub, account, account_id=account.id, tags=["a", "b"], info={"x": 1}, location="/y")
    listed = next(ticket for ticket in hub.cli("ticket", "list") if ticket["url"] == url)
    assert (listed["tags"], listed["info"], listed["location"], listed["account_id"]) == (["a", "b"], {"x": 1}, "/y", account.id)
    assert (listed["username"], listed["email_address"]) == ("ada@example.org", "ada@example.org")


def test_what_was_closed_long_ago_is_left_out(hub, account):
    url = create(hub, account, account_id=account.id)
    hub.cli("ticket", "close", str(number(url)))
    execute(hub, "UPDATE support_tickets SET updated = updated - 7862400000 WHERE id = ?", number(url))
    assert tickets(hub, account) == []


@pytest.mark.parametrize("words, error", [
    (["reply", "999999"], "there is no support ticket 999999"), (["close", "999999"], "there is no support ticket 999999"),
    (["close", "x"], "x is not the number of a support ticket"), (["close", "-1"], "-1 is not the number of a support ticket")])
def test_no_such_ticket(hub, words, error):
    with pytest.raises(CommandFailed) as failed:
        hub.cli("ticket", *words, input="x")
    assert (failed.value.returncode, failed.value.stderr) == (1, f"cohub: {error}\n")


@pytest.mark.parametrize("text, error", [("", "the answer is empty"), (" \n", "the answer is empty"),
                                         ("x" * 32769, "the answer must have at most 32768 bytes"),
                                         ("x\0y", "the answer is not UTF-8 text")], ids=["nothing", "blank", "long", "NUL"])
def test_answers_that_are_none(hub, account, text, error):
    with pytest.raises(CommandFailed) as failed:
        hub.cli("ticket", "reply", str(number(create(hub, account))), input=text)
    assert failed.value.stderr == f"cohub: {error}\n"


def test_a_file_that_is_not_there(hub):
    done = hub.cli_run("ticket", "reply", "1", "--text-file", "/nowhere/x")
    assert (done.returncode, done.stderr) == (1, "cohub: /nowhere/x cannot be read: No such file or directory\n")


# ---- The page ----

EVIL = "<script>alert(1)</script>\"'&<img src=x>"


def test_the_page(hub, account):
    url = create(hub, account, subject=f"S{EVIL}", body=f"B{EVIL}", username=f"U{EVIL}")
    hub.cli("ticket", "reply", str(number(url)), input=f"R{EVIL}")
    page = httpx.get(url, trust_env=False)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<script" not in page.text and "<img" not in page.text
    for letter in "SBUR":
        assert html.escape(f"{letter}{EVIL}").replace("&#x27;", "&#39;") in page.text
    assert f"Request {number(url)}, <strong>pending</strong>" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")


def test_an_answer_of_the_requester(hub, account):
    url = create(hub, account, account_id=account.id, username="Ada")
    hub.cli("ticket", "reply", str(number(url)), input="Try this.")
    answered = httpx.post(url, data={"answer": "It <works>.\r\nThanks"}, trust_env=False, follow_redirects=True)
    assert answered.status_code == 200 and str(answered.url) == url and len(answered.history) == 1
    assert "It &lt;works&gt;.\r\nThanks" in answered.text and "<strong>open</strong>" in answered.text
    assert tickets(hub, account)[0]["status"] == "open"
    told = mail(hub, number(url), HELP)
    assert told["headers"]["Reply-To"] == "Ada <ada@example.org>"
    assert told["text"].startswith(f"It <works>.\nThanks\n\nThe request: {url}\n")


@pytest.mark.parametrize("change", [lambda url: url[:-1], lambda url: url + "x", lambda url: url.split("?")[0],
                                    lambda url: url[:-1] + ("a" if url[-1] != "a" else "b"),
                                    lambda url: re.sub(r"/\d+\?", "/999999?", url), lambda url: re.sub(r"/\d+\?", "/x?", url),
                                    lambda url: re.sub(r"/\d+\?", "/?", url), lambda url: re.sub(r"/(\d+)\?", r"/0\1/?", url)],
                         ids=range(8))
def test_a_wrong_link_tells_nothing(hub, account, change):
    url = change(create(hub, account, subject="Private matter"))
    for response in (httpx.get(url, trust_env=False), httpx.post(url, data={"answer": "x"}, trust_env=False)):
        assert response.status_code == 404 and "Private matter" not in response.text


@pytest.mark.parametrize("answer, status, text", [
    ("", 400, "the answer is empty"), (" \r\n", 400, "the answer is empty"),
    ("x" * 32769, 400, "the answer must have at most 32768 bytes")], ids=["nothing", "blank", "long"])
def test_answers_that_the_page_refuses(hub, account, answer, status, text):
    url = create(hub, account)
    response = httpx.post(url, data={"answer": answer}, trust_env=False)
    assert response.status_code == status and f'<p class="problem">{text}</p>' in response.text
    assert hub.cli("ticket", "list")[0]["status"] == "new"


def test_what_was_written_is_not_lost_when_refused(hub, account):
    url = create(hub, account)
    response = httpx.post(url, data={"answer": "x" * 32768 + "</textarea>"}, trust_env=False)
    assert "x&lt;/textarea&gt;</textarea>" in response.text


def test_a_closed_request_takes_no_answer(hub, account):
    url = create(hub, account)
    hub.cli("ticket", "close", str(number(url)))
    assert "<form" not in httpx.get(url, trust_env=False).text
    response = httpx.post(url, data={"answer": "x"}, trust_env=False)
    assert response.status_code == 409 and "this request is closed" in response.text


TOO_MANY_IN_AN_HOUR = (429, "at most 20 answers can be added in an hour; try again later")


def refusal(url):
    """Of an answer: status and text, or None if it is taken."""
    response = httpx.post(url, data={"answer": "x"}, trust_env=False)
    if response.status_code == 302:
        return None
    return response.status_code, re.search('<p class="problem">(.*)</p>', response.text)[1]


def answered(hub, url, count, ago_ms=0, staff=False):
    """As if it had been answered so often."""
    now = int(time.time() * 1000) - ago_ms
    execute_many(hub, "INSERT INTO support_ticket_replies (ticket_id, staff, body, time) VALUES (?, ?, 'x', ?)",
                 [(number(url), int(staff), now)] * count)
    execute(hub, "UPDATE support_tickets SET updated = ? WHERE id = ?", now, number(url))


def test_answers_in_an_hour(hub, account):
    """All tickets of an account count together."""
    first, second = create(hub, account), create(hub, account)
    answered(hub, first, 30, ago_ms=3600001)
    answered(hub, first, 19)
    answered(hub, first, 30, staff=True)
    assert refusal(second) is None
    assert refusal(first) == refusal(second) == TOO_MANY_IN_AN_HOUR
    assert refusal(create(hub, hub.account())) is None


def test_answers_to_tickets_that_administrators_file(hub, account):
    admin = hub.account(admin=True)
    first, second = create(hub, admin, account_id=account.id), create(hub, admin)
    answered(hub, first, 20)
    assert (refusal(first), refusal(second)) == (TOO_MANY_IN_AN_HOUR, None)


def test_answers_of_one_ticket(hub, account):
    url = create(hub, account)
    answered(hub, url, 99, ago_ms=3600001)
    assert refusal(url) is None
    assert refusal(url) == (413, "a request takes at most 100 answers; please make a new one")
    assert refusal(create(hub, account)) is None


def test_below_a_base_path(hub_factory):
    hub = hub_factory("--base-path", "/base")
    url = create(hub, hub.account())
    assert url.startswith(f"{hub.url}/requests/") and "/base/" in url
    assert httpx.post(url, data={"answer": "x"}, trust_env=False, follow_redirects=True).status_code == 200
