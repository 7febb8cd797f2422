# SPDX-License-Identifier: AGPL-3.0-or-later
"""messages.* of the RPC (hub-rpc 2.7)."""
import re

import pytest

from harness.queries import result
from harness.store import execute, execute_many

NEVER = "00000000-0000-4000-8000-000000000000"
TOO_MANY = "Error: too many messages: at most 3 in a second, 15 in a minute and 200 in an hour; try again later"
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
BASE = {"id", "subject", "body", "from_id", "to_ids", "sent", "thread_id"}
MARKED = BASE | {"read", "saved", "deleted"}


@pytest.fixture
def ada(hub):
    return hub.account()


@pytest.fixture
def bob(hub):
    return hub.account()


def send(hub, sender, *to, subject="s", body="b", **more):
    """The id of a new message, of which the limits of writing know nothing."""
    to_ids = [getattr(one, "id", one) for one in to]
    message = hub.method(sender, "messages.send", {"to_ids": to_ids, "subject": subject, "body": body, **more})
    execute(hub, "UPDATE messages SET created = 1 WHERE id = ?", message)
    return message


def refused(hub, sender, **fields):
    return hub.refusal(sender, "messages.send", {"to_ids": [], "subject": "s", "body": "b", **fields})


def get(hub, account, **parameters):
    return hub.method(account, "messages.get", parameters)


def ids(hub, account, **parameters):
    return [message["id"] for message in get(hub, account, **parameters)]


def mark(hub, account, message, **marks):
    assert result(hub, account, {"messages": {"id": message, **marks}}) == {}


def set_time(hub, message, sent):
    """As if it had been sent then."""
    execute(hub, "UPDATE messages SET sent = ? WHERE id = ?", sent, message)
    execute(hub, "UPDATE message_recipients SET sent = ? WHERE message_id = ?", sent, message)


def unread(hub, account):
    return result(hub, account, {"accounts": {"unread_message_count": None}})["accounts"]["unread_message_count"]


# ---- send ----

def test_what_is_sent_arrives(hub, ada, bob):
    message = send(hub, ada, bob, subject="Hé", body="**b**")
    assert isinstance(message, int) and message > 0
    row, = get(hub, bob)
    assert ISO.fullmatch(row.pop("sent"))
    assert row == {"id": message, "subject": "Hé", "body": "**b**", "from_id": ada.id, "to_ids": [bob.id],
                   "thread_id": None, "read": False, "saved": False, "deleted": False}
    assert unread(hub, bob) == 1 and get(hub, ada) == []


def test_the_sender_is_the_caller(hub, ada, bob):
    send(hub, ada, bob, account_id=bob.id, from_id=bob.id)
    assert [row["from_id"] for row in get(hub, bob)] == [ada.id]


def test_addresses_and_ids_in_either_case_each_once(hub, ada, bob):
    send(hub, ada, bob.email, bob.id.upper(), bob.email.upper(), ada.id, bob)
    assert [row["to_ids"] for row in get(hub, bob)] == [[bob.id, ada.id]]


def test_unknown_entries_beside_an_address_are_left_out(hub, ada, bob):
    send(hub, ada, "nobody@example.org", "x", bob)
    assert [row["to_ids"] for row in get(hub, bob)] == [[bob.id]]


@pytest.mark.parametrize("to_ids", [[], ["nobody@example.org"], ["nobody@example.org", "x", ""]])
def test_nobody_is_left(hub, ada, to_ids):
    assert hub.method(ada, "messages.send", {"to_ids": to_ids, "subject": "s", "body": "b"}) is None
    assert get(hub, ada, type="sent") == []


@pytest.mark.parametrize("to_ids, text", [
    ([NEVER], f"Error: invalid account_id -- {NEVER}"),
    (["nobody@example.org", NEVER.upper()], f"Error: invalid account_id -- {NEVER.upper()}"),
    (["x"], 'error: invalid input syntax for type uuid: "x"'),
    ([""], 'error: invalid input syntax for type uuid: ""'),
    (NEVER, "Error: to_ids must be a list of strings"),
    ([None], "Error: to_ids must be a list of strings"),
    ({"0": "x"}, "Error: to_ids must be a list of strings"),
    (None, "Error: to_ids must be specified"),
    ([NEVER] * 101, "Error: to_ids must have at most 100 entries"),
    ([f"{number}@example.org" for number in range(10000)], "Error: to_ids must have at most 100 entries")])
def test_who_can_get_no_message(hub, ada, to_ids, text):
    assert refused(hub, ada, to_ids=to_ids) == text


def test_one_who_is_unknown_keeps_it_from_all(hub, ada, bob):
    assert refused(hub, ada, to_ids=[bob.id, NEVER]) == f"Error: invalid account_id -- {NEVER}"
    assert get(hub, bob) == []


def test_deleted_accounts_get_none(hub, ada, bob):
    hub.cli("account", "delete", bob.id)
    assert refused(hub, ada, to_ids=[bob.id]) == f"Error: invalid account_id -- {bob.id}"
    assert hub.method(ada, "messages.send", {"to_ids": [bob.email], "subject": "s", "body": "b"}) is None


@pytest.mark.parametrize("fields, text", [
    ({"subject": None}, "Error: subject must be specified"), ({"body": None}, "Error: body must be specified"),
    ({"subject": 7}, "Error: subject must be a string"),
    ({"subject": "x" * 1001}, "Error: subject must have at most 1000 characters"),
    ({"body": "x" * 100001}, "Error: body must have at most 100000 characters"),
    ({"reply_id": "x"}, "Error: reply_id must be a number"), ({"reply_id": 1.5}, "Error: reply_id must be the id of a message"),
    ({"reply_id": 1e300}, "Error: reply_id must be the id of a message"),
    ({"reply_id": -1}, "Error: reply_id must be the id of a message")])
def test_what_is_no_message(hub, ada, fields, text):
    assert refused(hub, ada, **{"to_ids": [ada.id], **fields}) == text


def test_the_longest_message(hub, ada, bob):
    body = "é" * 100000
    send(hub, ada, bob, subject="é" * 1000, body=body)
    row, = get(hub, bob)
    assert row["body"] == body and row["subject"] == "é" * 1000


def test_a_hundred_recipients(hub, ada):
    people = [f"{number:08x}-0000-4000-8000-{hub.account().id[-12:]}" for number in range(100)]
    execute_many(hub, "INSERT INTO accounts (account_id, created) VALUES (?, 1)", [(one,) for one in people])
    send(hub, ada, *people)
    row, = get(hub, ada, type="sent")
    assert row["to_ids"] == people


def test_answers_are_in_one_thread(hub, ada, bob):
    first = send(hub, ada, bob)
    second = send(hub, bob, ada, reply_id=first)
    send(hub, ada, bob, reply_id=second)
    send(hub, hub.account(), bob, reply_id=second)  # whoever knows the number
    send(hub, ada, bob, reply_id=999999999)
    assert [row["thread_id"] for row in get(hub, bob)] == [None, first, first, None]
    assert [row["thread_id"] for row in get(hub, ada)] == [first]
    assert unread(hub, bob) == 2  # threads


def test_nobody_sends_too_fast(hub, ada, bob):
    texts = [hub.rpc(ada, "messages.send", {"to_ids": [bob.id], "subject": "s", "body": "b"})[1] for _ in range(16)]
    assert {"error": TOO_MANY} in texts  # by the second, or by the minute where each takes long
    send(hub, bob, ada)


def test_nobody_writes_too_much(hub, ada, bob):
    execute_many(hub, "INSERT INTO messages (from_id, to_ids, created, subject, body) VALUES (?, '[]', 1, '', '')",
                 [(ada.id,)] * 20000)
    assert refused(hub, ada, to_ids=[bob.id]) == "Error: an account can keep at most 20000 messages that it wrote"


# ---- get ----

def test_the_newest_sent_come_first_then_the_highest_id(hub, ada, bob):
    first, second, third, fourth = (send(hub, ada, bob) for _ in range(4))
    for message, sent in ((first, 5000), (second, 9000), (third, 5000), (fourth, 1000)):
        set_time(hub, message, sent)
    order = [second, third, first, fourth]
    assert ids(hub, bob) == order and ids(hub, ada, type="sent") == order
    for kind, who in (("received", bob), ("sent", ada), ("new", bob)):
        assert ids(hub, who, type=kind, limit=2) == order[:2]
        assert ids(hub, who, type=kind, limit=2, offset=1) == order[1:3]
        assert ids(hub, who, type=kind, offset=2) == order[2:]
        assert ids(hub, who, type=kind, offset=4) == [] and ids(hub, who, type=kind, limit=0) == []
        assert ids(hub, who, type=kind, cutoff="1970-01-01T00:00:05.000Z") == [second]
        assert ids(hub, who, type=kind, cutoff="1970-01-01T00:00:01.000Z", offset=1) == [third, first]
        assert ids(hub, who, type=kind, cutoff="1960-01-01T00:00:00.000Z") == order


def draft(hub, author, *to):
    pattern = {"id": None, "to_ids": [one.id for one in to], "subject": "d", "body": ""}
    return result(hub, author, {"create_message": pattern})["create_message"]["id"]


def test_drafts_come_last_and_are_nobody_else_s(hub, ada, bob):
    one, other = draft(hub, ada, bob), draft(hub, ada)
    message = send(hub, ada, bob)
    assert ids(hub, ada, type="sent") == [message, other, one]
    assert ids(hub, ada, type="sent", offset=1) == [other, one] and ids(hub, ada, type="sent", offset=2) == [one]
    assert [row["sent"] for row in get(hub, ada, type="sent")[1:]] == [None, None]
    for cutoff in ("1960-01-01", "2000-01-01"):
        assert ids(hub, ada, type="sent", cutoff=cutoff) == [message]
    assert ids(hub, bob) == [message]
    assert result(hub, ada, {"sent_messages": {"id": one, "sent": "{now}"}}) == {}
    assert sorted(ids(hub, bob)) == [one, message] and sorted(ids(hub, bob, type="new")) == [one, message]


def test_the_marks_are_the_caller_s_own(hub, ada, bob):
    eve = hub.account()
    message = send(hub, ada, eve, bob)
    mark(hub, bob, message, read=1, deleted=1)
    assert result(hub, ada, {"sent_messages": {"id": message, "saved": 1}}) == {}

    def marks(account, **parameters):
        row, = get(hub, account, **parameters)
        assert set(row) == MARKED
        return [name for name in ("read", "saved", "deleted") if row[name]]
    assert marks(bob) == ["read", "deleted"] and marks(eve) == [] and marks(ada, type="sent") == ["saved"]
    mark(hub, bob, message, deleted=0)
    assert marks(bob) == ["read"]


def test_new_is_what_nothing_was_done_with(hub, ada, bob):
    messages = {name: send(hub, ada, bob) for name in ("read", "saved", "deleted", "expire", "starred", "liked")}
    for name, message in messages.items():
        mark(hub, bob, message, **{name: 1})
    rows = get(hub, bob, type="new")
    assert [row["id"] for row in rows] == [messages["liked"], messages["starred"]] and set(rows[0]) == BASE
    for name in ("read", "saved", "deleted", "expire"):
        mark(hub, bob, messages[name], **{name: 0})
    assert len(ids(hub, bob, type="new")) == 6 and ids(hub, ada, type="new") == []


@pytest.mark.parametrize("kind", ["starred", "liked"])
def test_what_is_marked_and_not_deleted(hub, ada, bob, kind):
    kept, deleted, expunged, plain = (send(hub, ada, bob) for _ in range(4))
    for message, marks in ((kept, {"read": 1, "saved": 1}), (deleted, {"deleted": 1}), (expunged, {"expire": 1})):
        mark(hub, bob, message, **{kind: 1}, **marks)
    mark(hub, bob, plain, **{"liked" if kind == "starred" else "starred": 1})
    rows = get(hub, bob, type=kind)
    assert [row["id"] for row in rows] == [kept] and set(rows[0]) == BASE
    mark(hub, bob, deleted, deleted=0)
    assert ids(hub, bob, type=kind) == [deleted, kept] and ids(hub, ada, type=kind) == []
    mark(hub, bob, kept, **{kind: 0})
    assert ids(hub, bob, type=kind) == [deleted]


def test_what_was_expunged_is_gone_for_whoever_did_so(hub, ada, bob):
    eve = hub.account()
    message = send(hub, ada, bob, eve)
    mark(hub, bob, message, expire=1)
    assert ids(hub, bob) == [] and ids(hub, eve) == [message] and ids(hub, ada, type="sent") == [message]
    assert result(hub, ada, {"sent_messages": {"id": message, "expire": 1}}) == {}
    assert ids(hub, ada, type="sent") == [] and ids(hub, eve) == [message]
    mark(hub, eve, message, expire=1)
    assert execute(hub, "SELECT count(*) FROM messages WHERE id = ?", message) == [(0,)]


def test_one_who_writes_to_oneself_has_two_marks(hub, ada):
    message = send(hub, ada, ada)
    mark(hub, ada, message, read=1, expire=1)
    assert ids(hub, ada) == []
    row, = get(hub, ada, type="sent")
    assert row["read"] is False


@pytest.mark.parametrize("parameters, text", [
    ({"limit": 501}, "Error: limit must be at most 500"), ({"limit": "x"}, "Error: limit must be a number"),
    ({"limit": -1}, "Error: limit must be a whole number, and not negative"),
    ({"limit": 0.5}, "Error: limit must be a whole number, and not negative"),
    ({"offset": -1}, "Error: offset must be a whole number, and not negative"),
    ({"offset": 1e300}, "Error: offset must be a whole number, and not negative"),
    ({"type": "x"}, "Error: type must be received, sent, new, starred or liked"),
    ({"type": ""}, "Error: type must be received, sent, new, starred or liked"),
    ({"type": ["new"]}, "Error: type must be a string"),
    ({"cutoff": "x"}, "Error: cutoff must be a time"), ({"cutoff": "2020-13-40"}, "Error: cutoff must be a time")])
def test_what_cannot_be_listed(hub, ada, parameters, text):
    assert hub.refusal(ada, "messages.get", parameters) == text


def fill(hub, author, recipient, count):
    """So many messages, a second apart; the ids, oldest first."""
    last = execute(hub, "SELECT coalesce(max(id), 0) FROM messages")[0][0] + 1000
    numbers = range(last, last + count)
    execute_many(hub, "INSERT INTO messages (id, sent, from_id, to_ids, created, subject, body)"
                 " VALUES (?, ?, ?, ?, 1, '', '')",
                 [(number, number * 1000, author.id, f'["{recipient.id}"]') for number in numbers])
    execute_many(hub, "INSERT INTO message_recipients (account_id, message_id, sent) VALUES (?, ?, ?)",
                 [(recipient.id, number, number * 1000) for number in numbers])
    if hub.database_url:
        execute(hub, "SELECT setval(pg_get_serial_sequence('messages', 'id'), max(id)) FROM messages")
    return list(numbers)


def test_a_hundred_unless_more_are_wanted(hub, ada, bob):
    numbers = fill(hub, ada, bob, 501)
    assert ids(hub, bob) == numbers[:-101:-1]
    assert ids(hub, bob, limit=500) == numbers[:0:-1]
    assert ids(hub, bob, limit=500, offset=500) == numbers[:1]


def test_a_list_that_is_too_large(hub, ada, bob):
    numbers = fill(hub, ada, bob, 400)
    execute(hub, "UPDATE messages SET body = ? WHERE id >= ? AND id <= ?", "€" * 100000, numbers[0], numbers[-1])
    assert hub.refusal(bob, "messages.get", {"limit": 400}) == \
        "Error: the messages are too large together; ask for fewer of them"
    assert len(ids(hub, bob, limit=100)) == 100
