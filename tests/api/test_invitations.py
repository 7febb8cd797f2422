# SPDX-License-Identifier: AGPL-3.0-or-later
"""Inviting people by account and by address: who joins, who gets which mail, and the page that the mail leads to."""
import datetime
import html
import json
import os
import re
import time

import pytest

from harness import mailbox
from harness.pending import Pending
from harness.process import wait_until
from harness.store import add_user, execute

MISSING = "12345678-1234-4234-8234-123456789012"
LINKS_REFUSED = "Error: Sorry, links to specific websites are not allowed!"
WEEK_MS = 7 * 24 * 3600 * 1000


def users(hub, project_id):
    return {account: entry["group"] for account, entry in hub.cli("project", "show", project_id)["users"].items()}


def error(reply):
    assert reply["event"] == "error", reply
    return reply["error"]


def address():
    return f"new-{os.urandom(6).hex()}@example.net"


def mails(hub, to):
    """The invitations that were sent to an address, newest first."""
    # On its way from the queue to the maildir, a message is in both for a moment.
    sent = {mail["id"]: mail for mail in mailbox.mails(hub, to)}.values()
    return [mail for mail in sent if mail["headers"]["X-Mail-Category"] == "invite"]


def mail(hub, to):
    """The one invitation that was sent to an address."""
    sent = wait_until(lambda: mails(hub, to), 60, f"mail to {to}")
    assert len(sent) == 1
    return sent[0]


def invite(hub, account, project, other, **parameters):
    return hub.call("invite_collaborator", key=account, project_id=project, account_id=other.id, **parameters)


def invite_to(hub, account, project, to, **parameters):
    return hub.call("invite_noncloud_collaborators", key=account, project_id=project, to=to,
                    **{"email": "Please join.", "title": "Class Project", "link2proj": f"{hub.url}/projects/{project}",
                       **parameters})


def noted(hub, project):
    """The project's map of addresses that were sent mail."""
    return json.loads(execute(hub, "SELECT invite FROM projects WHERE project_id = ?", project)[0][0] or "{}")


def note(hub, project, to, age_ms, problem=None):
    """Makes it as if the mail had been sent, or had failed, that long ago."""
    sent = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(milliseconds=age_ms)
    entry = {"time": sent.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z", **({"error": problem} if problem else {})}
    execute(hub, "UPDATE projects SET invite = ? WHERE project_id = ?", json.dumps({to: entry}), project)


def give_network(hub, account, project, how):
    if how == "settings":
        execute(hub, "UPDATE projects SET settings = '{\"network\":1}' WHERE project_id = ?", project)
    elif how == "a user's upgrade":
        other = hub.account()
        add_user(hub, project, other, "collaborator")
        execute(hub, "UPDATE project_users SET upgrades = '{\"network\":1}' WHERE account_id = ?", other.id)
    else:
        execute(hub, "UPDATE accounts SET upgrades = '{\"memory\":1000}' WHERE account_id = ?", account.id)


# ---- invite_collaborator ----

def test_invited_account_is_collaborator_at_once(hub, account, project):
    other = hub.account()
    reply = invite(hub, account, project, other, id="mine")
    assert reply == {"event": "success", "id": "mine"}
    assert users(hub, project)[other.id] == "collaborator"
    assert mails(hub, other.email) == []


@pytest.mark.parametrize("group, becomes", [("owner", "owner"), ("collaborator", "collaborator"),
                                            ("viewer", "collaborator"), ("invited_collaborator", "collaborator")])
def test_invited_user_of_the_project(hub, account, project, group, becomes):
    other = hub.account()
    add_user(hub, project, other, group)
    assert invite(hub, account, project, other)["event"] == "success"
    assert users(hub, project)[other.id] == becomes


def test_invite_malformed_account(hub, account, project):
    assert error(hub.call("invite_collaborator", key=account, project_id=project, account_id="x")) == (
        "invalid account_id -- x")


def test_invite_account_that_does_not_exist(hub, account, project):
    assert error(hub.call("invite_collaborator", key=account, project_id=project, account_id=MISSING)) == (
        f"account {MISSING} does not exist")
    assert users(hub, project) == {account.id: "owner"}


def test_invite_account_that_is_deleted(hub, account, project):
    other = hub.account()
    hub.cli("account", "delete", other.id)
    assert error(invite(hub, account, project, other)) == f"account {other.id} does not exist"


@pytest.mark.parametrize("event, parameters", [
    ("invite_collaborator", {"account_id": MISSING}),
    ("invite_noncloud_collaborators", {"to": "a@example.net", "email": "", "title": "", "link2proj": ""}),
])
@pytest.mark.parametrize("group", [None, "viewer", "invited_collaborator"])
def test_invite_without_right(hub, project, event, parameters, group):
    other = hub.account()
    if group:
        add_user(hub, project, other, group)
    assert error(hub.call(event, key=other, project_id=project, **parameters)) == (
        f"User {other.id} does not have write access to project {project}")
    assert error(hub.call(event, key=other, project_id="x", **parameters)) == (
        "Internal error determining user permission -- invalid project_id -- x")


def test_mail_to_an_account(hub, account, project):
    other, link = hub.account(), f"{hub.url}/projects/{project}"
    invite(hub, account, project, other, email="Hello <b>you</b>\n& you", title="Class <Project>", link2proj=link,
           replyto="me@example.org", replyto_name="John Smith")
    sent = mail(hub, other.email)
    assert sent["subject"] == "John Smith invited you to collaborate on cohub in project 'Class <Project>'"
    assert sent["headers"]["Reply-To"] == "John Smith <me@example.org>"
    assert "Hello <b>you</b>" in sent["html"] and "&amp; you" in sent["html"]
    assert f"""<a href="{link}">the project 'Class &lt;Project&gt;'</a>""" in sent["html"].replace("&#39;", "'")
    assert hub.url in sent["text"] and other.email in sent["text"] and link in sent["text"]
    assert "/auth/invitation" not in sent["text"]


def test_default_subject_without_a_name(hub, account):
    project, other = hub.project(account, title="Bridges"), hub.account()
    invite(hub, account, project, other, email="Hello")
    sent = mail(hub, other.email)
    assert sent["subject"] == "Invitation to cohub for collaborating in project 'Bridges'"
    assert "help@" in sent["headers"]["Reply-To"]


def test_own_subject(hub, account, project):
    other = hub.account()
    invite(hub, account, project, other, email="Hello", subject="Come ünd see")
    assert mail(hub, other.email)["subject"] == "Come ünd see"


def test_empty_text_is_the_subject(hub, account, project):
    other = hub.account()
    invite(hub, account, project, other, email="", subject="Come & see")
    assert "Come &amp; see<br>" in mail(hub, other.email)["html"]


def test_without_an_address_there_is_no_mail(hub, account, project):
    made = hub.call("create_account", key=account)["account_id"]
    reply = hub.call("invite_collaborator", key=account, project_id=project, account_id=made, email="Hello")
    assert reply["event"] == "success" and users(hub, project)[made] == "collaborator"
    assert noted(hub, project) == {}


def test_html_is_cleaned(hub, account, project):
    other = hub.account()
    invite(hub, account, project, other, email="<h1 onclick='x()'>Hi</h1><script>alert(1)</script><img src=x><p>there")
    sent = mail(hub, other.email)["html"]
    assert "<h1>Hi</h1>" in sent and "<p>there</p>" in sent
    assert not re.search(r"onclick|script|alert|img", sent)


# ---- Links in the text ----

@pytest.mark.parametrize("text", ["see https://evil.example/x", "see evil.example now",
                                  "<a href='http://10.1.2.3/'>here</a>", "https:<sub></sub>//evil<q></q>.example/x"])
def test_links_are_refused(hub, account, project, text):
    other = hub.account()
    assert error(invite(hub, account, project, other, email=text)) == LINKS_REFUSED
    assert users(hub, project)[other.id] == "collaborator"
    assert mails(hub, other.email) == [] and noted(hub, project) == {}


@pytest.mark.parametrize("subject", ["buy.example now", "buy\uff0eexample now", "<style>buy.example</style>"])
def test_link_in_the_subject_is_refused(hub, account, project, subject):
    reply = invite(hub, account, project, hub.account(), email="Hello", subject=subject)
    assert error(reply) == LINKS_REFUSED


def test_title_and_name_that_look_like_links_are_left_out(hub, account, project):
    other = hub.account()
    assert invite(hub, account, project, other, email="Hello", title="buy.example", replyto_name="www.buy.example",
                  replyto="me@example.org")["event"] == "success"
    sent = mail(hub, other.email)
    assert sent["subject"] == "Invitation to cohub"
    assert "buy.example" not in sent["raw"]


@pytest.mark.parametrize("how", ["settings", "a user's upgrade", "upgrades to give"])
def test_links_are_allowed(hub, account, project, how):
    other = hub.account()
    give_network(hub, account, project, how)
    reply = invite(hub, account, project, other, email="see <a href='https://good.example/x'>this</a>", title="node.js",
                   link2proj="https://portal.example/p")
    assert reply["event"] == "success"
    sent = mail(hub, other.email)
    assert '<a href="https://good.example/x">this</a>' in sent["html"]
    assert '<a href="https://portal.example/p">' in sent["html"] and "node.js" in sent["subject"]


def test_links_are_allowed_by_the_sites_network_but_not_against_a_projects_own(hub_factory):
    hub = hub_factory(env={"COHUB_PROJECTS_NETWORK": "1"})
    account = hub.account()
    project = hub.project(account)
    assert invite(hub, account, project, hub.account(), email="see good.example")["event"] == "success"
    execute(hub, "UPDATE projects SET disable_internet = 1 WHERE project_id = ?", project)
    assert error(invite(hub, account, project, hub.account(), email="see good.example")) == LINKS_REFUSED


@pytest.mark.parametrize("link", ["https://portal.example/p?a=1&b=2", "javascript:alert(1)", "{url}@evil.example/",
                                  "{url}\"onclick=x", "{url} https://evil.example/"])
def test_link_to_elsewhere_is_left_out(hub, account, project, link):
    other, link = hub.account(), link.format(url=hub.url)
    invite(hub, account, project, other, email="Hello", link2proj=link)
    sent = mail(hub, other.email)
    assert {url for url in re.findall(r'href="([^"]*)"', sent["html"]) if not url.startswith("mailto:")} == {hub.url}
    for word in ("portal", "javascript", "evil", "onclick", link):
        assert word not in html.unescape(sent["html"]) and word not in sent["text"]


def test_links_are_refused_to_strangers_too(hub, account, project):
    to = address()
    assert error(invite_to(hub, account, project, to, email="see evil.example")) == LINKS_REFUSED
    assert mails(hub, to) == []


# ---- Once a week ----

def test_second_mail_is_not_sent(hub, account, project):
    other = hub.account()
    invite(hub, account, project, other, email="one")
    mail(hub, other.email)
    assert invite(hub, account, project, other, email="two")["event"] == "success"
    assert len(mails(hub, other.email)) == 1
    assert list(noted(hub, project)) == [other.email] and "error" not in noted(hub, project)[other.email]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", noted(hub, project)[other.email]["time"])


def test_each_project_sends_its_own(hub, account, project):
    other = hub.account()
    invite(hub, account, project, other, email="one")
    invite(hub, account, hub.project(account), other, email="two")
    wait_until(lambda: len(mails(hub, other.email)) == 2, 60, "two mails")


@pytest.mark.parametrize("age_ms, problem, count", [(WEEK_MS - 60000, None, 0), (WEEK_MS + 60000, None, 1),
                                                    (1000, "failed", 1)])
def test_a_success_counts_a_week_and_a_failure_not(hub, account, project, age_ms, problem, count):
    other = hub.account()
    note(hub, project, other.email, age_ms, problem)
    assert invite(hub, account, project, other, email="again")["event"] == "success"
    if count:
        mail(hub, other.email)
    assert len(mails(hub, other.email)) == count


def test_project_remembers_a_thousand_addresses(hub, account, project):
    entries = {f"x{i}@example.net": {"time": f"2026-01-01T00:00:00.{i:03}Z"} for i in range(1000)}
    execute(hub, "UPDATE projects SET invite = ? WHERE project_id = ?", json.dumps(entries), project)
    other = hub.account()
    invite(hub, account, project, other, email="Hello")
    assert len(noted(hub, project)) == 1000
    assert "x0@example.net" not in noted(hub, project) and other.email in noted(hub, project)


def test_refused_domain(hub, account, project):
    other = hub.account(email=f"a-{project}@qq.com")
    assert error(invite(hub, account, project, other, email="Hello")) == "banned domain"
    assert users(hub, project)[other.id] == "collaborator"
    assert noted(hub, project)[other.email]["error"] == "banned domain"


def send_before(hub, account_id, recipient, count, age_s):
    """Makes it as if so many invitations had been sent, that long ago."""
    execute(hub, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                 " INSERT INTO invitation_mails (account_id, recipient, time) SELECT ?, ?, ? FROM n",
            count, account_id, recipient, int((time.time() - age_s) * 1000))


def test_so_many_a_day_from_one_account(hub, account, project):
    other, to = hub.account(), address()
    send_before(hub, account.id, "x", 1000, 60)
    assert error(invite(hub, account, project, other, email="Hello")) == (
        "too many invitations by you within a day; try again tomorrow")
    assert users(hub, project)[other.id] == "collaborator"
    assert error(invite_to(hub, account, project, to)) == "too many invitations by you within a day; try again tomorrow"
    assert execute(hub, "SELECT 1 FROM account_creation_actions WHERE email_address = ?", to) == []


def test_so_many_a_day_to_one_address(hub, account, project):
    to = address()
    send_before(hub, "x", to, 100, 60)
    assert error(invite_to(hub, account, project, to)) == (
        "too many invitations to this address within a day; try again tomorrow")


def test_what_is_a_day_old_does_not_count(hub, account, project):
    other = hub.account()
    send_before(hub, account.id, "x", 1000, 86401)
    assert invite(hub, account, project, other, email="Hello")["event"] == "success"
    assert execute(hub, "SELECT count(*) FROM invitation_mails WHERE account_id = ?", account.id) == [(1,)]


# ---- What strangers write ends in no header ----

@pytest.mark.parametrize("field", ["subject", "title", "replyto_name"])
def test_no_line_breaks_into_headers(hub, account, project, field):
    other = hub.account()
    invite(hub, account, project, other, email="Hello", replyto="me@example.org",
           **{field: "x\r\nBcc: victim@example\r\n\r\nbody"})
    sent = mail(hub, other.email)
    assert not {"bcc", "cc"} & {name.lower() for name in sent["headers"]}
    assert sent["headers"]["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("replyto", ["x\r\nBcc: victim@example", "a@b, c@d", "nobody"])
def test_replyto_that_is_no_address(hub, account, project, replyto):
    other, to, refused = hub.account(), address(), f"invalid email address '{replyto}'"
    assert error(invite(hub, account, project, other, email="Hello", replyto=replyto)) == refused
    assert error(invite_to(hub, account, project, to, replyto=replyto)) == refused
    assert mails(hub, other.email) == mails(hub, to) == []


@pytest.mark.parametrize("field, size", [("email", 16384), ("subject", 1024), ("title", 1024), ("link2proj", 1024),
                                         ("replyto", 1024), ("replyto_name", 1024)])
def test_texts_are_bounded(hub, account, project, field, size):
    other = hub.account()
    assert error(invite(hub, account, project, other, **{"email": "Hello", field: "x" * (size + 1)})) == (
        f"{field} must have at most {size} bytes")
    assert other.id not in users(hub, project)


def test_text_that_cannot_be_made_a_mail(hub, account, project):
    other, to = hub.account(), address()
    give_network(hub, account, project, "settings")
    refused = "error sending email -- the text must have at most 100 levels of HTML elements"
    assert error(invite(hub, account, project, other, email="<b>" * 101 + "x")) == refused
    assert users(hub, project)[other.id] == "collaborator"
    assert error(invite_to(hub, account, project, to, email="<b>" * 101 + "x")) == refused


def test_longest_text(hub, account, project):
    other, text = hub.account(), "word " * 3276 + "end."
    assert invite(hub, account, project, other, email=text)["event"] == "success"
    assert text in mail(hub, other.email)["html"]


# ---- invite_noncloud_collaborators ----

def test_invite_an_address(hub, account, project):
    to = address()
    reply = invite_to(hub, account, project, to, id="mine")
    assert reply == {"event": "invite_noncloud_collaborators_resp", "id": "mine",
                     "mesg": f"Invited {to} to collaborate on a project."}
    sent = mail(hub, to)
    assert sent["subject"] == "cohub Invitation"
    assert "Please join." in sent["text"] and to in sent["text"]
    assert f'<a href="{hub.url}/projects/{project}">' in sent["html"] and "Class Project" in sent["text"]
    assert re.search(re.escape(f'href="{hub.url}/auth/invitation?token=') + "[0-9a-f-]{36}\"", sent["html"])


def test_own_subject_to_an_address(hub, account, project):
    to = address()
    invite_to(hub, account, project, to, subject="Join us", replyto="me@example.org", replyto_name="Me")
    sent = mail(hub, to)
    assert (sent["subject"], sent["headers"]["Reply-To"]) == ("Join us", "Me <me@example.org>")


@pytest.mark.long
def test_many_addresses(hub, account, project):
    to = [address() for _ in range(20)]
    text = f"{to[0]},{to[1]};{to[2]} {to[3]}\n{to[4]},, ;" + ",".join(to[5:])
    assert invite_to(hub, account, project, text)["mesg"] == f"Invited {text} to collaborate on a project."
    for one in to:
        mail(hub, one)
    assert sorted(noted(hub, project)) == sorted(to)


@pytest.mark.parametrize("group, becomes", [(None, "collaborator"), ("owner", "owner"), ("viewer", "collaborator")])
def test_address_of_an_account(hub, account, project, group, becomes):
    other = hub.account()
    if group:
        add_user(hub, project, other, group)
    assert invite_to(hub, account, project, other.email.upper())["event"] == "invite_noncloud_collaborators_resp"
    assert users(hub, project)[other.id] == becomes
    assert mails(hub, other.email) == []


@pytest.mark.parametrize("bad, text", [
    ("nobody", "invalid email address 'nobody'"),
    ("a@b@c", "invalid email address 'a@b@c'"),
    ("X" * 116 + "@example.net", "email address must be at most 128 characters: '" + "x" * 116 + "@example.net'"),
    ("x" * 300 + "@example.net", "email address must be at most 128 characters: '" + "x" * 300 + "@example.net'"),
])
def test_bad_address_among_good_ones(hub, account, project, bad, text):
    one, two = address(), address()
    assert error(invite_to(hub, account, project, f"{one},{bad},{two}")) == text
    mail(hub, one)
    mail(hub, two)


def test_longest_address(hub, account, project):
    to = "x" * 115 + "@example.net"
    assert len(to) == 127
    assert invite_to(hub, account, project, to)["event"] == "invite_noncloud_collaborators_resp"


def test_too_many_recipients(hub, account, project):
    assert error(invite_to(hub, account, project, "ä" * 1025)) == (
        "Specify less recipients when adding collaborators to project.")


def test_as_many_recipients_as_may_be(hub, account, project):
    to = ",".join(f"{i}@n{i}" for i in range(1000))[:1024].rpartition(",")[0]
    assert invite_to(hub, account, project, to)["mesg"] == f"Invited {to} to collaborate on a project."
    assert len(noted(hub, project)) == to.count(",") + 1


def test_failing_mail_is_not_told(hub, account, project):
    to = f"b-{project}@qq.com"
    assert invite_to(hub, account, project, to)["event"] == "invite_noncloud_collaborators_resp"
    assert noted(hub, project)[to]["error"] == "banned domain"


def test_inviting_an_address_again(hub, account, project):
    to = address()
    invite_to(hub, account, project, to)
    first = execute(hub, "SELECT id, expire FROM account_creation_actions WHERE email_address = ?", to)
    execute(hub, "UPDATE account_creation_actions SET expire = expire - 1000 WHERE email_address = ?", to)
    invite_to(hub, account, project, to)
    again = execute(hub, "SELECT id, expire FROM account_creation_actions WHERE email_address = ?", to)
    assert len(again) == 1 and again[0][0] == first[0][0] and again[0][1] >= first[0][1]
    mail(hub, to)


def test_calls_at_once_send_one_mail(hub, account, project):
    to = address()
    with Pending(hub, account) as pending:
        for _ in range(6):
            pending.send("invite_noncloud_collaborators", project_id=project, to=to, email="x", title="", link2proj="")
        assert {reply["event"] for reply in pending.replies().values()} == {"invite_noncloud_collaborators_resp"}
    mail(hub, to)


# ---- Signing up ----

def sign_up(hub, to, **parameters):
    reply = hub.call("create_account", first_name="New", last_name="Person", email_address=to, password="secret_word",
                     **parameters)
    assert reply["event"] == "account_created", reply
    return reply["account_id"]


def token_of(hub, to):
    return re.search(r"invitation\?token=([0-9a-f-]{36})", mail(hub, to)["html"])[1]


def page(hub, token):
    return hub.client.get(f"{hub.url}/auth/invitation", params={"token": token})


def post(hub, token, **fields):
    form = {"token": token, "first_name": "New", "last_name": "Person", "password": "secret_word", **fields}
    return hub.client.post(f"{hub.url}/auth/invitation", data=form)


def account_of(hub, to):
    return hub.cli("account", "show", to)


def test_who_signs_up_joins(hub, account, project):
    to, second = address(), hub.project(account)
    invite_to(hub, account, project, to)
    invite_to(hub, account, second, to)
    made = sign_up(hub, to.upper())
    assert users(hub, project)[made] == users(hub, second)[made] == "collaborator"
    assert execute(hub, "SELECT creation_actions_done FROM accounts WHERE account_id = ?", made) == [(1,)]


def test_who_gets_an_account_from_the_administrator_joins(hub, account, project):
    to = address()
    invite_to(hub, account, project, to)
    made = hub.account(email=to)
    assert users(hub, project)[made.id] == "collaborator"


def test_who_changes_to_the_address_joins(hub, account, project):
    to, other = address(), hub.account(password="secret_word")
    invite_to(hub, account, project, to)
    reply = hub.call("change_email_address", key=other, account_id=other.id, new_email_address=to,
                     password="secret_word")
    assert reply["error"] is False
    assert users(hub, project)[other.id] == "collaborator"


def test_invitation_expires(hub, account, project):
    to = address()
    invite_to(hub, account, project, to)
    token = token_of(hub, to)
    execute(hub, "UPDATE account_creation_actions SET expire = 1 WHERE email_address = ?", to)
    assert page(hub, token).status_code == 404
    assert sign_up(hub, to) not in users(hub, project)
    assert execute(hub, "SELECT 1 FROM account_creation_actions WHERE email_address = ?", to) == []


def test_invitation_counts_once(hub, account, project):
    to = address()
    invite_to(hub, account, project, to)
    token, made = token_of(hub, to), sign_up(hub, to)
    hub.call("remove_collaborator", key=account, project_id=project, account_id=made)
    hub.cli("account", "delete", made)
    assert page(hub, token).status_code == 410
    assert sign_up(hub, to) not in users(hub, project)
    assert page(hub, token).status_code == 410


def test_invitation_lasts_14_days(hub, account, project):
    to = address()
    invite_to(hub, account, project, to)
    sent = datetime.datetime.fromisoformat(noted(hub, project)[to]["time"]).timestamp()
    expire = execute(hub, "SELECT expire FROM account_creation_actions WHERE email_address = ?", to)[0][0] / 1000
    assert expire - sent == pytest.approx(14 * 86400, abs=60)


def test_page_shows_the_invitation(hub, account):
    project, to = hub.project(account, title="Bees & <b>Trees</b>"), address()
    invite_to(hub, account, project, to)
    response = page(hub, token_of(hub, to))
    assert response.status_code == 200 and to in response.text
    assert "Bees &amp; &lt;b&gt;Trees&lt;/b&gt;" in response.text
    assert response.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    fields = set(re.findall(r'<input[^>]* name="([a-z_]+)"', response.text))
    assert fields == {"token", "first_name", "last_name", "password"}


def test_sign_up_on_the_page(hub, account, project):
    to = address()
    invite_to(hub, account, project, to)
    token = token_of(hub, to)
    response = post(hub, token)
    assert response.status_code == 200 and to in response.text and project not in response.text
    made = account_of(hub, to)
    assert (made["first_name"], made["last_name"], made["has_password"]) == ("New", "Person", True)
    assert users(hub, project)[made["account_id"]] == "collaborator"
    verified = execute(hub, "SELECT email_address_verified FROM accounts WHERE email_address = ?", to)
    assert list(json.loads(verified[0][0])) == [to]
    of_both = wait_until(lambda: (found := {mail["id"]: mail for mail in mailbox.mails(hub, to)}) and len(found) == 2 and found,
                         60, f"invitation and welcome to {to}")
    assert not any("/auth/verify" in mail["html"] for mail in of_both.values())
    assert made["email_address_verified"] is True
    challenge = execute(hub, "SELECT email_address_challenge FROM accounts WHERE email_address = ?", to)
    assert challenge == [(None,)]
    again = page(hub, token)
    assert again.status_code == 200 and "There is an account already" in again.text and "<form" not in again.text
    assert post(hub, token).status_code == 200 and "<form" not in post(hub, token).text


@pytest.mark.parametrize("to", ["", " ,; "])
def test_nobody_to_invite(hub, account, project, to):
    reply = hub.call("invite_noncloud_collaborators", key=account, project_id=project, to=to, email="Hello.", title="T",
                     link2proj="http://example.org/")
    assert (reply["event"], reply["error"]) == ("error", f"invalid email address '{to}'")


def test_sign_up_with_the_address_of_the_invitation_only(hub, account, project):
    to, other = address(), address()
    invite_to(hub, account, project, to)
    assert post(hub, token_of(hub, to), email_address=other).status_code == 200
    assert account_of(hub, to)["email_address"] == to
    assert execute(hub, "SELECT 1 FROM accounts WHERE email_address = ?", other) == []


@pytest.mark.parametrize("fields, text", [
    ({"password": "short"}, "Password must be between 6 and 64 characters in length."),
    ({"password": ""}, "Password must be between 6 and 64 characters in length."),
    ({"first_name": "www.evil.com"}, "URLs are not allowed"),
])
def test_sign_up_refused(hub, account, project, fields, text):
    to = address()
    invite_to(hub, account, project, to)
    response = post(hub, token_of(hub, to), **{"last_name": "<i>Kept</i>", **fields})
    assert response.status_code == 400 and text in response.text
    assert "&lt;i&gt;Kept&lt;/i&gt;" in response.text and "<form" in response.text
    assert execute(hub, "SELECT 1 FROM accounts WHERE email_address = ?", to) == []


@pytest.mark.parametrize("token", ["", "x", MISSING, "'"])
def test_page_of_no_invitation(hub, token):
    assert page(hub, token).status_code == 404
    assert post(hub, token).status_code == 404


def test_page_of_a_purged_project(hub, account, project):
    to = address()
    invite_to(hub, account, project, to)
    token = token_of(hub, to)
    hub.cli("project", "delete", project, "--purge")
    assert page(hub, token).status_code == 404
    assert sign_up(hub, to)


def test_sign_up_with_a_registration_token(hub_factory):
    hub = hub_factory(env={"COHUB_SITE_SIGN_UP": "token"})
    account = hub.account()
    project, to = hub.project(account), address()
    execute(hub, "INSERT INTO registration_tokens (token, \"limit\") VALUES ('letmein', 1)")
    invite_to(hub, account, project, to)
    token = token_of(hub, to)
    assert 'name="registration_token"' in page(hub, token).text
    refused = post(hub, token, registration_token="wrong")
    assert refused.status_code == 400 and "Registration token is wrong." in refused.text
    assert post(hub, token, registration_token="letmein").status_code == 200
    assert account_of(hub, to)["account_id"] in users(hub, project)


def test_sign_up_closed(hub_factory):
    hub = hub_factory(env={"COHUB_SITE_SIGN_UP": "closed"})
    account = hub.account()
    project, to = hub.project(account), address()
    invite_to(hub, account, project, to)
    token = token_of(hub, to)
    assert page(hub, token).status_code == post(hub, token).status_code == 403
    assert execute(hub, "SELECT 1 FROM accounts WHERE email_address = ?", to) == []


def test_names_of_the_site(hub_factory):
    hub = hub_factory(env={"COHUB_SITE_NAME": "Bee Lab", "COHUB_SITE_URL": "https://bees.example/x/",
                           "COHUB_SITE_HELP_EMAIL": "help@bees.example"})
    account, to = hub.account(), address()
    project, other = hub.project(account), hub.account()
    invite_to(hub, account, project, to, link2proj="https://bees.example/x/p")
    sent = mail(hub, to)
    assert sent["subject"] == "Bee Lab Invitation" and sent["headers"]["Reply-To"] == "help@bees.example"
    assert "https://bees.example/x/auth/invitation?token=" in sent["html"]
    assert '<a href="https://bees.example/x/p">' in sent["html"]
    invite(hub, account, project, other, email="Hello", title="T", replyto_name="Ann")
    assert mail(hub, other.email)["subject"] == "Ann invited you to collaborate on Bee Lab in project 'T'"
