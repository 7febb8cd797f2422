# SPDX-License-Identifier: AGPL-3.0-or-later
"""User queries on messages (user-query 12.14)."""
import pytest

from harness.queries import refusal, result
from harness.store import execute, execute_many

NEVER = "00000000-0000-4000-8000-000000000000"
MARKS = ["read", "saved", "starred", "liked", "deleted", "expire"]
TOO_MANY = ("Error: too many messages: at most 3 in a second, 15 in a minute and 200 in an hour; try again later")
NO_RIGHT = "Error: you do not have permission to edit this message"


def create(hub, sender, to, **fields):
    """A new message, of which the limits of writing know nothing."""
    pattern = {"id": None, "to_ids": [account.id for account in to], "subject": "s", "body": "b", **fields}
    row = result(hub, sender, {"create_message": pattern})["create_message"]
    execute(hub, "UPDATE messages SET created = 1 WHERE id = ?", row["id"])
    return row


def send(hub, sender, *to, **fields):
    return create(hub, sender, to, sent="{now}", **fields)["id"]


def received(hub, account, *fields):
    return result(hub, account, {"messages": [dict.fromkeys(["id", *fields])]})["messages"]


def sent(hub, account, message, *fields):
    return result(hub, account, {"sent_messages": {"id": message, **dict.fromkeys(fields)}}).get("sent_messages")


def unread(hub, account):
    return result(hub, account, {"accounts": {"unread_message_count": None}})["accounts"]["unread_message_count"]


@pytest.fixture
def ada(hub):
    return hub.account()


@pytest.fixture
def bob(hub):
    return hub.account()


# ---- create_message ----

def test_a_new_message_is_given_whole(hub, ada, bob):
    row = create(hub, ada, [bob, ada, bob], sent="2020-01-01T00:00:00.000Z", thread_id=7)
    assert row.pop("id") > 0
    assert row == {"sent": "2020-01-01T00:00:00.000Z", "from_id": ada.id, "to_ids": [bob.id, ada.id], "subject": "s",
                   "body": "b", "thread_id": 7, **dict.fromkeys(MARKS)}


def test_a_message_is_not_sent_in_future(hub, ada, bob):
    assert create(hub, ada, [bob], sent="2999-01-01")["sent"] < "2900"


def test_a_draft_is_its_author_s(hub, ada, bob):
    row = create(hub, ada, [bob])
    assert row["sent"] is None
    assert received(hub, bob) == [] and unread(hub, bob) is None
    assert result(hub, bob, {"messages": {"id": row["id"], "body": None}}) == {}
    assert sent(hub, bob, row["id"], "body") is None
    assert sent(hub, ada, row["id"], "body", "sent") == {"id": row["id"], "body": "b", "sent": None}
    assert refusal(hub, bob, {"messages": {"id": row["id"], "read": 1}}) == NO_RIGHT


def test_the_list_form(hub, ada, bob):
    rows = result(hub, ada, {"create_message": [{"to_ids": [bob.id], "id": None}]})["create_message"]
    assert [(row["subject"], row["body"]) for row in rows] == [("", "")]


@pytest.mark.parametrize("fields, text", [
    ({"to_ids": [NEVER]},
     f'Error: every target account_id must exist -- these accounts do not exist: ["{NEVER}"]'),
    ({"to_ids": None}, "FATAL: must specify create_message.to_ids"),
    ({"to_ids": ["x"]}, 'postgresql error: invalid input syntax for type uuid: "x"'),
    ({"to_ids": NEVER}, f'postgresql error: malformed array literal: "{NEVER}"'),
    ({"to_ids": [None]}, "Error: to_ids must be account ids"),
    ({"to_ids": [NEVER] * 101}, "Error: to_ids must have at most 100 entries"),
    ({"to_ids": [], "sent": "{now}"}, "Error: a message that is sent needs a recipient"),
    ({"to_ids": [], "thread_id": -1}, "Error: thread_id must be positive"),
    ({"to_ids": [], "subject": "x" * 1001}, "Error: subject must have at most 1000 characters"),
    ({"to_ids": [], "body": "x" * 100001}, "Error: body must have at most 100000 characters")])
def test_what_is_no_message(hub, ada, fields, text):
    assert refusal(hub, ada, {"create_message": {"id": None, **fields}}) == text


def test_deleted_accounts_get_no_messages(hub, ada, bob):
    hub.cli("account", "delete", bob.id)
    assert refusal(hub, ada, {"create_message": {"id": None, "to_ids": [bob.id]}}) == \
        f'Error: every target account_id must exist -- these accounts do not exist: ["{bob.id}"]'


def test_a_set_creates_nothing(hub, ada, bob):
    assert refusal(hub, ada, {"create_message": {"to_ids": [bob.id]}}) == \
        "FATAL: user set queries not allowed for table 'create_message'"


def test_nobody_writes_too_fast(hub, ada, bob):
    one = {"create_message": {"id": None, "to_ids": [bob.id]}}
    assert refusal(hub, ada, [one] * 16) == TOO_MANY
    assert result(hub, bob, one)["create_message"]["from_id"] == bob.id


def fill(hub, account, count, created):
    execute_many(hub, "INSERT INTO messages (from_id, to_ids, created, subject, body) VALUES (?, '[]', ?, '', '')",
                 [(account.id, created)] * count)


def test_nobody_writes_too_much_in_an_hour(hub, ada, bob):
    now = hub_time(hub, ada)
    one = {"create_message": {"id": None, "to_ids": [bob.id]}}
    fill(hub, ada, 200, now - 30 * 60 * 1000)
    assert refusal(hub, ada, one) == TOO_MANY
    execute(hub, "UPDATE messages SET created = ? WHERE from_id = ?", now - 61 * 60 * 1000, ada.id)
    assert "create_message" in result(hub, ada, one)


def hub_time(hub, account):
    row = create(hub, account, [account], sent="{now}")
    return execute(hub, "SELECT sent FROM messages WHERE id = ?", row["id"])[0][0]


# ---- messages ----

def test_recipients_read_what_was_sent(hub, ada, bob):
    first, second = send(hub, ada, bob, subject="1"), send(hub, ada, bob, subject="2")
    send(hub, ada, ada)
    assert received(hub, bob, "subject", "from_id") == [
        {"id": second, "subject": "2", "from_id": ada.id}, {"id": first, "subject": "1", "from_id": ada.id}]
    assert result(hub, bob, {"messages": {"id": first, "body": None}}) == {"messages": {"id": first, "body": "b"}}
    assert result(hub, hub.account(), {"messages": {"id": first, "body": None}}) == {}


def test_marks_are_each_one_s_own(hub, ada, bob):
    eve = hub.account()
    message = send(hub, ada, eve, bob)

    def marks(account):
        return result(hub, account, {"messages": {"id": message, **dict.fromkeys(MARKS)}})["messages"]
    for mark, value in (("read", 1), ("saved", "1"), ("starred", True), ("liked", "001"), ("deleted", "110")):
        assert result(hub, bob, {"messages": {"id": message, mark: value}}) == {}
    wanted = {"read": "001", "saved": "001", "starred": "001", "liked": "001", "deleted": "000", "expire": None}
    assert marks(bob) == {"id": message, **wanted}
    assert result(hub, eve, {"messages": {"id": message, "read": 1, "liked": 1}}) == {}
    assert result(hub, bob, {"messages": {"id": message, "saved": 0}}) == {}
    assert result(hub, ada, {"sent_messages": {"id": message, "read": 1, "starred": "1"}}) == {}
    assert marks(eve) == {"id": message, **wanted, "read": "111", "liked": "011", "saved": "000", "starred": "101"}


@pytest.mark.parametrize("value, text", [("x", "x"), (2, "2"), ("012", "012"), ("", "")])
def test_what_is_no_mark(hub, ada, bob, value, text):
    message = send(hub, ada, bob)
    assert refusal(hub, bob, {"messages": {"id": message, "read": value}}) == f"Error: invalid bit '{text}'"
    assert refusal(hub, ada, {"sent_messages": {"id": message, "read": value}}) == f"Error: invalid bit '{text}'"


def test_who_may_not_mark(hub, ada, bob):
    message = send(hub, ada, bob)
    assert refusal(hub, ada, {"messages": {"id": message, "read": 1}}) == NO_RIGHT
    assert refusal(hub, bob, {"sent_messages": {"id": message, "read": 1}}) == NO_RIGHT
    assert refusal(hub, ada, {"messages": {"id": 999999999, "read": 1}}) == \
        "use the sent_messages table to create a new message"
    assert refusal(hub, ada, {"sent_messages": {"id": 999999999, "read": 1}}) == \
        "use the create_message virtual table to create messages"
    assert refusal(hub, ada, {"messages": {"id": message, "body": "x"}}) == "FATAL: changing messages.body not allowed"
    assert refusal(hub, ada, {"messages": {"read": 1}}) == "FATAL: must specify messages.id"


def test_unread_messages_are_counted(hub, ada, bob):
    first = send(hub, ada, bob)
    answer, other, third = send(hub, ada, bob, thread_id=first), send(hub, ada, bob), send(hub, ada, bob)
    assert unread(hub, bob) == 3  # threads
    for message, mark, count in ((answer, "read", 3), (first, "saved", 2), (other, "deleted", 1), (third, "expire", 0)):
        assert result(hub, bob, {"messages": {"id": message, mark: 1}}) == {}
        assert unread(hub, bob) == count
    assert result(hub, bob, {"messages": {"id": other, "deleted": 0}}) == {}
    assert unread(hub, bob) == 1


def test_what_nobody_wants_is_gone(hub, ada, bob):
    message = send(hub, ada, bob)
    assert result(hub, bob, {"messages": {"id": message, "expire": 1}}) == {}
    assert sent(hub, ada, message, "body")
    assert result(hub, ada, {"sent_messages": {"id": message, "expire": 1}}) == {}
    assert sent(hub, ada, message, "body") is None
    assert received(hub, bob) == []


# ---- sent_messages ----

def test_a_draft_is_changed_and_sent(hub, ada, bob):
    draft = create(hub, ada, [ada])["id"]
    change = {"to_ids": [bob.id], "subject": "new", "body": "text", "thread_id": 5}
    assert result(hub, ada, {"sent_messages": {"id": draft, **change}}) == {}
    assert sent(hub, ada, draft, *change, "sent") == {"id": draft, **change, "sent": None}
    assert received(hub, bob) == []
    assert result(hub, ada, {"sent_messages": {"id": draft, "sent": "{now}"}}) == {}
    assert received(hub, bob, "body") == [{"id": draft, "body": "text"}] and unread(hub, bob) == 1
    for field, value in (*change.items(), ("sent", "2001-01-01")):
        assert refusal(hub, ada, {"sent_messages": {"id": draft, field: value}}) == NO_RIGHT


def test_what_a_draft_cannot_become(hub, ada):
    draft = create(hub, ada, [])["id"]

    def text(**fields):
        return refusal(hub, ada, {"sent_messages": {"id": draft, **fields}})
    assert text(sent="{now}") == "Error: a message that is sent needs a recipient"
    assert text(to_ids=[NEVER]) == \
        f'Error: every target account_id must exist -- these accounts do not exist: ["{NEVER}"]'
    assert text(subject="x" * 1001) == "FATAL: error setting 'subject' -- Error: must have at most 1000 characters"
    assert text(body="x" * 100001) == "FATAL: error setting 'body' -- Error: must have at most 100000 characters"
    assert text(to_ids=[NEVER] * 101) == "FATAL: error setting 'to_ids' -- Error: must have at most 100 entries"


def test_the_newest_sent_come_first(hub, ada, bob):
    ids = [send(hub, ada, bob), create(hub, ada, [bob])["id"], send(hub, ada, bob)]
    rows = result(hub, ada, {"sent_messages": [{"id": None, "from_id": None}]})["sent_messages"]
    assert rows == [{"id": message, "from_id": ada.id} for message in reversed(ids)]


def test_messages_of_a_deleted_author_stay_readable(hub, ada, bob):
    message = send(hub, ada, bob)
    hub.cli("account", "delete", ada.id)
    assert received(hub, bob) == [{"id": message}]
