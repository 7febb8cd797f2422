# SPDX-License-Identifier: AGPL-3.0-or-later
"""Mail: what is in a message, and how it gets to an SMTP server or into the maildir, whatever the server does.

Answers to support tickets are mail to any address that a test wants.
"""
import email
import email.policy
import json
import mailbox
import pathlib
import re
import time

import pytest

from harness.process import wait_until
from harness.server import CommandFailed
from harness.smtp import SmtpServer
from harness.store import execute

HELP = "help@example.com"
SENT_S = 120
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def smtp(certificate):
    """Makes SMTP servers: smtp("starttls", user=…, password=…, port=…)."""
    servers = []

    def make(mode="plain", **options):
        server = SmtpServer(mode, certificate, **options)
        servers.append(server)
        return server

    yield make
    for server in servers:
        if server.thread.is_alive():
            server.stop()


@pytest.fixture
def mailing(hub_factory, certificate):
    """Makes hubs that send by a server: mailing(server, STARTTLS="off")."""
    for folder in pathlib.Path(certificate[0]).parents:  # a hub that gave root up reads it
        if folder != pathlib.Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)

    def make(server, **settings):
        env = {"COHUB_MAIL_URL": server.url, "COHUB_MAIL_RETRY_SECONDS": "1", "COHUB_MAIL_FROM": "hub@example.com",
               "COHUB_SITE_HELP_EMAIL": HELP, "COHUB_SITE_NAME": "Lovelace's", "COHUB_SITE_ORGANIZATION": "Ada & Co"}
        env.update({f"COHUB_MAIL_{name}": value for name, value in settings.items()})
        return hub_factory(env=env)
    return make


def ticket(hub, address, **parameters):
    """The number of a new support ticket."""
    reply = hub.call("create_support_ticket", email_address=address,
                     **{"subject": "A question", "body": "What now?", **parameters})
    assert reply["event"] == "support_ticket_url", reply
    return re.search(r"/requests/(\d+)\?", reply["url"])[1]


def write_to(hub, address, text="An answer.", **parameters):
    """Sends mail to an address."""
    hub.cli("ticket", "reply", ticket(hub, address, **parameters), input=text)


def of_ticket(hub, number):
    """What `mail list` says of the newest mail of a ticket."""
    return next(mail for mail in hub.cli("mail", "list") if mail["subject"].startswith(f"[#{number}] "))


def entry(hub, address):
    """What `mail list` says of the newest mail to an address."""
    return next((mail for mail in hub.cli("mail", "list") if mail["to"] == address), None)


def wait_for_state(hub, address, state):
    def look():
        found = entry(hub, address)
        return found and found["state"] == state and found
    return wait_until(look, SENT_S, f"mail to {address} is {state}")


def wait_for_mail(server, address, count=1):
    return wait_until(lambda: len(server.to(address)) >= count and server.to(address), SENT_S, f"mail to {address} arrived")


def wait_for_attempts(hub, address, attempts):
    def look():
        found = entry(hub, address)
        return found and found["attempts"] >= attempts and found
    return wait_until(look, SENT_S, f"mail to {address} was tried {attempts} times")


# ---- What is in a message ----

def test_a_message(smtp, mailing):
    server = smtp()
    hub = mailing(server)
    write_to(hub, "ada@example.org", "Yes & no.\n\nBye", subject="Ist das möglich?")
    [mail] = wait_for_mail(server, "ada@example.org")
    message = mail.message
    assert mail.sender == "hub@example.com" and not mail.encrypted
    assert message["From"] == "Lovelace's <hub@example.com>" and message["To"] == "ada@example.org"
    assert message["Reply-To"] == f"Lovelace's <{HELP}>" and message["Subject"] == "[#1] Ist das möglich?"
    assert message["Auto-Submitted"] == "auto-generated" and message["MIME-Version"] == "1.0"
    assert re.fullmatch(r"<[0-9a-f-]{36}@example\.com>", message["Message-ID"]) and message["Date"].datetime
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert all(part.get_content_charset() == "utf-8" for part in message.iter_parts())
    assert not message.defects and mail.content.isascii()
    text, html = mail.part("plain"), mail.part("html")
    link = hub.cli("ticket", "list")[0]["url"]
    assert f"Yes & no.\n\nBye\n\nYour request, where you can answer: {link}\n" in text
    assert text.endswith(f"----\n\nLovelace's, Ada & Co\n{hub.url}\nHelp: {HELP}\n")
    assert "<p>Yes &amp; no.<br>\n<br>\nBye</p>" in html and f'<a href="{link}">' in html and "Ada &amp; Co" in html


NASTY = ["\r\nBcc: evil@example.com", "\nSubject: evil", "\r\n\r\n<b>evil</b>", "x\r\nX-Evil: yes\r\n", "\x0b\x0c\x7f\x85",
         '"><script>', "=?utf-8?q?=0D=0ABcc:_evil?=", "\u2028Bcc: evil", "a" * 900, "\U0001f600" * 225, "é" * 100, "\\\"',;:()<>@[]"]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_texts_of_strangers_make_no_header(hub, text):
    number = ticket(hub, "ada@example.org", subject=f"S{text}", body=f"B{text}", username=f"N{text}"[:100])
    raw = hub.cli("mail", "show", of_ticket(hub, number)["id"])["raw"]
    message = email.message_from_string(raw, policy=email.policy.default)
    assert set(message.keys()) == {"Date", "From", "Reply-To", "Subject", "To", "Message-Id", "Auto-Submitted",
                                   "X-Mail-Category", "MIME-Version", "Content-Type"}
    assert raw.isascii() and max(map(len, raw.splitlines())) <= 998
    assert not message.defects and not any(message[name].defects for name in ("From", "To", "Reply-To"))
    assert [address.addr_spec for address in message["Reply-To"].addresses] == ["ada@example.org"]
    assert [address.addr_spec for address in message["To"].addresses] == ["help@localhost"]
    assert message["Subject"].split("] ")[1].startswith("S" + text[:1].strip())


def test_long_lines_dots_and_any_script_arrive(smtp, mailing):
    server = smtp()
    hub = mailing(server)
    text = "\n".join([".", "..", ".hidden", "a" * 3000, "é" * 2000, "From here", "--", "=3D", "日本語\U0001f600", "tail "])
    write_to(hub, "ada@example.org", text)
    write_to(hub, "bo@example.org", "日本語" * 500)
    [mail] = wait_for_mail(server, "ada@example.org")
    assert max(len(line) for line in mail.content.split(b"\r\n")) <= 76 + 2 and b"\n" not in mail.content.replace(b"\r\n", b"")
    assert mail.part("plain").startswith(text.rstrip() + "\n")
    [mail] = wait_for_mail(server, "bo@example.org")
    assert mail.part("plain").startswith("日本語" * 500 + "\n") and mail.content.isascii()


def test_an_address_of_another_script_in_its_domain(hub):
    number = ticket(hub, "ada@bücher.example")
    hub.cli("ticket", "reply", number, input="x")
    raw = hub.cli("mail", "show", of_ticket(hub, number)["id"])["raw"]
    assert "To: ada@xn--bcher-kva.example\n" in raw and raw.isascii()


@pytest.mark.parametrize("address", ["someone@qq.com", "someone@QQ.COM", "someone@mail.qq.com"])
def test_banned_domain(hub, address):
    reply = hub.call("create_support_ticket", email_address=address, subject="x", body="y")
    assert (reply["event"], reply["error"]) == ("error", "banned domain")


@pytest.mark.parametrize("address", ["", "x", "x@", "@y", "a b@example.com", "a@example.com\r\nBcc: b@example.com", "é@example.com",
                                     "a@example.com, b@example.com", "<a@example.com>", "a@example.com\x7f"])
def test_what_is_no_address(hub, address):
    reply = hub.call("create_support_ticket", email_address=address, subject="x", body="y")
    assert (reply["event"], reply["error"]) == ("error", f"invalid email address '{address}'")


def test_not_a_banned_domain(hub):
    assert ticket(hub, "someone@notqq.com")


# ---- Ways to the server ----

@pytest.mark.parametrize("mode, starttls, encrypted", [
    ("plain", "try", False), ("plain", "off", False), ("starttls", "try", True), ("starttls", "require", True),
    ("starttls", "off", False), ("starttls-only", "require", True), ("starttls-only", "try", True), ("smtps", "off", True)])
def test_encryption(smtp, mailing, certificate, mode, starttls, encrypted):
    server = smtp(mode)
    hub = mailing(server, STARTTLS=starttls, CA_FILE=certificate[0])
    write_to(hub, "ada@example.org")
    assert wait_for_mail(server, "ada@example.org")[0].encrypted == encrypted
    wait_for_state(hub, "ada@example.org", "sent")


@pytest.mark.parametrize("mode, starttls, trusted, problem", [
    ("plain", "require", True, "STARTTLS|SSL|TLS"), ("starttls", "require", False, "certificate"),
    ("starttls", "try", False, "certificate"), ("smtps", "try", False, "certificate"),
    ("starttls-only", "off", True, "530|MAIL failed")])
def test_nothing_is_sent_without_the_security_asked_for(smtp, mailing, certificate, mode, starttls, trusted, problem):
    server = smtp(mode)
    hub = mailing(server, STARTTLS=starttls, **({"CA_FILE": certificate[0]} if trusted else {}))
    write_to(hub, "ada@example.org")
    found = wait_for_attempts(hub, "ada@example.org", 1)
    assert found["state"] == "waiting" and re.search(problem, found["error"])
    assert not server.received


@pytest.mark.parametrize("url, error", [
    ("http://localhost", 'mail.url is "http://localhost"; it must begin with smtp:// or smtps://'),
    ("smtp://me:secret@localhost", "mail.url names a user; mail.username and mail.password are for that")])
def test_a_wrong_mail_url_stops_the_start(hub_factory, url, error):
    hub = hub_factory(env={"COHUB_MAIL_URL": url}, start=False)
    done = hub.cli_run("account", "create", "--email", "ada@example.org")
    assert (done.returncode, done.stderr) == (1, f"cohub: {error}\n")
    with pytest.raises(AssertionError, match="did not start"):
        hub.start()
    assert error in hub.log_tail()


def test_signing_in(smtp, mailing, certificate):
    server = smtp("starttls", user="hub", password="s3cret pass")
    hub = mailing(server, STARTTLS="require", CA_FILE=certificate[0], USERNAME="hub", PASSWORD="s3cret pass")
    write_to(hub, "ada@example.org")
    assert wait_for_mail(server, "ada@example.org")[0].user == "hub"


def test_a_wrong_password_is_tried_again_and_never_shown(smtp, mailing):
    server = smtp(user="hub", password="right")
    hub = mailing(server, USERNAME="hub", PASSWORD="wrong-S3cret")
    write_to(hub, "ada@example.org")
    found = wait_for_attempts(hub, "ada@example.org", 2)
    assert found["state"] == "waiting" and not server.received
    assert "wrong-S3cret" not in json.dumps(hub.cli("mail", "list")) + hub.log_tail(1000)
    assert "wrong-S3cret" not in hub.cli_run("serve", "--print-config").stdout


def test_connections_are_few_and_used_again(smtp, mailing):
    server = smtp()
    hub = mailing(server)
    for number in range(15):
        ticket(hub, f"user{number}@example.org")
    wait_for_mail(server, HELP, 15)
    assert server.connections <= 4 and server.open_most <= 4
    assert len({mail.message["Message-ID"] for mail in server.received}) == len(server.received) == 15


# ---- What servers do ----

def test_a_refused_recipient_is_given_up_at_once(smtp, mailing):
    server = smtp()
    server.rules["gone@example.org"] = "refuse"
    hub = mailing(server)
    write_to(hub, "gone@example.org")
    found = wait_for_state(hub, "gone@example.org", "failed")
    assert found["attempts"] == 1 and "nobody here by that name" in found["error"] and "next_attempt" not in found
    assert server.asked.count("gone@example.org") == 1


def test_a_refused_message_is_given_up_at_once(smtp, mailing):
    server = smtp()
    server.rules["picky@example.org"] = "reject"
    hub = mailing(server)
    write_to(hub, "picky@example.org")
    assert "not this" in wait_for_state(hub, "picky@example.org", "failed")["error"]


def test_what_fails_for_now_is_tried_again(smtp, mailing):
    server = smtp()
    server.rules["busy@example.org"] = "later"
    hub = mailing(server)
    write_to(hub, "busy@example.org")
    found = wait_for_attempts(hub, "busy@example.org", 2)
    assert found["state"] == "waiting" and "come back later" in found["error"]
    server.rules.clear()
    wait_for_mail(server, "busy@example.org")
    found = wait_for_state(hub, "busy@example.org", "sent")
    assert "error" not in found and found["attempts"] >= 3


def test_each_failure_doubles_the_wait(smtp, mailing):
    server = smtp()
    server.rules["busy@example.org"] = "later"
    hub = mailing(server, RETRY_SECONDS="1000")
    write_to(hub, "busy@example.org")
    waits = []
    for attempt in range(1, 9):
        found = wait_for_attempts(hub, "busy@example.org", attempt)
        [[next_attempt]] = execute(hub, "SELECT next_attempt FROM mail WHERE id = ?", found["id"])
        waits.append(next_attempt / 1000 - time.time())
        execute(hub, "UPDATE mail SET next_attempt = 1 WHERE id = ?", found["id"])
    for attempt, wait in enumerate(waits):
        ideal = min(1000 * 2 ** attempt, 4 * 3600)
        assert 0.7 * ideal < wait < 1.3 * ideal


def test_after_two_days_it_is_given_up(smtp, mailing):
    server = smtp()
    server.rules["busy@example.org"] = "later"
    hub = mailing(server)
    write_to(hub, "busy@example.org")
    found = wait_for_attempts(hub, "busy@example.org", 1)
    execute(hub, "UPDATE mail SET created = created - ? WHERE id = ?", 2 * DAY_MS, found["id"])
    assert "come back later" in wait_for_state(hub, "busy@example.org", "failed")["error"]


def test_a_server_that_stalls_holds_nothing_up(smtp, mailing):
    server = smtp()
    server.rules["slow@example.org"] = "stall"
    hub = mailing(server)
    write_to(hub, "slow@example.org")
    wait_until(lambda: "slow@example.org" in server.asked, SENT_S, "the server was asked")
    for number in range(5):
        write_to(hub, f"user{number}@example.org")
        wait_for_mail(server, f"user{number}@example.org")
    assert hub.call("ping")["event"] == "pong"
    assert entry(hub, "slow@example.org")["state"] == "waiting"


def test_all_ways_stalled_the_api_goes_on_and_the_hub_stops(smtp, mailing):
    server = smtp()
    server.rules.update({f"slow{number}@example.org": "stall" for number in range(6)})
    hub = mailing(server)
    for number in range(6):
        write_to(hub, f"slow{number}@example.org")
    wait_until(lambda: len(server.asked) >= 4, SENT_S, "the server was asked four times")
    ticket(hub, "ada@example.org")
    hub.stop()
    server.rules.clear()
    hub.start()
    for number in range(6):
        assert len(wait_for_mail(server, f"slow{number}@example.org")) == 1


def test_a_server_that_dies_in_the_middle(smtp, mailing):
    server = smtp()
    server.rules["ada@example.org"] = "die"
    hub = mailing(server)
    write_to(hub, "ada@example.org")
    assert wait_for_attempts(hub, "ada@example.org", 1)["error"]
    server.rules.clear()
    assert len(wait_for_mail(server, "ada@example.org")) == 1


def test_a_server_that_is_away(smtp, mailing):
    server = smtp()
    hub = mailing(server)
    server.stop()
    write_to(hub, "ada@example.org")
    before = wait_for_attempts(hub, "ada@example.org", 1)
    assert re.search("connect", before["error"], re.IGNORECASE)
    hub.restart()
    server = smtp(port=server.port)
    [mail] = wait_for_mail(server, "ada@example.org")
    assert mail.message["Message-ID"].startswith(f"<{before['id']}@")


def test_kill_9_loses_nothing(smtp, mailing):
    server = smtp()
    server.rules["ada@example.org"] = "stall"
    hub = mailing(server)
    write_to(hub, "ada@example.org")
    wait_until(lambda: "ada@example.org" in server.asked, SENT_S, "the server was asked")
    hub.kill()
    server.rules.clear()
    [[claimed]] = execute(hub, "SELECT claimed_until FROM mail WHERE recipient = 'ada@example.org'")
    assert claimed - time.time() * 1000 < 61000  # nobody else sends it so long
    execute(hub, "UPDATE mail SET claimed_until = 1 WHERE recipient = 'ada@example.org'")
    hub.start()
    assert len(wait_for_mail(server, "ada@example.org")) == 1


def test_what_another_hub_sends_is_left_to_it(smtp, mailing):
    server = smtp()
    hub = mailing(server)
    hub.stop()
    execute(hub, "INSERT INTO mail (id, category, recipient, subject, message, created, next_attempt, claimed_until) VALUES"
            " ('00000000-0000-4000-8000-000000000001', 'ticket', 'theirs@example.org', 's', 'Subject: s\n\nx\n', 1, 1, ?)",
            int(time.time() * 1000) + 3600 * 1000)
    hub.start()
    write_to(hub, "ada@example.org")
    wait_for_mail(server, "ada@example.org")
    assert "theirs@example.org" not in server.asked


# ---- What is kept ----

def test_the_text_of_what_was_sent_is_forgotten(smtp, mailing):
    server = smtp()
    hub = mailing(server)
    write_to(hub, "ada@example.org", "the secret link")
    found = wait_for_state(hub, "ada@example.org", "sent")
    assert execute(hub, "SELECT message FROM mail WHERE id = ?", found["id"]) == [("",)]
    shown = hub.cli("mail", "show", found["id"])
    assert shown == found and "secret link" not in json.dumps(shown)


def test_what_was_sent_long_ago_is_removed(smtp, mailing):
    server = smtp()
    hub = mailing(server)
    for address in ("old@example.org", "new@example.org"):
        write_to(hub, address)
        wait_for_state(hub, address, "sent")
    hub.stop()
    execute(hub, "UPDATE mail SET created = created - ? WHERE recipient = 'old@example.org'", 31 * DAY_MS)
    hub.start()
    wait_until(lambda: entry(hub, "old@example.org") is None, SENT_S, "the old mail is gone")
    assert entry(hub, "new@example.org")["state"] == "sent"


@pytest.mark.parametrize("before", [None, "not JSON", "[1]", '{"other@example.org":{"time":"2026-01-01T00:00:00.000Z"}}'],
                         ids=["none", "broken", "list", "other"])
def test_an_invitation_that_cannot_be_sent_is_noted_with_the_project(smtp, mailing, before):
    server = smtp()
    server.rules["gone@example.org"] = "later"
    hub = mailing(server, RETRY_SECONDS="1000")
    project = hub.project(hub.account())
    write_to(hub, "gone@example.org")
    found = wait_for_attempts(hub, "gone@example.org", 1)
    execute(hub, "UPDATE projects SET invite = ? WHERE project_id = ?", before, project)
    server.rules["gone@example.org"] = "refuse"
    execute(hub, "UPDATE mail SET project_id = ?, next_attempt = 1 WHERE id = ?", project, found["id"])
    wait_for_state(hub, "gone@example.org", "failed")
    [[invite]] = execute(hub, "SELECT invite FROM projects WHERE project_id = ?", project)
    noted = json.loads(invite).pop("gone@example.org")
    assert noted.keys() == {"time", "error"} and "nobody here" in noted["error"]
    assert ("other@example.org" in invite) == ("other" in (before or ""))


# ---- The maildir, and looking at mail ----

def test_without_a_server_mail_goes_into_the_maildir(hub_factory):
    hub = hub_factory(env={"COHUB_SITE_HELP_EMAIL": HELP})
    ticket(hub, "ada@example.org", body="To the <maildir>")
    found = wait_for_state(hub, HELP, "delivered")
    box = mailbox.Maildir(hub.data / "mail", create=False)
    [message] = list(box)
    assert message["To"] == HELP and message["Message-Id"].startswith(f"<{found['id']}@")
    assert [path.stat().st_mode & 0o777 for path in (hub.data / "mail" / "new").iterdir()] == [0o600]
    assert list((hub.data / "mail" / "tmp").iterdir()) == []
    assert execute(hub, "SELECT count(*) FROM mail") == [(0,)]
    shown = hub.cli("mail", "show", found["id"])
    assert {name: shown[name] for name in found} == found
    assert shown["headers"]["To"] == HELP and shown["headers"]["Subject"] == shown["subject"] == "[#1] A question"
    assert shown["text"].startswith("To the <maildir>\n") and "To the &lt;maildir&gt;" in shown["html"]
    assert shown["raw"].startswith("Date: ") and "Subject: [#1] A question\n" in shown["raw"]


def test_what_a_mail_reader_has_read_is_listed_still(hub_factory):
    hub = hub_factory()
    ticket(hub, "ada@example.org")
    found = wait_for_state(hub, "help@localhost", "delivered")
    [file] = (hub.data / "mail" / "new").iterdir()
    file.rename(hub.data / "mail" / "cur" / f"{file.name}:2,S")
    assert hub.cli("mail", "list") == [found]
    assert hub.cli("mail", "show", found["id"])["text"]


def test_newest_first(hub_factory):
    hub = hub_factory()
    for number in range(3):
        ticket(hub, f"user{number}@example.org", subject=f"question {number}")
    subjects = wait_until(lambda: len(hub.cli("mail", "list")) == 3 and [mail["subject"] for mail in hub.cli("mail", "list")],
                          SENT_S, "three messages")
    assert subjects == ["[#3] question 2", "[#2] question 1", "[#1] question 0"]


def test_mail_of_a_command_without_a_hub(hub_factory):
    hub = hub_factory()
    number = ticket(hub, "ada@example.org")
    hub.stop()
    hub.cli("ticket", "reply", number, input="Offline.")
    assert entry(hub, "ada@example.org")["state"] == "delivered"


def test_mail_of_a_command_waits_for_the_server(smtp, mailing):
    server = smtp()
    hub = mailing(server)
    number = ticket(hub, "ada@example.org")
    hub.stop()
    hub.cli("ticket", "reply", number, input="Offline.")
    found = entry(hub, "ada@example.org")
    assert (found["state"], found["attempts"]) == ("waiting", 0)
    shown = hub.cli("mail", "show", found["id"])
    assert shown["state"] == "waiting" and "Offline." in shown["text"]
    hub.start()
    wait_for_mail(server, "ada@example.org")


@pytest.mark.parametrize("which", ["x", "00000000-0000-4000-8000-000000000000", "../../cohub.conf"])
def test_no_such_mail(hub, which):
    with pytest.raises(CommandFailed) as failed:
        hub.cli("mail", "show", which)
    assert (failed.value.returncode, failed.value.stderr) == (1, f"cohub: there is no mail {which}\n")


# ---- doctor ----

def mail_line(hub):
    return next(line for line in hub.cli_run("doctor").stdout.splitlines() if line[8:].startswith("mail "))


def test_doctor_tells_where_mail_goes(hub, smtp, mailing, certificate):
    assert mail_line(hub).startswith("ok ") and "mail/" in mail_line(hub)
    server = smtp("starttls", user="hub", password="right")
    good = mailing(server, STARTTLS="require", CA_FILE=certificate[0], USERNAME="hub", PASSWORD="right")
    assert mail_line(good).startswith("ok ") and f"localhost:{server.port}" in mail_line(good)
    bad = mailing(server, STARTTLS="require", CA_FILE=certificate[0], USERNAME="hub", PASSWORD="wrong")
    assert mail_line(bad).startswith("note ")
    server.stop()
    assert mail_line(good).startswith("note ") and "connect" in mail_line(good).lower()
