# SPDX-License-Identifier: AGPL-3.0-or-later
"""Queries of mentions (user-query 12.9): who may write what, and the mail that follows (api-v1 9.5)."""
import time

import pytest

from harness import mailbox
from harness.process import wait_until
from harness.queries import refusal, result
from harness.store import add_user, execute, execute_many

MISSING = "12345678-1234-4234-8234-123456789012"
TIME = "2031-02-03T04:05:06.789Z"
SOURCE = "FATAL: error setting 'source' -- Error: must be your own account"
TARGET = "FATAL: error setting 'target' -- Error: must be somebody who works on the project"
HOUR_MS = 3600 * 1000


@pytest.fixture
def account(hub):
    return hub.account(first_name="Ada", last_name="Lovelace")


@pytest.fixture
def project(hub, account):
    """A project whose people are sent mail: it has network access."""
    project = hub.project(account, title="Analytical engines, and what they could weave")
    execute(hub, "UPDATE projects SET settings = '{\"network\":1}' WHERE project_id = ?", project)
    return project


@pytest.fixture
def target(hub, project):
    return colleague(hub, project)


def colleague(hub, project, group="collaborator"):
    account = hub.account()
    add_user(hub, project, account, group)
    return account


def pattern(author, project, who, /, **fields):
    return {"project_id": project, "path": "a.md", "source": author.id, "target": who.id, **fields}


def mention(hub, author, project, who, /, caller=None, **fields):
    assert result(hub, caller or author, {"mentions": pattern(author, project, who, **fields)}) == {}


def rows(hub, caller, project, options=..., **where):
    asked = dict.fromkeys(("time", "path", "source", "target", "priority", "description", "users", "fragment_id"))
    return result(hub, caller, {"mentions": [{"project_id": project, **asked, **where}]}, options)["mentions"]


def outcome(hub, project):
    """What was done about a project's only mention, and why."""
    [row] = execute(hub, "SELECT action, error FROM mentions WHERE project_id = ?", project)
    return row


def mails(hub, account):
    address = execute(hub, "SELECT email_address FROM accounts WHERE account_id = ?", account.id)[0][0]
    sent = {mail["id"]: mail for mail in mailbox.mails(hub, address)}.values()
    return [mail for mail in sent if mail["headers"]["X-Mail-Category"] == "mention"]


def arrived(hub, account, count=1):
    return wait_until(lambda: len(found := mails(hub, account)) == count and found, 60, f"{count} mails")


def count_mails(hub, target):
    """Mails of mentions that were ever queued for an account."""
    return execute(hub, "SELECT count(*) FROM mentions WHERE target = ? AND mailed IS NOT NULL", target.id)[0][0]


# ---- Writing and reading ----


def test_a_mention_reads_as_it_was_written(hub, account, project, target):
    mention(hub, account, project, target, time=TIME, priority=2, description="look", fragment_id="line=3",
            users={target.id: {"read": False}})
    assert rows(hub, target, project) == [
        {"project_id": project, "time": TIME, "path": "a.md", "source": account.id, "target": target.id, "priority": 2,
         "description": "look", "fragment_id": "line=3", "users": {target.id: {"read": False}}}]


def test_a_mention_without_a_time_is_one_of_now(hub, account, project, target):
    mention(hub, account, project, target)
    [(written,)] = execute(hub, "SELECT time FROM mentions WHERE project_id = ?", project)
    assert abs(time.time() - written / 1000) < 60


def test_the_target_marks_a_mention_as_read(hub, account, project, target):
    mention(hub, account, project, target, time=TIME, description="d", users={account.id: {"saved": True}})
    mention(hub, account, project, target, caller=target, time=TIME, users={target.id: {"read": True}})
    [row] = rows(hub, account, project)
    assert (row["users"], row["description"]) == ({account.id: {"saved": True}, target.id: {"read": True}}, "d")


def test_only_the_author_changes_what_was_written(hub, account, project, target):
    mention(hub, account, project, target, time=TIME, description="d", priority=1, fragment_id="f")
    mention(hub, account, project, target, caller=target, time=TIME, description="forged", priority=2, fragment_id="g")
    [row] = rows(hub, account, project)
    assert (row["description"], row["priority"], row["fragment_id"]) == ("d", 1, "f")
    mention(hub, account, project, target, time=TIME, description="better")
    assert rows(hub, account, project)[0]["description"] == "better"


def test_the_author_of_a_mention_is_who_sends_it(hub, account, project, target):
    assert refusal(hub, target, {"mentions": pattern(account, project, target)}) == SOURCE
    assert refusal(hub, account, {"mentions": {**pattern(account, project, target), "source": "x"}}) == SOURCE
    mention(hub, account, project, target, time=TIME)
    assert refusal(hub, target, {"mentions": pattern(target, project, target, time=TIME)}) == SOURCE
    assert [row["source"] for row in rows(hub, account, project)] == [account.id]


@pytest.mark.parametrize("kind", ["stranger", "viewer", "unknown", "deleted"])
def test_who_is_mentioned_must_work_on_the_project(hub, account, project, kind):
    target = hub.account() if kind == "stranger" else colleague(hub, project, "viewer" if kind == "viewer" else "owner")
    if kind == "deleted":
        hub.call("delete_account", key=target, account_id=target.id)
    fields = {"target": MISSING} if kind == "unknown" else {}
    assert refusal(hub, account, {"mentions": pattern(account, project, target, **fields)}) == TARGET
    assert rows(hub, account, project) == []


def test_a_target_is_an_account_in_either_case(hub, account, project, target):
    assert refusal(hub, account, {"mentions": pattern(account, project, target, target="everybody")}) == \
        "FATAL: error setting 'target' -- Error: must be an account id"
    for text in (target.id.upper(), target.id):
        mention(hub, account, project, target, time=TIME, target=text)
    assert [row["target"] for row in rows(hub, account, project)] == [target.id]


@pytest.mark.parametrize("field", ["path", "source", "target"])
def test_what_a_mention_must_have(hub, account, project, target, field):
    fields = pattern(account, project, target)
    del fields[field]
    assert refusal(hub, account, {"mentions": fields}) == f"FATAL: must specify mentions.{field}"


@pytest.mark.parametrize("field, most", [("description", 20000), ("fragment_id", 1000)])
def test_texts_of_a_mention_are_bounded(hub, account, project, target, field, most):
    assert refusal(hub, account, {"mentions": pattern(account, project, target, **{field: "x" * (most + 1)})}) == \
        f"FATAL: error setting '{field}' -- Error: must have at most {most} characters"


def test_the_readers_of_a_mention_are_bounded(hub, account, project, target):
    mention(hub, account, project, target, time=TIME, users={"a": "x" * 60000})
    assert refusal(hub, target, {"mentions": pattern(account, project, target, time=TIME, users={"b": "x" * 9000})}) == \
        "FATAL: error setting 'users' -- Error: must have at most 65536 characters"


@pytest.mark.parametrize("field", ["action", "error", "expire", "mailed"])
def test_what_was_done_is_not_the_author_s_to_write(hub, account, project, target, field):
    assert refusal(hub, account, {"mentions": pattern(account, project, target, **{field: 1})}) == \
        f"FATAL: changing mentions.{field} not allowed"
    assert refusal(hub, account, {"mentions": [{field: None}]}) == \
        f"FATAL: user get query not allowed for mentions.{field}"


@pytest.mark.parametrize("days, found", [(44, 1), (46, 0)])
def test_mentions_have_a_window_of_45_days(hub, account, project, target, days, found):
    mention(hub, account, project, target, time=round((time.time() - days * 86400) * 1000))
    assert len(rows(hub, account, project)) == found


def test_mentions_are_the_500_newest(hub, account, project):
    now = round(time.time() * 1000)
    execute_many(hub, "INSERT INTO mentions (time, project_id, path, target, source) VALUES (?, ?, ?, 't', 's')",
                 [(now - n, project, str(n)) for n in range(1, 502)])
    assert [row["path"] for row in rows(hub, account, project)] == [str(n) for n in range(1, 501)]


def test_a_mention_is_kept_90_days(hub, account, project, target):
    mention(hub, account, project, target)
    [(written, expire)] = execute(hub, "SELECT time, expire FROM mentions WHERE project_id = ?", project)
    assert expire - written == 90 * 24 * HOUR_MS


# ---- Mail ----


def test_who_is_mentioned_is_sent_mail(hub, account, project, target):
    mention(hub, account, project, target, path="a b/c.md", fragment_id="chat=5", description="see <b>x</b>\n<script>y")
    [mail] = arrived(hub, target)
    headers = mail["headers"]
    assert headers["Subject"] == "[Analytical engines, and what they could ] a b/c.md"
    assert headers["From"].startswith("Ada Lovelace <")
    assert mailbox.link_in(mail, "/projects/") == f"{hub.url}/projects/{project}/files/a%20b/c.md#chat=5"
    assert "Ada Lovelace mentioned you in" in mail["html"] and "see <b>x</b>" in mail["html"]
    assert "script" not in mail["html"]
    assert outcome(hub, project) == ("email", None)


@pytest.mark.parametrize("how", ["settings", "a user's upgrade", "the author's upgrades", None])
def test_mail_needs_a_project_with_network_or_an_author_with_upgrades(hub, account, project, target, how):
    if how != "settings":
        execute(hub, "UPDATE projects SET settings = NULL WHERE project_id = ?", project)
    if how == "a user's upgrade":
        execute(hub, "UPDATE project_users SET upgrades = '{\"network\":1}' WHERE account_id = ?", target.id)
    if how == "the author's upgrades":
        execute(hub, "UPDATE accounts SET upgrades = '{\"memory\":1000}' WHERE account_id = ?", account.id)
    mention(hub, account, project, target)
    assert outcome(hub, project) == (("email", None) if how else ("ignore", "the project has no network access"))
    assert count_mails(hub, target) == (1 if how else 0)


def test_mail_is_sent_where_the_site_gives_every_project_network(hub_factory):
    hub = hub_factory(env={"COHUB_PROJECTS_NETWORK": "1"})
    account = hub.account()
    project = hub.project(account)
    mention(hub, account, project, colleague(hub, project))
    assert outcome(hub, project) == ("email", None)


@pytest.mark.parametrize("setting, sent", [("false", 0), ("true", 1), ("null", 1)])
def test_who_does_not_want_mail_gets_none(hub, account, project, target, setting, sent):
    execute(hub, "UPDATE accounts SET other_settings = ? WHERE account_id = ?", f'{{"allow_mentions":{setting}}}',
            target.id)
    mention(hub, account, project, target)
    assert outcome(hub, project) == (("email", None) if sent else
                                     ("ignore", "the account does not want mail of mentions"))
    assert count_mails(hub, target) == sent


def test_nobody_is_sent_mail_by_themself(hub, account, project):
    mention(hub, account, project, account)
    assert outcome(hub, project) == ("ignore", "the author mentioned themself")


@pytest.mark.parametrize("address, done", [(None, ("ignore", "the account has no email address")),
                                           ("x@qq.com", ("email", "banned domain"))])
def test_an_address_that_no_mail_goes_to(hub, account, project, target, address, done):
    execute(hub, "DELETE FROM accounts WHERE email_address = 'x@qq.com'")
    execute(hub, "UPDATE accounts SET email_address = ? WHERE account_id = ?", address, target.id)
    mention(hub, account, project, target)
    assert outcome(hub, project) == done
    assert count_mails(hub, target) == 0


def test_a_file_s_mentions_are_mailed_once_in_eight_hours(hub, account, project, target):
    other = colleague(hub, project)
    for when in ("1990-01-01", "1991-01-01", TIME):
        mention(hub, account, project, target, time=when)
    assert count_mails(hub, target) == 1
    mention(hub, account, project, target, path="b.md")
    mention(hub, account, project, other)
    assert (count_mails(hub, target), count_mails(hub, other)) == (2, 1)
    execute(hub, "UPDATE mentions SET mailed = mailed - ? WHERE target = ?", 8 * HOUR_MS, target.id)
    mention(hub, account, project, target, time="1992-01-01")
    assert count_mails(hub, target) == 3


def test_changing_a_mention_sends_no_mail(hub, account, project, target):
    mention(hub, account, project, target, time=TIME)
    execute(hub, "UPDATE mentions SET mailed = NULL, action = NULL WHERE project_id = ?", project)
    mention(hub, account, project, target, time=TIME, description="x")
    assert outcome(hub, project) == (None, None)


def test_nobody_is_flooded_with_mail_of_mentions(hub, account, project, target):
    for n in range(51):
        mention(hub, account, project, target, path=str(n))
    assert count_mails(hub, target) == 50
    assert execute(hub, "SELECT action, error FROM mentions WHERE project_id = ? AND path = '50'", project) == \
        [("ignore", "too many mails of mentions were sent to the account today")]
    execute(hub, "UPDATE mentions SET mailed = mailed - ? WHERE target = ?", 24 * HOUR_MS, target.id)
    mention(hub, account, project, target, path="51")
    assert count_mails(hub, target) == 51


def test_names_and_paths_of_strangers_stay_in_their_place(hub, project):
    author, target = colleague(hub, project), colleague(hub, project)
    execute(hub, "UPDATE accounts SET first_name = '<b>Eve', last_name = ? WHERE account_id = ?", "\r\nBcc: x@y.org",
            author.id)
    execute(hub, "UPDATE projects SET title = '<i>T' WHERE project_id = ?", project)
    mention(hub, author, project, target, path="<u>\na", description="</blockquote><form>")
    [mail] = arrived(hub, target)
    assert "Bcc" not in mail["headers"]
    for tag in ("<b>", "<i>", "<u>", "<form"):
        assert tag not in mail["html"]
